"""Hourly buckets: exact under concurrency, undone with their transaction."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from core.ids import new_id
from meter import usage
from meter.models import UsageRecord

THREADS, TIMES = 8, 25


class Undone(Exception):
    """Ends a transaction."""


@pytest.fixture
def link_id(django_db_setup: None, django_db_blocker: Any) -> Iterator[Any]:
    """A link that the test alone counts for, with real commits; what they leave is removed."""
    with django_db_blocker.unblock():
        found = new_id()
        yield found
        UsageRecord.objects.filter(link_id=found).delete()


class TestCount:
    def test_is_exact_when_many_count_at_once(self, link_id: Any) -> None:
        common = {"organization_schema": "t_acme", "link_id": link_id, "provider": "fictional"}

        def work() -> None:
            try:
                for number in range(TIMES):
                    with transaction.atomic():
                        usage.count(**common, unit="api_calls")
                        usage.count(**common, unit="things", quantity=Decimal("0.5"))
                        if number % 5 == 0:
                            usage.count(**common, unit="zeta")
            finally:
                connection.close()

        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        rows = UsageRecord.objects.filter(link_id=link_id)
        totals: dict[str, Decimal] = {}
        for row in rows:
            totals[row.unit] = totals.get(row.unit, Decimal(0)) + row.quantity
        assert totals == {"api_calls": THREADS * TIMES, "things": THREADS * TIMES / 2, "zeta": THREADS * 5}
        assert len(rows) <= 6, "one row per unit and hour; the test may cross one full hour"

    def test_is_undone_with_its_transaction(self, link_id: Any) -> None:
        def fail() -> None:
            with transaction.atomic():
                usage.count(organization_schema="t_acme", link_id=link_id, provider="fictional", unit="things")
                raise Undone

        with pytest.raises(Undone):
            fail()

        assert not UsageRecord.objects.filter(link_id=link_id).exists()


class TestGathered:
    def test_counts_a_block_in_one_statement_for_each_bucket(self, link_id: Any) -> None:
        common = {"organization_schema": "t_acme", "link_id": link_id, "provider": "fictional"}

        with CaptureQueriesContext(connection) as captured, usage.gathered():
            for _ in range(5):
                usage.count(**common, unit="zeta")
                usage.count(**common, unit="alpha", quantity=2)

        assert len([query for query in captured.captured_queries if "INSERT" in query["sql"]]) == 2
        found = UsageRecord.objects.filter(link_id=link_id).values_list("unit", "quantity")
        assert dict(found) == {"zeta": 5, "alpha": 10}

    def test_counts_nothing_of_a_block_that_fails(self, link_id: Any) -> None:
        def fail() -> None:
            with usage.gathered():
                usage.count(organization_schema="t_acme", link_id=link_id, provider="fictional", unit="things")
                raise Undone

        with pytest.raises(Undone):
            fail()

        assert not UsageRecord.objects.filter(link_id=link_id).exists()
