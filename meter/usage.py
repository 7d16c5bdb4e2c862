"""
Counting usage: one bucket per link, unit and hour (UTC), added to in place.

The addition happens in the database, in the transaction of what is counted: exact under any concurrency, and undone
with it. Count at the end of a transaction and in the order of the units' names, for a bucket stays locked until the
commit.
"""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from django.db import connection

from core import clock
from core.ids import new_id

_ADD = """
    INSERT INTO meter_usagerecord AS bucket (id, day, organization_schema, link_id, provider, at, unit, quantity)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (link_id, unit, at, day) DO UPDATE SET quantity = bucket.quantity + EXCLUDED.quantity
"""


def count(*, organization_schema: str, link_id: UUID, provider: str, unit: str, quantity: int | Decimal = 1) -> None:
    """Add a quantity to this hour's bucket."""
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(
            _ADD, [new_id(), hour.date(), organization_schema, link_id, provider, hour, unit, Decimal(quantity)]
        )
