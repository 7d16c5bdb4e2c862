"""
Comparing payments with the vendor's own list, day by day (UTC): what webhooks missed is repaired, what stays unlike is
told. Zero tolerance.

A day's listing holds what was created or changed in it, as it is now; its totals are of money that came in it. Each
difference is noted as it was first seen, then the vendor's state climbs the ladder like any other claim. What the
vendor's list leaves out is asked for one by one. A day that was not listed to its end is `failed`, never equal: the
next run goes on where this one stopped.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import structlog

from audit.services import Actor
from billing.contract import ReadsBilling
from billing.models import Reconciliation, ReconciliationStatus
from billing.services.comparing import Comparison, Part, look
from billing.services.readiness import NotReady, instance_with, require_usable
from billing.services.recording import save
from core import clock
from core.errors import ValidationFailed
from integrations.contract import Misconfigured, ProviderError, UnexpectedResponse
from integrations.models import Integration
from integrations.services.reconcile import GRACE, LONGEST, TAKE_FOR

log = structlog.get_logger(__name__)

SHORTEST = timedelta(minutes=15)
"""A part of a day that had no time or room for its listing is halved for the next run, down to this."""

DIFFERENT_AGAIN = timedelta(hours=12)
"""A day that is different is compared again by each daily run: somebody may have mended it at the vendor."""

UNFINISHED = "unfinished"
"""The code of a day that goes on at `error.compared_until`; its counts and totals are of the time before that."""


class CannotCompare(ValidationFailed):
    """There is nothing to compare on this day."""


def compare_days(integration: Integration, *, ends_at: datetime) -> bool:
    """
    Compare the days that were not compared to their end, then those that are different; the sweep's handler.

    Today is compared so far. Returns whether all was done by `ends_at`; what a vendor did not list is written down.
    """
    if not issubclass(integration.provider_class, ReadsBilling):
        return True
    for day in _due_days(integration):
        if clock.now() >= ends_at:
            return False
        try:
            row = _compare(integration, day, ends_at=ends_at, actor=Actor.system("reconcile"))
        except Misconfigured:
            return True  # nothing is listed for it, such as static codes; health says what else is wrong
        except _Stopped as stopped:
            return not stopped.error.retryable
        if (row.error or {}).get("code") == UNFINISHED:
            return False
    return True


def compare(integration: Integration, day: date, *, actor: Actor) -> Reconciliation:
    """
    Compare one day now, for somebody who waits; no transaction may be open.

    A day whose list the vendor does not give comes back as `failed`, with why.

    :raises CannotCompare: it is not over a grace old, before the connection, or before what vendors keep
    :raises NotReady: the integration cannot be used
    """
    require_usable(integration)
    _require_comparable(integration, day)
    try:
        return _compare(integration, day, ends_at=clock.now() + TAKE_FOR, actor=actor)
    except Misconfigured as error:
        raise NotReady(f"{error.message} {error.next_action}") from error
    except _Stopped as stopped:
        return stopped.row


class _Stopped(Exception):
    """The vendor did not answer, which it is not asked again for other days."""

    def __init__(self, row: Reconciliation, error: ProviderError) -> None:
        super().__init__(error.name)
        self.row, self.error = row, error


def _due_days(integration: Integration) -> list[date]:
    """Return days that were never compared to their end, the oldest first, then those that are different."""
    now = clock.now()
    first = max(integration.created_at, now - LONGEST).date()
    rows = {row.day: row for row in Reconciliation.objects.filter(integration=integration, day__gte=first)}
    days = [first + timedelta(days=number) for number in range((now.date() - first).days + 1)]
    undone = [day for day in days if not _is_done(rows.get(day)) and _begin(integration, day) < now - GRACE]
    again = [day for day in days if (row := rows.get(day)) and _is_done(row) and _is_to_be_seen_again(row)]
    return undone + again


def _is_done(row: Reconciliation | None) -> bool:
    if row is None or row.status == ReconciliationStatus.FAILED:
        return False
    return row.compared_at >= _end(row.day) + GRACE


def _is_to_be_seen_again(row: Reconciliation) -> bool:
    return row.status == ReconciliationStatus.DIFFERENT and row.compared_at < clock.now() - DIFFERENT_AGAIN


def _require_comparable(integration: Integration, day: date) -> None:
    now = clock.now()
    if _begin(integration, day) >= now - GRACE:
        text = "This day has not begun: choose an earlier one."
    elif _end(day) <= integration.created_at:
        text = "The account was connected after this day: days before it are not compared."
    elif _end(day) <= now - LONGEST:
        text = f"Providers keep what happened for a while only: choose one of the last {LONGEST.days} days."
    else:
        return
    raise CannotCompare(text, errors={"day": [text]})


def _begin(integration: Integration, day: date) -> datetime:
    return max(datetime.combine(day, time(), UTC), integration.created_at)


def _end(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def _compare(integration: Integration, day: date, *, ends_at: datetime, actor: Actor) -> Reconciliation:
    """
    Compare what is left of one day and save what came out.

    :raises Misconfigured: nothing is listed for this integration; nothing is saved
    :raises _Stopped: the vendor did not answer; the day is saved as failed
    """
    run = _begun(integration, day, ends_at=ends_at)
    until = min(_end(day), clock.now() - GRACE)
    while run.since < until:
        part = Part(since=run.since, until=min(run.since + run.length, until))
        try:
            is_whole = look(run, part)
        except Misconfigured:
            raise
        except ProviderError as error:
            log.info("reconciliation.not_listed", integration=str(integration.pk), error=error.name)
            row = save(run, error=_stopped_at(run, error.api_code, f"{error.message} {error.advice}"), actor=actor)
            if isinstance(error, UnexpectedResponse):
                return row  # one object of this day, it may be: the others have a right to their turn
            raise _Stopped(row, error) from error
        if not is_whole:
            run.length = max((part.until - part.since) / 2, SHORTEST)
            return save(run, error=_stopped_at(run, UNFINISHED, _GOES_ON), actor=actor)
        run.since = part.until
    return save(run, error=None, actor=actor)


_GOES_ON = "The provider's list was too long for one run. The next one, within an hour, goes on here."


def _stopped_at(run: Comparison, code: str, message: str) -> dict[str, Any]:
    place = {"compared_until": clock.iso(run.since), "part_s": round(run.length.total_seconds())}
    return {"code": code, "message": message, **place}


def _begun(integration: Integration, day: date, *, ends_at: datetime) -> Comparison:
    """Begin a day, or go on where the last run stopped."""
    run = Comparison(
        integration=integration,
        provider=instance_with(integration, ReadsBilling),
        day=day,
        ends_at=ends_at,
        since=_begin(integration, day),
        length=timedelta(days=1),
    )
    row = Reconciliation.objects.filter(integration=integration, day=day).first()
    stopped = (row.error or {}) if row is not None and row.status == ReconciliationStatus.FAILED else {}
    if row is None or "compared_until" not in stopped:
        return run
    run.length = timedelta(seconds=stopped["part_s"])
    reached = datetime.fromisoformat(stopped["compared_until"])
    if reached > run.since:
        run.since, run.is_resumed = reached, True
        run.vendor_count, run.our_count = row.vendor_count, row.our_count
        run.vendor_minor.update({name: sums["vendor_minor"] for name, sums in row.totals.items()})
        run.our_minor.update({name: sums["ours_minor"] for name, sums in row.totals.items()})
    return run
