"""Cache keys carry the schema, so that one organization never reads another's value."""

from __future__ import annotations

from tenants.context import current_schema


def organization_key(key: str, key_prefix: str, version: int) -> str:
    """Make the cache's key; Django's KEY_FUNCTION."""
    return f"{current_schema()}:{key_prefix}:{version}:{key}"
