"""Counting what was paid, in the unit that a provider declares."""

from __future__ import annotations

from integrations.models import Integration
from meter import usage
from tenants.context import require_organization

PAYMENTS = "payments"


def count_payment(integration: Integration) -> None:
    """Add one payment whose money came, in the caller's transaction."""
    if PAYMENTS not in {declared.name for declared in integration.provider_class.spec.usage}:
        return
    usage.count(
        organization_schema=require_organization(),
        link_id=integration.id,
        provider=integration.provider,
        unit=PAYMENTS,
        quantity=1,
    )
