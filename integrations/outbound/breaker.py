"""
The breaker: after too many failures calls are held back for a while, then one tries. Pure: states, evidence, a clock.

closed -> open when failures gather; open -> half open when its time is over, for one call; half open -> closed when
that call succeeds, open for twice as long when it fails.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from core.pace import scaled
from integrations.contract import strategies

IN_A_ROW = 5
"""Failures in a row that open a link's breaker (RELIABILITY section 6)."""

WINDOW = timedelta(seconds=scaled(60))
"""Over which the share of failures is taken."""

LEAST_CALLS = 20
"""Fewer calls in the window are no share to judge by."""

FAILING_SHARE = 0.5
LEAST_ORGANIZATIONS = 3
"""Organizations whose calls must fail before it is the vendor's doing and not one customer's."""

OPEN_FOR = timedelta(seconds=scaled(60))
LONGEST_OPEN = timedelta(seconds=scaled(600))
"""A vendor that is back is found within ten minutes, however long it was away."""

COUNTED = frozenset({"Unavailable", "ProviderOutage"})
"""Classes of errors that are failures here: 5xx, refused, TLS, DNS, timeout. All others are answers."""

IN_A_ROW_TEXT = "Five calls in a row failed."
SHARE_TEXT = "At least half of the calls within a minute failed."
VENDOR_TEXT = "At least half of all calls to the provider within a minute failed, in several organizations."
"""Reasons as people read them; fixed, so that they can be translated. The numbers are in the log."""

BREAKER_OPEN = strategies.BREAKER_OPEN
"""The `reason` of an Unavailable that was raised without a call, because a breaker is open."""


class State(StrEnum):
    """Whether calls go out; the values are those of `dispatch.models.BreakerState`."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """
    One breaker as it is stored. `until` ends the open time, and the time that a half-open try may take.

    `trips` counts how often it opened since it last closed.
    """

    state: str = State.CLOSED
    until: datetime | None = None
    reason: str = ""
    trips: int = 0

    @property
    def is_closed(self) -> bool:
        """Whether calls go out."""
        return self.state == State.CLOSED

    def rest(self, now: datetime) -> timedelta:
        """Return how long calls are still held back; zero when one may try."""
        if self.is_closed or self.until is None:
            return timedelta()
        return max(self.until - now, timedelta())


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the calls of late say: failures in a row up to now; calls and failures within `WINDOW`."""

    in_a_row: int = 0
    calls: int = 0
    failures: int = 0
    organizations: int = 0


class Passage(StrEnum):
    """What a call may do."""

    FREE = "free"
    TRY = "try"
    HELD = "held"


def passage(breaker: Breaker, now: datetime) -> Passage:
    """Tell whether a call goes out, may be the one that tries, or is held back."""
    if breaker.is_closed:
        return Passage.FREE
    return Passage.HELD if breaker.rest(now) else Passage.TRY


def judged(breaker: Breaker, evidence: Evidence, now: datetime) -> Breaker:
    """Open a closed breaker when a link's failures have gathered."""
    if not breaker.is_closed:
        return breaker
    if evidence.in_a_row >= IN_A_ROW:
        return opened(breaker, now, reason=IN_A_ROW_TEXT)
    return opened(breaker, now, reason=SHARE_TEXT) if _is_share_failing(evidence) else breaker


def judged_vendor(breaker: Breaker, evidence: Evidence, now: datetime) -> Breaker:
    """Open a closed breaker of a whole vendor when calls of several organizations fail."""
    if not breaker.is_closed or evidence.organizations < LEAST_ORGANIZATIONS or not _is_share_failing(evidence):
        return breaker
    return opened(breaker, now, reason=VENDOR_TEXT)


def opened(breaker: Breaker, now: datetime, *, reason: str) -> Breaker:
    """Open, for twice as long as the time before."""
    lasts = min(OPEN_FOR * 2 ** min(breaker.trips, 16), LONGEST_OPEN)
    return Breaker(state=State.OPEN, until=now + lasts, reason=reason, trips=breaker.trips + 1)


def trying(breaker: Breaker, now: datetime, *, at_most: timedelta) -> Breaker:
    """Let one call try for a time, after which another may: the one that tries may die."""
    return replace(breaker, state=State.HALF_OPEN, until=now + at_most)


def after_try(breaker: Breaker, now: datetime, *, is_good: bool) -> Breaker:
    """Close after a try that succeeded, open again after one that failed."""
    return Breaker() if is_good else opened(breaker, now, reason=breaker.reason)


def _is_share_failing(evidence: Evidence) -> bool:
    return evidence.calls >= LEAST_CALLS and evidence.failures >= FAILING_SHARE * evidence.calls
