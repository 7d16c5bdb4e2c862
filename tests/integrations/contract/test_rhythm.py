"""Silence is measured in expected events: a quiet night says nothing, a quiet morning does."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime

import pytest

from benchmarks.rhythms import DAY_S, RHYTHMS, START, active_minutes
from benchmarks.silence import replay
from integrations.contract.rhythm import (
    ASK_EVERY_S,
    FEWEST_EVENTS,
    HOURS,
    LEARN_S,
    MARGIN,
    REST_OF_WEEK,
    SOONEST_S,
    SUSPECT_GAPS,
    Learned,
    WeeklyClock,
    learn,
    threshold,
)

HOUR_S = 3600.0
MONDAY = datetime(2026, 11, 23, tzinfo=UTC).timestamp()
UNTIL = START + LEARN_S


def rates(**by_hour: float) -> tuple[float, ...]:
    """A week of one event an hour, with other rates at named hours: h0 is Monday 0 h."""
    return tuple(by_hour.get(f"h{hour}", 1.0) for hour in range(HOURS))


def moments(name: str, *, seed: int = 1) -> list[float]:
    """Four weeks of a made-up rhythm."""
    return active_minutes(RHYTHMS[name](random.Random(seed), 28))


def learned(name: str, *, seed: int = 1) -> Learned:
    """What four weeks of a made-up rhythm teach."""
    found = learn(moments(name, seed=seed), until=UNTIL)
    assert found is not None
    return found


class TestWeeklyClock:
    @pytest.mark.parametrize(
        ("start_h", "end_h", "expected"),
        [(0, 1, 5.0), (0.5, 1.5, 3.0), (1, 3, 2.0), (-1, 0, 1.0), (167, 169, 6.0), (0, 168, 172.0), (0.25, 0.75, 2.5)],
    )
    def test_counts_expected_events(self, start_h: float, end_h: float, expected: float) -> None:
        clock = WeeklyClock(rates(h0=5.0))

        assert clock.between(MONDAY + start_h * HOUR_S, MONDAY + end_h * HOUR_S) == pytest.approx(expected)

    def test_after_undoes_between(self) -> None:
        rng = random.Random(7)
        clock = WeeklyClock(tuple(rng.choice([0.01, 0.5, 3.0, 200.0]) for _ in range(HOURS)))

        for _ in range(500):
            start, length = MONDAY + rng.uniform(0, 5e6), rng.uniform(1, 3e6)
            expected = clock.between(start, start + length)
            assert clock.between(start, clock.after(start, expected)) == pytest.approx(expected, rel=1e-6, abs=1e-6)
            assert clock.after(start, expected) == pytest.approx(start + length, abs=60.0)


class TestLearn:
    @pytest.mark.parametrize(("events", "knows"), [(FEWEST_EVENTS - 1, False), (FEWEST_EVENTS, True)])
    def test_wants_fifty_events(self, events: int, knows: bool) -> None:
        step = LEARN_S / events

        assert (learn([UNTIL - LEARN_S + at * step for at in range(events)], until=UNTIL) is not None) is knows

    def test_wants_two_weeks(self) -> None:
        many = [UNTIL - 13 * DAY_S + at * 600 for at in range(1800)]

        assert learn(many, until=UNTIL) is None

    def test_forgets_what_is_older_than_four_weeks(self) -> None:
        old = [UNTIL - LEARN_S - at * 600 for at in range(2000, 0, -1)]

        assert learn(old, until=UNTIL) is None

    def test_finds_the_rate_of_each_hour(self) -> None:
        found = learned("business hours")

        tuesday_ten, tuesday_three, sunday_ten = 24 + 10, 24 + 3, 6 * 24 + 10
        assert found.per_hour[tuesday_ten] == pytest.approx(13.5, rel=0.3)
        assert found.per_hour[tuesday_three] < 0.2
        assert found.per_hour[sunday_ten] < 0.3
        assert min(found.per_hour) > 0

    def test_a_memoryless_rhythm_gives_the_memoryless_gaps(self) -> None:
        found = learned("steady, 6 an hour")

        assert found.median == pytest.approx(math.log(2), rel=0.1)
        assert found.quantile == pytest.approx(math.log(found.events * 3.25 / 0.1), rel=0.25)

    def test_a_quiet_night_is_no_silence(self) -> None:
        found = learned("business hours")
        evening = MONDAY + 17.9 * HOUR_S

        assert found.asks_at(evening) > MONDAY + DAY_S
        assert found.alarms_at(evening) > MONDAY + DAY_S + 9 * HOUR_S

    def test_a_quiet_morning_is(self) -> None:
        found = learned("business hours")
        morning = MONDAY + 9.5 * HOUR_S

        assert found.asks_at(morning) < morning + 0.5 * HOUR_S
        assert found.alarms_at(morning) < MONDAY + 18 * HOUR_S


class TestThreshold:
    def test_is_never_under_the_quantile(self) -> None:
        rng = random.Random(3)
        for _ in range(50):
            gaps = sorted(rng.paretovariate(rng.uniform(1.2, 4)) for _ in range(rng.randrange(60, 3000)))
            assert threshold(gaps, span_s=LEARN_S) >= gaps[math.ceil(0.999 * len(gaps)) - 1]

    def test_equal_gaps_give_that_gap(self) -> None:
        assert threshold([1.0] * 500, span_s=LEARN_S) == 1.0

    def test_grows_with_the_gaps_seen(self) -> None:
        rng = random.Random(5)
        few = sorted(rng.expovariate(1) for _ in range(100))
        many = sorted(rng.expovariate(1) for _ in range(10_000))

        assert threshold(few, span_s=LEARN_S) < threshold(many, span_s=LEARN_S)


class TestMoments:
    RHYTHM = Learned(per_hour=(60.0,) * HOURS, events=1000, median=1.0, median_gap_s=60.0, quantile=20.0)
    """One a minute."""

    def test_asks_after_three_gaps_but_not_before_five_minutes(self) -> None:
        slow = Learned(per_hour=(1.0,) * HOURS, events=1000, median=1.0, median_gap_s=3600.0, quantile=20.0)

        assert self.RHYTHM.asks_at(MONDAY) == pytest.approx(MONDAY + SOONEST_S)
        assert slow.asks_at(MONDAY) == pytest.approx(MONDAY + SUSPECT_GAPS * HOUR_S)

    def test_asks_again_after_a_pause(self) -> None:
        asked = MONDAY + SOONEST_S

        assert self.RHYTHM.asks_at(MONDAY, asked=asked) == pytest.approx(asked + ASK_EVERY_S)
        assert self.RHYTHM.asks_at(asked + 1, asked=asked) == pytest.approx(asked + ASK_EVERY_S)

    def test_an_alarm_that_was_none_raises_the_next(self) -> None:
        assert self.RHYTHM.alarms_at(MONDAY) == pytest.approx(MONDAY + 20 * 60)
        assert self.RHYTHM.alarms_at(MONDAY, harmless=25.0) == pytest.approx(MONDAY + REST_OF_WEEK * 7 * DAY_S)
        assert self.RHYTHM.alarms_at(MONDAY, harmless=20_000.0) == pytest.approx(MONDAY + MARGIN * 20_000 * 60)


class TestReplayedQuarter:
    @pytest.mark.parametrize("name", ["steady, 6 an hour", "business hours, holidays", "bursty", "nightly batch",
                                      "weekly", "regular, every 10 min"])  # fmt: skip
    def test_sounds_at_most_one_false_alarm_and_sees_outages_in_time(self, name: str) -> None:
        seen = replay(RHYTHMS[name], seed=11, learn_every=7)

        assert seen.false_alarms <= 1
        assert seen.late_s
        assert seen.is_in_time
