"""The usage page: totals and charts of the last days, from the organization's own buckets alone."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.test import Client

from core import clock
from meter import usage
from meter.models import UsageRecord
from tests.admin.conftest import Place


def charts_of(page: str) -> list[dict[str, Any]]:
    return [json.loads(html.unescape(found)) for found in re.findall(r'data-value="([^"]*)"', page)]


class TestUsagePage:
    def test_shows_the_total_and_the_days_of_each_unit(
        self, place: Place, member: Callable[..., Any], enter: Callable[[Any], Client], other_organization: Any
    ) -> None:
        schema, link = place.organization.schema_name, place.ids["link"]
        UsageRecord.objects.all().delete()
        for days_ago, quantity in ((0, 1200), (3, 34), (40, 7)):
            with clock.shifted(-timedelta(days=days_ago)):
                usage.count(
                    organization_schema=schema, link_id=link, provider="whatsapp", unit="messages_out",
                    quantity=quantity,
                )  # fmt: skip
        usage.count(organization_schema=schema, link_id=link, provider="whatsapp", unit="api_calls", quantity=5)

        page = enter(member("owner")).get("/o/acme/admin/meter/usagerecord/").content.decode()

        calls, messages = charts_of(page)
        assert calls["datasets"][0]["label"] == "Calls to the provider"
        assert messages["datasets"][0]["label"] == "Messages sent"
        assert messages["datasets"][0]["data"][-4:] == [34, 0, 0, 1200]
        assert len(messages["labels"]) == 30
        assert "1,234" in page, "the total of thirty days, not of forty"

    def test_shows_one_integration_where_the_list_does(
        self, place: Place, member: Callable[..., Any], enter: Callable[[Any], Client]
    ) -> None:
        client = enter(member("viewer"))
        link = place.ids["link"]

        filtered = client.get(f"/o/acme/admin/meter/usagerecord/?link={link}").content.decode()
        nonsense = client.get("/o/acme/admin/meter/usagerecord/?link=nonsense").content.decode()

        assert charts_of(filtered)[0]["datasets"][0]["data"][-1] == 1
        assert charts_of(nonsense) == charts_of(client.get("/o/acme/admin/meter/usagerecord/").content.decode())
