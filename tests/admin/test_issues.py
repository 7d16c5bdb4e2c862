"""Issues, notes, mutes and each member's own choice, as pages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from audit.models import AuditEntry
from core import clock
from integrations.models import Integration, Issue
from integrations.services import issues
from notifications import preferences
from notifications.models import MailMode, Notification
from notifications.services import notify
from tenants.context import in_organization
from tests.admin.conftest import Place

pytestmark = pytest.mark.django_db

Enter = Callable[[Any], Client]
Member = Callable[..., Any]


@pytest.fixture
def owner(member: Member) -> Any:
    """An owner who reads English."""
    user = member("owner")
    user.locale = "en"
    user.save()
    return user


@pytest.fixture
def browser(owner: Any, enter: Enter) -> Client:
    """A browser that the owner logged in with."""
    client = enter(owner)
    client.cookies["django_language"] = "en"
    return client


def page(browser: Client, place: Place, name: str) -> str:
    answer = browser.get(place.url(name), follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def another(place: Place, **fields: Any) -> Issue:
    """Another issue of the place's integration."""
    defaults = {"cause": "y", "text": "Another thing.", "who": "us", "next_action": "Wait."}
    with in_organization(place.organization):
        return Issue.objects.create(integration=Integration.objects.get(provider="whatsapp"), **{**defaults, **fields})


class TestIssues:
    def test_the_list_has_open_ones_first_and_filters(self, place: Place, browser: Client) -> None:
        another(place, text="Long over.", resolved_at=clock.now())

        both = page(browser, place, "integrations/issue/")
        resolved = page(browser, place, "integrations/issue/?state=resolved")
        ours = page(browser, place, "integrations/issue/?acts=us")
        by_cause = page(browser, place, "integrations/issue/?about=x")

        assert both.index("It broke.") < both.index("Long over.")
        assert "Long over." in resolved
        assert "It broke." not in resolved
        assert "It broke." not in ours
        assert "Long over." not in by_cause

    def test_the_page_says_what_to_do_and_has_the_buttons(self, place: Place, browser: Client) -> None:
        shown = page(browser, place, "integrations/issue/{issue}/change/")

        for text in ("It broke.", "Mend it at the provider.", "Your organization", "WhatsApp of acme", "A shop"):
            assert text in shown
        for action in ("test", "reconnect", "mute"):
            assert place.url(f"integrations/integration/{{integration}}/{action}/") in shown

    def test_a_viewer_sees_it_without_buttons(self, place: Place, member: Member, enter: Enter) -> None:
        shown = page(enter(member("viewer")), place, "integrations/issue/{issue}/change/")

        assert "/reconnect/" not in shown
        assert "/mute/" not in shown

    def test_a_resolved_one_has_nothing_to_do(self, place: Place, browser: Client) -> None:
        with in_organization(place.organization):
            issues.resolve_issues(Integration.objects.get(provider="whatsapp"))

        shown = page(browser, place, "integrations/issue/{issue}/change/")

        assert "rg-note-info" not in shown

    def test_the_start_page_names_what_needs_the_organization(self, place: Place, browser: Client) -> None:
        another(place)

        shown = page(browser, place, "")

        attention, others = shown.split("Needs your attention")[1].split("Other open issues")
        assert "It broke." in attention
        assert "Another thing." not in attention
        assert "Another thing." in others


