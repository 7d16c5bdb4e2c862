"""
Parts of deliveries: handed to the links that claim their account, else kept for 24 hours until somebody connects it.

A part that nobody claims belongs to the platform when it came by a platform URL, and to the link whose own URL received
it otherwise; the latter is released when that very link connects the account (`links.claim_accounts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.query import QuerySet

import vault.services as vault
from core import clock
from dispatch import inbox
from dispatch.models import DeliveryStatus, Route, WebhookDelivery
from dispatch.waker import wake
from integrations import registry
from integrations.contract import InboundRequest, SharesCallback

KEPT_FOR = timedelta(hours=24)
NOT_CONNECTED = "AccountNotConnected"
BATCH = 500
"""Parts released by one sweep; the next comes ten seconds later."""


def not_connected(account_key: str) -> str:
    """Say at a quarantined delivery what is wrong and until when it can be mended."""
    return f"The account {account_key} is not connected here. Connect it within 24 hours, or check the URL."


def store_part(parent: WebhookDelivery, account_key: str, body: bytes, digest: bytes) -> None:
    """Store one part of a platform delivery for every link that claims its account, else in quarantine."""
    routes = list(_routes(parent.provider, account_key))
    if routes:
        _insert_for_links(parent, account_key, body, digest, routes)
        return
    part = _part(parent, account_key, body, digest)
    part.status, part.expires_at = DeliveryStatus.QUARANTINED, clock.now() + KEPT_FOR
    _insert(part, body)


def keep_foreign(delivery: WebhookDelivery, request: InboundRequest, foreign: Sequence[str]) -> None:
    """Quarantine beside a delivery the parts of accounts that its link has not connected, each once."""
    provider = registry.provider(delivery.provider)
    if not foreign or not issubclass(provider, SharesCallback):
        return
    kept = WebhookDelivery.objects.filter(part_of=delivery.id).values_list("account_key", flat=True)
    parts = provider.split(request)
    for account_key in sorted(set(foreign) & set(parts) - set(kept)):
        part = _part(delivery, account_key, parts[account_key].body, None)
        part.organization_schema, part.link_id = delivery.organization_schema, delivery.link_id
        part.status, part.expires_at = DeliveryStatus.QUARANTINED, clock.now() + KEPT_FOR
        part.error_class, part.error_text = NOT_CONNECTED, not_connected(account_key)
        _insert(part, parts[account_key].body)


def release(*, provider: str) -> int:
    """Hand the platform's quarantined parts to the links that have claimed their accounts since; runs in public."""
    waiting = WebhookDelivery.objects.filter(
        # Only what somebody claims: a flood for an account that nobody connects must not hide the rest.
        Exists(_routes(provider, OuterRef("account_key"))),
        provider=provider,
        status=DeliveryStatus.QUARANTINED,
        organization_schema=None,
        sealed_body__isnull=False,
    ).order_by("received_at")
    released = sum(_hand_over(part) for part in waiting[:BATCH])
    if released:
        wake("inbound")
    return released


def _hand_over(part: WebhookDelivery) -> bool:
    """Copy a part to its links and close it, unless another sweep does."""
    routes = list(_routes(part.provider, part.account_key))
    if not routes:
        return False  # its account was disconnected a moment ago
    body = inbox.open_body(part.sealed_body or b"", organization_schema=None, delivery_id=part.id)
    with transaction.atomic():
        closed = WebhookDelivery.objects.filter(pk=part.pk, status=DeliveryStatus.QUARANTINED).update(
            status=DeliveryStatus.PROCESSED, sealed_body=None, processed_at=clock.now()
        )
        if closed:
            _insert_for_links(part, part.account_key, body, bytes(part.part_digest or b""), routes)
    return bool(closed)


def _insert_for_links(
    source: WebhookDelivery, account_key: str, body: bytes, digest: bytes | None, routes: Sequence[Route]
) -> None:
    for route in routes:
        copy = _part(source, account_key, body, digest)
        copy.organization_schema, copy.link_id = route.organization_schema, route.link_id
        _insert(copy, body)


def _part(source: WebhookDelivery, account_key: str, body: bytes, digest: bytes | None) -> WebhookDelivery:
    """Make a part of what came whole; a part that is handed on stays a part of the same whole."""
    return WebhookDelivery(
        provider=source.provider,
        account_key=account_key[:200],
        part_of=source.part_of or source.id,
        part_digest=digest,
        headers=source.headers,
        body_bytes=len(body),
        received_at=source.received_at,
    )


def _insert(part: WebhookDelivery, body: bytes) -> None:
    schema = part.organization_schema or vault.PLATFORM
    part.sealed_body = inbox.seal_body(body, organization_schema=schema, delivery_id=part.id)
    part.save(force_insert=True)


def _routes(provider: str, account_key: str | OuterRef) -> QuerySet[Route]:
    return Route.objects.filter(provider=provider, account_key=account_key, token_digest=None)
