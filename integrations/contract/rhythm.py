"""
How often a link's webhooks come, and how long a silence must be to say something. Pure mathematics, no clock.

Time is measured in expected events: a rate for each hour of the week makes a clock that runs fast when much is
expected and stands almost still at night. Silence of three median gaps is a suspicion: the vendor is asked. Silence
that the link's own tail of gaps makes rarer than once in ten quarters is an alarm. `docs/decisions/0009` derives why
those are two.

Moments are Unix seconds, UTC; hours of the week start at Monday 0 h UTC. What counts is the active minute, a minute
with at least one event: a burst is one fact about the link's being alive, however many events it holds.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

from core.pace import scaled

HOURS = 168
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
WEEK_S = HOURS * HOUR_S
_MONDAY_H = 72
"""Unix time began on a Thursday."""

LEARN_S = 28 * DAY_S
QUARTER_S = 91 * DAY_S

FEWEST_EVENTS = 50
SHORTEST_S = 14 * DAY_S
"""Less than two weeks tell nothing of the week."""

SUSPECT_GAPS = 3.0
"""Median gaps of silence after which the vendor is asked."""

QUANTILE = 0.999
FALSE_PER_QUARTER = 0.1
"""Alarms without a cause that the tail of the gaps lets us expect; the promise is one, the tail is an estimate."""

LIKE_OTHERS = 2.0
"""Weeks of imagined evidence for "this hour is like the same hour of other days, this day like its other hours"."""

LEAST_SHARE = 0.02
"""Of the mean rate, for hours in which nothing ever came: the clock must not stand still for ever."""

HEAVIEST = 0.4
"""Bound of the tail's shape: an estimate from a dozen gaps must not postpone an alarm for weeks."""

MARGIN = 1.25
REST_OF_WEEK = 0.5
"""
After an alarm that was none (a holiday) the next of that quarter must be longer by the margin, and miss half a week's
events: a long weekend of two working days misses two fifths.
"""

SOONEST_S = scaled(300)
ASK_EVERY_S = scaled(900)
"""Nobody is asked before five minutes of silence, nor more than four times an hour: a question costs two calls."""


@dataclass(frozen=True)
class WeeklyClock:
    """A clock whose hand moves by the events expected; `per_hour` has 168 positive rates in events per hour."""

    per_hour: tuple[float, ...]

    @cached_property
    def _before(self) -> tuple[float, ...]:
        """Events expected from Monday to the start of each hour, and to the end of the week."""
        return tuple(accumulate(self.per_hour, initial=0.0))

    def reading(self, moment: float) -> float:
        """Return the events expected since the Monday before Unix time."""
        hours = moment / HOUR_S + _MONDAY_H
        weeks, in_week = divmod(hours, HOURS)
        hour = min(int(in_week), HOURS - 1)
        return weeks * self._before[-1] + self._before[hour] + (in_week - hour) * self.per_hour[hour]

    def between(self, start: float, end: float) -> float:
        """Return the events expected between two moments."""
        return self.reading(end) - self.reading(start)

    def after(self, start: float, expected: float) -> float:
        """Return the moment by which so many more events are expected; the inverse of `between`."""
        weeks, rest = divmod(self.reading(start) + expected, self._before[-1])
        hour = min(bisect_right(self._before, rest) - 1, HOURS - 1)
        hours = weeks * HOURS + hour + (rest - self._before[hour]) / self.per_hour[hour]
        return (hours - _MONDAY_H) * HOUR_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """
    A link's rhythm. `median` and `quantile` are gaps in expected events; `median_gap_s` is for people, in seconds.

    A silence of `quantile` is an alarm. `events` counts active minutes.
    """

    per_hour: tuple[float, ...]
    events: int
    median: float
    median_gap_s: float
    quantile: float

    @property
    def clock(self) -> WeeklyClock:
        """The clock of this rhythm."""
        return WeeklyClock(self.per_hour)

    def asks_at(self, last: float, *, asked: float | None = None) -> float:
        """
        Return when the vendor is asked, if nothing comes until then.

        :param last: the last event
        :param asked: when the vendor was asked last, in this silence or before it
        """
        if asked is not None and asked > last:
            return max(self.clock.after(asked, SUSPECT_GAPS * self.median), asked + ASK_EVERY_S)
        soonest = max(last + SOONEST_S, asked + ASK_EVERY_S if asked is not None else 0.0)
        return max(self.clock.after(last, SUSPECT_GAPS * self.median), soonest)

    def alarms_at(self, last: float, *, harmless: float = 0.0) -> float:
        """
        Return when silence alone is an alarm.

        :param harmless: the longest gap of the last quarter, in expected events, that was an alarm and turned out none
        """
        raised = max(harmless * MARGIN, REST_OF_WEEK * sum(self.per_hour)) if harmless else 0.0
        return self.clock.after(last, max(self.quantile, raised))


