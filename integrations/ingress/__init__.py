"""The doors for vendors: webhooks over raw bytes. Nothing here parses a body or touches an organization's table."""
