"""What people, machines and time ask of integrations. Views, tasks, commands and admin actions call one of these."""
