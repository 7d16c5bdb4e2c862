"""A kind of outside work for tests of the outbox: fails as told, and its effect is a row of the organization."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import connection

from core import clock
from dispatch import outbox
from dispatch.models import OutboxEntry
from integrations import registry
from integrations.contract import ProviderError
from integrations.models import Integration
from tenants.context import current_schema, in_organization
from tests.fictitious.conftest import Shop

KIND = "test.work"


@dataclass
class Work:
    """A kind of work that fails as told and writes its effect as a row of the organization."""

    errors: list[Exception] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    given_up: list[tuple[str, str]] = field(default_factory=list)
    during: Callable[[OutboxEntry], None] | None = None
    settle_error: Exception | None = None
    give_up_error: Exception | None = None
    depths: list[int] = field(default_factory=list)
    fails_over_on: frozenset[str] = frozenset()
    after_attempt: bool = False
    capability: type | None = None
    opens_issue: bool = False

    def call(self, entry: OutboxEntry, integration: Integration | None) -> str:
        """Fail with the next planned error, or answer."""
        self.calls.append((current_schema(), entry.object_id))
        self.depths.append(len(connection.savepoint_ids))
        if self.during:
            self.during(entry)
        if self.errors:
            raise self.errors.pop(0)
        return "done outside"

    def settle(self, entry: OutboxEntry, integration: Integration | None, result: str) -> None:
        """Rename the integration: an effect that must come and go with the row."""
        if integration is not None:
            Integration.objects.filter(pk=integration.pk).update(name=result)
        if self.settle_error:
            raise self.settle_error

    def give_up(self, entry: OutboxEntry, integration: Integration | None, error: ProviderError) -> None:
        """Remember it."""
        self.given_up.append((entry.object_id, error.name))
        if self.give_up_error:
            raise self.give_up_error


@pytest.fixture
def kind() -> Iterator[Work]:
    """The handler of `test.work`."""
    handler = Work()
    registry._loaded.outbox[KIND] = handler
    yield handler
    del registry._loaded.outbox[KIND]


def add(shop: Shop, object_id: str = "o1", **more: Any) -> OutboxEntry:
    """Add work for a shop."""
    with in_organization(shop.organization):
        return outbox.add(KIND, link_id=shop.integration.id, object_id=object_id, **more)


def name_of(shop: Shop) -> str:
    """The effect, as it is stored."""
    with in_organization(shop.organization):
        return Integration.objects.get(pk=shop.integration.pk).name


def revoke(shop: Shop) -> None:
    """Let the vendor forget every token of a merchant."""
    shop.merchant.access_token, shop.merchant.refresh_token = "pat_test_gone", "prt_test_gone"


def wait_of(entry: OutboxEntry) -> float:
    """Seconds until an entry is tried again."""
    entry.refresh_from_db()
    return (entry.next_attempt_at - clock.now()).total_seconds()
