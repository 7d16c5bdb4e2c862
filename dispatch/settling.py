"""Closing deliveries that were handled, all of a transaction in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from core import clock

_SETTLE = """
    UPDATE dispatch_webhookdelivery d SET
        status = s.status, event_ids = s.event_ids, error_class = '', error_text = s.text, processed_at = %s,
        leased_until = NULL
    FROM (VALUES {rows}) AS s (id, lease_id, status, event_ids, text)
    WHERE d.id = s.id AND d.lease_id = s.lease_id AND d.status = 'processing'
"""
_ROW = "(%s::uuid, %s::uuid, %s::text, %s::uuid[], %s::text)"


class Settled(NamedTuple):
    """A delivery, the lease under which it was handled, and what came of it; `text` is for people who look at it."""

    id: UUID
    lease_id: UUID | None
    status: str
    event_ids: list[UUID]
    text: str = ""


def settle_deliveries(settled: Sequence[Settled]) -> int:
    """Close deliveries whose lease still holds; return how many these were."""
    statement = _SETTLE.format(rows=", ".join([_ROW] * len(settled)))
    with connection.cursor() as cursor:
        cursor.execute(statement, [clock.now(), *(value for one in settled for value in one)])
        return int(cursor.rowcount)
