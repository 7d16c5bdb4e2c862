"""What a newcomer finds after `make run`: two organizations connected to the sandbox, and a short conversation."""
