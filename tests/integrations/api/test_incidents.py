"""An integration says that its vendor has trouble, unless its organization has something to mend itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.services import Actor
from core.clock import iso
from dispatch.models import ProviderIncident
from integrations.contract import AuthenticationFailed
from integrations.services import incidents, issues
from tenants.context import in_organization
from tests.fictitious.conftest import Shop, open_shop, other_shop, shop, vendor

__all__ = ["open_shop", "other_shop", "shop", "vendor"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def trouble(shop: Shop) -> ProviderIncident:
    """Parcelbox is down."""
    return incidents.open_by_hand("parcelbox", text="", actor=Actor.system("test"))


class TestHealthDetail:
    def test_says_so_and_that_nobody_must_act(
        self, shop: Shop, trouble: ProviderIncident, api: Callable[..., Any]
    ) -> None:
        detail = api().get(f"/api/v1/integrations/{shop.integration.id}/").json()["health_detail"]

        assert detail == {
            "cause": incidents.TEXTS["ProviderOutage"],
            "since": iso(trouble.opened_at),
            "who": "nobody",
            "next_action": incidents.NOTHING_TO_DO,
        }

    def test_keeps_what_the_organization_must_mend(self, shop: Shop, api: Callable[..., Any], other_shop: Shop) -> None:
        with in_organization(shop.organization):
            issues.require_reconnect(shop.integration, AuthenticationFailed())
        incidents.open_by_hand("parcelbox", text="", actor=Actor.system("test"))

        detail = api().get(f"/api/v1/integrations/{shop.integration.id}/").json()["health_detail"]

        assert (detail["who"], detail["cause"]) == ("user", AuthenticationFailed.message)

    def test_costs_a_list_one_query(
        self, shop: Shop, open_shop: Callable[..., Shop], trouble: ProviderIncident, api: Callable[..., Any]
    ) -> None:
        open_shop(shop.organization, 3)
        client = api()

        with CaptureQueriesContext(connection) as seen:
            rows = client.get("/api/v1/integrations/").json()["results"]

        assert [row["health_detail"]["who"] for row in rows] == ["nobody", "nobody"]
        assert sum('NOT ("dispatch_vendor"."incident_class"' in query["sql"] for query in seen.captured_queries) == 1
