"""
Breakers as they are kept: beside the link and the vendor, moved by conditional updates.

Nothing is written while calls succeed and both breakers are closed: what calls did is read from their own rows, and
only when one has failed. Each change says which state it starts from, so of many processes one makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import JSONObject

from audit.services import Actor, Target, record
from core import clock
from core.pace import scaled
from dispatch.failing import note_failure, note_success
from dispatch.models import BreakerState, Link, Vendor
from dispatch.waker import wake
from integrations.contract import AUTHORIZE, CallReport, Unavailable
from integrations.models import Integration
from integrations.outbound.breaker import (
    BREAKER_OPEN,
    COUNTED,
    IN_A_ROW,
    LEAST_CALLS,
    WINDOW,
    Breaker,
    Evidence,
    Passage,
    after_try,
    judged,
    judged_vendor,
    passage,
    trying,
)
from integrations.services.entries import end_hold
from tenants.context import release_connection

log = structlog.get_logger(__name__)

LOST_TRY_S = scaled(5)
"""How soon to come back after somebody else's call became the one that tries: most are answered by then."""

_NEXT_TO_EACH_OTHER = timedelta(minutes=1)
"""By how much the clocks of two machines may differ in the time part of ids."""

_TOLD_LATER = timedelta(seconds=1)
"""Work that waits for a breaker adds the rest of its time to a clock that has gone on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of a link before its calls: its breaker, its vendor's, and whether it was failing."""

    link: Breaker = field(default_factory=Breaker)
    vendor: Breaker = field(default_factory=Breaker)
    failing_class: str = ""


