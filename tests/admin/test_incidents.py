"""Staff see incidents, open and close them; organizations read that the vendor has trouble, and nothing of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from audit.models import AuditEntry
from audit.services import Actor
from dispatch.models import ProviderIncident
from dispatch.vendors import vendor_state
from integrations.services import incidents
from tests.admin.conftest import Place

LIST = "/admin/dispatch/providerincident/"


@pytest.fixture
def browser(staff: Any, enter: Callable[[Any], Client]) -> Client:
    """The browser of a member of staff."""
    return enter(staff)


@pytest.fixture
def trouble(db: None) -> ProviderIncident:
    """WhatsApp is down."""
    return incidents.open_by_hand("whatsapp", text="", actor=Actor.system("test"))


class TestStaff:
    def test_open_one_by_hand_and_close_it(self, browser: Client) -> None:
        answer = browser.post(f"{LIST}add/", {"provider": "whatsapp", "text": "Messages are slow."})

        incident = ProviderIncident.objects.get()
        assert answer["Location"] == f"{LIST}{incident.pk}/change/"
        assert vendor_state("whatsapp").incident == "Messages are slow."
        page = browser.get(answer["Location"]).content.decode()
        assert "Messages are slow." in page
        assert f"{LIST}{incident.pk}/close/" in page

        browser.post(f"{LIST}{incident.pk}/close/")

        assert not vendor_state("whatsapp").has_incident
        assert f"{LIST}{incident.pk}/close/" not in browser.get(answer["Location"]).content.decode()
        kinds = AuditEntry.objects.filter(target_id=str(incident.pk)).order_by("created_at")
        assert [(entry.action, entry.actor_kind) for entry in kinds] == [
            (incidents.OPENED, "user"), (incidents.CLOSED, "user"),
        ]  # fmt: skip

    def test_are_told_that_one_is_open_already(self, browser: Client, trouble: ProviderIncident) -> None:
        answer = browser.post(f"{LIST}add/", {"provider": "whatsapp"})

        assert answer.status_code == 422
        assert "is open already" in answer.content.decode()

    def test_find_open_ones_on_top(self, browser: Client, trouble: ProviderIncident) -> None:
        over = incidents.open_by_hand("stripe", text="", actor=Actor.system("test"))
        incidents.close(over, actor=Actor.system("test"))

        rows = list(browser.get(LIST).context["cl"].result_list)

        assert rows == [trouble, over]

    def test_see_it_on_the_start_page(self, browser: Client, trouble: ProviderIncident) -> None:
        assert incidents.TEXTS["ProviderOutage"] in browser.get("/admin/").content.decode()

    def test_a_look_alone_closes_nothing(self, browser: Client, trouble: ProviderIncident) -> None:
        browser.get(f"{LIST}{trouble.pk}/close/")

        assert vendor_state("whatsapp").has_incident


class TestOrganizations:
    @pytest.mark.parametrize("page", ["", "integrations/integration/{integration}/change/"])
    def test_read_that_the_vendor_has_trouble_and_what_to_do(
        self, place: Place, trouble: ProviderIncident, member: Callable[..., Any], enter: Callable[[Any], Client],
        page: str,
    ) -> None:  # fmt: skip
        text = enter(member("viewer")).get(place.url(page)).content.decode()

        assert "WhatsApp" in text
        assert "has trouble since" in text
        assert incidents.NOTHING_TO_DO in text

    @pytest.mark.parametrize("page", ["", "integrations/integration/{integration}/change/"])
    def test_read_nothing_of_a_vendor_they_do_not_use(
        self, place: Place, member: Callable[..., Any], enter: Callable[[Any], Client], page: str
    ) -> None:
        incidents.open_by_hand("stripe", text="", actor=Actor.system("test"))

        assert "has trouble since" not in enter(member("viewer")).get(place.url(page)).content.decode()
