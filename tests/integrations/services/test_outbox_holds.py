"""Work that can only wait: an incident, an open breaker, our own limit. No try is counted, nothing waits for ever."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core import clock
from core.ids import new_id
from dispatch import outbox
from dispatch.claims import claim_outbox
from dispatch.models import BreakerState, Link, OutboxEntry, Vendor
from integrations.contract import (
    PermissionMissing,
    ProviderError,
    ProviderOutage,
    RateLimited,
    Scope,
    Unavailable,
    UnexpectedResponse,
)
from integrations.outbound.breaker import BREAKER_OPEN
from integrations.outbound.gate import HELD_BACK
from integrations.services.crew import work_outbox
from integrations.services.entries import hold_link
from integrations.services.outbox import PARK_FOR, release_held, work_entry
from tenants.context import in_organization
from tests.fictitious.conftest import Shop
from tests.integrations.services.outside_work import Work, add, kind

__all__ = ["kind"]

pytestmark = pytest.mark.django_db


def open_incident(provider: str = "parcelbox") -> None:
    """Say that the vendor is down for many."""
    Vendor.objects.update_or_create(
        provider=provider, defaults={"incident": "Parcelbox is down.", "incident_class": "Unavailable"}
    )


def end_incident() -> None:
    """Say that the vendor is back."""
    Vendor.objects.update(incident="", incident_class="")


def held_s(entry: OutboxEntry) -> float:
    """Seconds until an entry may be claimed."""
    entry.refresh_from_db()
    return (entry.not_before - clock.now()).total_seconds() if entry.not_before else 0.0


def link_held_s(shop: Shop) -> float:
    """Seconds until work of an integration may be claimed."""
    until = Link.objects.get(pk=shop.integration.id).not_before
    return (until - clock.now()).total_seconds() if until else 0.0


def open_breaker() -> None:
    """Hold all calls to the vendor for ten minutes."""
    values = {"breaker": BreakerState.OPEN, "breaker_until": clock.now() + timedelta(minutes=10)}
    Vendor.objects.update_or_create(provider="parcelbox", defaults=values)


class TestIncident:
    def test_holds_work_uncalled_and_uncounted(self, shop: Shop, other_shop: Shop, kind: Work) -> None:
        entries = [add(shop), add(other_shop, "other")]
        open_incident()

        for minutes in range(8):
            with clock.shifted(timedelta(minutes=2 * minutes)):
                work_outbox()

        for entry in entries:
            entry.refresh_from_db()
            assert (entry.status, entry.attempts, entry.error_class) == ("waiting", 0, "ProviderOutage")
        assert kind.calls == []

    def test_another_vendors_incident_holds_nothing(self, shop: Shop, kind: Work) -> None:
        add(shop)
        open_incident("whatsapp")

        work_outbox()

        assert len(kind.calls) == 1

    def test_holds_what_is_added_meanwhile_for_a_minute_at_most(self, shop: Shop, kind: Work) -> None:
        add(shop)
        open_incident()
        work_outbox()

        later = add(shop, "later")

        assert 55 < held_s(later) <= 60

    def test_its_end_lets_all_work_of_the_vendor_go_on(self, shop: Shop, other_shop: Shop, kind: Work) -> None:
        for number in range(3):
            add(shop, f"o{number}")
        add(other_shop, "other")
        open_incident()
        work_outbox()

        end_incident()
        assert release_held("parcelbox") == 2
        work_outbox()

        assert sorted(call[1] for call in kind.calls) == ["o0", "o1", "o2", "other"]
        assert not Link.objects.filter(not_before__isnull=False).exists()

    def test_holds_what_the_vendor_itself_calls_an_outage(self, shop: Shop, kind: Work) -> None:
        entry = add(shop)
        kind.errors = [ProviderOutage(retry_after_s=5.0)]
        kind.during = lambda _entry: open_incident()

        work_outbox()

        assert 55 < held_s(entry) <= 60
        assert (entry.status, entry.attempts) == ("waiting", 0)

    def test_ends_work_at_its_deadline_and_not_later(self, shop: Shop, kind: Work) -> None:
        entry = add(shop, expires_at=clock.now() + timedelta(seconds=20))
        open_incident()
        work_outbox()
        assert 0 < held_s(entry) <= 20
        hold_link(shop.integration.id, wait_s=600.0)

        with clock.shifted(timedelta(seconds=21)):
            work_outbox()

        entry.refresh_from_db()
        assert (entry.status, kind.given_up) == ("expired", [("o1", "Expired")])

    def test_that_nobody_ends_does_not_hold_work_for_ever(self, shop: Shop, kind: Work) -> None:
        entry = add(shop)
        open_incident()

        with clock.shifted(PARK_FOR + timedelta(seconds=1)):
            work_outbox()

        entry.refresh_from_db()
        assert (entry.status, kind.given_up) == ("expired", [("o1", "ProviderOutage")])


class TestGate:
    @pytest.mark.parametrize(
        "error",
        [
            Unavailable("the breaker is open", reason=BREAKER_OPEN, retry_after_s=30.0),
            RateLimited("the bucket is empty", reason=HELD_BACK, retry_after_s=30.0),
        ],
    )
    def test_what_it_refuses_counts_as_no_try(self, shop: Shop, kind: Work, error: ProviderError) -> None:
        entry = add(shop)
        kind.errors = [error] * 12

        for minutes in range(12):
            with clock.shifted(timedelta(minutes=minutes)):
                work_outbox()
        with clock.shifted(timedelta(minutes=12)):
            work_outbox()

        entry.refresh_from_db()
        assert (entry.status, entry.attempts, len(kind.calls)) == ("done", 1, 13)

    def test_an_open_breaker_is_waited_for_as_long_as_it_says(self, shop: Shop, kind: Work) -> None:
        entry = add(shop)
        kind.errors = [Unavailable(reason=BREAKER_OPEN, retry_after_s=30.0)]

        work_outbox()

        assert 25 < held_s(entry) <= 30

    def test_a_long_wait_looks_again_each_minute(self, shop: Shop, kind: Work) -> None:
        entry = add(shop)
        kind.errors = [Unavailable(reason=BREAKER_OPEN, retry_after_s=600.0)]

        work_outbox()

        assert 55 < held_s(entry) <= 60

    def test_holds_the_other_work_of_the_integration_and_no_other(
        self, shop: Shop, other_shop: Shop, kind: Work
    ) -> None:
        entries = [add(shop, "o1"), add(shop, "o2")]
        kind.errors = [Unavailable(reason=BREAKER_OPEN, retry_after_s=30.0)]

        work_outbox()
        add(other_shop, "other")
        work_outbox()

        assert [call[1] for call in kind.calls] == ["o1", "other"]
        assert 25 < held_s(entries[0]) <= 30
        assert 25 < link_held_s(shop) <= 30

    def test_a_limit_of_one_recipient_holds_nobody_else(self, shop: Shop, kind: Work) -> None:
        add(shop, "o1")
        kind.errors = [RateLimited(reason=HELD_BACK, retry_after_s=30.0, scope=Scope.RECIPIENT)]
        work_outbox()
        add(shop, "o2")

        work_outbox()

        assert [call[1] for call in kind.calls] == ["o1", "o2"]


class TestLimit:
    def test_no_hold_shortens_another(self, shop: Shop, kind: Work) -> None:
        for wait_s in (600.0, 10.0):
            hold_link(shop.integration.id, wait_s=wait_s)

        assert 590 < link_held_s(shop) <= 600

    def test_writes_one_row_however_much_waits(self, shop: Shop, kind: Work) -> None:
        entries = [add(shop, f"o{number}") for number in range(20)]

        hold_link(shop.integration.id, wait_s=600.0)
        work_outbox()

        assert (kind.calls, [held_s(entry) for entry in entries]) == ([], [0.0] * 20)

    def test_what_has_no_link_of_its_own_is_held_by_its_entries(self, shop: Shop, kind: Work) -> None:
        endpoint = new_id()
        with in_organization(shop.organization):
            entry = outbox.add("test.work", link_id=endpoint)

        hold_link(endpoint, wait_s=60.0)

        assert 55 < held_s(entry) <= 60

    def test_that_began_after_the_claim_is_met_by_the_worker(self, shop: Shop, other_shop: Shop, kind: Work) -> None:
        entry, other = add(shop), add(other_shop, "other")
        claims = {claim.id: claim for claim in claim_outbox()}
        hold_link(shop.integration.id, wait_s=60.0)

        for shop_, row in ((shop, entry), (other_shop, other)):
            with in_organization(shop_.organization):
                work_entry(claims[row.id])

        entry.refresh_from_db()
        assert [call[1] for call in kind.calls] == ["other"]
        assert (entry.status, entry.attempts, entry.crashes) == ("waiting", 0, 0)


class TestVendorsBreaker:
    """What meets the open breaker of its vendor waits for that, not for a minute."""

    def test_holds_no_link_and_its_closing_frees_all_at_once(self, shop: Shop, other_shop: Shop, kind: Work) -> None:
        entries = [add(shop, "o1"), add(shop, "o2"), add(other_shop, "other")]
        kind.errors = [Unavailable(reason=BREAKER_OPEN, retry_after_s=600.0)] * 3
        rows = Vendor.objects.filter(provider="parcelbox")
        kind.during = lambda _entry: open_breaker()
        work_outbox()
        assert (len(kind.calls), link_held_s(shop)) == (3, 0.0)
        with clock.shifted(timedelta(seconds=30)):
            work_outbox()
        assert len(kind.calls) == 3

        rows.update(breaker=BreakerState.CLOSED, breaker_until=None)
        with clock.shifted(timedelta(seconds=2)):
            work_outbox()

        assert len(kind.calls) == 6
        for entry in entries:
            entry.refresh_from_db()
            assert (entry.status, entry.attempts) == ("done", 1)

    def test_lets_work_with_a_second_integration_move(self, shop: Shop, kind: Work) -> None:
        entry = add(shop)
        OutboxEntry.objects.filter(pk=entry.pk).update(failover_link_id=new_id())
        open_breaker()

        assert entry.id in {claim.id for claim in claim_outbox()}


class TestTelling:
    def test_the_owner_learns_of_a_missing_permission_by_an_issue(
        self, shop: Shop, other_shop: Shop, kind: Work
    ) -> None:
        add(shop)
        kind.errors = [PermissionMissing()]

        work_outbox()

        assert Link.objects.get(pk=shop.integration.id).open_issues == 1
        assert Link.objects.get(pk=other_shop.integration.id).open_issues == 0

    def test_a_kind_that_opens_the_issue_itself_is_not_doubled(self, shop: Shop, kind: Work) -> None:
        add(shop)
        kind.errors, kind.opens_issue = [PermissionMissing()], True

        work_outbox()

        assert Link.objects.get(pk=shop.integration.id).open_issues == 0

    def test_an_answer_that_we_do_not_understand_is_reported_as_ours(
        self, shop: Shop, kind: Work, caplog: pytest.LogCaptureFixture
    ) -> None:
        add(shop)
        kind.errors = [UnexpectedResponse("no id in the answer")]

        work_outbox()

        assert "outbox.response_unexpected" in caplog.text
        assert Link.objects.get(pk=shop.integration.id).open_issues == 0