class Circuit:
    """
    The breakers of one link and its vendor, as read when its provider was made.

    :param passes: the calls go out whatever the breakers say, and try by themselves: checks and refreshes
    :param closes: a success of theirs closes the link's breaker: checks
    """

    def __init__(
        self, *, link_id: UUID, provider: str, standing: Standing, passes: bool = False, closes: bool = False
    ) -> None:
        self._rows: dict[str, Any] = {
            "link": Link.objects.filter(pk=link_id),
            "vendor": Vendor.objects.filter(provider=provider),
        }
        self._link_id = link_id
        self._provider = provider
        self._standing = standing
        self._passes = passes
        self._closes = closes
        self._tries: set[str] = set()

    def look(self) -> None:
        """Refuse when a breaker is open; see `outbound.gate.Circuit.look`."""
        now = clock.now()
        for kind in () if self._passes else _KINDS:
            breaker = self._breaker(kind)
            if kind not in self._tries and passage(breaker, now) is Passage.HELD:
                raise _held(kind, breaker, breaker.rest(now).total_seconds())

    def claim(self, *, at_most: timedelta) -> None:
        """Become the one call that tries; see `outbound.gate.Circuit.claim`."""
        self.look()
        now = clock.now()
        wanted = [
            kind
            for kind in _KINDS
            if kind not in self._tries and passage(self._breaker(kind), now) is Passage.TRY
        ]  # fmt: skip
        if not wanted:
            return
        try:
            for kind in wanted:
                if not self._claimed(kind, now, at_most) and not self._passes and not self._has_closed(kind):
                    self._give_back(now)
                    raise _held(kind, self._breaker(kind), LOST_TRY_S)
        finally:
            release_connection()

    def observe(self, report: CallReport) -> None:
        """Move the breakers by what a call did, in the transaction that stores the call."""
        if report.operation == AUTHORIZE and not report.error:
            return
        if report.error in COUNTED:
            self._note_failing(report.error)
            self._failed()
        elif report.status is None:
            self._unanswered(report)
        else:
            self._answered(report)

    def _unanswered(self, report: CallReport) -> None:
        """Learn nothing of a call that our own transport refused to make or to read; the next one tries."""
        self._note_failing(report.error)
        self._give_back(clock.now())

    def _answered(self, report: CallReport) -> None:
        """Take an answer, even a refusal: whoever refuses is there."""
        for kind in sorted(self._tries):
            self._moved(kind, Breaker(), only_from=[BreakerState.HALF_OPEN])
        self._tries.clear()
        if report.error:
            self._note_failing(report.error)
            return
        if self._closes and not self._standing.link.is_closed:
            self._moved("link", Breaker(), only_from=_NOT_CLOSED)
        if self._standing.failing_class:
            note_success([self._link_id])
            self._standing = replace(self._standing, failing_class="")

    def _note_failing(self, error_class: str) -> None:
        note_failure([self._link_id], error_class)
        self._standing = replace(self._standing, failing_class=error_class)

    def _failed(self) -> None:
        now = clock.now()
        for kind in sorted(self._tries):
            again = after_try(self._breaker(kind), now, is_good=False)
            self._moved(kind, again, only_from=[BreakerState.HALF_OPEN])
        if "link" not in self._tries and self._standing.link.is_closed:
            tripped = judged(self._standing.link, _evidence(self._link_id, now), now)
            if not tripped.is_closed:
                self._moved("link", tripped, only_from=[BreakerState.CLOSED])
        self._tries.clear()

    def _claimed(self, kind: str, now: datetime, at_most: timedelta) -> bool:
        claim = trying(self._breaker(kind), now, at_most=at_most)
        rows = self._rows[kind].filter(breaker__in=_NOT_CLOSED, breaker_until__lte=now)
        won = bool(rows.update(breaker=claim.state, breaker_until=claim.until))
        if won:
            self._tries.add(kind)
            self._keep(kind, claim)
        return won

    def _has_closed(self, kind: str) -> bool:
        """Read again: whoever was faster may have succeeded already."""
        fresh = standing_of(self._link_id, self._provider)
        self._keep(kind, fresh.link if kind == "link" else fresh.vendor)
        return self._breaker(kind).is_closed

    def _give_back(self, now: datetime) -> None:
        """Let another call try at once: this one got one claim of two and goes home."""
        for kind in sorted(self._tries):
            self._rows[kind].filter(breaker=BreakerState.HALF_OPEN).update(breaker=BreakerState.OPEN, breaker_until=now)
        self._tries.clear()

    def _moved(self, kind: str, breaker: Breaker, *, only_from: Sequence[str]) -> None:
        until = self._breaker(kind).until
        if self._rows[kind].filter(breaker__in=only_from).update(**_columns(breaker)):
            if kind == "link" and breaker.is_closed and until:
                end_hold(self._link_id, until=until + _TOLD_LATER)
            elif kind == "vendor" and breaker.is_closed:
                _free_held()
            log.info("breaker.moved", kind=kind, link=str(self._link_id), state=breaker.state, reason=breaker.reason)
        self._keep(kind, breaker)

    def _keep(self, kind: str, breaker: Breaker) -> None:
        changed = {"link": self._standing.link, "vendor": self._standing.vendor, kind: breaker}
        self._standing = replace(self._standing, link=changed["link"], vendor=changed["vendor"])

    def _breaker(self, kind: str) -> Breaker:
        return self._standing.link if kind == "link" else self._standing.vendor


def circuit_for(link_id: UUID, provider: str, *, passes: bool = False, closes: bool = False) -> Circuit:
    """Read the breakers of a link and its vendor in one statement."""
    standing = standing_of(link_id, provider)
    return Circuit(link_id=link_id, provider=provider, standing=standing, passes=passes, closes=closes)


def standing_of(link_id: UUID, provider: str) -> Standing:
    """Read both breakers; a row that is not there is closed."""
    with connection.cursor() as cursor:
        cursor.execute(_STANDING, [link_id, provider])
        row = cursor.fetchone()
    return Standing(link=_breaker_of(row[:4]), vendor=_breaker_of(row[4:8]), failing_class=row[8] or "")


