"""Connections as django-tenants makes them: Django's, with `schema_name`, `set_schema` and `set_schema_to_public`."""

from __future__ import annotations

from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections


def tenant_connection(alias: str = DEFAULT_DB_ALIAS) -> Any:
    """Return this thread's connection; typed Any because django-tenants has no type information."""
    return connections[alias]
