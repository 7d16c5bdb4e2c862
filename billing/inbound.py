"""
From a payment vendor's events to rows. Runs inside the delivery's transaction, once per event; any order gives the
same rows.

An error raised here rolls the whole delivery back, and it is tried again.
"""

from __future__ import annotations

from billing.contract import EventType, ReadsPaymentEvents
from billing.models import Source
from billing.services.applying import apply_state
from integrations.contract import InboundEvent
from integrations.models import Event, Integration
from integrations.services import lifecycle

DEAUTHORIZED = "The account's owner took away this platform's access at the provider."


def handle(integration: Integration, event_row: Event, event: InboundEvent) -> None:
    """Write what one event says; what is nothing of payments stays an Event only."""
    if event.type == EventType.ACCOUNT_DISCONNECTED:
        _end(integration, event)
        return
    provider = integration.provider_class
    if not issubclass(provider, ReadsPaymentEvents):
        return
    webhook = provider.spec.webhook
    is_delivered = event_row.delivery_id is not None
    for state in provider.read_states(event):
        apply_state(
            integration,
            state,
            source=Source.WEBHOOK if is_delivered else Source.RECONCILIATION,
            source_id=str(event_row.pk),
            is_signed=is_delivered and webhook is not None and bool(webhook.signature),
            is_fetched=bool(event.data["is_fetched"]) or not is_delivered,
        )


def _end(integration: Integration, event: InboundEvent) -> None:
    """Stop only for the account that this integration has, and of its own environment."""
    environment = event.data["environment"]
    if environment and environment != integration.environment:
        return
    locked = Integration.objects.select_for_update().get(pk=integration.pk)
    lifecycle.end_by_vendor(locked, cause=DEAUTHORIZED, topic="account:deauthorized")
