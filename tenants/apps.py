"""Organizations and their schemas."""

from django.apps import AppConfig


class TenantsConfig(AppConfig):
    """Public tables: Organization, Domain, SchemaChange, SchemaState."""

    name = "tenants"
    verbose_name = "Organizations"
