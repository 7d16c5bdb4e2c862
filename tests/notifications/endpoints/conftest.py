"""What the tests of event endpoints share: a receiver, an endpoint, an integration to tell of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from core.clock import shifted
from dispatch import outbox
from integrations.services import crew
from notifications.endpoints.models import EventEndpoint
from tenants.context import in_organization, in_public_schema
from tests.integrations.api.conftest import connected, fictional_vendor
from tests.notifications.endpoints.receiver import Receiver

__all__ = ["connected", "fictional_vendor"]

URL = "/api/v1/event-endpoints/"


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """A receiver that the operator allows."""
    server = Receiver()
    settings.EGRESS_ALLOW = [f"127.0.0.1:{server.port}"]
    yield server
    server.stop()


@pytest.fixture
def endpoint(api: Callable[..., Any], receiver: Receiver) -> dict[str, Any]:
    """An endpoint of the test environment that wants everything about integrations and issues, as the API shows it."""
    answer = api().post(URL, {"url": receiver.url, "event_types": ["integration.*", "issue.*"]}, format="json")
    assert answer.status_code == 201, answer.json()
    return answer.json()


@pytest.fixture
def publish(organization: Any, connected: Callable[..., Any]) -> Callable[..., None]:
    """Publish a fact about an integration: ``publish("integration.recovered")``."""
    made: list[Any] = []

    def say(event_type: str = "integration.recovered", *, environment: str = "test") -> None:
        if not made:
            made.append(connected(environment=environment))
            work()
        with in_organization(organization):
            outbox.publish(event_type, str(made[0].pk))

    return say


def work(*, after: timedelta = timedelta()) -> int:
    """Work the outbox off as a worker does, some time later; return how many entries were begun."""
    begun = 0
    with shifted(after), in_public_schema():
        while done := crew.work_outbox():
            begun += done
    return begun


def row(endpoint: dict[str, Any]) -> EventEndpoint:
    """The stored endpoint."""
    return EventEndpoint.objects.get(pk=endpoint["id"])
