"""Daily partitions of the counted tables: made ahead, dropped when their time is over. Runs as the owner role."""

from __future__ import annotations

from datetime import date, timedelta

from django.db import connections

from meter.models import today

TABLES = ("meter_call", "meter_healthcheck", "meter_usagerecord")
DAYS_AHEAD = 7
"""A week of partitions ahead: the sweep may stand still that long before rows fall into the default partition."""

KEEP_DAYS = {"meter_call": 30, "meter_healthcheck": 90, "meter_usagerecord": 1830}
"""Days kept: calls like raw bodies, checks like dead letters, usage five years like the audit (RELIABILITY 7)."""

_OWNER = "owner"


def make_partitions(start: date | None = None) -> list[str]:
    """Make the partitions from a day (today) on that do not exist; return their names."""
    first = start or today()
    made = []
    with connections[_OWNER].cursor() as cursor:
        for table in TABLES:
            for offset in range(DAYS_AHEAD):
                day = first + timedelta(days=offset)
                name = f"{table}_{day:%Y%m%d}"
                cursor.execute("SELECT to_regclass(%s)", [f"public.{name}"])
                if cursor.fetchone()[0] is None:
                    _make(cursor, table, name, day)
                    made.append(name)
    return made


def drop_old_partitions() -> list[str]:
    """Drop the days whose time is over; return their names."""
    dropped = []
    with connections[_OWNER].cursor() as cursor:
        for table, keep_days in KEEP_DAYS.items():
            oldest = f"{table}_{today() - timedelta(days=keep_days):%Y%m%d}"
            cursor.execute(
                "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
                " WHERE i.inhparent = to_regclass(%s) AND c.relname ~ '_[0-9]{8}$' AND c.relname < %s",
                [f"public.{table}", oldest],
            )
            for (name,) in cursor.fetchall():
                cursor.execute(f'DROP TABLE "{name}"')
                dropped.append(name)
    return dropped


def _make(cursor: object, table: str, name: str, day: date) -> None:
    execute = cursor.execute  # type: ignore[attr-defined]
    execute(f'CREATE TABLE "{name}" PARTITION OF {table} FOR VALUES FROM (%s) TO (%s)', [day, day + timedelta(days=1)])
    execute(f'ALTER TABLE "{name}" ENABLE ROW LEVEL SECURITY')  # reached through the parent's policy only
