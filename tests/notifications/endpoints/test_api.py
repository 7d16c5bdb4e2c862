"""Event endpoints through the API: shapes, scopes, environments, URLs that are refused, secrets, the feed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from audit.models import AuditEntry
from channels_app.models import Direction
from core import clock
from core.clock import shifted
from notifications.endpoints import catalogue
from notifications.endpoints.models import DeliveryAttempt, EventEndpoint
from tests.notifications.endpoints.conftest import URL, row, work
from tests.notifications.endpoints.receiver import Receiver
from vault.keyring import KEYRING
from vault.services import rotate_organization_key

Publish = Callable[..., None]

FIELDS = {
    "id", "url", "description", "event_types", "environment", "status", "disabled_because", "disabled_at",
    "failing_since", "created_at",
}  # fmt: skip


@pytest.fixture
def fresh_keys() -> Iterator[None]:
    """Forget opened keys afterwards: the rotated one goes with the test's transaction."""
    yield
    KEYRING.forget()


class TestEndpoints:
    def test_shows_the_secret_once_and_keeps_it_sealed(self, api: Any, endpoint: dict[str, Any]) -> None:
        stored = row(endpoint)

        assert set(endpoint) == FIELDS | {"secret"}
        assert endpoint["secret"].startswith("whsec_")
        assert endpoint["secret"].encode() not in bytes(stored.sealed_secret)
        assert set(api().get(f"{URL}{endpoint['id']}/").json()) == FIELDS
        (listed,) = api().get(URL).json()["results"]
        assert set(listed) == FIELDS
        assert AuditEntry.objects.get(action="event_endpoint.created").target_id == endpoint["id"]

    def test_belongs_to_its_environment_and_organization(
        self, api: Any, other_organization: Any, endpoint: dict[str, Any]
    ) -> None:
        one = f"{URL}{endpoint['id']}/"

        for stranger in (api(environment="live"), api(of=other_organization)):
            assert stranger.get(one).status_code == 404
            assert stranger.delete(one).status_code == 404
            assert stranger.post(f"{one}rotate-secret/").status_code == 404
            assert stranger.get(f"{one}attempts/").status_code == 404
            assert stranger.get(URL).json()["results"] == []
        assert EventEndpoint.objects.filter(pk=endpoint["id"]).exists()

    @pytest.mark.parametrize(
        ("scope", "asked", "status"),
        [
            ("events:read", ("get", ""), 200),
            ("events:read", ("post", ""), 403),
            ("events:write", ("get", ""), 403),
            ("events:read", ("post", "{id}/replay/"), 403),
            ("events:read", ("post", "{id}/test/"), 403),
            ("messages:read", ("get", "{id}/attempts/"), 403),
        ],
    )
    def test_asks_for_scopes(
        self, api: Any, endpoint: dict[str, Any], scope: str, asked: tuple[str, str], status: int
    ) -> None:
        method, path = asked

        answer = getattr(api(scopes=(scope,)), method)(URL + path.format(id=endpoint["id"]))

        assert answer.status_code == status

    def test_changes_and_deletes(self, api: Any, endpoint: dict[str, Any], receiver: Receiver) -> None:
        one = f"{URL}{endpoint['id']}/"

        changed = api().patch(one, {"event_types": ["*"], "enabled": False, "description": "CRM"}, format="json").json()

        assert (changed["event_types"], changed["status"], changed["description"]) == (["*"], "disabled", "CRM")
        assert changed["disabled_because"] == "by_person"
        assert api().patch(one, {"enabled": True}, format="json").json()["status"] == "active"
        assert api().patch(one, {}, format="json").status_code == 422
        assert api().patch(one, {"url": "https://10.0.0.1/x"}, format="json").status_code == 422
        assert api().delete(one).status_code == 204
        assert api().get(one).status_code == 404
        assert AuditEntry.objects.filter(action__startswith="event_endpoint.").count() == 4

    def test_what_is_owed_to_a_deleted_endpoint_is_not_told(
        self, api: Any, endpoint: dict[str, Any], receiver: Receiver, publish: Publish
    ) -> None:
        receiver.answer(500)
        publish()
        work()
        told = len(receiver.received)

        api().delete(f"{URL}{endpoint['id']}/")
        work(after=timedelta(hours=1))

        assert len(receiver.received) == told

    def test_refuses_types_that_do_not_exist(self, api: Any, receiver: Receiver) -> None:
        answer = api().post(URL, {"url": receiver.url, "event_types": ["message.*", "massage.*"]}, format="json")

        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
        assert "massage.*" in answer.json()["errors"]["event_types"][0]


