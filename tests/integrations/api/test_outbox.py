"""Work to do outside, through the API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from audit.models import AuditEntry
from core import clock
from dispatch import outbox
from dispatch.models import OutboxEntry
from integrations import registry
from tenants.context import in_organization
from tests.integrations.services.outside_work import KIND, Work

FIELDS = {
    "id", "kind", "object", "status", "attempts", "next_attempt_at", "not_before", "expires_at", "error",
    "failed_over_from", "created_at", "done_at",
}  # fmt: skip


@pytest.fixture
def work() -> Work:
    """What is told of canceled work."""
    return Work()


@pytest.fixture
def entry(connected: Any, organization: Any, work: Work) -> Iterator[OutboxEntry]:
    """Work of the connected integration that waits after a failure."""
    integration = connected()
    registry._loaded.outbox[KIND] = work
    with in_organization(organization):
        added = outbox.add(KIND, link_id=integration.id, object_id="o1", expires_at=clock.now() + timedelta(days=1))
    OutboxEntry.objects.filter(pk=added.pk).update(
        error_class="Unavailable", error_text="The provider did not answer properly.", attempts=2
    )
    yield added
    registry._loaded.outbox.pop(KIND, None)


def url(entry: OutboxEntry, rest: str = "") -> str:
    """The list's address, or one below it."""
    return f"/api/v1/integrations/{entry.link_id}/outbox/{rest}"


class TestList:
    def test_shows_work_in_the_shape_of_the_contract(self, api: Any, entry: OutboxEntry) -> None:
        answer = api().get(url(entry, "?status=waiting")).json()

        assert set(answer) == {"next", "previous", "results"}
        (row,) = (row for row in answer["results"] if row["id"] == str(entry.id))
        assert set(row) == FIELDS
        assert (row["kind"], row["object"], row["status"], row["attempts"]) == (KIND, "o1", "waiting", 2)
        assert row["next_attempt_at"] == clock.iso(entry.next_attempt_at)
        assert row["error"] == {"code": "provider_unavailable", "message": "The provider did not answer properly."}
        assert (row["failed_over_from"], row["done_at"], row["not_before"]) == (None, None, None)

    def test_filters_by_status(self, api: Any, entry: OutboxEntry) -> None:
        assert api().get(url(entry, "?status=done")).json()["results"] == []

        answer = api().get(url(entry, "?status=lost"))

        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
        assert "canceled" in answer.json()["errors"]["status"][0]

    @pytest.mark.parametrize(
        ("stored", "code"),
        [("Expired", "expired"), ("WorkerDied", "worker_died"), ("ZeroDivisionError", "internal_error"), ("", None)],
    )
    def test_says_why_without_our_internals(self, api: Any, entry: OutboxEntry, stored: str, code: str | None) -> None:
        OutboxEntry.objects.filter(pk=entry.pk).update(error_class=stored, error_text="", status="parked")

        row = next(row for row in api().get(url(entry)).json()["results"] if row["id"] == str(entry.id))

        assert (row["error"] or {}).get("code") == code
        assert row["next_attempt_at"] is None

    def test_of_others_is_404(self, api: Any, entry: OutboxEntry, other_organization: Any) -> None:
        assert api(of=other_organization).get(url(entry)).status_code == 404
        assert api(environment="live").get(url(entry)).status_code == 404

    def test_needs_the_scope(self, api: Any, entry: OutboxEntry) -> None:
        answer = api(scopes=("messages:read",)).get(url(entry))

        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


class TestCancel:
    @pytest.mark.parametrize("status", ["waiting", "parked"])
    def test_ends_work_that_waits_and_tells_its_handler(
        self, api: Any, entry: OutboxEntry, work: Work, status: str
    ) -> None:
        OutboxEntry.objects.filter(pk=entry.pk).update(status=status)

        answer = api().post(url(entry, f"{entry.id}/cancel/"))

        assert answer.status_code == 200
        row = answer.json()
        assert (row["status"], row["error"]["code"], row["next_attempt_at"]) == ("canceled", "canceled", None)
        assert row["done_at"] is not None
        assert work.given_up == [("o1", "Canceled")]
        assert AuditEntry.objects.get(action="outbox_entry.canceled").target_id == str(entry.id)

    @pytest.mark.parametrize("status", ["working", "done", "failed", "expired", "canceled"])
    def test_refuses_what_is_being_done_or_has_ended(
        self, api: Any, entry: OutboxEntry, work: Work, status: str
    ) -> None:
        OutboxEntry.objects.filter(pk=entry.pk).update(status=status)

        answer = api().post(url(entry, f"{entry.id}/cancel/"))

        entry.refresh_from_db()
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert (entry.status, work.given_up) == (status, [])
        assert not AuditEntry.objects.filter(action="outbox_entry.canceled").exists()

    def test_cancels_nothing_when_the_handler_cannot_be_told(self, api: Any, entry: OutboxEntry, work: Work) -> None:
        work.give_up_error = ZeroDivisionError()

        answer = api().post(url(entry, f"{entry.id}/cancel/"))

        entry.refresh_from_db()
        assert (answer.status_code, entry.status) == (500, "waiting")

    def test_of_others_is_404(self, api: Any, entry: OutboxEntry, connected: Any, other_organization: Any) -> None:
        second = connected(account="acc2")
        address = url(entry, f"{entry.id}/cancel/")

        assert api(of=other_organization).post(address).status_code == 404
        assert api(environment="live").post(address).status_code == 404
        assert api().post(address.replace(str(entry.link_id), str(second.id))).status_code == 404
        entry.refresh_from_db()
        assert entry.status == "waiting"

    def test_needs_the_scope_to_write(self, api: Any, entry: OutboxEntry) -> None:
        answer = api(scopes=("integrations:read",)).post(url(entry, f"{entry.id}/cancel/"))

        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
