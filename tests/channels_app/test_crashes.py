"""A worker that fails at any point of a send leaves one message at the vendor, or an end that says why."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest

from channels_app.services import send_message
from core import clock, fault_points
from dispatch.models import LEASE, OutboxEntry
from tests.channels_app.conftest import PHONE, let_in, status_of

MESSAGES = "/v26.0/100000000000001/messages"
SENT = "wamid.dGVzdC0sent-by-us"


@pytest.fixture
def message(integration, vendor, written, actor, work):
    """A message that is about to be sent; what was published before is told."""
    written()
    work()
    vendor.answer("POST", MESSAGES, "send__ok")
    return send_message(integration=integration, to=PHONE, type="text", content={"body": "Hi"}, actor=actor)


@pytest.fixture
def fail_at(monkeypatch, tmp_path):
    """Let the next process that comes to a point fail there."""
    monkeypatch.setattr(fault_points, "FOLDER", str(tmp_path))

    def arm(point: str) -> None:
        (tmp_path / point).write_text("raise")

    return arm


@pytest.fixture
def work_until(work, later):
    """Work, after the lease of whoever failed has ended, for some minutes."""

    def run(minutes: int) -> OutboxEntry:
        for _ in range(minutes):
            with suppress(fault_points.FaultInjected):  # as the crew's thread does
                work()
            later(max(LEASE, timedelta(minutes=1)))
        return OutboxEntry.objects.get(kind="message.send")

    return run


class TestCrash:
    @pytest.mark.parametrize("point", ["outbox.claimed", "outbox.before_call"])
    def test_before_the_call_costs_time_and_nothing_else(self, message, vendor, fail_at, work_until, point):
        fail_at(point)

        entry = work_until(3)

        message.refresh_from_db()
        assert (message.status, entry.status) == ("sent", "done")
        assert len(vendor.calls) == 1

    def test_after_the_intent_is_not_sent_blindly_and_ends_with_the_reason(self, message, vendor, fail_at, work_until):
        fail_at("message.intended")

        entry = work_until(7)

        message.refresh_from_db()
        assert vendor.calls == []
        assert (message.status, message.error["reason"], entry.status) == ("failed", "outcome_unknown", "failed")

    @pytest.mark.parametrize("point", ["outbox.after_call", "outbox.before_commit"])
    def test_after_the_call_is_made_good_by_the_status_that_carries_our_id(
        self, message, vendor, fail_at, work_until, point
    ):
        fail_at(point)
        work_until(1)
        let_in(message.integration, status_of(SENT, "sent", at=clock.now(), callback=str(message.id)))

        entry = work_until(2)

        message.refresh_from_db()
        assert (message.status, message.external_id, entry.status) == ("sent", SENT, "done")
        assert len(vendor.calls) == 1

    @pytest.mark.parametrize("point", ["outbox.after_call", "outbox.before_commit"])
    def test_after_the_call_without_a_status_says_that_it_may_have_arrived(
        self, message, vendor, fail_at, work_until, point
    ):
        fail_at(point)

        entry = work_until(7)

        message.refresh_from_db()
        assert len(vendor.calls) == 1
        assert (message.status, message.error["reason"], entry.status) == ("failed", "outcome_unknown", "failed")

    def test_after_the_commit_changes_nothing(self, message, vendor, fail_at, work_until):
        fail_at("outbox.committed")

        entry = work_until(3)

        message.refresh_from_db()
        assert (message.status, entry.status, entry.attempts) == ("sent", "done", 1)
        assert len(vendor.calls) == 1
