"""
Reconcile: list what happened at the vendor and take in what no webhook brought.

An event goes the way of a delivered one: unique by its key, its category's handler, one transaction each. It has no
delivery (`Event.delivery_id` is empty), which is how it is told from the others. After the events, the daily sweep lets
the category compare its own rows with the vendor (`registry.reconciler`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

import structlog
from django.db import transaction

from audit.services import Actor, record
from core import clock
from core.pace import scaled
from dispatch.models import Link
from integrations import registry
from integrations.contract import FetchesDetails, InboundEvent, Provider, ProviderError, Reconciles
from integrations.contract.strategies import NOT_CALLED
from integrations.models import Event, Integration
from integrations.services import links
from integrations.services.credentials import Purpose, audit_target
from integrations.services.due import daily, work_due
from integrations.services.providers import provider_for
from integrations.services.taking_in import Arrived, take_in
from tenants.context import release_connection

log = structlog.get_logger(__name__)

PERIOD = timedelta(days=1)
OVERLAP = timedelta(hours=1)
"""Vendors' clocks and the order in which they list are not ours."""

LONGEST = timedelta(days=28)
"""Stripe, the vendor that keeps its events longest, lists thirty days."""

GRACE = timedelta(seconds=scaled(300))
"""What is younger than this may still be on its way as a webhook, and is left to it."""

AGAIN_AFTER = timedelta(seconds=scaled(3600))
MOST_EVENTS = 5000
"""Of one listing: what is kept in memory at a time."""

LIST_FOR, TAKE_FOR = timedelta(seconds=15), timedelta(seconds=30)
"""
How long a listing, and the whole, may take: a task ends after 90 s, and its sweep may have used 40 of them. What a
listing has no time or no room for is looked for again within the hour, when the events taken in now cost nothing.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """How many events were new, and whether there was no time or no room for all."""

    events: int = 0
    is_cut: bool = False


def sweep() -> int:
    """Reconcile the links that are due; return how many."""
    return work_due("next_reconcile_at", _reconcile_daily)


def reconcile(integration: Integration) -> int:
    """
    Take in the events of the last day, or since the last delivery before it, that we do not know; return how many.

    Call it inside the organization with no transaction open.

    :raises ProviderError: the vendor did not list them
    """
    return _reconcile(integration).events


def can_reconcile(integration: Integration) -> bool:
    """Whether the vendor lists its events."""
    return issubclass(integration.provider_class, Reconciles)


def _reconcile(integration: Integration) -> _Taken:
    provider = provider_for(integration, Purpose.CALL)
    if not isinstance(provider, Reconciles):
        return _Taken()
    start, began_at = _start(integration), clock.now()
    release_connection()
    events = takewhile(lambda _: clock.now() - began_at < LIST_FOR, provider.list_since(start))
    listed = list(islice(events, MOST_EVENTS))
    is_cut = len(listed) == MOST_EVENTS or clock.now() - began_at >= LIST_FOR
    taken = 0
    for event in _unknown(integration, listed):
        if clock.now() - began_at >= TAKE_FOR:
            is_cut = True
            break
        try:
            taken += _take_in(integration, provider, event)
        except ProviderError as held:
            log.info("reconcile.held", integration=str(integration.pk), error=held.name)
            is_cut = True
            break
    if taken:
        _record(integration, taken, since=start)
    return _Taken(events=taken, is_cut=is_cut)


def _record(integration: Integration, taken: int, *, since: datetime) -> None:
    with transaction.atomic():
        record(
            action="events.reconciled",
            actor=Actor.system("reconcile"),
            target=audit_target(integration),
            details={"events": taken, "since": clock.iso(since)},
        )


def _reconcile_daily(integration: Integration) -> timedelta:
    ends_at = clock.now() + TAKE_FOR
    try:
        is_whole = not _reconcile(integration).is_cut
    except ProviderError as error:
        log.info("reconcile.not_listed", integration=str(integration.pk), error=error.name)
        is_whole = not error.retryable
    compare = registry.reconciler(integration.provider_class.spec.category)
    if compare is not None:
        is_whole = compare(integration, ends_at=ends_at) and is_whole
    return daily() if is_whole else AGAIN_AFTER


def _start(integration: Integration) -> datetime:
    now = clock.now()
    last = Link.objects.filter(pk=integration.pk).values_list("last_event_at", flat=True).first()
    start = min(last or now, now - PERIOD) - OVERLAP
    return max(start, now - LONGEST, integration.created_at)


def _unknown(integration: Integration, listed: Sequence[InboundEvent]) -> list[InboundEvent]:
    """Leave out what is known, another account's, or so young that its webhook may be on the way; oldest first."""
    allowed = links.account_values(integration.id)
    young = clock.now() - GRACE
    ours = [
        event
        for event in listed
        if (not event.account_key or event.account_key in allowed)
        and (event.occurred_at is None or event.occurred_at <= young)
    ]
    keys = [event.key[:300] for event in ours]
    known = set(Event.objects.filter(integration=integration, key__in=keys).values_list("key", flat=True))
    missed = [event for event in ours if event.key[:300] not in known]
    return sorted(missed, key=lambda event: event.occurred_at or datetime.min.replace(tzinfo=UTC))


def _take_in(integration: Integration, provider: Provider, event: InboundEvent) -> bool:
    """
    Take one event in; whatever is wrong with it must not keep the others out. False when it was not new.

    :raises ProviderError: our own gate holds calls back; to ask for the next event would only be held back, too
    """
    try:
        if event.thin and isinstance(provider, FetchesDetails):
            release_connection()
            event = provider.fetch(event)
        with transaction.atomic():
            return bool(take_in(integration, [Arrived(event)]))  # else its webhook came meanwhile
    except ProviderError as error:
        if error.reason in NOT_CALLED:
            raise
        log.info("reconcile.event_not_fetched", integration=str(integration.pk), error=error.name)
        return False
    except Exception:
        log.exception("reconcile.event_failed", integration=str(integration.pk), event_type=event.type)
        return False
