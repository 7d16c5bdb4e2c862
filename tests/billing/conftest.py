"""An integration with Tillbox, the fictitious payment vendor, and short ways to let its work be done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from core import clock
from tests.billing.fictitious.tillbox import PROVIDER
from tests.billing.fictitious.vendor import Till

KEY = "tk_test_sandbox_1"


@pytest.fixture
def till(monkeypatch: pytest.MonkeyPatch) -> Iterator[Till]:
    """The vendor's side, in memory, behind the real guard."""
    from integrations import registry

    vendor = Till()
    monkeypatch.setattr("integrations.outbound.guard.shared", lambda: vendor)
    registry.register(PROVIDER)
    yield vendor
    del registry._loaded.providers[PROVIDER.spec.key]


@pytest.fixture
def actor() -> Any:
    """Whoever asks."""
    from audit.services import Actor

    return Actor.system("test")


@pytest.fixture
def shop(inside: Any, till: Till) -> Any:
    """A connected integration of the organization that the test works in."""
    return connected()


@pytest.fixture
def work(shop: Any) -> Callable[..., int]:
    """Work off what is due in the outbox, until nothing is; ``work(minutes=3)`` looks that much later."""
    from integrations.services.crew import work_outbox
    from tenants.context import current_schema, in_organization, in_public_schema

    schema = current_schema()

    def run(**later: float) -> int:
        done = 0
        with clock.shifted(timedelta(**later)), in_public_schema():
            while (count := work_outbox()) and done < 30:
                done += count
        with in_organization(schema):
            return done

    return run


def connected(*, environment: str = "test", account: str = "mer_1") -> Any:
    """Store an integration with its sealed credential and link in the entered organization."""
    from integrations.models import Integration
    from integrations.services import credentials, links

    row = Integration.objects.create(
        provider="tillbox", name="Till", environment=environment, account_external_id=account, health="healthy"
    )
    credentials.store(row, {"api_key": KEY})
    links.mirror(row)
    return row
