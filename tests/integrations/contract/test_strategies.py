"""What each class of error makes happen, class by class."""

from __future__ import annotations

import inspect

import pytest

from integrations.contract import (
    AuthenticationFailed,
    Misconfigured,
    NotFound,
    PermissionMissing,
    ProviderError,
    ProviderOutage,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    Scope,
    SignatureRefused,
    Unavailable,
    UnexpectedResponse,
    errors,
)
from integrations.contract.strategies import (
    CRASHED,
    HOUR_S,
    STRATEGIES,
    UNCONFIRMED,
    Holds,
    Told,
    holds_integration,
    next_wait_s,
    strategy_of,
    wait_s,
)

DRAWS = 200
"""Enough for the whole width of a jitter to be seen, with a chance of failing below 1 in 10^8."""


def draws(error: ProviderError, tries: int) -> list[float]:
    """Waits that came out of many draws."""
    found = [next_wait_s(error, tries=tries) for _ in range(DRAWS)]
    return [wait for wait in found if wait is not None]


class TestTable:
    def test_every_class_has_its_own_line(self) -> None:
        raised = {
            kind
            for _name, kind in inspect.getmembers(errors, inspect.isclass)
            if issubclass(kind, ProviderError) and kind.__module__ == errors.__name__
        }

        assert set(STRATEGIES) == raised

    @pytest.mark.parametrize(
        ("kind", "tries", "tells", "holds", "confirm"),
        [
            (RateLimited, 3, Told.NOBODY, Holds.INTEGRATION, False),
            (Unavailable, 5, Told.NOBODY, Holds.ENTRY, False),
            (ProviderOutage, 5, Told.NOBODY, Holds.UNTIL_INCIDENT_ENDS, False),
            (AuthenticationFailed, 1, Told.OWNER, Holds.ENTRY, True),
            (PermissionMissing, 1, Told.OWNER, Holds.ENTRY, False),
            (QuotaExhausted, 1, Told.OWNER, Holds.ENTRY, False),
            (Misconfigured, 1, Told.OWNER, Holds.ENTRY, False),
            (RequestRejected, 1, Told.CALLER, Holds.ENTRY, False),
            (NotFound, 1, Told.CALLER, Holds.ENTRY, False),
            (SignatureRefused, 1, Told.CALLER, Holds.ENTRY, False),
            (UnexpectedResponse, 1, Told.US, Holds.ENTRY, False),
            (ProviderError, 1, Told.CALLER, Holds.ENTRY, False),
        ],
    )
    def test_says_what_the_class_makes_happen(
        self, kind: type[ProviderError], tries: int, tells: Told, holds: Holds, confirm: bool
    ) -> None:
        found = strategy_of(kind("why"))

        assert (found.tries, found.tells, found.holds, found.confirm) == (tries, tells, holds, confirm)

    @pytest.mark.parametrize("kind", list(STRATEGIES))
    def test_tries_again_what_its_class_calls_retryable_and_nothing_else(self, kind: type[ProviderError]) -> None:
        assert (STRATEGIES[kind].tries > 1) == kind.retryable

    def test_a_subclass_has_its_parents_strategy(self) -> None:
        class TableFull(QuotaExhausted):
            """A vendor's own."""

        assert strategy_of(TableFull) is STRATEGIES[QuotaExhausted]


class TestWait:
    @pytest.mark.parametrize(("tries", "longest_s"), [(1, 5), (2, 10), (3, 20), (4, 40)])
    def test_of_a_passing_failure_is_drawn_below_a_doubling_back_off(self, tries: int, longest_s: float) -> None:
        found = draws(Unavailable(), tries)

        assert 1.0 <= min(found) < 0.4 * longest_s
        assert 0.8 * longest_s < max(found) <= longest_s

    def test_ends_after_the_last_try(self) -> None:
        assert next_wait_s(Unavailable(), tries=5) is None
        assert next_wait_s(RateLimited(), tries=3) is None
        assert next_wait_s(NotFound(), tries=1) is None

    def test_of_a_limit_without_a_time_is_a_minute_and_a_little(self) -> None:
        found = draws(RateLimited(), 1) + draws(RateLimited(), 2)

        assert 60 <= min(found) < 62
        assert 64 < max(found) <= 66

    @pytest.mark.parametrize("kind", [RateLimited, Unavailable, ProviderOutage])
    def test_is_what_the_vendor_asked_and_never_less(self, kind: type[ProviderError]) -> None:
        found = draws(kind(retry_after_s=77.0), 1)

        assert min(found) >= 77
        assert max(found) <= 84.7

    def test_grows_as_the_vendor_says(self) -> None:
        found = draws(RateLimited(retry_after_s=4.0, wait_factor=4.0), 2)

        assert min(found) >= 16
        assert max(found) <= 17.6

    def test_never_exceeds_an_hour(self) -> None:
        assert draws(RateLimited(retry_after_s=99_999.0), 1) == [HOUR_S] * DRAWS
        assert max(wait_s(CRASHED, tries=9) for _ in range(DRAWS)) <= 1280
        assert max(wait_s(CRASHED, tries=30) for _ in range(DRAWS)) <= HOUR_S

    def test_of_a_vendor_that_says_now_is_a_second(self) -> None:
        assert min(draws(RateLimited(retry_after_s=0.0), 1)) >= 1.0

    def test_of_an_unconfirmed_refusal_is_short(self) -> None:
        assert UNCONFIRMED.tries == 2
        assert max(wait_s(UNCONFIRMED) for _ in range(DRAWS)) <= 5.0


class TestHolds:
    @pytest.mark.parametrize(
        ("error", "is_held"),
        [
            (RateLimited(), True),
            (RateLimited(scope=Scope.ACCOUNT), True),
            (RateLimited(scope=Scope.APP), True),
            (RateLimited(scope=Scope.PORTFOLIO), True),
            (RateLimited(scope=Scope.RECIPIENT), False),
            (Unavailable(), False),
            (AuthenticationFailed(), False),
        ],
    )
    def test_a_limit_holds_the_integration_unless_it_is_of_one_recipient(
        self, error: ProviderError, is_held: bool
    ) -> None:
        assert holds_integration(error) is is_held
