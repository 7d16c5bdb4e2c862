"""
Working off one outbox entry: call outside any transaction, then settle row and effect together.

A kind of work is an `OutboxHandler`. What an error makes happen is in `integrations.contract.strategies`; due times are
columns, so nothing is lost with a process, and every entry ends as done, failed, expired or canceled.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol

import structlog
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Subquery

from core import clock
from core.fault_points import reach
from core.pace import scaled
from dispatch.claims import Claim, give_back_outbox
from dispatch.models import BreakerState, Link, LinkStatus, OutboxEntry, OutboxStatus
from dispatch.vendors import vendor_state
from dispatch.waker import wake
from integrations import registry
from integrations.contract import AuthenticationFailed, Misconfigured, ProviderError, ProviderOutage, Scope
from integrations.contract.strategies import (
    BREAKER_OPEN,
    CRASHED,
    NOT_CALLED,
    UNCONFIRMED,
    Holds,
    Told,
    holds_integration,
    next_wait_s,
    strategy_of,
    wait_s,
)
from integrations.models import Integration
from integrations.services import confirm, entries, failover, issues

log = structlog.get_logger(__name__)

MAX_CRASHES = 5

HOLD_S = 60.0
"""What is held looks again this often, in case that nobody tells of the end."""

HOLD_OF_ONE_S = 900.0
"""The same for what waits for its own recipient: thousands may wait so, each with a claim of its own."""

LOOK_AGAIN_S = 1.0
"""What met its vendor's open breaker waits so long: two machines' clocks may disagree on whether it is open."""

PARK_FOR = entries.PARK_FOR


class OutboxHandler(Protocol):
    """
    One kind of outside work.

    `entry.id` never changes, also over crashes, waits and failover: hand it to the vendor as the idempotency key. Where
    the vendor knows none, commit `entry.intent_at` right before the call and look for its trace when it is set already.

    A kind may name the error classes after which its work moves to `entry.failover_link_id`; `after_attempt` lets it
    move even when a call was made, which a kind that moves money must never allow. `capability` is the mixin that the
    second provider must have. A kind whose `give_up` opens an issue itself says so by `opens_issue`.
    """

    fails_over_on: ClassVar[frozenset[str]] = frozenset()
    after_attempt: ClassVar[bool] = False
    capability: ClassVar[type | None] = None
    opens_issue: ClassVar[bool] = False

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
        """Write the failure; runs in the transaction that marks the entry failed, expired or canceled."""
        ...


class Expired(ProviderError):
    """The work waited until its time was over."""

    api_code = "integration_not_ready"
    message = "The work waited until its time was over."
    next_action = "Send it again when the integration is healthy."


class WorkerDied(ProviderError):
    """The work was given up without another call: it stopped its worker again and again."""

    api_code = "integration_not_ready"
    message = "The work stopped its worker five times."


class Crashed(ProviderError):
    """The work was given up after an error of ours."""

    api_code = "integration_not_ready"
    message = "The work failed by an error of ours."


@dataclass(frozen=True, slots=True)
class _Work:
    """One claimed entry, whose it is, and what knows how to do it."""

    entry: OutboxEntry
    integration: Integration | None
    handler: OutboxHandler


def work_entry(claim: Claim) -> None:
    """Work off one claimed entry inside its organization; a crash is recorded at the entry."""
    reach("outbox.claimed")
    hold = Link.objects.filter(pk=OuterRef("link_id")).values("not_before")
    rows = OutboxEntry.objects.annotate(link_not_before=Subquery(hold))
    entry = rows.filter(id=claim.id, lease_id=claim.lease_id).first()
    if entry is None:
        return  # the lease ended and another worker has it
    if _is_held(entry.not_before, entry.link_not_before, deadline=entry.expires_at):
        give_back_outbox([claim])  # the vendor limited this integration after the claim
        return
    integration = Integration.objects.filter(pk=entry.link_id).first() if entry.link_id else None
    try:
        _work(_Work(entry, integration, registry.outbox_handler(entry.kind)))
    except Exception as error:
        log.exception("outbox.entry_crashed", kind=entry.kind, entry=str(entry.id))
        _after_crash(entry, integration, error)


def wake_expired() -> int:
    """
    Let the worker close what was parked past its deadline and take up what was parked as its integration was mended.

    Runs in public. Returns how many entries go on.
    """
    now = clock.now()
    parked = OutboxEntry.objects.filter(status=OutboxStatus.PARKED)
    gone = parked.filter(expires_at__lte=now).update(status=OutboxStatus.WAITING, next_attempt_at=now)
    mended = Exists(Link.objects.filter(pk=OuterRef("link_id"), status=LinkStatus.ACTIVE))
    return gone + parked.filter(mended).update(**_RELEASED)


def release_parked(integration: Integration) -> int:
    """Let the work that waited for a reconnect go on, the oldest first."""
    released = OutboxEntry.objects.filter(link_id=integration.id, status=OutboxStatus.PARKED).update(**_RELEASED)
    if released:
        transaction.on_commit(lambda: wake("outbound"))
    return released


def release_held(provider: str) -> int:
    """Let the work that waited for the end of a vendor's incident go on; runs in public. Returns how many entries."""
    ours = Link.objects.filter(provider=provider)
    waiting = OutboxEntry.objects.filter(status=OutboxStatus.WAITING, not_before__isnull=False)
    with transaction.atomic():
        released = waiting.filter(link_id__in=ours.values("pk")).update(not_before=None)
        ours.filter(not_before__isnull=False).update(not_before=None)
        transaction.on_commit(lambda: wake("outbound"))
    return released