class TestUrls:
    @pytest.mark.parametrize(
        "url",
        [
            "http://hooks.example.com/x",
            "ftp://hooks.example.com/x",
            "file:///etc/passwd",
            "https://someone@hooks.example.com/x",
            "https://hooks.example.com:25/x",
            "https://hooks.example.com:22/x",
            "https://127.0.0.1/x",
            "https://10.1.2.3/x",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/x",
            "https://[::ffff:10.0.0.1]/x",
            "https://hooks.example.com\\@127.0.0.1/x",
            "hooks.example.com",
            "",
        ],
    )
    def test_refuses(self, api: Any, url: str) -> None:
        answer = api().post(URL, {"url": url, "event_types": ["*"]}, format="json")

        assert answer.status_code == 422, url
        assert "url" in answer.json()["errors"]
        assert EventEndpoint.objects.count() == 0

    @pytest.mark.parametrize("url", ["https://hooks.example.com/x?key=1", "https://hooks.example.com:8443/"])
    def test_takes(self, api: Any, url: str) -> None:
        answer = api().post(URL, {"url": url, "event_types": ["*"]}, format="json")

        assert (answer.status_code, answer.json()["url"]) == (201, url)

    def test_a_name_that_leads_inside_is_refused_when_it_is_connected_to(
        self, api: Any, settings: Any, receiver: Receiver
    ) -> None:
        settings.EGRESS_ALLOW = []
        url = f"https://localhost:{receiver.port}/x"
        made = api().post(URL, {"url": url, "event_types": ["*"]}, format="json").json()

        tested = api().post(f"{URL}{made['id']}/test/").json()

        assert (tested["success"], tested["status"], tested["error"]) == (False, None, "AddressRefused")
        assert receiver.received == []

    def test_what_was_allowed_is_refused_when_the_operator_allows_it_no_more(
        self, api: Any, settings: Any, endpoint: dict[str, Any], receiver: Receiver, publish: Publish
    ) -> None:
        settings.EGRESS_ALLOW = []

        publish()
        work()

        assert receiver.received == []
        assert DeliveryAttempt.objects.filter(error="AddressRefused", status_code=None).exists()


class TestSecret:
    def test_both_sign_for_a_day_after_a_rotation(self, api: Any, endpoint: dict[str, Any], receiver: Receiver) -> None:
        one = f"{URL}{endpoint['id']}/"
        old = endpoint["secret"]
        new = api().post(f"{one}rotate-secret/").json()["secret"]

        api().post(f"{one}test/")
        with shifted(timedelta(hours=24, seconds=1)):
            api().post(f"{one}test/")

        both, alone = receiver.received
        assert new != old
        assert (both.is_signed_by(old), both.is_signed_by(new)) == (True, True)
        assert (alone.is_signed_by(old), alone.is_signed_by(new)) == (False, True)
        assert len(both.headers["webhook-signature"].split(" ")) == 2

    def test_a_changed_body_is_signed_by_nobody(self, api: Any, endpoint: dict[str, Any], receiver: Receiver) -> None:
        api().post(f"{URL}{endpoint['id']}/test/")
        (told,) = receiver.received

        forged = type(told)(told.headers, told.body + b" ")

        assert told.is_signed_by(endpoint["secret"])
        assert not forged.is_signed_by(endpoint["secret"])

    @pytest.mark.usefixtures("fresh_keys")
    def test_follows_the_key_of_the_organization(
        self, api: Any, organization: Any, endpoint: dict[str, Any], receiver: Receiver
    ) -> None:
        rotate_organization_key(organization.schema_name)

        api().post(f"{URL}{endpoint['id']}/test/")

        assert receiver.received[0].is_signed_by(endpoint["secret"])


class TestTestEvent:
    def test_answers_what_came_of_it(self, api: Any, endpoint: dict[str, Any], receiver: Receiver) -> None:
        good = api().post(f"{URL}{endpoint['id']}/test/")
        receiver.answer(500)
        bad = api().post(f"{URL}{endpoint['id']}/test/").json()

        assert good.status_code == 200
        assert {**good.json(), "duration_ms": 0} == {"success": True, "status": 204, "duration_ms": 0, "error": None}
        assert (bad["success"], bad["status"], bad["error"]) == (False, 500, "http_500")
        assert bad["duration_ms"] > 0
        attempts = api().get(f"{URL}{endpoint['id']}/attempts/").json()["results"]
        assert [attempt["type"] for attempt in attempts] == ["endpoint.test"] * 2
        assert [told.id for told in receiver.received] == [attempt["event"] for attempt in reversed(attempts)]
        assert row(endpoint).failing_since is None


class TestFeed:
    def test_lists_what_was_published_with_the_objects(self, api: Any, publish: Publish) -> None:
        publish("integration.recovered")
        work()

        feed = api().get("/api/v1/events/").json()

        assert set(feed) == {"next", "previous", "results"}
        first = feed["results"][0]
        assert set(first) == {"id", "type", "object", "occurred_at", "data"}
        assert first["type"] == "integration.recovered"
        assert first["data"] == api().get(f"/api/v1/integrations/{first['object']}/").json()
        assert api(environment="live").get("/api/v1/events/").json()["results"] == []

    def test_filters_by_type_and_time(self, api: Any, publish: Publish) -> None:
        publish("integration.recovered")
        work()
        later = clock.iso(clock.now() + timedelta(seconds=1))

        recovered = api().get("/api/v1/events/?type=integration.recovered").json()["results"]

        assert [event["type"] for event in recovered] == ["integration.recovered"]
        assert api().get("/api/v1/events/", {"since": later}).json()["results"] == []
        assert api().get("/api/v1/events/?type=x").status_code == 422
        assert api().get("/api/v1/events/?since=soon").status_code == 422

    def test_types_have_a_description_and_an_example(self, api: Any) -> None:
        types = api(scopes=("events:read",)).get("/api/v1/event-types/").json()["results"]

        assert [item["type"] for item in types] == list(catalogue.TYPES)
        assert all(item["description"] and item["example"]["type"] == item["type"] for item in types)
        assert {"message.received", "dispute.closed", "generation.image_ready"} <= {item["type"] for item in types}

    def test_examples_of_messages_use_the_words_of_messages(self) -> None:
        examples = [kind.example for name, kind in catalogue.TYPES.items() if name.startswith("message.")]

        assert [example["direction"] for example in examples] == [Direction.INBOUND, Direction.OUTBOUND]
