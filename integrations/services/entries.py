"""
What may become of a claimed outbox entry. Each step changes the row only while the worker's lease still is its own.

A due time never lies behind the deadline: work that nothing can save any more ends at its deadline, not an hour later.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Expression, F, Value
from django.db.models.functions import Greatest, Least

from core import clock
from core.pace import scaled
from dispatch.models import Link, LinkStatus, OutboxEntry, OutboxStatus
from dispatch.waker import wake, wake_later
from integrations.contract import ProviderError

PARK_FOR = timedelta(seconds=scaled(3 * 24 * 3600))
"""Work that can do nothing but wait does so for this long, then expires and says so."""

BROKEN = frozenset({LinkStatus.NEEDS_REAUTH, LinkStatus.DISABLED})
"""Statuses in which work is parked: a person may make the integration usable again."""


def deadline_of(entry: OutboxEntry) -> datetime:
    """Return until when an entry may wait for what only others can mend."""
    return entry.expires_at or entry.created_at + PARK_FOR


def tries_of(entry: OutboxEntry) -> int:
    """Return how often the work was tried, this time included; a worker that died is counted apart."""
    return max(1, entry.attempts - entry.crashes)


def finish(entry: OutboxEntry, status: OutboxStatus, error: ProviderError | None = None) -> bool:
    """Close the entry if the lease still is ours; the effect commits together with this."""
    closed = _own(entry).update(
        status=status,
        done_at=clock.now(),
        leased_until=None,
        error_class=error.name if error else "",
        error_text=error.message if error else "",
    )
    return closed == 1


def try_later(entry: OutboxEntry, *, wait_s: float, error_class: str, text: str) -> None:
    """Give the entry back, due after a wait; the try counts."""
    _own(entry).update(
        status=OutboxStatus.WAITING,
        next_attempt_at=_until_deadline(clock.now() + timedelta(seconds=wait_s)),
        leased_until=None,
        error_class=error_class,
        error_text=text,
    )
    _wake_after(wait_s)


def wait_uncounted(entry: OutboxEntry, error: ProviderError, *, wait_s: float) -> None:
    """Give the entry back because no call was made; no try is counted."""
    until = min(clock.now() + timedelta(seconds=wait_s), deadline_of(entry))
    _own(entry).update(
        status=OutboxStatus.WAITING,
        not_before=until,
        attempts=F("attempts") - 1,
        leased_until=None,
        error_class=error.name,
        error_text=error.message,
    )
    _wake_after(wait_s)


@transaction.atomic
def hold_link(link_id: UUID, *, wait_s: float) -> None:
    """
    Let all work of an integration wait, what is in a worker's hands included, and what is added meanwhile.

    One row is written, which claims and workers read: the Link's. Work for a customer's endpoint has none; there its
    entries wait themselves, except those that another transaction holds: their worker meets the same limit. No hold
    shortens another.
    """
    until = Value(clock.now() + timedelta(seconds=wait_s))
    if Link.objects.filter(pk=link_id).update(not_before=Greatest(until, F("not_before"))):
        return
    open_ = OutboxEntry.objects.filter(link_id=link_id, status__in=[OutboxStatus.WAITING, OutboxStatus.WORKING])
    free = open_.select_for_update(skip_locked=True).values("pk")
    OutboxEntry.objects.filter(pk__in=free).update(not_before=_until_deadline(Greatest(until, F("not_before"))))


@transaction.atomic
def end_hold(link_id: UUID, *, until: datetime) -> None:
    """
    Let the work of an integration go on whose hold would have ended by a moment; a longer one has another reason.

    What was added during the hold, or met it in a worker's hands, waits by itself and is freed, too.
    Rows that another transaction holds are passed over: they go on when their time comes.
    """
    held = OutboxEntry.objects.filter(link_id=link_id, status=OutboxStatus.WAITING, not_before__lte=until)
    free = held.filter(not_before__gt=clock.now()).select_for_update(skip_locked=True).values("pk")
    was_held = Link.objects.filter(pk=link_id, not_before__lte=until).update(not_before=None)
    if OutboxEntry.objects.filter(pk__in=free).update(not_before=None) or was_held:
        transaction.on_commit(lambda: wake("outbound"))


def park(entry: OutboxEntry, error: ProviderError) -> None:
    """
    Let the entry wait for a person, until its deadline. One whose integration was mended meanwhile is due at once.

    The Link's row is locked: a reconnect that commits later finds the entry parked and releases it.
    """
    with transaction.atomic():
        link = Link.objects.select_for_update().filter(pk__in=[entry.link_id]).first()
        is_broken = link is not None and link.status in BROKEN
        _own(entry).update(
            status=OutboxStatus.PARKED if is_broken else OutboxStatus.WAITING,
            leased_until=None,
            expires_at=deadline_of(entry),
            attempts=F("attempts") - 1,
            error_class=error.name,
            error_text=error.message,
        )


def _wake_after(wait_s: float) -> None:
    transaction.on_commit(lambda: wake_later("outbound", wait_s=wait_s))


def _until_deadline(until: datetime | Expression) -> Expression:
    """Cap a due time; SQL's LEAST and GREATEST pass over what is NULL."""
    return Least(until if isinstance(until, Expression) else Value(until), F("expires_at"))


def _own(entry: OutboxEntry) -> Any:
    return OutboxEntry.objects.filter(id=entry.id, lease_id=entry.lease_id, status=OutboxStatus.WORKING)