def learn(moments: Sequence[float], *, until: float) -> Learned | None:
    """
    Learn the rhythm of the 28 days before `until` from sorted moments; None when they are too few or too new.

    A gap is measured by a clock that was made without the gap's own week: a rhythm must not be judged by itself.
    """
    seen = [moment for moment in moments if until - LEARN_S <= moment < until]
    if len(seen) < FEWEST_EVENTS or until - seen[0] < SHORTEST_S:
        return None
    start = max(until - LEARN_S, seen[0])
    gaps = sorted(_gaps(seen, start=start, until=until))
    per_hour = _rates(_counts(seen, start=start, until=until))
    return Learned(
        per_hour=per_hour,
        events=len(seen),
        median=_quantile(gaps, 0.5),
        median_gap_s=_quantile(sorted(after - before for before, after in pairwise(seen)), 0.5),
        quantile=threshold(gaps, span_s=until - start),
    )


def threshold(gaps: Sequence[float], *, span_s: float) -> float:
    """
    Return the gap that is an alarm: above the 99.9 % quantile, and rarer than FALSE_PER_QUARTER in a quarter.

    The rarity is of the tail (peaks over a threshold): of the longest gaps, those over `base` are a generalized Pareto
    distribution, its scale and shape by the method of moments. For a memoryless rhythm it gives ln(n / rarity).

    :param gaps: sorted, at least `FEWEST_EVENTS` - 1, in expected events
    :param span_s: over which they were seen
    """
    count = min(max(10, len(gaps) // 20), 100)
    base, over = gaps[-count - 1], [gap - gaps[-count - 1] for gap in gaps[-count:]]
    mean = sum(over) / count
    spread = sum((gap - mean) ** 2 for gap in over) / (count - 1)
    shape = min(HEAVIEST, max(0.0, 0.5 * (1 - mean * mean / spread))) if spread > 0 else 0.0
    scale, rarity = mean * (1 - shape), count * (QUARTER_S / span_s) / FALSE_PER_QUARTER
    tail = scale * math.log(rarity) if shape < 0.01 else scale / shape * (rarity**shape - 1)  # noqa: PLR2004
    return max(_quantile(gaps, QUANTILE), base + tail)


def _gaps(seen: Sequence[float], *, start: float, until: float) -> Iterator[float]:
    """Measure each gap by the clock of the other weeks."""
    weeks = max(1, math.ceil((until - start) / WEEK_S))
    total = _counts(seen, start=start, until=until)
    clocks = []
    for week in range(weeks):
        from_, to = start + week * WEEK_S, min(until, start + (week + 1) * WEEK_S)
        own = _counts([moment for moment in seen if from_ <= moment < to], start=from_, until=to)
        clocks.append(WeeklyClock(_rates([(c - d, e - f) for (c, e), (d, f) in zip(total, own, strict=True)])))
    for before, after in pairwise(seen):
        yield clocks[min(weeks - 1, int((after - start) // WEEK_S))].between(before, after)


def _counts(seen: Sequence[float], *, start: float, until: float) -> list[tuple[float, float]]:
    """Return for each hour of the week its events and how many times (in hours) it was watched."""
    events, watched = [0.0] * HOURS, [0.0] * HOURS
    for moment in seen:
        events[_hour_of(moment)] += 1
    at = start
    while at < until:
        end = min(until, (at // HOUR_S + 1) * HOUR_S)
        watched[_hour_of(at)] += (end - at) / HOUR_S
        at = end
    return list(zip(events, watched, strict=True))


def _rates(counts: Sequence[tuple[float, float]]) -> tuple[float, ...]:
    """Estimate events per hour, drawn towards (hour of the day) x (day of the week) where evidence is thin."""
    mean = (sum(events for events, _ in counts) + 1) / (sum(watched for _, watched in counts) + 1)
    of_hour = [_profile([counts[day * 24 + hour] for day in range(7)], mean) for hour in range(24)]
    of_day = [_profile(counts[day * 24 : day * 24 + 24], mean) for day in range(7)]
    return tuple(
        max(
            LEAST_SHARE * mean,
            (events + LIKE_OTHERS * mean * of_hour[place % 24] * of_day[place // 24]) / (watched + LIKE_OTHERS),
        )
        for place, (events, watched) in enumerate(counts)
    )


def _profile(counts: Sequence[tuple[float, float]], mean: float) -> float:
    """How much busier than the mean a group of hours is."""
    return (sum(events for events, _ in counts) + 1) / (sum(watched for _, watched in counts) * mean + 1)


def _hour_of(moment: float) -> int:
    return int(moment // HOUR_S + _MONDAY_H) % HOURS


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that this share of the values does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
