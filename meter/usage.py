"""
Counting usage: one bucket per link, unit and hour (UTC), added to in place.

The addition happens in the database, in the transaction of what is counted: exact under any concurrency, and undone
with it. Count at the end of a transaction and in the order of the units' names, for a bucket stays locked until the
commit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from core import clock
from core.ids import new_id

_ADD = """
    INSERT INTO meter_usagerecord AS bucket (id, day, organization_schema, link_id, provider, at, unit, quantity)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (link_id, unit, at, day) DO UPDATE SET quantity = bucket.quantity + EXCLUDED.quantity
"""

_ADD_MANY = """
    INSERT INTO meter_usagerecord AS bucket (id, day, organization_schema, link_id, provider, at, unit, quantity)
    SELECT id, %(day)s, schema, link, provider, %(hour)s, %(unit)s, quantity
    FROM unnest(%(ids)s::uuid[], %(schemas)s::text[], %(links)s::uuid[], %(providers)s::text[], %(quantities)s::int[])
        AS counted (id, schema, link, provider, quantity)
    ON CONFLICT (link_id, unit, at, day) DO UPDATE SET quantity = bucket.quantity + EXCLUDED.quantity
"""

_Bucket = tuple[str, str, UUID, str]
_gathered: ContextVar[dict[_Bucket, Decimal] | None] = ContextVar("gathered_usage", default=None)


def count(*, organization_schema: str, link_id: UUID, provider: str, unit: str, quantity: int | Decimal = 1) -> None:
    """Add a quantity to this hour's bucket; inside `gathered`, at its end."""
    if (waiting := _gathered.get()) is not None:
        bucket = (unit, organization_schema, link_id, provider)
        waiting[bucket] = waiting.get(bucket, Decimal(0)) + Decimal(quantity)
        return
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(
            _ADD, [new_id(), hour.date(), organization_schema, link_id, provider, hour, unit, Decimal(quantity)]
        )


@contextmanager
def gathered() -> Iterator[None]:
    """Count what the block counts at its end: a statement for each bucket, in the units' order; nothing if it fails."""
    waiting: dict[_Bucket, Decimal] = {}
    token = _gathered.set(waiting)
    try:
        yield
    finally:
        _gathered.reset(token)
    for (unit, schema, link_id, provider), quantity in sorted(waiting.items(), key=lambda item: item[0][:2]):
        count(organization_schema=schema, link_id=link_id, provider=provider, unit=unit, quantity=quantity)


def count_many(unit: str, quantities: Mapping[tuple[str, UUID, str], int]) -> None:
    """Add to many buckets of one unit in one statement; keys are (organization_schema, link_id, provider)."""
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    ordered = sorted(quantities.items(), key=lambda item: item[0][1])  # two batches never wait for each other crosswise
    values: dict[str, Any] = {
        "day": hour.date(),
        "hour": hour,
        "unit": unit,
        "ids": [new_id() for _ in ordered],
        "schemas": [schema for (schema, _, _), _ in ordered],
        "links": [link_id for (_, link_id, _), _ in ordered],
        "providers": [provider for (_, _, provider), _ in ordered],
        "quantities": [quantity for _, quantity in ordered],
    }
    with connection.cursor() as cursor:
        cursor.execute(_ADD_MANY, values)