class TestMute:
    def test_is_kept_shown_written_down_and_ended(self, place: Place, browser: Client) -> None:
        address = place.url("integrations/integration/{integration}/mute/")
        back = place.url("integrations/issue/{issue}/change/")

        answer = browser.post(address, {"days": "7", "next": back})

        assert answer["Location"] == back
        with in_organization(place.organization):
            until = preferences.muted_until(place.ids["integration"])
            assert until is not None
            assert timedelta(days=6.9) < until - clock.now() < timedelta(days=7)
            assert AuditEntry.objects.filter(action="integration.muted").count() == 1
        assert "muted" in page(browser, place, "integrations/issue/{issue}/change/")
        assert "Muted until" in page(browser, place, "integrations/integration/{integration}/change/")
        assert "muted" in page(browser, place, "").split("Needs your attention")[1]

        browser.post(address, {"next": "https://evil.example.com/"})

        with in_organization(place.organization):
            assert preferences.muted_until(place.ids["integration"]) is None
            assert AuditEntry.objects.filter(action="integration.unmuted").count() == 1

    def test_leads_nowhere_else(self, place: Place, browser: Client) -> None:
        address = place.url("integrations/integration/{integration}/mute/")

        answer = browser.post(address, {"days": "1", "next": "https://evil.example.com/"})

        assert answer["Location"] == "../change/"

    def test_leaves_the_other_organization_alone(self, place: Place, other_place: Place, browser: Client) -> None:
        browser.post(place.url("integrations/integration/{integration}/mute/"), {"days": "7"})

        assert browser.post(other_place.url("integrations/integration/{integration}/mute/")).status_code == 404
        with in_organization(other_place.organization):
            assert preferences.muted_until(other_place.ids["integration"]) is None


class TestSettings:
    def test_are_each_members_own(self, place: Place, browser: Client, owner: Any, member: Member) -> None:
        admin = member("admin")
        address = place.url("notifications/mailpreference/")
        assert 'value="immediate"' in page(browser, place, "notifications/mailpreference/")

        answer = browser.post(address, {"mode": "daily"})

        assert answer.status_code == 302
        with in_organization(place.organization):
            assert preferences.mode_of(owner) == MailMode.DAILY
            assert preferences.mode_of(admin) == MailMode.IMMEDIATE

    def test_take_what_is_offered_alone(self, place: Place, browser: Client, owner: Any) -> None:
        assert browser.post(place.url("notifications/mailpreference/"), {"mode": "hourly"}).status_code == 422
        with in_organization(place.organization):
            assert preferences.mode_of(owner) == MailMode.IMMEDIATE

    def test_a_viewer_may_choose_too(self, place: Place, member: Member, enter: Enter) -> None:
        viewer = member("viewer")

        enter(viewer).post(place.url("notifications/mailpreference/"), {"mode": "immediate"})

        with in_organization(place.organization):
            assert preferences.mode_of(viewer) == MailMode.IMMEDIATE

    def test_of_another_organization_are_not_there(
        self, place: Place, other_place: Place, browser: Client, owner: Any
    ) -> None:
        assert browser.post(other_place.url("notifications/mailpreference/"), {"mode": "never"}).status_code == 404


class TestNotes:
    def test_are_counted_until_they_are_read(self, place: Place, browser: Client) -> None:
        with in_organization(place.organization):
            notify(kind="x", text="It has not worked since %(since)s.", details={"since": "Monday"}, title="Shop")

        shown = page(browser, place, "notifications/notification/")
        assert "2 unread notes" in shown
        assert "It has not worked since Monday." in shown

        assert "1 unread note" in page(browser, place, "notifications/notification/{notification}/change/")

        browser.post(place.url("notifications/notification/read/"))
        assert "0 unread notes" in page(browser, place, "")
        with in_organization(place.organization):
            assert not Notification.objects.filter(read_at=None).exists()

    def test_what_is_over_is_not_counted(self, place: Place, browser: Client) -> None:
        with in_organization(place.organization):
            integration = Integration.objects.get(provider="whatsapp")
            issues.open_issue(integration, cause="z", text="Z.", who="user", next_action="Do.")
        assert "2 unread notes" in page(browser, place, "")

        with in_organization(place.organization):
            issues.resolve_issues(integration)

        assert "1 unread note" in page(browser, place, "")

    def test_reading_all_leaves_the_other_organization_alone(
        self, place: Place, other_place: Place, browser: Client
    ) -> None:
        browser.post(place.url("notifications/notification/read/"))

        with in_organization(other_place.organization):
            assert Notification.objects.filter(read_at=None).exists()