def checked(good: Iterable[UUID]) -> None:
    """Say that checks of these links succeeded: their breakers close, and they no longer fail. Runs in public."""
    ids = list(good)
    broken = Link.objects.filter(pk__in=ids, breaker__in=_NOT_CLOSED)
    for link_id, until in list(broken.values_list("pk", "breaker_until")):
        if broken.filter(pk=link_id).update(**_columns(Breaker())) and until:
            end_hold(link_id, until=until + _TOLD_LATER)
    note_success(ids)


def judge_vendors() -> list[str]:
    """Open the breakers of vendors whose calls fail in several organizations; return their keys. Runs in public."""
    now = clock.now()
    failing = _vendors_evidence(now)
    tripped: list[str] = []
    for provider, evidence in failing.items():
        breaker = judged_vendor(Breaker(), evidence, now)
        if not breaker.is_closed:
            Vendor.objects.get_or_create(provider=provider)
            rows = Vendor.objects.filter(provider=provider, breaker=BreakerState.CLOSED)
            if rows.update(**_columns(breaker)):
                log.warning(
                    "breaker.vendor_opened", provider=provider, calls=evidence.calls, failures=evidence.failures,
                    organizations=evidence.organizations,
                )  # fmt: skip
                tripped.append(provider)
    return tripped


def describe(row: Link | Vendor) -> Mapping[str, Any]:
    """Show a breaker: `{state, until, reason}`."""
    return {"state": row.breaker, "until": row.breaker_until, "reason": row.breaker_reason}


def with_breakers(found: QuerySet[Integration]) -> QuerySet[Integration]:
    """Fetch with each integration what `describe_integration` shows."""
    columns = JSONObject(state="breaker", until="breaker_until", reason="breaker_reason")
    links = Link.objects.filter(pk=OuterRef("pk")).values(shown=columns)
    vendors = Vendor.objects.filter(provider=OuterRef("provider")).values(shown=columns)
    return found.annotate(link_breaker=Subquery(links), vendor_breaker=Subquery(vendors))


def describe_integration(integration: Integration) -> Mapping[str, Any]:
    """Show what holds an integration's calls back, `{state, until, reason}`: its own breaker, or else its vendor's."""
    if "link_breaker" in integration.__dict__:
        kept = [integration.__dict__["link_breaker"], integration.__dict__["vendor_breaker"]]
        shown = [{**row, "until": _moment(row["until"])} for row in kept if row]
    else:
        standing = standing_of(integration.id, integration.provider)
        shown = [
            {"state": str(breaker.state), "until": breaker.until, "reason": breaker.reason}
            for breaker in (standing.link, standing.vendor)
        ]
    closed = {"state": str(BreakerState.CLOSED), "until": None, "reason": ""}
    return next((row for row in shown if row["state"] != BreakerState.CLOSED), closed)


def reset(row: Link | Vendor, *, actor: Actor) -> None:
    """Close a breaker by hand, because somebody knows better; the next failures open it again."""
    if isinstance(row, Link):
        target, schema = Target(kind="integration", id=str(row.pk), label=row.label), row.organization_schema
    else:
        target, schema = Target(kind="vendor", id=row.provider, label=row.provider), ""
    with transaction.atomic():
        type(row).objects.filter(pk=row.pk).update(**_columns(Breaker()))
        if isinstance(row, Link) and row.breaker_until:
            end_hold(row.pk, until=row.breaker_until + _TOLD_LATER)
        elif isinstance(row, Vendor):
            _free_held()
        record(
            action="breaker.reset",
            actor=actor,
            target=target,
            details={"state": row.breaker, "reason": row.breaker_reason, "trips": row.breaker_trips},
            organization_schema=schema,
        )
    row.refresh_from_db()


def _free_held() -> None:
    """Let a worker claim at once what a vendor's breaker has held; claims read the breaker themselves."""
    transaction.on_commit(lambda: wake("outbound"))


_KINDS = ("link", "vendor")
_NOT_CLOSED = (BreakerState.OPEN, BreakerState.HALF_OPEN)

