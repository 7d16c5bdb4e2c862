"""The breaker's states, by tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dispatch.models import BreakerState
from integrations.outbound.breaker import (
    LONGEST_OPEN,
    OPEN_FOR,
    Breaker,
    Evidence,
    Passage,
    State,
    after_try,
    judged,
    judged_vendor,
    opened,
    passage,
    trying,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
OPEN = Breaker(state=State.OPEN, until=NOW + timedelta(seconds=30), reason="5 calls in a row failed", trips=1)
TRYING = Breaker(state=State.HALF_OPEN, until=NOW + timedelta(seconds=5), reason="5 calls in a row failed", trips=1)


@pytest.mark.parametrize(
    ("evidence", "state", "reason"),
    [
        (Evidence(in_a_row=4, calls=4, failures=4), "closed", ""),
        (Evidence(in_a_row=5, calls=5, failures=5), "open", "Five calls in a row failed."),
        (Evidence(in_a_row=5), "open", "Five calls in a row failed."),
        (Evidence(in_a_row=1, calls=19, failures=19), "closed", ""),
        (Evidence(in_a_row=1, calls=20, failures=10), "open", "At least half of the calls within a minute failed."),
        (Evidence(in_a_row=1, calls=20, failures=9), "closed", ""),
        (Evidence(in_a_row=1, calls=21, failures=10), "closed", ""),
        (Evidence(), "closed", ""),
    ],
)
def test_a_link_opens_by_count_and_by_share(evidence: Evidence, state: str, reason: str) -> None:
    after = judged(Breaker(), evidence, NOW)

    assert (after.state, after.reason) == (state, reason)
    assert after.until == (NOW + OPEN_FOR if state == "open" else None)


@pytest.mark.parametrize(
    ("evidence", "state"),
    [
        (Evidence(calls=20, failures=10, organizations=3), "open"),
        (Evidence(calls=200, failures=200, organizations=2), "closed"),
        (Evidence(calls=19, failures=19, organizations=9), "closed"),
        (Evidence(calls=100, failures=49, organizations=9), "closed"),
        (Evidence(in_a_row=50, calls=0), "closed"),
    ],
)
def test_a_vendor_opens_when_several_organizations_fail(evidence: Evidence, state: str) -> None:
    assert judged_vendor(Breaker(), evidence, NOW).state == state


@pytest.mark.parametrize("breaker", [OPEN, TRYING])
def test_what_is_not_closed_is_not_judged_again(breaker: Breaker) -> None:
    hopeless = Evidence(in_a_row=5, calls=100, failures=100, organizations=9)

    assert judged(breaker, hopeless, NOW) is breaker
    assert judged_vendor(breaker, hopeless, NOW) is breaker


@pytest.mark.parametrize(
    ("breaker", "after_s", "expected"),
    [
        (Breaker(), 0, Passage.FREE),
        (OPEN, 0, Passage.HELD),
        (OPEN, 29.999, Passage.HELD),
        (OPEN, 30, Passage.TRY),
        (TRYING, 0, Passage.HELD),
        (TRYING, 5, Passage.TRY),
        (Breaker(state=State.OPEN), 0, Passage.TRY),
    ],
)
def test_calls_pass_by_the_state_and_the_clock(breaker: Breaker, after_s: float, expected: Passage) -> None:
    assert passage(breaker, NOW + timedelta(seconds=after_s)) is expected


@pytest.mark.parametrize(
    ("trips", "minutes"), [(0, 1), (1, 2), (2, 4), (3, 8), (4, 10), (5, 10), (32_000, 10)]
)  # fmt: skip
def test_each_trip_opens_for_twice_as_long(trips: int, minutes: int) -> None:
    after = opened(Breaker(trips=trips), NOW, reason="x")

    assert after.until == NOW + min(OPEN_FOR * minutes, LONGEST_OPEN)
    assert after.trips == trips + 1


def test_a_try_that_succeeds_closes_and_forgets() -> None:
    assert after_try(TRYING, NOW, is_good=True) == Breaker()


def test_a_try_that_fails_opens_for_longer_with_the_same_reason() -> None:
    after = after_try(TRYING, NOW, is_good=False)

    assert (after.state, after.trips, after.reason) == (State.OPEN, 2, "5 calls in a row failed")
    assert after.until == NOW + 2 * OPEN_FOR


def test_a_try_has_its_time() -> None:
    claim = trying(OPEN, NOW, at_most=timedelta(seconds=21))

    assert (claim.state, claim.until, claim.trips) == (State.HALF_OPEN, NOW + timedelta(seconds=21), 1)


def test_the_states_are_those_of_the_tables() -> None:
    assert {str(state) for state in State} == set(BreakerState.values)
