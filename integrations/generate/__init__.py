"""What is derived from a ProviderSpec: admin forms, API serializers, JSON schema, docs pages."""
