"""Breakers of links and vendors in the database, with Parcelbox's real server failing underneath."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.models import AuditEntry
from audit.services import Actor
from core import clock
from core.ids import new_id
from dispatch import outbox
from dispatch.models import BreakerState, Link, OutboxEntry, Vendor
from integrations.contract import CallReport, RateLimited, RequestRejected, Unavailable
from integrations.models import Integration
from integrations.outbound.breaker import BREAKER_OPEN, IN_A_ROW, LONGEST_OPEN, OPEN_FOR, VENDOR_TEXT, WINDOW
from integrations.outbound.gate import HELD_BACK
from integrations.services import breakers
from integrations.services.credentials import Purpose, open_for
from integrations.services.entries import hold_link
from integrations.services.providers import instance, provider_for
from integrations.tasks import sweep_breakers
from meter.models import Call, UsageRecord
from tenants.context import in_organization, in_public_schema
from tests.fictitious.conftest import Shop
from tests.fictitious.vendor import Parcelbox

pytestmark = pytest.mark.django_db

CHARGES = "/v1/charges"
_STATEMENTS = {"SELECT", "INSERT", "UPDATE", "DELETE"}
CHECKS = "/v1/introspections"


def charge(shop: Shop) -> Any:
    """Call the vendor as the work of a worker does, with an instance of its own."""
    provider: Any = provider_for(shop.integration, Purpose.CALL)
    return provider.create_charge(amount_minor=500, currency="BRL", payer="Ana", reference="a1")


def fail(shop: Shop, times: int) -> None:
    """Let so many calls reach the vendor and fail."""
    for _ in range(times):
        with pytest.raises(Unavailable) as caught:
            charge(shop)
        assert caught.value.reason != BREAKER_OPEN


def held(shop: Shop) -> Unavailable:
    """Expect the next call to be held back."""
    with pytest.raises(Unavailable) as caught:
        charge(shop)
    assert caught.value.reason == BREAKER_OPEN
    return caught.value


def link_of(shop: Shop) -> Link:
    return Link.objects.get(pk=shop.integration.pk)


@pytest.fixture
def broken(vendor: Parcelbox) -> Parcelbox:
    """The vendor, whose charges fail."""
    vendor.failing[CHARGES] = "error__html_502"
    return vendor


class TestOpening:
    def test_five_failures_in_a_row_hold_the_next_call_back(self, inside_shop: Shop, broken: Parcelbox) -> None:
        fail(inside_shop, IN_A_ROW)
        reached = broken.count(CHARGES)

        error = held(inside_shop)

        link = link_of(inside_shop)
        assert broken.count(CHARGES) == reached == IN_A_ROW
        assert (link.breaker, link.breaker_trips) == (BreakerState.OPEN, 1)
        assert link.breaker_reason == "Five calls in a row failed."
        assert 0 < (error.retry_after_s or 0) <= OPEN_FOR.total_seconds()
        assert (link.failing_class, Call.objects.filter(error_class="Unavailable").count()) == ("Unavailable", 5)

    def test_a_success_between_failures_starts_the_count_anew(self, inside_shop: Shop, broken: Parcelbox) -> None:
        fail(inside_shop, IN_A_ROW - 1)
        broken.failing.clear()
        charge(inside_shop)
        broken.failing[CHARGES] = "error__html_502"

        fail(inside_shop, IN_A_ROW - 1)

        assert link_of(inside_shop).breaker == BreakerState.CLOSED

    def test_half_of_twenty_calls_within_a_minute_open_it(self, inside_shop: Shop, broken: Parcelbox) -> None:
        log(inside_shop, failures=9, successes=10)

        fail(inside_shop, 1)

        assert link_of(inside_shop).breaker_reason == "At least half of the calls within a minute failed."

    def test_calls_of_before_the_window_are_not_counted(self, inside_shop: Shop, broken: Parcelbox) -> None:
        log(inside_shop, failures=9, successes=10, ago=2 * WINDOW)

        fail(inside_shop, 1)

        assert link_of(inside_shop).breaker == BreakerState.CLOSED

    @pytest.mark.parametrize("fixture", ["error__declined", "error__no_such_object", "error__invalid_token"])
    def test_an_answer_is_no_failure(self, inside_shop: Shop, vendor: Parcelbox, fixture: str) -> None:
        vendor.failing[CHARGES] = fixture

        for _ in range(IN_A_ROW + 1):
            with pytest.raises(Exception, match="HTTP 4"):
                charge(inside_shop)

        assert link_of(inside_shop).breaker == BreakerState.CLOSED

    def test_another_organization_is_not_touched(self, inside_shop: Shop, other_shop: Shop, broken: Parcelbox) -> None:
        fail(inside_shop, IN_A_ROW)
        held(inside_shop)
        broken.failing.clear()

        with in_organization(other_shop.organization):
            assert charge(other_shop).status == "succeeded"
            assert link_of(other_shop).breaker == BreakerState.CLOSED


class TestTrying:
    @pytest.fixture
    def opened(self, inside_shop: Shop, broken: Parcelbox) -> Shop:
        fail(inside_shop, IN_A_ROW)
        return inside_shop

    def test_one_call_tries_and_closes_it(self, opened: Shop, vendor: Parcelbox) -> None:
        vendor.failing.clear()

        with clock.shifted(OPEN_FOR + timedelta(seconds=1)):
            assert charge(opened).status == "succeeded"

        link = link_of(opened)
        assert (link.breaker, link.breaker_until, link.breaker_reason) == (BreakerState.CLOSED, None, "")
        assert (link.breaker_trips, link.failing_class) == (0, "")

    def test_a_try_that_fails_opens_it_for_twice_as_long(self, opened: Shop) -> None:
        opens = []
        for number in range(1, 6):
            with clock.shifted(number * (LONGEST_OPEN + timedelta(seconds=1))):
                fail(opened, 1)
                rest = (link_of(opened).breaker_until or clock.now()) - clock.now()
                opens.append(round(rest / OPEN_FOR))
                held(opened)

        assert opens == [2, 4, 8, 10, 10]

    def test_an_answer_of_any_kind_closes_it(self, opened: Shop, vendor: Parcelbox) -> None:
        vendor.failing[CHARGES] = "error__declined"

        with clock.shifted(OPEN_FOR + timedelta(seconds=1)), pytest.raises(RequestRejected):
            charge(opened)

        assert link_of(opened).breaker == BreakerState.CLOSED

    def test_a_call_that_was_never_made_leaves_it_to_the_next(self, opened: Shop, vendor: Parcelbox) -> None:
        refused_here = CallReport(
            operation="charge", method="POST", url="", status=None, duration_ms=0.1, started_at=clock.now(),
            error="RequestRejected",
        )  # fmt: skip
        vendor.failing.clear()

        with clock.shifted(OPEN_FOR + timedelta(seconds=1)):
            circuit = breakers.circuit_for(opened.integration.pk, "parcelbox")
            circuit.claim(at_most=timedelta(seconds=10))
            circuit.observe(refused_here)

            assert link_of(opened).breaker == BreakerState.OPEN
            assert charge(opened).status == "succeeded"

    def test_only_one_of_many_tries(self, opened: Shop, vendor: Parcelbox) -> None:
        vendor.failing.clear()
        reached = vendor.count(CHARGES)

        with clock.shifted(OPEN_FOR + timedelta(seconds=1)):
            circuits = [breakers.circuit_for(opened.integration.id, "parcelbox") for _ in range(10)]
            won = [circuit for circuit in circuits if claims(circuit)]
            for circuit in circuits:
                if circuit not in won:
                    with pytest.raises(Unavailable):
                        circuit.claim(at_most=timedelta(seconds=10))

        assert len(won) == 1
        assert link_of(opened).breaker == BreakerState.HALF_OPEN
        assert vendor.count(CHARGES) == reached

    def test_a_try_that_dies_gives_way_after_its_time(self, opened: Shop, vendor: Parcelbox) -> None:
        vendor.failing.clear()
        later = OPEN_FOR + timedelta(seconds=1)
        with clock.shifted(later):
            assert claims(breakers.circuit_for(opened.integration.id, "parcelbox"))
            held(opened)

        with clock.shifted(later + timedelta(seconds=11)):
            assert charge(opened).status == "succeeded"

        assert link_of(opened).breaker == BreakerState.CLOSED

    def test_one_who_lost_the_try_goes_on_when_it_succeeded(self, opened: Shop, vendor: Parcelbox) -> None:
        vendor.failing.clear()
        with clock.shifted(OPEN_FOR + timedelta(seconds=1)):
            late = breakers.circuit_for(opened.integration.id, "parcelbox")
            charge(opened)

            late.claim(at_most=timedelta(seconds=10))

        assert link_of(opened).breaker == BreakerState.CLOSED


class TestChecks:
    def test_pass_an_open_breaker_and_close_it(self, inside_shop: Shop, broken: Parcelbox) -> None:
        fail(inside_shop, IN_A_ROW)

        provider_for(inside_shop.integration, Purpose.CHECK).check()

        link = link_of(inside_shop)
        assert (link.breaker, link.failing_class) == (BreakerState.CLOSED, "")

    def test_leave_it_open_when_they_fail(self, inside_shop: Shop, broken: Parcelbox) -> None:
        fail(inside_shop, IN_A_ROW)
        broken.failing[CHECKS] = "error__html_502"
        until = link_of(inside_shop).breaker_until

        with pytest.raises(Unavailable):
            provider_for(inside_shop.integration, Purpose.CHECK).check()

        assert link_of(inside_shop).breaker_until == until

    def test_of_a_batch_close_in_bulk(self, inside_shop: Shop, broken: Parcelbox) -> None:
        fail(inside_shop, IN_A_ROW)
        reports: list[CallReport] = []
        secrets = open_for(inside_shop.integration, Purpose.CHECK)
        calls = Call.objects.count()

        with CaptureQueriesContext(connection) as queries:
            instance(inside_shop.integration, secrets, reports=reports.append).check()
        breakers.checked([inside_shop.integration.id])

        assert queries.captured_queries == []
        assert (len(reports), Call.objects.count()) == (1, calls)
        assert link_of(inside_shop).breaker == BreakerState.CLOSED


class TestWaitingWork:
    """What was held for a breaker goes on when it closes; what has another reason to wait does not."""

    @pytest.fixture
    def waiting(self, inside_shop: Shop, broken: Parcelbox) -> tuple[OutboxEntry, OutboxEntry]:
        """An entry that waits for the breaker, and one that the vendor told to wait for an hour."""
        fail(inside_shop, IN_A_ROW)
        held_for_breaker, limited = (outbox.add("test", link_id=inside_shop.integration.pk) for _ in range(2))
        hold_link(inside_shop.integration.pk, wait_s=held(inside_shop).retry_after_s or 0)
        OutboxEntry.objects.filter(pk=limited.pk).update(not_before=clock.now() + timedelta(hours=1))
        broken.failing.clear()
        return held_for_breaker, limited

    @pytest.mark.parametrize("closing", ["check", "batch", "hand"])
    def test_goes_on_however_it_closes(
        self, inside_shop: Shop, waiting: tuple[OutboxEntry, OutboxEntry], closing: str
    ) -> None:
        CLOSINGS[closing](inside_shop)

        for entry in waiting:
            entry.refresh_from_db()
        assert link_of(inside_shop).breaker == BreakerState.CLOSED
        assert (waiting[0].not_before, link_of(inside_shop).not_before) == (None, None)
        assert waiting[1].not_before is not None

    def test_of_another_link_is_not_touched(
        self, inside_shop: Shop, other_shop: Shop, waiting: tuple[OutboxEntry, OutboxEntry]
    ) -> None:
        with in_organization(other_shop.organization):
            hold_link(other_shop.integration.pk, wait_s=30)

        CLOSINGS["check"](inside_shop)

        with in_organization(other_shop.organization):
            assert link_of(other_shop).not_before is not None


CLOSINGS: dict[str, Callable[[Shop], Any]] = {
    "check": lambda shop: provider_for(shop.integration, Purpose.CHECK).check(),
    "batch": lambda shop: breakers.checked([shop.integration.pk]),
    "hand": lambda shop: breakers.reset(link_of(shop), actor=Actor.system("test")),
}


class TestVendors:
    def test_open_when_several_organizations_fail(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        for number in range(3):
            log(inside_shop, failures=4, successes=3, schema=f"org_{number}")

        in_public(sweep_breakers)
        in_public(sweep_breakers)

        row = Vendor.objects.get(provider="parcelbox")
        assert (row.breaker, row.breaker_reason) == (
            BreakerState.OPEN, VENDOR_TEXT,
        )  # fmt: skip
        assert "provider" in held(inside_shop).internal
        assert vendor.count(CHARGES) == 0

    @pytest.mark.parametrize(
        ("organizations", "failures", "successes", "ago"),
        [(2, 20, 0, 0), (3, 3, 4, 0), (3, 6, 0, 0), (4, 20, 0, 120)],
    )
    def test_stay_closed_otherwise(
        self, inside_shop: Shop, organizations: int, failures: int, successes: int, ago: int
    ) -> None:
        for number in range(organizations):
            log(inside_shop, failures=failures, successes=successes, schema=f"org_{number}", ago=WINDOW * ago / 60)

        assert in_public(breakers.judge_vendors) == []

    def test_close_after_a_try_of_any_organization(self, inside_shop: Shop, other_shop: Shop) -> None:
        Vendor.objects.create(
            provider="parcelbox", breaker="open", breaker_until=clock.now() - timedelta(seconds=1), breaker_trips=1
        )

        with in_organization(other_shop.organization):
            charge(other_shop)

        assert Vendor.objects.get(provider="parcelbox").breaker == BreakerState.CLOSED
        assert charge(inside_shop).status == "succeeded"

    def test_a_lost_try_at_the_vendor_gives_the_links_back(self, inside_shop: Shop) -> None:
        past, soon = clock.now() - timedelta(seconds=1), clock.now() + timedelta(seconds=30)
        Link.objects.filter(pk=inside_shop.integration.pk).update(breaker="open", breaker_until=past)
        Vendor.objects.create(provider="parcelbox", breaker="open", breaker_until=past)
        circuit = breakers.circuit_for(inside_shop.integration.id, "parcelbox")
        Vendor.objects.filter(provider="parcelbox").update(breaker="half_open", breaker_until=soon)

        with pytest.raises(Unavailable):
            circuit.claim(at_most=timedelta(seconds=10))

        assert link_of(inside_shop).breaker == BreakerState.OPEN


class TestStaff:
    def test_close_a_breaker_by_hand_and_it_is_written_down(self, inside_shop: Shop, broken: Parcelbox) -> None:
        fail(inside_shop, IN_A_ROW)
        link = link_of(inside_shop)
        before = breakers.describe(link)

        breakers.reset(link, actor=Actor.system("test"))

        assert (before["state"], before["reason"]) == ("open", "Five calls in a row failed.")
        assert breakers.describe(link) == {"state": "closed", "until": None, "reason": ""}
        entry = AuditEntry.objects.get(action="breaker.reset")
        assert (entry.target_id, entry.details["state"]) == (str(link.pk), "open")


class TestShown:
    def test_to_the_organization_by_its_own_breaker_first(self, inside_shop: Shop, broken: Parcelbox) -> None:
        assert shown(inside_shop) == [("closed", "")] * 2

        Vendor.objects.create(provider="parcelbox", breaker="open", breaker_until=clock.now(), breaker_reason="vendor")
        assert shown(inside_shop) == [("open", "vendor")] * 2

        with clock.shifted(timedelta(seconds=1)):
            fail(inside_shop, 1)
        Link.objects.filter(pk=inside_shop.integration.pk).update(breaker="open", breaker_reason="link")
        assert shown(inside_shop) == [("open", "link")] * 2

    def test_with_the_same_moment_from_a_list_as_alone(self, inside_shop: Shop, broken: Parcelbox) -> None:
        fail(inside_shop, IN_A_ROW)

        listed = breakers.with_breakers(Integration.objects.all()).get()
        alone = Integration.objects.get()

        assert breakers.describe_integration(listed) == breakers.describe_integration(alone)
        assert breakers.describe_integration(alone)["until"] == link_of(inside_shop).breaker_until


class TestCost:
    def test_of_a_good_call_is_two_reads_and_two_inserts(self, inside_shop: Shop) -> None:
        charge(inside_shop)

        with CaptureQueriesContext(connection) as queries:
            charge(inside_shop)

        texts = [query["sql"] for query in queries.captured_queries if query["sql"].split()[0] in _STATEMENTS]
        assert [text.split()[0] for text in texts] == ["SELECT", "SELECT", "INSERT", "INSERT"]
        assert [("dispatch_link" in text, "meter_call" in text, "meter_usagerecord" in text) for text in texts] == [
            (False, False, False), (True, False, False), (False, True, False), (False, False, True),
        ]  # fmt: skip

    def test_every_call_is_counted(self, inside_shop: Shop, broken: Parcelbox) -> None:
        before = UsageRecord.objects.get(unit="api_calls").quantity if UsageRecord.objects.exists() else 0

        fail(inside_shop, 2)
        broken.failing.clear()
        charge(inside_shop)

        assert UsageRecord.objects.get(unit="api_calls").quantity - before == 3


class TestLimits:
    def test_a_vendors_wait_holds_the_whole_integration(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        vendor.failing[CHARGES] = "error__slow_down"
        with pytest.raises(RateLimited) as told:
            charge(inside_shop)
        vendor.failing.clear()

        with pytest.raises(RateLimited) as held_back:
            charge(inside_shop)

        assert (told.value.reason, told.value.retry_after_s) == ("", 7.0)
        assert held_back.value.reason == HELD_BACK
        assert 5.0 < (held_back.value.retry_after_s or 0) <= 7.0
        assert vendor.count(CHARGES) == 1


def claims(circuit: breakers.Circuit) -> bool:
    """Whether a circuit wins the try."""
    try:
        circuit.claim(at_most=timedelta(seconds=10))
    except Unavailable:
        return False
    return True


def shown(shop: Shop) -> list[tuple[str, str]]:
    """What a list and a single page show."""
    rows = [breakers.with_breakers(Integration.objects.all()).get(), Integration.objects.get()]
    return [(told["state"], told["reason"]) for told in map(breakers.describe_integration, rows)]


def in_public(work: Callable[[], Any]) -> Any:
    """Do something as a sweep does."""
    with in_public_schema():
        return work()


def log(
    shop: Shop, *, failures: int, successes: int, ago: timedelta = timedelta(), schema: str = ""
) -> None:  # fmt: skip
    """Write down calls as if they had been made, the failures first."""
    at = clock.now() - ago
    link_id = new_id() if schema else shop.integration.id
    errors = ["Unavailable"] * failures + [""] * successes
    in_public(lambda: Call.objects.bulk_create(
        Call(organization_schema=schema or shop.organization.schema_name, link_id=link_id, provider="parcelbox",
             at=at + timedelta(milliseconds=number), day=at.date(), operation="x", method="GET", url="/",
             duration_ms=1.0, error_class=error)
        for number, error in enumerate(errors)
    ))  # fmt: skip