_STANDING = """
    SELECT link.breaker, link.breaker_until, link.breaker_reason, link.breaker_trips,
        vendor.breaker, vendor.breaker_until, vendor.breaker_reason, vendor.breaker_trips, link.failing_class
    FROM (SELECT %s::uuid AS id, %s::text AS provider) AS asked
        LEFT JOIN dispatch_link AS link ON link.id = asked.id
        LEFT JOIN dispatch_vendor AS vendor ON vendor.provider = asked.provider
"""

_EVIDENCE = """
    WITH latest AS (
        SELECT at, error_class = ANY(%(counted)s) AS failed FROM meter_call
        WHERE link_id = %(link)s AND day >= %(day)s AND NOT (operation = %(authorize)s AND error_class = '')
        ORDER BY at DESC LIMIT %(in_a_row)s
    ), recent AS (
        SELECT error_class = ANY(%(counted)s) AS failed FROM meter_call
        WHERE link_id = %(link)s AND day >= %(day)s AND at >= %(since)s
            AND NOT (operation = %(authorize)s AND error_class = '')
    )
    SELECT (SELECT count(*) FILTER (WHERE failed) FROM latest), count(*), count(*) FILTER (WHERE failed) FROM recent
"""
"""Both parts walk the index by link and time; of the days only today's and yesterday's partitions are opened.
A token that was fetched is no success between two failures of what it was fetched for."""

_VENDORS = """
    SELECT provider, count(*), count(*) FILTER (WHERE error_class = ANY(%s)),
        count(DISTINCT organization_schema) FILTER (WHERE error_class = ANY(%s))
    FROM meter_call WHERE day = ANY(%s) AND id >= %s AND at >= %s
    GROUP BY provider HAVING count(*) >= %s
"""
"""By the primary key: ids begin with the time at which they were made, so no index of its own is needed.
Days are equal to one of two, not later than one: only so does the key's second part bound the scan."""


def _evidence(link_id: UUID, now: datetime) -> Evidence:
    since = now - WINDOW
    names: dict[str, Any] = {
        "counted": sorted(COUNTED),
        "link": link_id,
        "since": since,
        "day": (now - timedelta(days=1)).date(),
        "in_a_row": IN_A_ROW,
        "authorize": AUTHORIZE,
    }
    with connection.cursor() as cursor:
        cursor.execute(_EVIDENCE, names)
        in_a_row, calls, failures = cursor.fetchone()
    return Evidence(in_a_row=in_a_row, calls=calls, failures=failures)


def _vendors_evidence(now: datetime) -> dict[str, Evidence]:
    since, counted = now - WINDOW, sorted(COUNTED)
    days = sorted({since.date(), now.date()})
    first_id = _first_id(datetime.now(UTC) - WINDOW - _NEXT_TO_EACH_OTHER)
    with connection.cursor() as cursor:
        cursor.execute(_VENDORS, [counted, counted, days, first_id, since, LEAST_CALLS])
        rows = cursor.fetchall()
    return {
        provider: Evidence(calls=calls, failures=failures, organizations=organizations)
        for provider, calls, failures, organizations in rows
    }


def _first_id(moment: datetime) -> UUID:
    """Return the smallest id that can be made at a moment: ids are UUIDv7, whose first 48 bits are milliseconds."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def _breaker_of(row: tuple[Any, ...]) -> Breaker:
    state, until, reason, trips = row
    return Breaker(state=state, until=until, reason=reason, trips=trips) if state else Breaker()


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _columns(breaker: Breaker) -> dict[str, Any]:
    return {
        "breaker": str(breaker.state),
        "breaker_until": breaker.until,
        "breaker_reason": breaker.reason[:200],
        "breaker_trips": breaker.trips,
    }


def _held(kind: str, breaker: Breaker, rest_s: float) -> Unavailable:
    whose = "this account" if kind == "link" else "the provider"
    return Unavailable(
        f"the breaker of {whose} is {breaker.state}: {breaker.reason}; nothing was sent",
        reason=BREAKER_OPEN,
        retry_after_s=max(rest_s, 0.001),
    )
