"""A credential that nobody renews by himself is told of two weeks, one week and a day before its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from core import clock
from dispatch import outbox
from dispatch.models import Link, OutboxEntry
from integrations.models import Integration, Issue
from integrations.services import credentials, expiry, issues, ladder, links
from notifications.models import Notification, OwedMail
from tenants.context import in_organization

pytestmark = pytest.mark.django_db


@pytest.fixture
def ending(organization: Any, member: Callable[..., Any]) -> Iterator[Callable[[float], Integration]]:
    """Connect something whose credential ends in so many days: ``ending(30)``."""
    before = set(outbox._subscribed)
    outbox.set_subscribed({expiry.EXPIRING})
    member("owner")

    def make(days: float) -> Integration:
        expires_at = clock.now() + timedelta(days=days)
        with in_organization(organization):
            row = Integration.objects.create(provider="whatsapp", name="Shop", environment="test", health="healthy")
            credentials.store(row, {"access_token": "EAAtest-token"}, expires_at=expires_at)
            links.mirror(row)
            expiry.schedule(row, expires_at)
        return row

    yield make
    outbox.set_subscribed(before)


def told_on(days: int) -> list[int]:
    """Sweep every half day and return the days on which something was published."""
    told = []
    for half in range(days * 2):
        before = OutboxEntry.objects.filter(kind=outbox.PUBLISH).count()
        with clock.shifted(timedelta(days=half / 2, minutes=1)):
            expiry.sweep()
        if OutboxEntry.objects.filter(kind=outbox.PUBLISH).count() > before:
            told.append(half // 2)
    return told


@pytest.mark.parametrize(("days", "expected"), [(30, [16, 23, 29]), (10, [0, 3, 9]), (3, [0, 2]), (0.5, [0])])
def test_is_told_at_each_step_that_is_left(
    ending: Callable[[float], Integration], organization: Any, days: float, expected: list[int]
) -> None:
    integration = ending(days)

    assert told_on(32) == expected

    with in_organization(organization):
        issue = Issue.objects.get()
        assert (issue.cause, issue.count) == ("credential_expiring", len(expected))
        assert Notification.objects.count() == OwedMail.objects.count() == len(expected)
        assert Link.objects.get(pk=integration.pk).next_expiry_at is None
        assert Link.objects.get(pk=integration.pk).broken_since is None


def test_a_new_credential_ends_it(ending: Callable[[float], Integration], organization: Any) -> None:
    integration = ending(10)
    expiry.sweep()

    with in_organization(organization):
        issues.resolve_issues(integration)
        expiry.schedule(integration, None)

    assert expiry.sweep() == 0
    assert Link.objects.get(pk=integration.pk).open_issues == 0


def test_what_has_no_end_or_ended_is_not_told_of(ending: Callable[[float], Integration], organization: Any) -> None:
    integration = ending(-1)

    assert Link.objects.get(pk=integration.pk).next_expiry_at is None
    assert ladder.next_expiry_step(clock.now() - timedelta(days=1), told_until=None) is None
