"""What may hold a call back before it is made: the breaker and the limits, given to the guard as a value."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Protocol

from integrations.contract import strategies
from integrations.contract.errors import RateLimited
from integrations.contract.limits import LimitReading
from integrations.contract.spec import Scope
from integrations.outbound.limits import Grant, Limiter, Limits, brake_of, is_pressing

HELD_BACK = strategies.HELD_BACK
"""The `reason` of a RateLimited that was raised without a call, by our own count of the vendor's limits."""

PATIENCE_S = 1.0
"""Waits up to this are slept through: a second smooths a burst, and more would keep a worker from others' work."""


class Gate(Protocol):
    """Decides whether a call may go out now, and learns from its answer."""

    def enter(self, operation: str, *, subject: str = "", deadline_s: float = 20.0) -> float:
        """
        Let the call pass, perhaps after a short wait, or refuse it.

        :param subject: whom the call is about
        :param deadline_s: what the caller has in all
        :returns: the seconds of the deadline that were slept
        :raises RateLimited: a limit is reached; `retry_after_s` says when to come back, `scope` what is held back
        :raises Unavailable: the breaker is open
        """
        ...

    def learn(self, readings: Sequence[LimitReading]) -> None:
        """Take note of what an answer said about the limits; never fails."""
        ...


class OpenGate:
    """Lets every call pass."""

    def enter(self, operation: str, *, subject: str = "", deadline_s: float = 20.0) -> float:
        """Let it pass."""
        return 0.0

    def learn(self, readings: Sequence[LimitReading]) -> None:
        """Forget it."""


class Circuit(Protocol):
    """The breakers of one integration and its vendor, wherever their state is kept."""

    def look(self) -> None:
        """
        Say what is known, without a claim.

        :raises Unavailable: a breaker is open; `retry_after_s` is the rest
        """
        ...

    def claim(self, *, at_most: timedelta) -> None:
        """
        Become the one call that tries, where a breaker's open time is over.

        :param at_most: after which another call may try
        :raises Unavailable: another call tries now
        """
        ...


class LimitedGate:
    """
    Asks the breakers, then the limits, then claims the try where a breaker is half open.

    In this order a call that is held back costs no token, and one that is limited claims no try.
    """

    def __init__(
        self,
        *,
        limits: Limits,
        limiter: Limiter,
        circuit: Circuit | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._limits = limits
        self._limiter = limiter
        self._circuit = circuit
        self._sleep = sleep
        self._is_braked = False

    def enter(self, operation: str, *, subject: str = "", deadline_s: float = 20.0) -> float:
        """Pass or refuse; see `Gate.enter`."""
        if self._circuit:
            self._circuit.look()
        slept_s = self._take(operation, subject, patience_s=min(PATIENCE_S, deadline_s / 2))
        if self._circuit:
            self._circuit.claim(at_most=timedelta(seconds=deadline_s + PATIENCE_S))
        return slept_s

    def learn(self, readings: Sequence[LimitReading]) -> None:
        """Slow down or close what the answer names; release a brake once an answer says that there is room."""
        for scope in {reading.scope for reading in readings}:
            told = hardest(reading for reading in readings if reading.scope is scope)
            if is_pressing(told) or self._is_braked:
                self._limiter.learn(self._limits.brake_key(scope), told)

    def _take(self, operation: str, subject: str, *, patience_s: float) -> float:
        ask = self._limits.ask(operation, subject)
        slept_s = 0.0
        while True:
            grant = self._limiter.take(ask)
            self._is_braked = grant.is_braked
            if grant.wait_s <= 0:
                return slept_s
            if slept_s + grant.wait_s > patience_s:
                raise _refusal(grant, operation)
            self._sleep(grant.wait_s)
            slept_s += grant.wait_s


def hardest(readings: Iterable[LimitReading]) -> LimitReading:
    """Pick the reading that closes longest, or else slows most."""

    def hardness(reading: LimitReading) -> tuple[float, float, float]:
        closed_s, factor, lasts_s = brake_of(reading)
        return closed_s, -factor, lasts_s

    return max(readings, key=hardness)


def _refusal(grant: Grant, operation: str) -> RateLimited:
    scope = grant.scope or Scope.ACCOUNT
    return RateLimited(
        f"{operation}: the limit by {scope} is reached, {grant.wait_s:.3f} s to wait; nothing was sent",
        reason=HELD_BACK,
        retry_after_s=grant.wait_s,
        scope="" if scope is Scope.ACCOUNT else str(scope),
    )
