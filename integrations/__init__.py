"""The framework: contract, registry, outbound guard, services, ingress, admin and API of integrations."""
