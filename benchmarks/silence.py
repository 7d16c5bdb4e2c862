"""
Replay made-up rhythms for a quarter and count what the silence alarm says: false alarms, questions, delays.

The same mathematics as the product's (`integrations/contract/rhythm.py`): 28 days to learn, learned anew each day, a
sweep each minute. An outage begins at a random moment; it is seen when the vendor, asked, says so, or when silence
alone is an alarm. Nothing runs but this process.
"""

from __future__ import annotations

import os
import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import mean, median

from benchmarks.report import Bar, Outcome, Table
from benchmarks.rhythms import DAY_S, RHYTHMS, START, Make, active_minutes
from integrations.contract.rhythm import ASK_EVERY_S, LEARN_S, QUARTER_S, SUSPECT_GAPS, Learned, learn

LINKS = 20 if os.environ.get("LONG") else 3
OUTAGES = 40
"""Per link; an outage changes nothing for the next."""

TRAINING_DAYS, QUARTER_DAYS = round(LEARN_S / DAY_S), round(QUARTER_S / DAY_S)
SWEEP_S = 60.0


@dataclass(slots=True, kw_only=True)
class Replay:
    """What one link's quarter gave; delays by median gaps and by seconds; `late_s` is after three median gaps."""

    false_alarms: int = 0
    asked: int = 0
    ratios: list[float] = field(default_factory=list)
    asked_gaps: list[float] = field(default_factory=list)
    asked_s: list[float] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    alone_gaps: list[float] = field(default_factory=list)
    alone_s: list[float] = field(default_factory=list)

    @property
    def is_in_time(self) -> bool:
        """Whether 95 of 100 outages are seen when three median gaps passed, or one pause between questions later."""
        late = [late_s for late_s in self.late_s if late_s > ASK_EVERY_S + SWEEP_S]
        return len(late) <= 0.05 * len(self.late_s)


def measure() -> Outcome:
    """Replay every rhythm for some links."""
    columns = ("rhythm", "false alarms: all", "worst link", "alarm, median gaps", "questions a day",
               "asked: seen after, median gaps", "p95", "minutes", "silence alone: hours")  # fmt: skip
    table = Table(title=f"A quarter of {LINKS} links each, {OUTAGES} outages per link", columns=columns, rows=[])
    outcome = Outcome(tables=[table], notes=NOTES)
    worst, in_time = 0, True
    for name, make in RHYTHMS.items():
        replays = [replay(make, seed=seed) for seed in range(LINKS)]
        table.rows.append([name, *_row(replays)])
        worst = max(worst, *(one.false_alarms for one in replays))
        in_time = in_time and all(one.is_in_time for one in replays)
        outcome.figures[name] = _figures(replays)
    outcome.bars = [
        Bar(name="false alarms per link and quarter", wanted="at most 1", measured=f"{worst} at the worst link",
            is_met=worst <= 1),
        Bar(name="outage seen by asking the vendor", wanted=f"3 median gaps + {ASK_EVERY_S / 60:.0f} min, 95 of 100",
            measured="every link" if in_time else "not every link", is_met=in_time),
    ]  # fmt: skip
    return outcome


def replay(make: Make, *, seed: int, learn_every: int = 1) -> Replay:
    """Let one link live through its quarter; `learn_every` counts days."""
    rng = random.Random(seed)
    events = active_minutes(make(rng, TRAINING_DAYS + QUARTER_DAYS))
    seen, asked, harmless = Replay(), None, 0.0
    for first, last, learned in _days(events, learn_every):
        asked, harmless = _live(seen, events[max(0, first - 1) : last], learned, asked=asked, harmless=harmless)
        seen.ratios.append(learned.quantile / learned.median)
        day_s = learn_every * DAY_S
        if rng.random() < OUTAGES * learn_every / QUARTER_DAYS and first:
            begin = events[first - 1] + rng.uniform(0, day_s)
            _break(seen, events[bisect_right(events, begin) - 1], begin, learned)
    return seen


def _days(events: Sequence[float], learn_every: int) -> Iterator[tuple[int, int, Learned]]:
    """Yield for each day the places of its events and what was known when it began."""
    learned: Learned | None = None
    for day in range(TRAINING_DAYS, TRAINING_DAYS + QUARTER_DAYS, learn_every):
        now = START + day * DAY_S
        first, last = bisect_left(events, now), bisect_left(events, now + learn_every * DAY_S)
        learned = learn(events[bisect_left(events, now - LEARN_S) : first], until=now) or learned
        if learned is not None:
            yield first, last, learned


def _live(
    seen: Replay, events: Sequence[float], learned: Learned, *, asked: float | None, harmless: float
) -> tuple[float | None, float]:
    """Go from event to event: ask where silence asks for it, sound where it is an alarm; nothing is wrong here."""
    for before, after in pairwise(events):
        while (ask := learned.asks_at(before, asked=asked) + SWEEP_S / 2) < after:
            asked, seen.asked = ask, seen.asked + 1
        if learned.alarms_at(before, harmless=harmless) < after:
            seen.false_alarms += 1
            harmless = learned.clock.between(before, after)
    return asked, harmless


def _break(seen: Replay, last: float, begin: float, learned: Learned) -> None:
    """Let the webhook be lost at a moment and see when that is known."""
    ask: float | None = None
    while ask is None or ask < begin:
        ask = learned.asks_at(last, asked=ask) + SWEEP_S / 2
    alarm = max(begin, learned.alarms_at(last)) + SWEEP_S / 2
    seen.late_s.append(ask - learned.clock.after(begin, SUSPECT_GAPS * learned.median))
    for gaps, seconds, moment in ((seen.asked_gaps, seen.asked_s, ask), (seen.alone_gaps, seen.alone_s, alarm)):
        gaps.append(learned.clock.between(begin, moment) / learned.median)
        seconds.append(moment - begin)


def _row(replays: Sequence[Replay]) -> list[str]:
    figures = _figures(replays)
    return [
        f"{figures['false_alarms']:.0f}", f"{figures['worst']:.0f}", f"{figures['alarm_gaps']:.1f}",
        f"{figures['questions_a_day']:.1f}", f"{figures['asked_gaps']:.1f}", f"{figures['asked_gaps_p95']:.1f}",
        f"{figures['asked_min']:.0f}", f"{figures['alone_h']:.1f}",
    ]  # fmt: skip


def _figures(replays: Sequence[Replay]) -> dict[str, float]:
    gaps = sorted(value for one in replays for value in one.asked_gaps)
    return {
        "false_alarms": sum(one.false_alarms for one in replays),
        "worst": max(one.false_alarms for one in replays),
        "alarm_gaps": median(value for one in replays for value in one.ratios),
        "questions_a_day": mean(one.asked for one in replays) / QUARTER_DAYS,
        "asked_gaps": median(gaps),
        "asked_gaps_p95": gaps[int(0.95 * len(gaps))],
        "asked_min": median(value for one in replays for value in one.asked_s) / 60,
        "alone_h": median(value for one in replays for value in one.alone_s) / 3600,
    }


NOTES = [
    "A false alarm is one that is told to people while nothing is wrong. Questions go to the vendor and are told to",
    "nobody unless its answer shows something missing. 'asked' holds where the vendor can be asked (its webhook can",
    "be inspected or its events listed); 'silence alone' is for those that cannot, and decision note 0009 says why",
    "no rule can make it three median gaps for a memoryless rhythm.",
]
