"""
The limits of one process while Redis is away: stricter, never wrong.

Each process allows itself a quarter of the rate and of the burst. An installation calls out from about four processes
(two workers of two, or one and the web's two), so together they stay near the limit, and below it where there are
fewer; nobody can count how many there are while the place in which they would count is gone. Organizations that share
an app share what a process allows.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from integrations.outbound.limits import Ask, Bucket

PART = 0.25
"""What one process allows itself of a limit."""

MOST_KEYS = 10_000
"""Recipients make many keys; the one unused for longest makes room."""


@dataclass(slots=True)
class _Level:
    tokens: float
    at_s: float


@dataclass(slots=True)
class _Hold:
    closed_until_s: float = 0.0
    factor: float = 1.0
    slow_until_s: float = 0.0


class LocalBuckets:
    """Token buckets in memory, safe between threads."""

    def __init__(self, *, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._levels: OrderedDict[str, _Level] = OrderedDict()
        self._holds: dict[str, _Hold] = {}
        self._lock = threading.Lock()

    def take(self, ask: Ask) -> tuple[float, int]:
        """
        Take one token from every bucket or from none.

        :returns: seconds to wait, 0 when taken, and the position of what holds, counted as the script does
        """
        with self._lock:
            now_s = self._clock_s()
            waits = [(self._closed_s(brake.key, now_s), number) for number, brake in enumerate(ask.brakes, start=1)]
            factors = {brake.scope: self._factor(brake.key, now_s) for brake in ask.brakes}
            levels = [
                (self._level(bucket, factors.get(bucket.scope, 1.0), now_s), bucket, number)
                for number, bucket in enumerate(ask.buckets, start=len(ask.brakes) + 1)
            ]
            waits += [
                (max(0.0, 1.0 - level.tokens) / (bucket.rate_per_s * PART * factors.get(bucket.scope, 1.0)), number)
                for level, bucket, number in levels
            ]
            wait_s, position = max(waits, default=(0.0, 0))
            if wait_s > 0:
                return wait_s, position
            for level, _, _ in levels:
                level.tokens -= 1.0
            return 0.0, 0

    def learn(self, key: str, *, closed_s: float, factor: float, lasts_s: float) -> None:
        """Close or slow what a brake stands for."""
        with self._lock:
            now_s = self._clock_s()
            held = self._holds.setdefault(key, _Hold())
            held.closed_until_s = max(held.closed_until_s, now_s + closed_s if closed_s else 0.0)
            held.factor, held.slow_until_s = factor, now_s + lasts_s
            if len(self._holds) > MOST_KEYS:
                self._holds.pop(next(iter(self._holds)))

    def forget(self) -> None:
        """Start anew: Redis counts again."""
        with self._lock:
            self._levels.clear()
            self._holds.clear()

    def _closed_s(self, key: str, now_s: float) -> float:
        held = self._holds.get(key)
        return max(0.0, held.closed_until_s - now_s) if held else 0.0

    def _factor(self, key: str, now_s: float) -> float:
        held = self._holds.get(key)
        return held.factor if held and held.slow_until_s > now_s else 1.0

    def _level(self, bucket: Bucket, factor: float, now_s: float) -> _Level:
        burst = max(1.0, bucket.burst * PART)
        level = self._levels.setdefault(bucket.key, _Level(burst, now_s))
        self._levels.move_to_end(bucket.key)
        passed_s = max(0.0, now_s - level.at_s)
        level.tokens = min(burst, level.tokens + passed_s * bucket.rate_per_s * PART * factor)
        level.at_s = now_s
        if len(self._levels) > MOST_KEYS:
            self._levels.popitem(last=False)
        return level
