"""
Since when an integration is broken because of its owner, and when the next warning is due.

Broken is what only the owner can mend and what nothing can be done with: a refused credential, or checks that fail with
the owner to act. A missing webhook, a warning, or a vendor that answers 5xx is not.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from core import clock
from core.pace import scaled
from dispatch.models import Link, LinkHealth, LinkStatus
from integrations.models import Integration

STEPS = (50, 70, 90, 100)
"""Percent of the threshold: three warnings, then the integration is switched off."""

EXPIRY_DAYS = (14, 7, 1)
"""Before the end of a credential that nobody renews by himself."""

SWITCHED_OFF = STEPS[-1]
SECONDS_OF_A_DAY = 86_400


def threshold() -> timedelta:
    """Return how long an integration may stay broken before it is switched off."""
    return timedelta(seconds=scaled(settings.DISABLE_AFTER_DAYS * SECONDS_OF_A_DAY))


def next_step(alerted_percent: int) -> int:
    """Return the step after what was told already; the last one stays the last."""
    return next((step for step in STEPS if step > alerted_percent), SWITCHED_OFF)


def due_at(broken_since: datetime, alerted_percent: int) -> datetime:
    """
    Return when the next step is due.

    Whoever was away while warnings were due, such as a platform that stood still, is not switched off without them.
    """
    due = broken_since + threshold() * next_step(alerted_percent) / 100
    pause = threshold() / 10
    return max(due, clock.now() + pause) if alerted_percent else due


def next_expiry_step(expires_at: datetime, *, told_until: timedelta | None) -> datetime | None:
    """
    Return when the organization is told next that a credential ends; None when there is nothing more to tell.

    :param told_until: how long before the end it was told last; None when it was not yet
    """
    now = clock.now()
    for days in EXPIRY_DAYS:
        before = timedelta(seconds=scaled(days * SECONDS_OF_A_DAY))
        is_told = told_until is not None and before >= told_until
        if not is_told:
            return max(expires_at - before, now) if expires_at > now else None
    return None


def is_broken(integration: Integration) -> bool:
    """Whether the owner must act before anything works again."""
    if integration.status == LinkStatus.NEEDS_REAUTH:
        return True
    is_failing = integration.health == LinkHealth.FAILING and integration.health_who == "user"
    return integration.status == LinkStatus.ACTIVE and is_failing


def follow(integration: Integration) -> None:
    """
    Start the ladder where the integration just broke, end it where it works again.

    In the transaction that changed the integration, after the change. What is switched off keeps its ladder.
    """
    if integration.status == LinkStatus.DISABLED:
        return
    links = Link.objects.filter(pk=integration.pk)
    if not is_broken(integration):
        links.filter(broken_since__isnull=False).update(broken_since=None, alerted_percent=0, next_alert_at=None)
        return
    now = clock.now()
    links.filter(broken_since=None).update(broken_since=now, alerted_percent=0, next_alert_at=due_at(now, 0))


def forget(integration_id: UUID) -> None:
    """End the ladder whatever its step: a person decided."""
    Link.objects.filter(pk=integration_id).update(broken_since=None, alerted_percent=0, next_alert_at=None)


def was_switched_off(link: Link) -> bool:
    """Whether the platform switched it off, and not a person."""
    return link.status == LinkStatus.DISABLED and link.alerted_percent >= SWITCHED_OFF