_RELEASED: dict[str, Any] = {
    "status": OutboxStatus.WAITING,
    "next_attempt_at": F("created_at"),  # due, and in the order in which the work came
    "attempts": 0,
    "crashes": 0,
    "error_class": "",
    "error_text": "",
}


def _work(work: _Work) -> None:
    if not _may_run(work):
        return
    started = clock.now()
    try:
        reach("outbox.before_call")
        result = work.handler.call(work.entry, work.integration)
        reach("outbox.after_call")
    except ProviderError as error:
        _after_error(work, error, started=started)
        return
    with transaction.atomic():
        if entries.finish(work.entry, OutboxStatus.DONE):
            work.handler.settle(work.entry, work.integration, result)
        reach("outbox.before_commit")
    reach("outbox.committed")


def _may_run(work: _Work) -> bool:
    entry, integration = work.entry, work.integration
    if entry.expires_at and entry.expires_at <= clock.now():
        _close(work, Expired(), status=OutboxStatus.EXPIRED)
    elif entry.crashes >= MAX_CRASHES:
        _close(work, WorkerDied("it stopped the worker 5 times"))
    elif integration and integration.status in entries.BROKEN:
        _wait_for_owner(work, _BROKEN[LinkStatus(integration.status)], was_called=False)
    elif integration and (incident := _incident_of(integration)):
        _wait_for_vendor(work, incident, was_called=False)
    else:
        return True
    return False


def _is_held(*holds: datetime | None, deadline: datetime | None) -> bool:
    """Whether one of these moments is still to come; at its deadline work is closed, whatever holds it."""
    now = clock.now()
    return not (deadline and deadline <= now) and any(hold > now for hold in holds if hold)


_BROKEN = {
    LinkStatus.NEEDS_REAUTH: AuthenticationFailed("parked until the account is reconnected"),
    LinkStatus.DISABLED: Misconfigured("parked until the integration is enabled", next_action="Enable it again."),
}
"""Why work of a broken integration waits."""


def _after_error(work: _Work, error: ProviderError, *, started: datetime) -> None:
    strategy = strategy_of(error)
    if error.reason in NOT_CALLED:
        _wait_for_gate(work, error)
    elif strategy.confirm and work.integration:
        _after_refusal(work, error, work.integration, started=started)
    elif strategy.holds is Holds.UNTIL_INCIDENT_ENDS and work.integration and _incident_of(work.integration):
        _wait_for_vendor(work, error, was_called=True)
    else:
        _try_again_or_fail(work, error)


def _after_refusal(work: _Work, error: ProviderError, integration: Integration, *, started: datetime) -> None:
    """Believe the vendor only if it refuses the credential again; a healthy credential gets one more try."""
    finding = confirm.examine(integration, error, started=started)
    if finding.unanswered is not None:
        _after_error(work, finding.unanswered, started=started)
    elif finding.refused is not None:
        helps = confirm.lose_access(integration, finding.refused, asked_at=finding.asked_at)
        if helps:
            _wait_for_owner(work, finding.refused, was_called=True)
        else:
            _close(work, finding.refused)
    elif work.entry.error_class == error.name:  # the try before ended in the same way
        _close(work, error, tells=UNCONFIRMED.tells)
    else:
        entries.try_later(work.entry, wait_s=wait_s(UNCONFIRMED), error_class=error.name, text=error.message)


