"""Work to do outside in the admin: what is shown, and what owners and admins may do with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from audit.models import AuditEntry
from core import clock
from dispatch.models import Link, OutboxEntry
from tests.admin.conftest import Place

LIST = "dispatch/outboxentry/"
ONE = "dispatch/outboxentry/{outboxentry}/"


@pytest.fixture
def entry(place: Place) -> OutboxEntry:
    """Work that waits for its limit."""
    row = OutboxEntry.objects.get(pk=place.ids["outboxentry"])
    row.error_class, row.error_text = "RateLimited", "The provider limits how fast this account may call."
    row.not_before = row.next_attempt_at = clock.now() + timedelta(hours=1)
    row.save()
    return row


@pytest.fixture
def owner(member: Callable[..., Any], enter: Callable[[Any], Client]) -> Client:
    """The browser of an owner."""
    return enter(member("owner"))


class TestPages:
    def test_list_work_in_words_and_lead_to_it(self, place: Place, entry: OutboxEntry, owner: Client) -> None:
        page = owner.get(place.url(LIST)).content.decode()

        assert "Mark as read" in page
        assert str(entry.pk) in page
        assert (
            place.url(LIST) in owner.get(place.url("integrations/integration/{integration}/change/")).content.decode()
        )

    def test_leave_out_what_goes_nowhere(self, place: Place, entry: OutboxEntry, owner: Client) -> None:
        OutboxEntry.objects.filter(pk=entry.pk).update(kind="event.publish")

        assert str(entry.pk) not in owner.get(place.url(LIST)).content.decode()

    def test_say_why_it_waits_and_offer_both_actions(self, place: Place, entry: OutboxEntry, owner: Client) -> None:
        page = owner.get(place.url(f"{ONE}change/")).content.decode()

        assert "The provider limits how fast this account may call." in page
        assert place.url(f"{ONE}cancel/") in page
        assert place.url(f"{ONE}try/") in page

    def test_say_that_parked_work_waits_for_its_owner(self, place: Place, entry: OutboxEntry, owner: Client) -> None:
        OutboxEntry.objects.filter(pk=entry.pk).update(status="parked")
        Link.objects.filter(pk=entry.link_id).update(status="needs_reauth")

        page = owner.get(place.url(f"{ONE}change/")).content.decode()

        assert "reconnect or enable it" in page
        assert place.url(f"{ONE}try/") not in page

    @pytest.mark.parametrize("status", ["done", "failed", "working", "canceled", "expired"])
    def test_offer_nothing_for_what_has_ended(
        self, place: Place, entry: OutboxEntry, owner: Client, status: str
    ) -> None:
        OutboxEntry.objects.filter(pk=entry.pk).update(status=status)

        page = owner.get(place.url(f"{ONE}change/")).content.decode()

        assert place.url(f"{ONE}cancel/") not in page
        assert place.url(f"{ONE}try/") not in page


class TestActions:
    def test_cancel(self, place: Place, entry: OutboxEntry, owner: Client) -> None:
        owner.post(place.url(f"{ONE}cancel/"))

        entry.refresh_from_db()
        assert (entry.status, entry.error_class) == ("canceled", "Canceled")
        audit = AuditEntry.objects.get(action="outbox_entry.canceled")
        assert (audit.target_id, audit.organization_schema) == (str(entry.pk), place.organization.schema_name)

    def test_try_now(self, place: Place, entry: OutboxEntry, owner: Client) -> None:
        owner.post(place.url(f"{ONE}try/"))

        entry.refresh_from_db()
        assert entry.not_before is None
        assert entry.next_attempt_at <= clock.now()
        assert AuditEntry.objects.filter(action="outbox_entry.hastened").count() == 1

    def test_refuse_what_is_being_done(self, place: Place, entry: OutboxEntry, owner: Client) -> None:
        OutboxEntry.objects.filter(pk=entry.pk).update(status="working")

        for action in ("cancel", "try"):
            page = owner.post(place.url(f"{ONE}{action}/"), follow=True).content.decode()
            assert "This work is being done now" in page

        entry.refresh_from_db()
        assert entry.status == "working"

    def test_of_staff_are_written_into_the_organizations_trail(
        self, place: Place, entry: OutboxEntry, staff: Any, enter: Callable[[Any], Client]
    ) -> None:
        client = enter(staff)
        page = f"/admin/dispatch/outboxentry/{entry.pk}/"
        assert client.get(f"{page}change/").status_code == 200

        client.post(f"{page}cancel/")

        entry.refresh_from_db()
        assert entry.status == "canceled"
        audit = AuditEntry.objects.get(action="outbox_entry.canceled")
        assert audit.organization_schema == place.organization.schema_name
