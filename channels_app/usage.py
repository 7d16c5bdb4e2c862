"""Counting what passed through a channel, in the units that its provider declares."""

from __future__ import annotations

from integrations.models import Integration
from meter import usage
from tenants.context import require_organization

MESSAGES_OUT = "messages_out"
MESSAGES_IN = "messages_in"
MEDIA_BYTES = "media_bytes"


def count(integration: Integration, unit: str, quantity: int = 1) -> None:
    """Add a quantity in the caller's transaction; a unit that the provider does not declare is not counted."""
    if unit not in {declared.name for declared in integration.provider_class.spec.usage}:
        return
    usage.count(
        organization_schema=require_organization(),
        link_id=integration.id,
        provider=integration.provider,
        unit=unit,
        quantity=quantity,
    )
