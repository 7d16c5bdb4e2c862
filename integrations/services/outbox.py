"""
Working off the outbox: call outside any transaction, then settle row and effect together.

A kind of work is an `OutboxHandler`. Its error's class decides what happens next; due times are columns.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog
from django.db import transaction
from django.db.models import F

from core import clock
from dispatch.claims import Claim, give_back_outbox
from dispatch.models import Link, LinkStatus, OutboxEntry, OutboxStatus
from dispatch.waker import wake
from integrations import registry
from integrations.contract import AuthenticationFailed, ProviderError, RateLimited, Scope
from integrations.models import Integration
from integrations.services import issues

log = structlog.get_logger(__name__)

MAX_CRASHES = 5
MAX_ATTEMPTS = 10
PARK_FOR = timedelta(days=3)
"""Work of a broken integration waits this long for a reconnect, then expires and says so."""

TRIES = {"RateLimited": 3, "Unavailable": 5, "ProviderOutage": 5}
FIRST_WAIT_S = {"RateLimited": 60.0, "Unavailable": 5.0, "ProviderOutage": 60.0}
LONGEST_WAIT_S = 3600.0


class OutboxHandler(Protocol):
    """One kind of outside work."""

    def call(self, entry: OutboxEntry, integration: Integration | None) -> Any:
        """
        Do the work outside; no transaction is open, and the entered organization is the entry's.

        :raises ProviderError: its class decides about another try
        """
        ...

    def settle(self, entry: OutboxEntry, integration: Integration | None, result: Any) -> None:
        """Write the effect; runs in the transaction that marks the entry done."""
        ...

    def give_up(self, entry: OutboxEntry, integration: Integration | None, error: ProviderError) -> None:
        """Write the failure; runs in the transaction that marks the entry failed or expired."""
        ...


def work_entry(claim: Claim) -> None:
    """Work off one claimed entry inside its organization; a crash is recorded at the entry."""
    entry = OutboxEntry.objects.filter(id=claim.id, lease_id=claim.lease_id).first()
    if entry is None:
        return  # the lease ended and another worker has it
    if entry.not_before and entry.not_before > clock.now():
        give_back_outbox([claim])  # the vendor limited this integration after the claim
        return
    integration = Integration.objects.filter(pk=entry.link_id).first() if entry.link_id else None
    try:
        _work(entry, integration, registry.outbox_handler(entry.kind))
    except Exception as error:
        log.exception("outbox.entry_crashed", kind=entry.kind, entry=str(entry.id))
        _after_crash(entry, integration, error)


def wake_expired() -> int:
    """Let the worker close what was parked longer than its deadline; runs in public. Returns how many."""
    waiting = OutboxEntry.objects.filter(status=OutboxStatus.PARKED, expires_at__lte=clock.now())
    return waiting.update(status=OutboxStatus.WAITING, next_attempt_at=clock.now())


def release_parked(integration: Integration) -> int:
    """Let the work that waited for a reconnect go on, in its order."""
    released = OutboxEntry.objects.filter(link_id=integration.id, status=OutboxStatus.PARKED).update(
        status=OutboxStatus.WAITING, next_attempt_at=clock.now(), attempts=0
    )
    if released:
        transaction.on_commit(lambda: wake("outbound"))
    return released


def _work(entry: OutboxEntry, integration: Integration | None, handler: OutboxHandler) -> None:
    if not _may_run(entry, integration, handler):
        return
    started = clock.now()
    try:
        result = handler.call(entry, integration)
    except ProviderError as error:
        if integration and isinstance(error, AuthenticationFailed) and _lost_access(integration, error, started):
            _park(entry)
            return
        _after_error(entry, integration, handler, error)
        return
    with transaction.atomic():
        if _finish(entry, OutboxStatus.DONE):
            handler.settle(entry, integration, result)


def _lost_access(integration: Integration, error: AuthenticationFailed, started: datetime) -> bool:
    """Note that the integration must be reconnected; False where that would not help this call."""
    with transaction.atomic():
        fresh = Integration.objects.select_for_update().get(pk=integration.pk)
        if fresh.status not in {LinkStatus.ACTIVE, LinkStatus.NEEDS_REAUTH}:
            return False
        current = fresh.current_credential
        if current is None or current.created_at <= started:  # else it was replaced while we called
            issues.require_reconnect(fresh, error)
        return True


def _may_run(entry: OutboxEntry, integration: Integration | None, handler: OutboxHandler) -> bool:
    if entry.expires_at and entry.expires_at <= clock.now():
        _close(entry, integration, handler, status=OutboxStatus.EXPIRED, error=_Expired("its time was over"))
        return False
    if entry.crashes >= MAX_CRASHES:
        _close(entry, integration, handler, status=OutboxStatus.FAILED, error=_Expired("it stopped the worker 5 times"))
        return False
    if integration and integration.status in {LinkStatus.NEEDS_REAUTH, LinkStatus.DISABLED}:
        _park(entry)
        return False
    return True


class _Expired(ProviderError):
    """The work was given up without another call."""

    api_code = "integration_not_ready"
    message = "The work was given up."
    next_action = "Send it again when the integration is healthy."


def _after_error(
    entry: OutboxEntry, integration: Integration | None, handler: OutboxHandler, error: ProviderError
) -> None:
    tries = TRIES.get(error.name, 1)
    if error.retryable and entry.attempts < tries:
        _try_again(entry, error)
        return
    _close(entry, integration, handler, status=OutboxStatus.FAILED, error=error)


def _after_crash(entry: OutboxEntry, integration: Integration | None, error: Exception) -> None:
    if entry.attempts < MAX_ATTEMPTS:
        _reschedule(
            entry, wait_s=_backoff(entry.attempts, 5.0), error_class=type(error).__name__, text="internal error"
        )
        return
    given_up = _Expired(type(error).__name__)
    try:
        _close(entry, integration, registry.outbox_handler(entry.kind), status=OutboxStatus.FAILED, error=given_up)
    except Exception:
        log.exception("outbox.give_up_crashed", kind=entry.kind, entry=str(entry.id))
        _finish(entry, OutboxStatus.FAILED, given_up)


def _try_again(entry: OutboxEntry, error: ProviderError) -> None:
    wait_s = _wait_s(entry, error)
    _reschedule(entry, wait_s=wait_s, error_class=error.name, text=error.message)
    if isinstance(error, RateLimited) and error.scope != Scope.RECIPIENT and entry.link_id:
        # The whole integration waits, not only this entry.
        until = clock.now() + timedelta(seconds=wait_s)
        held = OutboxEntry.objects.filter(
            link_id=entry.link_id, status__in=[OutboxStatus.WAITING, OutboxStatus.WORKING]
        )
        held.update(not_before=until)
        Link.objects.filter(pk=entry.link_id).update(not_before=until)


def _wait_s(entry: OutboxEntry, error: ProviderError) -> float:
    """Wait as the vendor told, as its table says (growing with each try), or by our own back-off."""
    if error.retry_after_s is None:
        return _backoff(entry.attempts, FIRST_WAIT_S.get(error.name, 5.0))
    grown: float = error.retry_after_s * error.wait_factor ** max(0, entry.attempts - 1)
    return min(grown, LONGEST_WAIT_S)


def _backoff(attempt: int, first_s: float) -> float:
    """Exponential with full jitter."""
    return random.uniform(first_s / 2, min(LONGEST_WAIT_S, first_s * 2 ** max(0, attempt - 1)))  # noqa: S311


def _reschedule(entry: OutboxEntry, *, wait_s: float, error_class: str, text: str) -> None:
    _own(entry).update(
        status=OutboxStatus.WAITING,
        next_attempt_at=clock.now() + timedelta(seconds=wait_s),
        leased_until=None,
        error_class=error_class,
        error_text=text,
    )


def _park(entry: OutboxEntry) -> None:
    deadline: datetime = entry.expires_at or entry.created_at + PARK_FOR
    _own(entry).update(status=OutboxStatus.PARKED, leased_until=None, expires_at=deadline, attempts=F("attempts") - 1)


def _close(
    entry: OutboxEntry,
    integration: Integration | None,
    handler: OutboxHandler,
    *,
    status: OutboxStatus,
    error: ProviderError,
) -> None:
    with transaction.atomic():
        if _finish(entry, status, error):
            handler.give_up(entry, integration, error)


def _finish(entry: OutboxEntry, status: OutboxStatus, error: ProviderError | None = None) -> bool:
    """Close the entry if the lease still is ours; the effect commits together with this."""
    closed = _own(entry).update(
        status=status,
        done_at=clock.now(),
        leased_until=None,
        error_class=error.name if error else "",
        error_text=error.message if error else "",
    )
    return closed == 1


def _own(entry: OutboxEntry) -> Any:
    return OutboxEntry.objects.filter(id=entry.id, lease_id=entry.lease_id, status=OutboxStatus.WORKING)


class PublishEvent:
    """Deliver one published fact to whoever listens inside the product."""

    def call(self, entry: OutboxEntry, integration: Integration | None) -> None:
        """Nothing is called outside: subscribers write their own outbox entries."""

    def settle(self, entry: OutboxEntry, integration: Integration | None, result: Any) -> None:
        """Tell every subscriber of the type."""
        for subscriber in registry.subscribers(entry.details["type"]):
            subscriber(event_type=entry.details["type"], object_id=entry.object_id, entry=entry)

    def give_up(self, entry: OutboxEntry, integration: Integration | None, error: ProviderError) -> None:
        """The entry's own status says it."""


PUBLISH_EVENT = PublishEvent()
