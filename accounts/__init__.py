"""Who acts: people, their memberships and roles, API keys, and the stored answers of idempotent requests."""
