"""Which tables belong into which schema, and over which connection they are made."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings

from tenants.connection import tenant_connection

OWNER = "owner"


def organization_app_labels() -> frozenset[str]:
    """Labels of the apps whose tables live in organizations' schemas."""
    names = set(settings.TENANT_APPS)
    return frozenset(config.label for config in apps.get_app_configs() if config.name in names)


class OrganizationRouter:
    """Tables are made by the owner role only: public apps in public, organization apps elsewhere."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        """Answer Django's question for one app in the schema the connection is in."""
        if db != OWNER:
            return False
        in_public = tenant_connection(db).schema_name == settings.PUBLIC_SCHEMA_NAME
        return bool(in_public) != (app_label in organization_app_labels())
