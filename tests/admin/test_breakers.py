"""Breakers on the pages: seen by the organization, closed by hand by staff."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from audit.models import AuditEntry
from core import clock
from dispatch.models import Link, Vendor
from integrations.outbound.breaker import IN_A_ROW, IN_A_ROW_TEXT
from tests.admin.conftest import Place


@pytest.fixture
def browser(staff: Any, enter: Callable[[Any], Client]) -> Client:
    """The browser of a member of staff."""
    return enter(staff)


@pytest.fixture
def opened(place: Place) -> Link:
    """A link whose breaker is open."""
    Link.objects.filter(pk=place.ids["integration"]).update(
        breaker="open", breaker_until=clock.now() + timedelta(minutes=1), breaker_reason=IN_A_ROW_TEXT, breaker_trips=1
    )
    return Link.objects.get(pk=place.ids["integration"])


def test_the_text_says_how_many_they_were() -> None:
    assert IN_A_ROW_TEXT.startswith({5: "Five"}[IN_A_ROW])


class TestIntegrationPage:
    @pytest.fixture
    def page(self, place: Place, enter: Callable[[Any], Client], member: Callable[..., Any]) -> Callable[[], str]:
        """Look at the integration's page as a viewer."""

        def get() -> str:
            url = place.url("integrations/integration/{integration}/change/")
            return enter(member("viewer")).get(url).content.decode()

        return get

    def test_says_that_calls_are_held_back_and_why(self, opened: Link, page: Callable[[], str]) -> None:
        shown = page()

        assert "Calls to the provider are held back." in shown
        assert IN_A_ROW_TEXT in shown

    def test_says_nothing_while_it_is_closed(self, page: Callable[[], str]) -> None:
        assert "held back" not in page()


class TestStaff:
    def test_close_a_links_breaker_after_being_asked(self, opened: Link, browser: Client) -> None:
        url = f"/admin/dispatch/link/{opened.pk}/reset-breaker/"
        shown = browser.get(f"/admin/dispatch/link/{opened.pk}/change/").content.decode()
        asked = browser.get(url).content.decode()
        before = Link.objects.get(pk=opened.pk).breaker

        answer = browser.post(url)

        opened.refresh_from_db()
        assert url in shown
        assert IN_A_ROW_TEXT in shown
        assert "Close the breaker" in asked
        assert (before, opened.breaker, opened.breaker_reason) == ("open", "closed", "")
        assert answer.status_code == 302
        entry = AuditEntry.objects.get(action="breaker.reset")
        assert (entry.organization_schema, entry.target_id) == (opened.organization_schema, str(opened.pk))

    def test_close_a_vendors(self, browser: Client) -> None:
        Vendor.objects.create(provider="whatsapp", breaker="half_open", breaker_until=clock.now(), breaker_trips=2)

        assert "reset-breaker" in browser.get("/admin/dispatch/vendor/whatsapp/change/").content.decode()
        browser.post("/admin/dispatch/vendor/whatsapp/reset-breaker/")

        row = Vendor.objects.get(provider="whatsapp")
        assert (row.breaker, row.breaker_until, row.breaker_trips) == ("closed", None, 0)
        assert AuditEntry.objects.get(action="breaker.reset").target_kind == "vendor"

    def test_others_do_not_get_there(
        self, opened: Link, enter: Callable[[Any], Client], member: Callable[..., Any]
    ) -> None:
        answer = enter(member("owner")).post(f"/admin/dispatch/link/{opened.pk}/reset-breaker/")

        opened.refresh_from_db()
        assert answer.status_code in (302, 403, 404)
        assert opened.breaker == "open"
