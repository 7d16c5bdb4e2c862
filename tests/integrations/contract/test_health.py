"""The table of a link's health: what each row of checks leads to, and when the next check comes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.pace import scaled
from integrations.contract import (
    Account,
    AuthenticationFailed,
    CheckResult,
    Misconfigured,
    PermissionMissing,
    ProviderError,
    ProviderOutage,
    QuotaExhausted,
    RateLimited,
    Unavailable,
    UnexpectedResponse,
)
from integrations.contract.health import MOST_COUNTED, Finding, Health, Standing, after, finding_of, pace_s

GOOD, LIMITED, PASSING, REFUSED = Finding.GOOD, Finding.LIMITED, Finding.PASSING, Finding.REFUSED

CHECKED = CheckResult(account=Account(external_id="mer_1", label="Shop"), account_keys=(), verdicts=())


def walk(start: str, *findings: Finding) -> list[str]:
    """The health after each finding."""
    standing, seen = Standing(health=Health(start)), []
    for finding in findings:
        standing = after(standing, finding)
        seen.append(str(standing.health))
    return seen


class TestAfter:
    @pytest.mark.parametrize(
        ("start", "findings", "expected"),
        [
            ("unverified", [GOOD], ["healthy"]),
            ("unverified", [PASSING], ["degraded"]),
            ("unverified", [REFUSED], ["failing"]),
            ("healthy", [GOOD, GOOD], ["healthy", "healthy"]),
            ("healthy", [PASSING, PASSING, PASSING], ["degraded", "degraded", "failing"]),
            ("healthy", [PASSING, GOOD], ["degraded", "healthy"]),
            ("healthy", [PASSING, PASSING, GOOD, PASSING], ["degraded", "degraded", "healthy", "degraded"]),
            ("healthy", [REFUSED, GOOD, GOOD], ["failing", "degraded", "healthy"]),
            ("failing", [PASSING], ["failing"]),
            ("failing", [GOOD, PASSING, GOOD], ["degraded", "degraded", "healthy"]),
            ("failing", [GOOD, REFUSED, GOOD, GOOD], ["degraded", "failing", "degraded", "healthy"]),
            ("healthy", [LIMITED, LIMITED, GOOD], ["degraded", "degraded", "healthy"]),
            ("failing", [LIMITED, GOOD], ["degraded", "healthy"]),
            ("degraded", [PASSING, PASSING, PASSING], ["degraded", "degraded", "failing"]),
        ],
    )
    def test_moves_as_the_table_says(self, start: str, findings: list[Finding], expected: list[str]) -> None:
        assert walk(start, *findings) == expected

    def test_a_vendor_that_fails_every_other_call_never_says_failing(self) -> None:
        assert set(walk("healthy", *[PASSING, GOOD] * 50)) == {"degraded", "healthy"}

    def test_a_healthy_link_begins_to_count_anew(self) -> None:
        reconnected = Standing(health=Health.HEALTHY, bad=7)

        assert after(reconnected, PASSING) == Standing(health=Health.DEGRADED, bad=1)

    def test_counters_have_an_end(self) -> None:
        assert after(Standing(health=Health.FAILING, bad=MOST_COUNTED), PASSING).bad == MOST_COUNTED


class TestFindingOf:
    @pytest.mark.parametrize(
        ("outcome", "expected"),
        [
            (CHECKED, GOOD),
            (CHECKED.account, GOOD),
            (replace(CHECKED, degraded="The number is limited."), LIMITED),
            (Unavailable(), PASSING),
            (ProviderOutage(), PASSING),
            (RateLimited(), PASSING),
            (UnexpectedResponse(), PASSING),
            (AuthenticationFailed(), REFUSED),
            (PermissionMissing(), REFUSED),
            (QuotaExhausted(), REFUSED),
            (Misconfigured(), REFUSED),
        ],
    )
    def test_tells_what_may_pass_from_what_does_not(
        self, outcome: CheckResult | Account | ProviderError, expected: Finding
    ) -> None:
        assert finding_of(outcome) is expected


class TestPace:
    @pytest.mark.parametrize(
        ("standing", "expected_s"),
        [
            (Standing(health=Health.HEALTHY, good=5), 900),
            (Standing(health=Health.HEALTHY, bad=7), 900),
            (Standing(health=Health.DEGRADED, bad=1), 60),
            (Standing(health=Health.DEGRADED, bad=2), 120),
            (Standing(health=Health.FAILING, bad=3), 240),
            (Standing(health=Health.FAILING, bad=4), 480),
            (Standing(health=Health.FAILING, bad=5), 900),
            (Standing(health=Health.FAILING, bad=MOST_COUNTED), 900),
            (Standing(health=Health.DEGRADED, good=1), 60),
            (Standing(health=Health.DEGRADED, good=2), 900),
        ],
    )
    def test_looks_soon_at_first_then_at_the_usual_pace(self, standing: Standing, expected_s: float) -> None:
        assert pace_s(standing, period_s=900, status="active") == scaled(expected_s)

    def test_a_refused_credential_is_looked_at_a_quarter_as_often(self) -> None:
        assert pace_s(Standing(health=Health.FAILING, bad=1), period_s=900, status="needs_reauth") == scaled(3600)

    @pytest.mark.parametrize(
        ("status", "is_free"),
        [("disabled", True), ("disconnected", True), ("active", False), ("needs_reauth", False)],
    )
    def test_the_clock_leaves_alone_what_is_off_or_costs_money(self, status: str, is_free: bool) -> None:
        assert pace_s(Standing(), period_s=900, status=status, is_free=is_free) is None


def test_what_a_refused_call_made_fail_begins_to_count_anew() -> None:
    standing = after(Standing(health=Health.FAILING, good=7), Finding.GOOD)

    assert (standing.health, standing.good) == (Health.DEGRADED, 1)


class TestAPersonLooks:
    def test_one_good_check_is_enough_for_who_mended_it(self) -> None:
        failing = Standing(health=Health.FAILING, bad=7)

        assert after(failing, Finding.GOOD, is_sure=True).health is Health.HEALTHY
        assert after(failing, Finding.LIMITED, is_sure=True).health is Health.DEGRADED

    def test_a_bad_one_mends_nothing(self) -> None:
        failing = Standing(health=Health.FAILING, bad=1)

        assert after(failing, Finding.PASSING, is_sure=True).health is Health.FAILING
