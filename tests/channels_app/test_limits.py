"""WhatsApp's limits through the whole door: by person, by number, by account, as the card gives them."""

from __future__ import annotations

from typing import Any

import pytest

from channels_app.contract import MessageType, OutgoingMessage, Text
from core.ids import new_id
from integrations.contract import RateLimited
from integrations.outbound.gate import HELD_BACK
from integrations.services.credentials import Purpose
from integrations.services.providers import provider_for
from tests.wire import Wire

pytestmark = pytest.mark.django_db

SEND = "/v26.0/100000000000001/messages"
BURST = 45
"""Messages that one person may get at once; borrowed from later."""


@pytest.fixture
def provider(integration: Any, vendor: Wire) -> Any:
    """WhatsApp, which accepts every message."""
    vendor.answer("POST", SEND, "send__ok")
    return provider_for(integration, Purpose.CALL)


def send(provider: Any, to: str) -> None:
    """Send one message."""
    provider.send(OutgoingMessage(id=str(new_id()), to=to, type=MessageType.TEXT, content=Text(body="Hello")))


def until_refused(provider: Any, *numbers: str) -> tuple[int, RateLimited]:
    """Send until the limit is reached; a slow machine earns a message for each 6 s that it takes."""
    for sent in range(2 * BURST):
        try:
            send(provider, numbers[sent % len(numbers)])
        except RateLimited as error:
            return sent, error
    raise AssertionError("no limit was reached")


def test_one_person_gets_a_burst_and_then_waits_alone(provider: Any, vendor: Wire) -> None:
    sent, error = until_refused(provider, "+15550100101")

    send(provider, "+15550100102")

    assert BURST <= sent <= BURST + 15
    assert (error.reason, error.scope) == (HELD_BACK, "recipient")
    assert 1.0 < (error.retry_after_s or 0) <= 6.0
    assert len(vendor.calls) == sent + 1


def test_the_same_person_written_otherwise_is_the_same(provider: Any) -> None:
    sent, error = until_refused(provider, "+15550100103", "15550100103")

    assert BURST <= sent <= BURST + 15
    assert error.scope == "recipient"
