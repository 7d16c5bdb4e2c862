"""A vendor's side for WhatsApp, and short ways to read its fixtures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from channels_app.providers.whatsapp import WhatsAppProvider
from integrations.contract import InboundEvent
from tests.signatures import arrived
from tests.wire import Fixtures, Wire


@pytest.fixture
def wire() -> Wire:
    """The vendor's side, which fails unplanned calls."""
    return Wire(provider=WhatsAppProvider)


@pytest.fixture
def whatsapp(wire: Wire) -> Any:
    """An instance with the fake connection."""
    return wire.connect()


@pytest.fixture
def parsed() -> Callable[[str], list[InboundEvent]]:
    """Parse a webhook fixture by name."""
    fixtures = Fixtures.of(WhatsAppProvider)

    def parse(name: str) -> list[InboundEvent]:
        return list(WhatsAppProvider.parse(arrived(fixtures.body(f"webhooks/{name}.json"))))

    return parse
