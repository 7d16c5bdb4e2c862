"""
How a link's health moves with its checks, and when it is checked next: pure rules with hysteresis.

One failure that may pass by itself never says "failing", and one good answer after a failure never says "healthy":
between the two lies `degraded`, so that a vendor who fails every other call does not make the health flap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from core.pace import scaled
from integrations.contract.errors import ProviderError, UnexpectedResponse
from integrations.contract.results import Account, CheckResult


class Health(StrEnum):
    """How a link is doing; the values are those of the public contract."""

    UNVERIFIED = "unverified"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    FAILING = "failing"


class Finding(StrEnum):
    """What one check said."""

    GOOD = "good"
    LIMITED = "limited"
    PASSING = "passing"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a link stands: its health, and how many checks in a row were good or bad."""

    health: Health = Health.UNVERIFIED
    good: int = 0
    bad: int = 0


BAD_UNTIL_FAILING = 3
"""Failures in a row: at the quick pace that is three minutes, longer than a vendor's deploy or a hiccup of ours."""

GOOD_UNTIL_HEALTHY = 2
"""Of a link that was failing: the second good answer in a row tells a recovery from a lucky call."""

MOST_COUNTED = 1000
"""Counters stop here; they decide nothing beyond their thresholds and live in a small column."""

FIRST_RETRY_S = 60.0
"""A link that began to fail is looked at again after this, then after twice as long each time, up to its period."""

MOST_DOUBLINGS = 10
"""60 s doubled ten times is longer than any period; further doublings would only make the number silly."""

POSTPONED_PERIODS = 4.0
"""Good traffic stands for a check, but not for longer than this many periods: traffic proves less than a check does."""

INCIDENT_FACTOR = 6.0
INCIDENT_ROUND = 10.0
"""
During a vendor's incident its links are checked in turns, each once in ten periods: 90 % fewer calls; the issue asks
for 80 %. Of fewer than ten links one is checked each period, down to a sixth as often as else.
"""

INCIDENT_CHECKS = 20.0
"""Checks of one vendor in a period of its incident, at most: enough to see its end, few enough to spare it."""

STATUS_FACTOR: Mapping[str, float] = MappingProxyType({"active": 1.0, "needs_reauth": 4.0})
"""A refused credential seldom comes back to life by itself: it is checked a quarter as often. Others never are."""


def finding_of(outcome: CheckResult | Account | ProviderError) -> Finding:
    """
    Say what a check means for the health. An authentication failure must be confirmed before it comes here.

    An account alone is a probe's answer: all is as before. An answer that we do not understand counts as passing, for
    a vendor's error page is one, too.
    """
    if isinstance(outcome, Account):
        return Finding.GOOD
    if isinstance(outcome, CheckResult):
        return Finding.LIMITED if outcome.degraded else Finding.GOOD
    may_pass = outcome.retryable or isinstance(outcome, UnexpectedResponse)
    return Finding.PASSING if may_pass else Finding.REFUSED


def after(standing: Standing, finding: Finding, *, is_sure: bool = False) -> Standing:
    """
    Return where a link stands after one more check.

    :param is_sure: one good check is enough, because a person mended something and looks whether it works
    """
    if finding in {Finding.GOOD, Finding.LIMITED}:
        if is_sure:
            standing = replace(standing, health=Health.UNVERIFIED)
        before = 0 if standing.health is Health.FAILING else standing.good  # a refused call fails it without counting
        good = min(before + 1, MOST_COUNTED)
        return Standing(health=_mended(standing, finding), good=good)
    before = 0 if standing.health is Health.HEALTHY else standing.bad  # a reconnect mends without counting
    bad = min(before + 1, MOST_COUNTED)
    return Standing(health=_worsened(standing, finding, bad), bad=bad)


def pace_s(standing: Standing, *, period_s: float, status: str, is_free: bool = True) -> float | None:
    """
    Return the seconds until the next check, at the pace of this process; None for a link that the clock never checks.

    :param period_s: the spec's period, for a link that is well
    :param is_free: whether a check costs nothing; the clock spends nobody's money
    """
    factor = STATUS_FACTOR.get(status)
    if factor is None or not is_free:
        return None
    usual = period_s * factor
    if status != "active":
        return scaled(usual)
    if standing.bad and standing.health is not Health.HEALTHY:
        return scaled(min(usual, FIRST_RETRY_S * 2 ** min(standing.bad - 1, MOST_DOUBLINGS)))
    is_recovering = standing.health is Health.DEGRADED and standing.good < GOOD_UNTIL_HEALTHY
    return scaled(min(usual, FIRST_RETRY_S) if is_recovering else usual)


def incident_round(links: int) -> float:
    """Return in how many periods each of a vendor's links is checked once during its incident."""
    return max(INCIDENT_FACTOR, min(INCIDENT_ROUND, links), links / INCIDENT_CHECKS)


def _mended(standing: Standing, finding: Finding) -> Health:
    """A good check ends a passing trouble at once; what was failing needs a second one."""
    is_not_yet = finding is Finding.LIMITED or standing.health is Health.FAILING
    return Health.DEGRADED if is_not_yet else Health.HEALTHY


def _worsened(standing: Standing, finding: Finding, bad: int) -> Health:
    is_certain = finding is Finding.REFUSED or standing.health is Health.FAILING
    return Health.FAILING if is_certain or bad >= BAD_UNTIL_FAILING else Health.DEGRADED
