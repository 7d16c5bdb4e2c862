"""Event endpoints in the admin: made with the secret shown once, tested, replayed, by those who may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from audit.models import AuditEntry
from notifications.endpoints.models import DeliveryAttempt, EventEndpoint
from tests.admin.conftest import Place
from tests.notifications.endpoints.receiver import Receiver

LIST = "notifications/eventendpoint/"
ONE = "notifications/eventendpoint/{eventendpoint}/"


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """A receiver that the operator allows."""
    server = Receiver()
    settings.EGRESS_ALLOW = [f"127.0.0.1:{server.port}"]
    yield server
    server.stop()


@pytest.fixture
def made(place: Place, receiver: Receiver) -> EventEndpoint:
    """The place's endpoint, leading to the receiver."""
    EventEndpoint.objects.filter(pk=place.ids["eventendpoint"]).update(url=receiver.url)
    return EventEndpoint.objects.get(pk=place.ids["eventendpoint"])


@pytest.fixture
def developer(member: Callable[..., Any], enter: Callable[[Any], Client]) -> Client:
    """The browser of a developer."""
    return enter(member("developer"))


class TestAdding:
    def test_shows_the_secret_once(self, place: Place, receiver: Receiver, developer: Client) -> None:
        values = {"url": receiver.url, "environment": "live", "event_types": ["message.*"], "description": ""}

        page = developer.post(place.url(f"{LIST}add/"), values).content.decode()

        made = EventEndpoint.objects.get(environment="live")
        assert "whsec_" in page
        again = developer.get(place.url(f"{LIST}{made.pk}/change/")).content.decode()
        assert "whsec_" not in again
        assert receiver.url in again
        assert receiver.url in developer.get(place.url(LIST)).content.decode()
        assert AuditEntry.objects.filter(action="event_endpoint.created", target_id=str(made.pk)).count() == 1

    def test_says_why_a_url_is_refused(self, place: Place, developer: Client) -> None:
        values = {"url": "https://10.0.0.1/", "environment": "live", "event_types": ["*"]}

        answer = developer.post(place.url(f"{LIST}add/"), values)

        assert answer.status_code == 422
        assert "public" in answer.content.decode()
        assert not EventEndpoint.objects.filter(environment="live").exists()


class TestActions:
    def test_test_and_show_the_attempt(
        self, place: Place, made: EventEndpoint, receiver: Receiver, developer: Client
    ) -> None:
        receiver.answer(500, b"<b>out of order</b>")

        page = developer.post(place.url(f"{ONE}test/"), follow=True).content.decode()

        assert "http_500" in page
        assert "&lt;b&gt;out of order" in page
        assert [told.json["type"] for told in receiver.received] == ["endpoint.test"]
        assert AuditEntry.objects.get(action="event_endpoint.tested").actor_kind == "user"

    def test_replay_switch_and_remove(
        self, place: Place, made: EventEndpoint, member: Any, enter: Callable[[Any], Client]
    ) -> None:
        owner = enter(member("owner"))

        assert "told again" in owner.post(place.url(f"{ONE}replay/"), {"days": "7"}, follow=True).content.decode()
        owner.post(place.url(f"{ONE}switch/"), {"enabled": "0"})
        made.refresh_from_db()
        assert made.status == "disabled"
        assert "whsec_" in owner.post(place.url(f"{ONE}rotate/")).content.decode()
        assert owner.get(place.url(f"{ONE}remove/")).status_code == 200
        owner.post(place.url(f"{ONE}remove/"))
        assert not EventEndpoint.objects.filter(pk=made.pk).exists()

    def test_a_viewer_may_only_look(
        self, place: Place, receiver: Receiver, member: Any, enter: Callable[[Any], Client]
    ) -> None:
        EventEndpoint.objects.filter(pk=place.ids["eventendpoint"]).update(url=receiver.url)
        viewer = enter(member("viewer"))

        assert viewer.get(place.url(f"{ONE}change/")).status_code == 200
        for action in ("test", "replay", "switch", "rotate", "remove"):
            assert viewer.post(place.url(f"{ONE}{action}/")).status_code == 403, action
        assert viewer.get(place.url(f"{LIST}add/")).status_code == 403
        assert receiver.received == []
        assert DeliveryAttempt.objects.count() == 0
        assert EventEndpoint.objects.get(pk=place.ids["eventendpoint"]).status == "active"
