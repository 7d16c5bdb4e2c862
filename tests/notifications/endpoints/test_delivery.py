"""Events on their way: signed, told once, tried again, given up, held back, replayed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from notifications.endpoints.models import DeliveryAttempt, EndpointDelivery, PublishedEvent
from tests.notifications.endpoints.conftest import URL, work
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
