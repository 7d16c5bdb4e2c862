"""
What each class of error makes happen: how often work is tried, after what wait, what is held, who is told.

One table for everything that calls a vendor. Durations of ours run at the pace of `core.pace`; a wait that the vendor
asked for is its fact and is kept as it is, up to an hour.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from core.pace import scaled
from integrations.contract.errors import (
    AuthenticationFailed,
    Misconfigured,
    NotFound,
    PermissionMissing,
    ProviderError,
    ProviderOutage,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    SignatureRefused,
    Unavailable,
    UnexpectedResponse,
)
from integrations.contract.spec import Scope

HOUR_S = 3600.0

SHORTEST_WAIT_S = 1.0
"""Full jitter may draw nearly nothing; a vendor that just failed gets at least this."""

ASKED_JITTER = 0.1
"""What was told to come back at the same moment comes back spread over a tenth of the wait, never earlier."""

BREAKER_OPEN = "breaker_open"
HELD_BACK = "held_back"

NOT_CALLED = frozenset({BREAKER_OPEN, HELD_BACK})
"""Reasons by which our own gate held a call back: the vendor was not asked, so no try is counted."""


class Told(StrEnum):
    """Who learns of a failure that no further try will mend."""

    NOBODY = "nobody"
    OWNER = "owner"
    CALLER = "caller"
    US = "us"


class Holds(StrEnum):
    """What waits along with the work that failed."""

    ENTRY = "entry"
    INTEGRATION = "integration"
    UNTIL_INCIDENT_ENDS = "until_incident_ends"


class Jitter(StrEnum):
    """How waits are spread: anywhere below the back-off, or a little above what was asked."""

    FULL = "full"
    ADDED = "added"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """
    What a class of error makes happen.

    `tries` counts the first one. A wait starts at `first_wait_s`, grows by `growth` with each try and never exceeds
    `longest_wait_s`; a wait that the vendor gave replaces it. `confirm` asks for one re-check before anybody believes
    the error.
    """

    tries: int = 1
    first_wait_s: float = 0.0
    growth: float = 1.0
    longest_wait_s: float = HOUR_S
    jitter: Jitter = Jitter.FULL
    holds: Holds = Holds.ENTRY
    tells: Told = Told.NOBODY
    confirm: bool = False


STRATEGIES: Mapping[type[ProviderError], Strategy] = MappingProxyType(
    {
        RateLimited: Strategy(tries=3, first_wait_s=60.0, jitter=Jitter.ADDED, holds=Holds.INTEGRATION),
        Unavailable: Strategy(tries=5, first_wait_s=5.0, growth=2.0),
        ProviderOutage: Strategy(tries=5, first_wait_s=5.0, growth=2.0, holds=Holds.UNTIL_INCIDENT_ENDS),
        AuthenticationFailed: Strategy(tells=Told.OWNER, confirm=True),
        PermissionMissing: Strategy(tells=Told.OWNER),
        QuotaExhausted: Strategy(tells=Told.OWNER),
        Misconfigured: Strategy(tells=Told.OWNER),
        RequestRejected: Strategy(tells=Told.CALLER),
        NotFound: Strategy(tells=Told.CALLER),
        SignatureRefused: Strategy(tells=Told.CALLER),
        UnexpectedResponse: Strategy(tells=Told.US),
        ProviderError: Strategy(tells=Told.CALLER),
    }
)
"""
Error class -> strategy; a subclass has its parent's. The tries of `ProviderOutage` count only while no incident is
open: with one, its work is held and no try is counted.
"""

CRASHED = Strategy(tries=10, first_wait_s=5.0, growth=2.0, tells=Told.US)
"""Work that raised what nobody expected: a deploy may mend it within the hours that ten tries last."""

UNCONFIRMED = Strategy(tries=2, first_wait_s=5.0, tells=Told.CALLER)
"""Work whose authentication failed while the credential is fine: once more, then failed as what it was."""


def strategy_of(error: ProviderError | type[ProviderError]) -> Strategy:
    """Return the strategy of an error or its class."""
    kind = error if isinstance(error, type) else type(error)
    return next(STRATEGIES[parent] for parent in kind.__mro__ if parent in STRATEGIES)


def holds_integration(error: ProviderError) -> bool:
    """Whether all work of the integration waits with this; a limit of one recipient holds only theirs."""
    return strategy_of(error).holds is Holds.INTEGRATION and error.scope != Scope.RECIPIENT


def next_wait_s(error: ProviderError, *, tries: int) -> float | None:
    """
    Return how long to wait before the next try, in seconds; None when there is none.

    :param tries: how often the work was tried, this one included
    """
    strategy = strategy_of(error)
    return wait_s(strategy, error, tries=tries) if tries < strategy.tries else None


def wait_s(strategy: Strategy, error: ProviderError | None = None, *, tries: int = 1) -> float:
    """Return a wait by a strategy, or as the vendor asked (growing with each try as its rule says), with jitter."""
    made = max(0, tries - 1)
    if error is not None and error.retry_after_s is not None:
        asked = error.retry_after_s * float(error.wait_factor**made)
        return _added(max(asked, SHORTEST_WAIT_S), strategy.longest_wait_s)
    grown = min(strategy.longest_wait_s, strategy.first_wait_s * float(strategy.growth**made))
    if strategy.jitter is Jitter.ADDED:
        return scaled(_added(grown, strategy.longest_wait_s))
    return scaled(random.uniform(min(SHORTEST_WAIT_S, grown), grown))  # noqa: S311  spreads, hides nothing


def _added(wait: float, longest_s: float) -> float:
    return min(longest_s, wait * random.uniform(1.0, 1.0 + ASKED_JITTER))  # noqa: S311  spreads, hides nothing
