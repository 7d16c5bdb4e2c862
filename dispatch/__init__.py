"""What must be found before the organization is known: links, routes, the inbox and the outbox."""
