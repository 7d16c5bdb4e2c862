"""
Claiming rows for work: `FOR UPDATE SKIP LOCKED`, at most 100 rows, 5 per link and 1 per object, oldest first.

A noisy link has five rows in a claim however long its queue is, so it cannot push the others back. A row whose
lease ended is claimed again: its worker died.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, QuerySet

from core import clock
from core.ids import new_id
from dispatch.models import LEASE, DeliveryStatus, OutboxEntry, OutboxStatus, WebhookDelivery

BATCH = 100
PER_LINK = 5

_CLAIM = """
    WITH RECURSIVE links AS (
        (SELECT link_id FROM {table} WHERE status = ANY(%(open)s) ORDER BY link_id LIMIT 1)
        UNION ALL
        SELECT (SELECT t.link_id FROM {table} t
                WHERE t.status = ANY(%(open)s) AND t.link_id > links.link_id ORDER BY t.link_id LIMIT 1)
        FROM links WHERE links.link_id IS NOT NULL
    ),
    candidates AS (
        SELECT due.id, due.next_attempt_at FROM links
        CROSS JOIN LATERAL (
            SELECT t.id, t.next_attempt_at FROM {table} t
            WHERE t.link_id = links.link_id AND {due}
            ORDER BY t.next_attempt_at LIMIT %(per_link)s
        ) due
        WHERE links.link_id IS NOT NULL
        UNION ALL
        (SELECT t.id, t.next_attempt_at FROM {table} t
         WHERE t.link_id IS NULL AND {due} ORDER BY t.next_attempt_at LIMIT %(per_link)s)
    ),
    locked AS (
        SELECT t.id FROM {table} t
        WHERE t.id IN (SELECT id FROM candidates ORDER BY next_attempt_at LIMIT %(batch)s) AND {due}
        FOR UPDATE SKIP LOCKED
    )
    UPDATE {table} t SET
        crashes = t.crashes + CASE WHEN t.status = %(working)s THEN 1 ELSE 0 END,
        status = %(working)s, attempts = t.attempts + 1, leased_until = %(until)s, lease_id = %(lease)s
    FROM locked WHERE t.id = locked.id
    RETURNING t.id, t.organization_schema, t.link_id
"""

_DUE = """
    t.status = ANY(%(open)s) AND t.next_attempt_at <= %(now)s
    AND (t.not_before IS NULL OR t.not_before <= %(now)s)
    AND (t.status <> %(working)s OR t.leased_until IS NULL OR t.leased_until <= %(now)s)
"""

_ONE_PER_OBJECT = """
    AND (t.object_key = '' OR NOT EXISTS (
        SELECT 1 FROM {table} o WHERE o.link_id = t.link_id AND o.object_key = t.object_key AND o.id < t.id
        AND o.status = ANY(%(open)s)))
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed row: whose it is and the lease that must still hold when the work is done."""

    id: UUID
    organization_schema: str | None
    link_id: UUID | None
    lease_id: UUID


def claim_deliveries(*, batch: int = BATCH) -> list[Claim]:
    """Claim deliveries that are due."""
    return _claim(
        "dispatch_webhookdelivery", open_=["received", "failed", "processing"], working="processing", batch=batch
    )


def claim_outbox(*, batch: int = BATCH) -> list[Claim]:
    """Claim outbox entries that are due; of one object only the oldest open entry, so that its order is kept."""
    return _claim("dispatch_outboxentry", open_=["waiting", "working"], working="working", batch=batch, by_object=True)


def give_back_deliveries(claims: Sequence[Claim], *, due_at: datetime | None = None) -> None:
    """Return claimed deliveries that were not begun; they count as neither tried nor crashed."""
    rows = WebhookDelivery.objects.filter(status=DeliveryStatus.PROCESSING)
    _give_back(rows, claims, status=DeliveryStatus.RECEIVED, due_at=due_at)


def give_back_outbox(claims: Sequence[Claim], *, due_at: datetime | None = None) -> None:
    """Return claimed entries that were not begun; they count as neither tried nor crashed."""
    rows = OutboxEntry.objects.filter(status=OutboxStatus.WORKING)
    _give_back(rows, claims, status=OutboxStatus.WAITING, due_at=due_at)


def _give_back(rows: QuerySet[Any], claims: Sequence[Claim], *, status: str, due_at: datetime | None) -> None:
    """A row that was claimed again since has another lease and is left alone."""
    ours = rows.filter(pk__in=[claim.id for claim in claims], lease_id__in={claim.lease_id for claim in claims})
    ours.update(
        status=status, attempts=F("attempts") - 1, leased_until=None, next_attempt_at=due_at or F("next_attempt_at")
    )


def _claim(table: str, *, open_: list[str], working: str, batch: int, by_object: bool = False) -> list[Claim]:
    lease = new_id()
    now = clock.now()
    due = _DUE + (_ONE_PER_OBJECT.format(table=table) if by_object else "")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _CLAIM.format(table=table, due=due),
            {
                "open": open_, "working": working, "now": now, "until": now + LEASE, "lease": lease,
                "batch": batch, "per_link": PER_LINK,
            },
        )  # fmt: skip
        return [Claim(row[0], row[1], row[2], lease) for row in cursor.fetchall()]
