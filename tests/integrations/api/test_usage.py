"""Usage through the API: hourly buckets, summed as the caller asks."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from core import clock
from core.ids import new_id
from meter import usage
from meter.models import today

USAGE = "/api/v1/usage/"


@pytest.fixture
def counted(connected: Any, organization: Any, other_organization: Any) -> Any:
    """Count for a test and a live integration, and for a stranger's; return the test one."""
    test, live = connected(), connected(account="acc2", environment="live")
    for link, unit, quantity in ((test, "things", "1.5"), (test, "things", "2"), (test, "api_calls", "3"),
                                 (live, "things", "40")):  # fmt: skip
        usage.count(
            organization_schema=organization.schema_name, link_id=link.id, provider="fictional", unit=unit,
            quantity=Decimal(quantity),
        )  # fmt: skip
    with clock.shifted(-timedelta(days=1)):
        usage.count(organization_schema=organization.schema_name, link_id=test.id, provider="fictional", unit="things")
    usage.count(
        organization_schema=other_organization.schema_name, link_id=new_id(), provider="fictional", unit="things"
    )
    return test


class TestUsage:
    def test_is_summed_by_day_integration_provider_and_unit(self, api: Any, counted: Any) -> None:
        rows = api().get(f"{USAGE}?integration={counted.id}&unit=things").json()["results"]

        common = {"integration": str(counted.id), "provider": "fictional", "unit": "things"}
        yesterday = (today() - timedelta(days=1)).isoformat()
        assert rows == [
            {"day": today().isoformat(), **common, "quantity": 3.5},
            {"day": yesterday, **common, "quantity": 1},
        ]

    def test_of_the_other_environment_is_not_shown(self, api: Any, counted: Any) -> None:
        rows = api(environment="live").get(f"{USAGE}?group_by=unit").json()["results"]

        assert rows == [{"unit": "things", "quantity": 40}]
        assert api(environment="live").get(f"{USAGE}?integration={counted.id}").status_code == 404

    @pytest.mark.parametrize(
        ("group_by", "expected"),
        [
            ("unit", [{"unit": "api_calls", "quantity": 3}, {"unit": "things", "quantity": 4.5}]),
            ("provider", [{"provider": "fictional", "unit": "api_calls", "quantity": 3},
                          {"provider": "fictional", "unit": "things", "quantity": 4.5}]),
        ],
    )  # fmt: skip
    def test_is_summed_as_asked(self, api: Any, counted: Any, group_by: str, expected: list[Any]) -> None:
        assert api().get(f"{USAGE}?group_by={group_by}").json()["results"] == expected

    def test_is_summed_by_several(self, api: Any, counted: Any) -> None:
        rows = api().get(f"{USAGE}?group_by=day,unit&from={today()}&to={today()}").json()["results"]

        day = today().isoformat()
        assert rows == [
            {"day": day, "unit": "api_calls", "quantity": 3},
            {"day": day, "unit": "things", "quantity": 3.5},
        ]

    @pytest.mark.parametrize(
        ("query", "field"),
        [("from=x", "from"), ("to=x", "to"), ("from=2026-01-01&to=2025-01-01", "from"), ("from=2020-01-01", "from"),
         ("group_by=hour", "group_by")],
    )  # fmt: skip
    def test_refuses_what_it_cannot_use(self, api: Any, query: str, field: str) -> None:
        answer = api().get(f"{USAGE}?{query}")

        assert answer.status_code == 422
        assert list(answer.json()["errors"]) == [field]

    def test_takes_the_first_days_of_the_calendar(self, api: Any) -> None:
        assert api().get(f"{USAGE}?to=0001-01-02").json()["results"] == []
