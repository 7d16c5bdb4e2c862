"""Daily partitions of the counted tables: made ahead, dropped when their time is over. Runs as the owner role."""

from __future__ import annotations

from datetime import date, timedelta

from django.db import connections, transaction

from meter.models import today

TABLES = ("meter_call", "meter_healthcheck", "meter_usagerecord")
DAYS_AHEAD = 7
"""A week of partitions ahead: the sweep may stand still that long before rows fall into the default partition."""

KEEP_DAYS = {"meter_call": 30, "meter_healthcheck": 90, "meter_usagerecord": 1830}
"""Days kept: calls like raw bodies, checks like dead letters, usage five years like the audit (RELIABILITY 7)."""

OWNER = "owner"


def make_partitions(start: date | None = None) -> list[str]:
    """Make the partitions from a day (today) on that do not exist; return their names."""
    first = start or today()
    made = []
    for table in TABLES:
        for offset in range(DAYS_AHEAD):
            day = first + timedelta(days=offset)
            name = f"{table}_{day:%Y%m%d}"
            if not _exists(name):
                _make(table, name, day)
                made.append(name)
    return made


def drop_old_partitions() -> list[str]:
    """Drop the days whose time is over, in the default partition too; return the names of the partitions."""
    dropped = []
    with connections[OWNER].cursor() as cursor:
        for table, keep_days in KEEP_DAYS.items():
            first_kept = today() - timedelta(days=keep_days)
            cursor.execute(
                "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
                " WHERE i.inhparent = to_regclass(%s) AND c.relname ~ '_[0-9]{8}$' AND c.relname < %s",
                [f"public.{table}", f"{table}_{first_kept:%Y%m%d}"],
            )
            for (name,) in cursor.fetchall():
                cursor.execute(f'DROP TABLE "{name}"')
                dropped.append(name)
            cursor.execute(f'DELETE FROM "{table}_other" WHERE day < %s', [first_kept])  # noqa: S608 - ours
    return dropped


def _exists(name: str) -> bool:
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [f"public.{name}"])
        return cursor.fetchone()[0] is not None


def _make(table: str, name: str, day: date) -> None:
    """Make one day; rows in the default partition move over, or PostgreSQL would refuse the day for ever."""
    with transaction.atomic(using=OWNER), connections[OWNER].cursor() as cursor:
        cursor.execute(f'CREATE TABLE "{name}" (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)')
        cursor.execute(
            f'WITH moved AS (DELETE FROM "{table}_other" WHERE day = %s RETURNING *)'  # noqa: S608 - names of ours
            f' INSERT INTO "{name}" SELECT * FROM moved',
            [day],
        )
        values = [day, day + timedelta(days=1)]
        cursor.execute(f'ALTER TABLE {table} ATTACH PARTITION "{name}" FOR VALUES FROM (%s) TO (%s)', values)
        cursor.execute(f'ALTER TABLE "{name}" ENABLE ROW LEVEL SECURITY')  # reached through the parent's policy only
