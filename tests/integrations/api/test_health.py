"""When a link was checked is public knowledge of its row, and a list asks for it once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core import clock
from core.clock import iso
from dispatch.models import Link

pytestmark = pytest.mark.django_db

LIST = "/api/v1/integrations/"


class TestLastTested:
    def test_follows_the_checks_of_the_clock(self, api: Any, connected: Any, other_organization: Any) -> None:
        own, foreign = connected(account="acc1"), connected(account="acc2", of=other_organization)
        checked_at = clock.now() + timedelta(minutes=5)
        Link.objects.filter(pk=own.pk).update(last_checked_at=checked_at)
        Link.objects.filter(pk=foreign.pk).update(last_checked_at=checked_at + timedelta(minutes=5))
        client = api()

        listed = client.get(LIST).json()["results"]

        assert [row["last_tested_at"] for row in listed] == [iso(checked_at)]
        assert client.get(f"{LIST}{own.pk}/").json()["last_tested_at"] == iso(checked_at)

    def test_costs_a_list_no_query_for_each_row(self, api: Any, connected: Any) -> None:
        client, counts = api(), []
        for number in range(1, 4):
            connected(account=f"acc{number}")
            with CaptureQueriesContext(connection) as seen:
                assert len(client.get(LIST).json()["results"]) == number
            counts.append(len(seen))

        assert counts[1] == counts[2]


class TestHistory:
    def test_says_what_each_check_led_to(self, api: Any, connected: Any) -> None:
        integration = connected()
        client = api()

        client.post(f"{LIST}{integration.pk}/test/")

        rows = client.get(f"{LIST}{integration.pk}/health-checks/").json()["results"]
        assert [row["health"] for row in rows] == ["healthy", "healthy"]
