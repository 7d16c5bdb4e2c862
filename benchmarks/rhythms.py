"""Rhythms of webhooks, made up: moments of events in Unix seconds over some days, from a seed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

DAY_S = 86_400.0
START = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
"""A Monday."""

HOLIDAYS = frozenset({36, 70, 71, 98, 126})
"""Days after the start on which offices are closed: single ones, and one that makes a long weekend."""

Make = Callable[[random.Random, int], list[float]]


def steady(rng: random.Random, days: int) -> list[float]:
    """Come by chance, six an hour, day and night: the memoryless rhythm."""
    return list(_thinned(rng, days, peak=6.0, shape=lambda day, hour: 1.0))


def quiet(rng: random.Random, days: int) -> list[float]:
    """Come by chance, three a day."""
    return list(_thinned(rng, days, peak=0.125, shape=lambda day, hour: 1.0))


def busy(rng: random.Random, days: int) -> list[float]:
    """Come by chance, one every twenty seconds by day and a tenth of it at night."""
    return list(_thinned(rng, days, peak=180.0, shape=lambda day, hour: 1.0 if 7 <= hour < 23 else 0.1))


def business_hours(rng: random.Random, days: int) -> list[float]:
    """Come on working days from nine to six, fifteen an hour, fewer at noon; almost nothing else."""
    return list(_thinned(rng, days, peak=15.0, shape=_office))


def with_holidays(rng: random.Random, days: int) -> list[float]:
    """Come as in business hours, and on a holiday as on a Sunday."""
    return list(_thinned(rng, days, peak=15.0, shape=lambda day, hour: _office(6 if day in HOLIDAYS else day, hour)))


def bursty(rng: random.Random, days: int) -> list[float]:
    """Come in bursts of eight events on average, a minute apart; two bursts an hour by day, fewer at night."""
    moments = []
    for start in _thinned(rng, days, peak=2.0, shape=lambda day, hour: 1.0 if 8 <= hour < 22 else 0.15):
        at = start
        while True:
            moments.append(at)
            if rng.random() < 1 / 8:
                break
            at += rng.expovariate(1 / 60)
    return sorted(moments)


def nightly_batch(rng: random.Random, days: int) -> list[float]:
    """Come once a night about two o'clock, two hundred within ten minutes."""
    moments = []
    for day in range(days):
        begin = START + day * DAY_S + 2 * 3600 + rng.gauss(0, 600)
        moments += [begin + rng.uniform(0, 600) for _ in range(200)]
    return sorted(moments)


def weekly(rng: random.Random, days: int) -> list[float]:
    """Come on Mondays from ten to noon, three hundred, and one or two on other days."""

    def shape(day: int, hour: float) -> float:
        return 1.0 if day % 7 == 0 and 10 <= hour < 12 else 0.0004

    return list(_thinned(rng, days, peak=150.0, shape=shape))


def regular(rng: random.Random, days: int) -> list[float]:
    """Come every ten minutes, give or take one."""
    return [START + at * 600 + rng.uniform(-60, 60) for at in range(1, int(days * 144))]


RHYTHMS: dict[str, Make] = {
    "regular, every 10 min": regular,
    "steady, 6 an hour": steady,
    "quiet, 3 a day": quiet,
    "busy, 3 a minute": busy,
    "business hours": business_hours,
    "business hours, holidays": with_holidays,
    "bursty": bursty,
    "nightly batch": nightly_batch,
    "weekly": weekly,
}


def active_minutes(moments: Sequence[float]) -> list[float]:
    """Keep the first event of each minute, as the product does."""
    kept: list[float] = []
    for moment in moments:
        if not kept or moment // 60 > kept[-1] // 60:
            kept.append(moment)
    return kept


def _office(day: int, hour: float) -> float:
    if day % 7 > 4 or not 9 <= hour < 18:
        return 0.004
    return 0.5 if 12 <= hour < 13 else 1.0


def _thinned(rng: random.Random, days: int, *, peak: float, shape: Callable[[int, float], float]) -> Iterator[float]:
    """Yield a Poisson process whose rate per hour is `peak` x `shape(day, hour of the day)`."""
    at = 0.0
    while (at := at + rng.expovariate(peak / 3600)) < days * DAY_S:
        day = math.floor(at / DAY_S)
        if rng.random() < shape(day, (at - day * DAY_S) / 3600):
            yield START + at
