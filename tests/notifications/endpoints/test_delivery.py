"""Events on their way: signed, told once, tried again, given up, held back, replayed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from audit.models import AuditEntry
from core import clock
from core.clock import shifted
from notifications.endpoints import deliveries, retention, trouble
from notifications.endpoints.deliveries import WAITS_S
from notifications.endpoints.models import DeliveryAttempt, EndpointDelivery, PublishedEvent
from notifications.models import Notification
from tenants.context import in_organization
from tests.notifications.endpoints.conftest import URL, row, work
from tests.notifications.endpoints.receiver import Receiver

Publish = Callable[..., None]


class TestDelivery:
    def test_tells_an_endpoint_with_the_object_of_the_api(
        self, api: Any, endpoint: dict[str, Any], receiver: Receiver, publish: Publish
    ) -> None:
        publish()
        receiver.received.clear()
        work()

        (told,) = receiver.received
        event = PublishedEvent.objects.get(type="integration.recovered")
        shown = api().get(f"/api/v1/integrations/{event.object_id}/").json()
        assert told.id == str(event.pk)
        assert told.is_signed_by(endpoint["secret"])
        assert told.headers["content-type"] == "application/json"
        assert told.json == {
            "type": "integration.recovered",
            "timestamp": told.json["timestamp"],
            "data": shown,
        }
        assert told.json["timestamp"].endswith("Z")

        (attempt,) = [
            row for row in api().get(f"{URL}{endpoint['id']}/attempts/").json()["results"] if row["event"] == told.id
        ]
        assert (attempt["success"], attempt["status"], attempt["error"], attempt["attempt"]) == (True, 204, None, 1)
        assert EndpointDelivery.objects.get(event=event).state == "delivered"
        assert DeliveryAttempt.objects.filter(event_id=event.pk).count() == 1

    def test_tells_nobody_who_did_not_ask(self, api: Any, receiver: Receiver, publish: Publish) -> None:
        for_issues = {"url": receiver.url, "event_types": ["issue.opened"]}
        for_live = {"url": receiver.url, "event_types": ["*"]}
        assert api().post(URL, for_issues, format="json").status_code == 201
        assert api(environment="live").post(URL, for_live, format="json").status_code == 201

        publish()
        work()

        assert receiver.received == []
        assert PublishedEvent.objects.filter(environment="test").exists()

    def test_another_organization_hears_nothing(
        self, api: Any, other_organization: Any, receiver: Receiver, publish: Publish
    ) -> None:
        foreign = api(of=other_organization).post(URL, {"url": receiver.url, "event_types": ["*"]}, format="json")
        assert foreign.status_code == 201

        publish()
        work()

        assert receiver.received == []

    def test_keeps_the_start_of_the_answer_redacted_and_sealed(
        self, api: Any, endpoint: dict[str, Any], receiver: Receiver, publish: Publish
    ) -> None:
        publish()
        receiver.answer(500, b"Bearer abcdef-test " + b"x" * 5000)
        work()

        stored = DeliveryAttempt.objects.filter(error="http_500").first()
        assert stored is not None
        assert b"xxxx" not in bytes(stored.sealed_answer)
        shown = api().get(f"{URL}{endpoint['id']}/attempts/").json()["results"][0]
        assert shown["answer"].startswith("[hidden] xxx")
        assert len(shown["answer"]) == 1024

    def test_an_answer_over_the_cap_counts_by_its_status(
        self, endpoint: dict[str, Any], receiver: Receiver, publish: Publish
    ) -> None:
        receiver.answer(200, b"y" * 300_000)
        publish()
        work()

        assert set(EndpointDelivery.objects.values_list("state", flat=True)) == {"delivered"}


class TestRetries:
    def test_follow_the_schedule_with_the_same_id_and_end(
        self, endpoint: dict[str, Any], receiver: Receiver, publish: Publish
    ) -> None:
        publish()
        work()
        EndpointDelivery.objects.all().delete()
        receiver.received.clear()
        receiver.answer(500)
        publish("integration.connected")
        work()

        passed, waits = timedelta(), []
        for _try in WAITS_S:
            wait = EndpointDelivery.objects.get().next_attempt_at - clock.now() - passed
            waits.append(wait.total_seconds())
            assert work(after=passed + wait * 0.9) == 0
            passed += wait + timedelta(seconds=1)
            assert work(after=passed) == 1

        delivery = EndpointDelivery.objects.get()
        assert [round(wait / planned) for wait, planned in zip(waits, WAITS_S, strict=True)] == [1] * 7
        assert delivery.state == "failed"
        assert len(receiver.received) == 8
        assert len({told.id for told in receiver.received}) == 1
        assert len({told.headers["webhook-timestamp"] for told in receiver.received}) == 8

    @pytest.mark.parametrize("status", [429, 503])
    def test_leave_the_whole_endpoint_alone_for_as_long_as_it_asks(
        self, endpoint: dict[str, Any], receiver: Receiver, publish: Publish, status: int
    ) -> None:
        publish()
        work()
        receiver.received.clear()
        receiver.answer(status, Retry_After="900")
        publish()
        work()
        assert len(receiver.received) == 1

        receiver.answer(200)
        publish("integration.connected")
        work(after=timedelta(seconds=800))
        assert len(receiver.received) == 1

        work(after=timedelta(seconds=1000))
        assert len(receiver.received) == 3
        assert set(EndpointDelivery.objects.values_list("state", flat=True)) == {"delivered"}

    def test_a_redirect_is_a_failure_and_is_not_followed(
        self, endpoint: dict[str, Any], receiver: Receiver, publish: Publish
    ) -> None:
        elsewhere = Receiver()
        try:
            receiver.answer(302, Location=elsewhere.url)
            publish()
            work()
        finally:
            elsewhere.stop()

        assert elsewhere.received == []
        assert DeliveryAttempt.objects.filter(error="http_302", status_code=302).exists()

    def test_an_unreachable_endpoint_has_no_status(
        self, endpoint: dict[str, Any], receiver: Receiver, publish: Publish
    ) -> None:
        receiver.stop_listening()
        publish()
        work()

        assert DeliveryAttempt.objects.filter(error="ConnectFailed", status_code=None).exists()

    def test_an_object_that_is_gone_is_not_told(
        self, endpoint: dict[str, Any], receiver: Receiver, publish: Publish, organization: Any
    ) -> None:
        publish()
        work()
        receiver.received.clear()
        event = PublishedEvent.objects.filter(type="integration.recovered").get()
        PublishedEvent.objects.filter(pk=event.pk).update(object_id="01990000-0000-7000-8000-000000000000")
        with in_organization(organization):
            deliveries.add(row(endpoint), [event])
        work()

        assert receiver.received == []
        assert EndpointDelivery.objects.get(event=event).state == "failed"


class TestTrouble:
    def test_gone_switches_off_at_once(
        self, api: Any, endpoint: dict[str, Any], receiver: Receiver, publish: Publish
    ) -> None:
        receiver.answer(410)
        publish()
        work()
        receiver.received.clear()
        publish()
        work()

        assert receiver.received == []
        shown = api().get(f"{URL}{endpoint['id']}/").json()
        assert (shown["status"], shown["disabled_because"]) == ("disabled", "gone")
        note = Notification.objects.get(kind="endpoint.disabled")
        assert receiver.url in note.said
        assert AuditEntry.objects.filter(action="event_endpoint.disabled").count() == 1

    def test_warns_switches_off_and_comes_back_by_the_daily_test(
        self, api: Any, endpoint: dict[str, Any], receiver: Receiver, publish: Publish
    ) -> None:
        receiver.answer(500)
        for day in (0, 1, 2.6, 3.6, 4.6, 5.3):
            publish()
            work(after=timedelta(days=day))
        warned = Notification.objects.filter(kind="endpoint.failing").count()
        shown = api().get(f"{URL}{endpoint['id']}/").json()

        assert warned == 3
        assert (shown["status"], shown["disabled_because"]) == ("disabled", "failing")
        assert Notification.objects.filter(kind="endpoint.failing", closed_at=None).count() == 0

        receiver.received.clear()
        with shifted(timedelta(days=6.5)):
            assert trouble.begin_probes() == 1
            assert trouble.begin_probes() == 0
        work(after=timedelta(days=6.5))
        assert [told.json["type"] for told in receiver.received] == ["endpoint.test"]
        assert row(endpoint).status == "disabled"

        receiver.answer(200)
        with shifted(timedelta(days=7.7)):
            assert trouble.begin_probes() == 1
        work(after=timedelta(days=7.7))
        assert (row(endpoint).status, row(endpoint).failing_since) == ("active", None)
        assert Notification.objects.filter(kind="endpoint.recovered").count() == 1

    def test_nobody_is_switched_off_without_a_warning(
        self, endpoint: dict[str, Any], receiver: Receiver, publish: Publish
    ) -> None:
        receiver.answer(500)
        publish()
        work()
        publish()
        work(after=timedelta(days=30))

        assert row(endpoint).status == "active"
        assert Notification.objects.filter(kind="endpoint.failing").count() == 1

    def test_a_success_forgets_the_failures(
        self, endpoint: dict[str, Any], receiver: Receiver, publish: Publish
    ) -> None:
        receiver.answer(500)
        publish()
        work()
        assert row(endpoint).failing_since is not None

        receiver.answer(200)
        work(after=timedelta(seconds=30))

        assert row(endpoint).failing_since is None


class TestReplay:
    def test_tells_again_what_was_missed_with_the_same_ids(
        self, api: Any, endpoint: dict[str, Any], receiver: Receiver, publish: Publish
    ) -> None:
        publish()
        work()
        first = [told.id for told in receiver.received]
        api().patch(f"{URL}{endpoint['id']}/", {"enabled": False}, format="json")
        publish("integration.disabled")
        work()
        assert len(receiver.received) == len(first)
        times = {"since": clock.iso(clock.now() - timedelta(hours=1)), "until": clock.iso(clock.now())}

        refused = api().post(f"{URL}{endpoint['id']}/replay/", times, format="json")
        assert (refused.status_code, refused.json()["code"]) == (409, "endpoint_disabled")
        api().patch(f"{URL}{endpoint['id']}/", {"enabled": True}, format="json")
        times["until"] = clock.iso(clock.now() + timedelta(seconds=1))
        answer = api().post(f"{URL}{endpoint['id']}/replay/", times, format="json")
        assert (answer.status_code, answer.json()) == (202, {"events": len(first) + 1})
        receiver.received.clear()
        work()

        again = [told.id for told in receiver.received]
        assert set(first) < set(again)
        assert len(again) == len(first) + 1
        assert AuditEntry.objects.filter(action="event_endpoint.replayed").count() == 1

    def test_a_try_that_was_owed_before_is_not_made_twice(
        self, endpoint: dict[str, Any], receiver: Receiver, publish: Publish, organization: Any
    ) -> None:
        publish()
        work()
        receiver.received.clear()
        receiver.answer(500)
        publish("integration.disabled")
        work()
        receiver.answer(200)
        event = PublishedEvent.objects.get(type="integration.disabled")
        with in_organization(organization):
            deliveries.add(row(endpoint), [event])
        work()
        work(after=timedelta(minutes=10))

        assert [told.id for told in receiver.received] == [str(event.pk)] * 2


class TestRetention:
    def test_lets_go_of_attempts_then_events(
        self, endpoint: dict[str, Any], receiver: Receiver, publish: Publish
    ) -> None:
        publish()
        work()

        with shifted(timedelta(days=31)):
            gone = retention.prune()
        assert gone["attempts"] >= 1
        assert gone["deliveries"] >= 1
        assert gone["events"] == 0
        with shifted(timedelta(days=91)):
            assert retention.prune()["events"] >= 1
        assert PublishedEvent.objects.count() == 0