def _try_again_or_fail(work: _Work, error: ProviderError) -> None:
    wait = next_wait_s(error, tries=entries.tries_of(work.entry))
    if wait is None:
        if not _fails_over(work, error, was_called=True):
            _close(work, error)
        return
    entries.try_later(work.entry, wait_s=wait, error_class=error.name, text=error.message)
    if holds_integration(error) and work.entry.link_id:
        entries.hold_link(work.entry.link_id, wait_s=wait)


def _wait_for_owner(work: _Work, error: ProviderError, *, was_called: bool) -> None:
    if not _fails_over(work, error, was_called=was_called):
        entries.park(work.entry, error)


def _wait_for_vendor(work: _Work, error: ProviderError, *, was_called: bool) -> None:
    if not _fails_over(work, error, was_called=was_called):
        _hold(work, error, for_s=scaled(HOLD_S), whole_link=True)


def _wait_for_gate(work: _Work, error: ProviderError) -> None:
    """Come back when our own limit or breaker allows; it may allow earlier than it said."""
    if not _fails_over(work, error, was_called=False):
        told = error.retry_after_s if error.retry_after_s is not None else HOLD_S
        if _waits_for_vendors_breaker(work, error):
            _hold(work, error, for_s=min(told, scaled(LOOK_AGAIN_S)), whole_link=False)
        else:
            is_one = error.scope == Scope.RECIPIENT
            _hold(work, error, for_s=min(told, scaled(HOLD_OF_ONE_S if is_one else HOLD_S)), whole_link=not is_one)


def _waits_for_vendors_breaker(work: _Work, error: ProviderError) -> bool:
    """Whether claims will pass this work over until its vendor's breaker closes: then nothing else need hold it."""
    if error.reason != BREAKER_OPEN or work.integration is None or work.entry.failover_link_id is not None:
        return False
    return vendor_state(work.integration.provider).breaker != BreakerState.CLOSED


def _hold(work: _Work, error: ProviderError, *, for_s: float, whole_link: bool) -> None:
    """Wait without counting a try, until the deadline of all that can only wait."""
    entry = work.entry
    if entries.deadline_of(entry) <= clock.now():
        _close(work, error, status=OutboxStatus.EXPIRED)
        return
    entries.wait_uncounted(entry, error, wait_s=for_s)
    if whole_link and entry.link_id:
        entries.hold_link(entry.link_id, wait_s=for_s)


def _incident_of(integration: Integration) -> ProviderOutage | None:
    state = vendor_state(integration.provider)
    return ProviderOutage(state.incident) if state.has_incident else None


def _fails_over(work: _Work, error: ProviderError, *, was_called: bool) -> bool:
    if work.integration is None or work.entry.failover_link_id is None:
        return False
    return failover.move(
        work.entry, work.integration, error, rule=failover.rule_of(work.handler), was_called=was_called
    )


def _after_crash(entry: OutboxEntry, integration: Integration | None, error: Exception) -> None:
    tries = entries.tries_of(entry)
    if tries < CRASHED.tries:
        wait = wait_s(CRASHED, tries=tries)
        entries.try_later(entry, wait_s=wait, error_class=type(error).__name__[:40], text="internal error")
        return
    given_up = Crashed(type(error).__name__)
    try:
        _close(_Work(entry, integration, registry.outbox_handler(entry.kind)), given_up)
    except Exception:
        log.exception("outbox.give_up_crashed", kind=entry.kind, entry=str(entry.id))
        entries.finish(entry, OutboxStatus.FAILED, given_up)


def _close(
    work: _Work, error: ProviderError, *, status: OutboxStatus = OutboxStatus.FAILED, tells: Told | None = None
) -> None:
    """End the entry, tell its handler, and whoever the error's class says must learn of it."""
    with transaction.atomic():
        if entries.finish(work.entry, status, error):
            work.handler.give_up(work.entry, work.integration, error)
            _tell(work, error, tells or strategy_of(error).tells)


def _tell(work: _Work, error: ProviderError, tells: Told) -> None:
    if tells is Told.US:
        log.error("outbox.response_unexpected", kind=work.entry.kind, entry=str(work.entry.id), internal=error.internal)
    elif tells is Told.OWNER and work.integration and not getattr(work.handler, "opens_issue", False):
        fresh = Integration.objects.select_for_update().get(pk=work.integration.pk)
        if fresh.status != LinkStatus.DISCONNECTED:
            issues.open_issue_for(fresh, error)


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
