"""
Letting go: inbox keys after eight days, bodies after thirty, quarantine after a day, audit after five years
(RELIABILITY 1 and 7). Rows go as the application's role; partitions and audit entries as the owner's.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet

from accounts.models import StoredAnswer
from audit import pruning
from core import clock
from dispatch.models import (
    DeliveryStatus,
    InboxKey,
    OutboxEntry,
    OutboxStatus,
    RefusedRequest,
    WebhookDelivery,
)
from integrations.services import oauth_attempts
from meter.partitions import drop_old_partitions, make_partitions
from notifications.models import Notification, OwedMail

KEEP_INBOX_KEYS = timedelta(days=8)
KEEP_BODIES = timedelta(days=30)
KEEP_DEAD = timedelta(days=90)
KEEP_REFUSED = timedelta(days=30)
KEEP_ANSWERS = timedelta(hours=24)
KEEP_MAIL = timedelta(days=30)
KEEP_ROWS = timedelta(days=180)
"""Rows of finished work, as long as the events they led to (RELIABILITY 7)."""

FINISHED_DELIVERIES = (DeliveryStatus.PROCESSED, DeliveryStatus.IGNORED, DeliveryStatus.DEAD)
FINISHED_WORK = (OutboxStatus.DONE, OutboxStatus.FAILED, OutboxStatus.EXPIRED, OutboxStatus.CANCELED)
MOST_ROWS = 20_000
"""Rows deleted in one sweep: the first sweep after a long pause must not hold its locks for minutes."""


def sweep() -> dict[str, int]:
    """Delete what is past its time, over all organizations; runs in public. Returns what went, by name."""
    now = clock.now()
    make_partitions()
    bodies = WebhookDelivery.objects.filter(sealed_body__isnull=False)
    gone = {
        "inbox_keys": InboxKey.objects.filter(received_at__lt=now - KEEP_INBOX_KEYS).delete()[0],
        "answers": StoredAnswer.objects.filter(created_at__lt=now - KEEP_ANSWERS).delete()[0],
        "refused": RefusedRequest.objects.filter(received_at__lt=now - KEEP_REFUSED).delete()[0],
        "quarantined": WebhookDelivery.objects.filter(status=DeliveryStatus.QUARANTINED, expires_at__lt=now).update(
            status=DeliveryStatus.IGNORED, sealed_body=None
        ),
        "bodies": bodies.filter(
            status__in=[DeliveryStatus.PROCESSED, DeliveryStatus.IGNORED], received_at__lt=now - KEEP_BODIES
        ).update(sealed_body=None),
        "dead_letters": bodies.filter(status=DeliveryStatus.DEAD, received_at__lt=now - KEEP_DEAD).update(
            sealed_body=None
        ),
        "logins": oauth_attempts.forget_expired(),
    }
    gone["deliveries"] = _delete(
        WebhookDelivery.objects.filter(status__in=FINISHED_DELIVERIES, received_at__lt=now - KEEP_ROWS)
    )
    gone["outbox"] = _delete(OutboxEntry.objects.filter(status__in=FINISHED_WORK, done_at__lt=now - KEEP_ROWS))
    gone["owed_mail"] = _delete(OwedMail.objects.filter(closed_at__lt=now - KEEP_MAIL))
    gone["notes"] = _delete(Notification.objects.filter(created_at__lt=now - KEEP_ROWS))
    audit_entries = sum(pruned.entries for pruned in pruning.prune())
    return {**gone, "partitions": len(drop_old_partitions()), "audit_entries": audit_entries}


def _delete(rows: QuerySet[Any]) -> int:
    ids = list(rows.order_by("pk").values_list("pk", flat=True)[:MOST_ROWS])
    return int(rows.model._default_manager.filter(pk__in=ids).delete()[0])
