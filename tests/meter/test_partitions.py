"""Days of the counted tables are made ahead and dropped whole, by the owner's role."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, connections, transaction

from core import clock
from core.ids import new_id
from meter import partitions
from meter.models import Call, today
from meter.partitions import DAYS_AHEAD, KEEP_DAYS, TABLES, drop_old_partitions, make_partitions

OWNER = "owner"
FAR = date(2041, 3, 1)
"""A day that no other test has a partition for."""


@pytest.fixture(autouse=True)
def committed(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Let the test commit, and remove the days it made and what is in the default partitions."""
    with django_db_blocker.unblock():
        before = names()
        try:
            yield
        finally:
            with connections[OWNER].cursor() as cursor:
                for name in names() - before:
                    cursor.execute(f'DROP TABLE "{name}"')
                for table in TABLES:
                    cursor.execute(f"DELETE FROM {table}_other")
            for one in connections.all(initialized_only=True):
                one.close()


def names() -> set[str]:
    """Return the partitions there are, without the default ones."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent::regclass::text = ANY(%s) AND c.relname ~ '_[0-9]{8}$'",
            [list(TABLES)],
        )
        return {name for (name,) in cursor.fetchall()}


def count(day: date, *, schema: str = "org_meter_a") -> UUID:
    """Record a call of a day as the application does."""
    call = Call(
        organization_schema=schema, link_id=new_id(), provider="whatsapp", day=day, operation="send", method="POST",
        url="https://graph.example.com/", duration_ms=1.0,
    )  # fmt: skip
    call.save(force_insert=True)
    return call.id


def partition_of(call_id: UUID) -> str:
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM meter_call WHERE id = %s", [call_id])
        return str(cursor.fetchone()[0])


class TestMakePartitions:
    def test_makes_a_week_of_each_table_once(self) -> None:
        made = make_partitions(FAR)

        assert len(made) == DAYS_AHEAD * len(TABLES)
        assert f"meter_call_{FAR:%Y%m%d}" in made
        assert make_partitions(FAR) == []

    def test_lets_the_application_record_there_and_only_there_through_the_policy(self) -> None:
        make_partitions(FAR)
        call_id = count(FAR)

        assert partition_of(call_id) == f"meter_call_{FAR:%Y%m%d}"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM meter_call_{FAR:%Y%m%d}")
            assert cursor.fetchone()[0] == 0  # past the parent nothing is visible
        assert Call.objects.filter(pk=call_id).exists()

    def test_takes_over_what_fell_into_the_default_partition(self) -> None:
        late, other = count(FAR), count(FAR + timedelta(days=400))
        assert partition_of(late) == "meter_call_other"

        make_partitions(FAR)

        assert partition_of(late) == f"meter_call_{FAR:%Y%m%d}"
        assert partition_of(other) == "meter_call_other"

    def test_makes_nothing_by_halves(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(partitions, "TABLES", ("meter_call", "meter_nothing"))

        with pytest.raises(DatabaseError):
            make_partitions(FAR)

        assert f"meter_call_{FAR:%Y%m%d}" in names()
        assert not any(name.startswith("meter_nothing") for name in names())

    def test_is_refused_to_the_application(self) -> None:
        with pytest.raises(DatabaseError, match=r"permission denied|must be owner"), transaction.atomic():
            connection.cursor().execute("CREATE TABLE meter_call_20410399 (LIKE meter_call)")


class TestDropOldPartitions:
    def test_drops_each_table_after_its_own_time(self) -> None:
        for table, keep_days in KEEP_DAYS.items():
            first_kept = today() - timedelta(days=keep_days)
            make_partitions(first_kept - timedelta(days=1))
            assert f"{table}_{first_kept:%Y%m%d}" in names()

        dropped = drop_old_partitions()

        for table, keep_days in KEEP_DAYS.items():
            first_kept = today() - timedelta(days=keep_days)
            assert f"{table}_{first_kept - timedelta(days=1):%Y%m%d}" in dropped
            assert f"{table}_{first_kept:%Y%m%d}" in names()

    def test_empties_the_default_partition_of_what_is_over(self) -> None:
        first_kept = today() - timedelta(days=KEEP_DAYS["meter_call"])
        over, kept = count(first_kept - timedelta(days=1)), count(FAR)

        drop_old_partitions()

        assert set(Call.objects.filter(pk__in=[over, kept]).values_list("pk", flat=True)) == {kept}

    def test_leaves_today_and_the_days_ahead(self) -> None:
        make_partitions()
        with clock.shifted(timedelta(days=DAYS_AHEAD - 1)):
            drop_old_partitions()

        assert f"meter_call_{today():%Y%m%d}" in names()
