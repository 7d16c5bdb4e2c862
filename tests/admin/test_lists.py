"""Lists cost the same however many rows they show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tenants.context import in_organization
from tests.admin.conftest import Place

ROWS = 15


def _more(model: Any, pk: Any, *, unique: tuple[str, ...] = ()) -> None:
    """Copy a row many times."""
    from core.ids import new_id

    for number in range(ROWS):
        row = model.objects.get(pk=pk)
        row.pk = new_id()
        for name in unique:
            setattr(row, name, f"{number}")
        row.save(force_insert=True)


def _models() -> dict[str, tuple[Any, tuple[str, ...]]]:
    from channels_app.models import Message, Template
    from dispatch.models import OutboxEntry, WebhookDelivery
    from integrations.models import Event, Issue
    from meter.models import Call, HealthCheck, UsageRecord

    return {
        "dispatch/outboxentry": (OutboxEntry, ()),
        "dispatch/webhookdelivery": (WebhookDelivery, ()),
        "integrations/event": (Event, ("key",)),
        "integrations/issue": (Issue, ("cause",)),
        "meter/healthcheck": (HealthCheck, ()),
        "meter/call": (Call, ()),
        "meter/usagerecord": (UsageRecord, ("unit",)),
        "channels_app/message": (Message, ("external_id",)),
        "channels_app/template": (Template, ("name",)),
    }


@pytest.mark.parametrize("path", sorted(_models()))
class TestLists:
    def test_ask_no_more_for_more_rows(
        self, path: str, place: Place, member: Callable[..., Any], enter: Callable[[Any], Client]
    ) -> None:
        client = enter(member("owner"))
        model, unique = _models()[path]
        client.get(f"/o/acme/admin/{path}/")
        with CaptureQueriesContext(
            connection,
        ) as few:
            client.get(f"/o/acme/admin/{path}/")
        with in_organization(place.organization):
            _more(model, place.ids[model._meta.model_name], unique=unique)

        with CaptureQueriesContext(connection) as many:
            page = client.get(f"/o/acme/admin/{path}/").content.decode()

        assert len(many) <= len(few), [query["sql"][:200] for query in many.captured_queries]
        assert page.count("action-checkbox") >= 0


class TestStartPage:
    def test_asks_no_more_for_more_integrations(
        self, place: Place, member: Callable[..., Any], enter: Callable[[Any], Client]
    ) -> None:
        from integrations.models import Integration

        client = enter(member("owner"))
        client.get("/o/acme/admin/")
        with CaptureQueriesContext(connection) as few:
            client.get("/o/acme/admin/")
        with in_organization(place.organization):
            _more(Integration, place.ids["integration"], unique=("account_external_id",))

        with CaptureQueriesContext(connection) as many:
            page = client.get("/o/acme/admin/").content.decode()

        assert len(many) <= len(few)
        assert page.count("rg-card-title") == ROWS + 2  # and the shop


class TestQueries:
    @pytest.mark.parametrize(
        ("name", "query", "status"),
        [
            ("accounts/user/", "?password__startswith=pbkdf2", 400),
            ("accounts/user/", "?is_staff__exact=1", 200),
            ("accounts/apikey/", "?digest__exact=x", 400),
            ("dispatch/oauthapp/", "?sealed_secrets__startswith=x", 400),
            ("dispatch/webhookdelivery/", "?status__exact=dead", 200),
            ("dispatch/webhookdelivery/", "?sealed_body__startswith=x", 400),
        ],
    )
    def test_ask_for_what_the_list_offers_alone(
        self, name: str, query: str, status: int, staff: Any, enter: Callable[[Any], Client]
    ) -> None:
        assert enter(staff).get(f"/admin/{name}{query}").status_code == status

    @pytest.mark.parametrize("query", ["?status__exact=%00", "?q=%00", "?%00=x"])
    def test_nul_is_refused_and_no_failure(
        self, query: str, place: Place, member: Callable[..., Any], enter: Callable[[Any], Client]
    ) -> None:
        browser = enter(member("owner"))

        for name in ("channels_app/message/", "channels_app/conversation/", "integrations/integration/"):
            assert browser.get(place.url(name + query)).status_code == 400
