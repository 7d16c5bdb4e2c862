"""Letting go: attempts after 30 days, finished deliveries too, events after 90."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet

from core import clock
from notifications.endpoints.models import DeliveryAttempt, EndpointDelivery, PublishedEvent

KEEP_ATTEMPTS = timedelta(days=30)
KEEP_EVENTS = timedelta(days=90)
"""How far back a replay reaches."""

MOST_ROWS = 5_000
"""Rows deleted in one sweep, which comes every minute: no lock is held for long."""


def prune() -> dict[str, int]:
    """Delete what is past its time, over all organizations; runs in public. Returns what went, by name."""
    now = clock.now()
    old_deliveries = EndpointDelivery.objects.filter(closed_at__lt=now - KEEP_ATTEMPTS)
    return {
        "attempts": _delete(DeliveryAttempt.objects.filter(created_at__lt=now - KEEP_ATTEMPTS)),
        "deliveries": _delete(old_deliveries),
        "events": _delete(PublishedEvent.objects.filter(occurred_at__lt=now - KEEP_EVENTS)),
    }


def _delete(rows: QuerySet[Any]) -> int:
    ids = list(rows.order_by("pk").values_list("pk", flat=True)[:MOST_ROWS])
    if not ids:
        return 0
    return int(rows.model._default_manager.filter(pk__in=ids).delete()[0])
