"""A day is compared with the vendor's list: repaired where a webhook was missed, told where it stays unlike."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from audit.models import AuditEntry
from billing.models import Dispute, Evidence, Payment, Reconciliation
from billing.services import reconciliation
from billing.services.readiness import NotReady
from billing.services.reconciliation import CannotCompare
from core import clock
from dispatch.models import OutboxEntry
from integrations.models import Issue
from tests.billing.reconciliation.conftest import noon, yesterday
from tests.billing.reconciliation.daybook import LIST

pytestmark = pytest.mark.django_db


class TestRepairs:
    def test_a_payment_that_no_webhook_told_of(self, compare: Any, till: Any) -> None:
        name = till.sell(1990, at=noon())

        row = compare()

        payment = Payment.objects.get()
        assert (payment.external_id, payment.status, payment.origin) == (name, "succeeded", "vendor")
        assert Evidence.objects.get().source == "reconciliation"
        assert (row.status, row.vendor_count, row.our_count) == ("repaired", 1, 1)
        assert (row.repaired_count, row.different_count) == (1, 0)
        assert row.totals == {"BRL": {"vendor_minor": 1990, "ours_minor": 1990, "difference_minor": 0}}
        (found,) = row.differences
        assert (found["external_id"], found["kind"], found["ours"]) == (name, "missing_here", None)
        assert found["repaired"]
        assert found["vendor"] == {
            "status": "succeeded",
            "amount_minor": 1990,
            "amount_received_minor": 1990,
            "amount_refunded_minor": 0,
            "currency": "BRL",
        }

    def test_a_status_that_changed_unheard(self, compare: Any, till: Any, known: Any) -> None:
        name = till.sell(1990, at=noon(1), made=noon().isoformat())
        payment = known(name)

        row = compare()

        payment.refresh_from_db()
        assert payment.status == "succeeded"
        assert row.status == "repaired"
        (found,) = row.differences
        assert (found["kind"], found["ours"]["status"], found["repaired"]) == ("status", "pending", True)

    def test_a_refund_on_a_later_day_without_counting_the_money_twice(
        self, compare: Any, till: Any, known: Any
    ) -> None:
        name = till.sell(1990, at=noon(), made=noon(-48).isoformat(), refunded=500)
        payment = known(name, status="succeeded", created_at=noon(-48))

        row = compare()

        payment.refresh_from_db()
        assert (payment.status, payment.amount_refunded_minor) == ("partially_refunded", 500)
        assert (row.status, row.totals) == ("repaired", {})

    def test_a_payment_whose_answer_was_lost_by_our_own_id(self, compare: Any, till: Any, known: Any) -> None:
        payment = known("", status="processing", intended_at=noon())
        name = till.sell(1990, at=noon(), reference=str(payment.pk))

        row = compare()

        payment.refresh_from_db()
        assert (payment.external_id, payment.status) == (name, "succeeded")
        assert (row.status, Payment.objects.count()) == ("repaired", 1)

    def test_what_the_list_leaves_out_is_asked_for(self, compare: Any, till: Any, known: Any) -> None:
        name = till.sell(1990, at=noon())
        till.hidden.add(name)
        known(name)

        row = compare()

        assert (row.status, row.vendor_count) == ("repaired", 1)
        assert till.count(f"GET /payments/{name}") == 1

    def test_what_changed_while_it_was_listed_is_read_again(self, compare: Any, till: Any, known: Any) -> None:
        name = till.sell(1990, at=noon(-1), status="pending", received=0)
        payment = known(name, status="succeeded", created_at=noon(-1))
        payment.vendor_at = noon()
        payment.save()
        listed = dict(till.objects[name])

        def page() -> None:
            till.objects[name] = listed

        till.on_list = page
        till.before = lambda: till.touch(name, at=noon(), status="succeeded", received=1990)
        row = compare()

        payment.refresh_from_db()
        assert payment.status == "succeeded"
        assert row.different_count == 0

    def test_it_is_written_in_the_trail(self, compare: Any, till: Any) -> None:
        till.sell(1990, at=noon())

        compare()

        entry = AuditEntry.objects.get(action="payments.reconciled")
        assert entry.details == {"day": yesterday().isoformat(), "repaired": 1, "different": 0}


class TestEqual:
    def test_nothing_at_both(self, compare: Any) -> None:
        row = compare()

        assert (row.status, row.totals, row.differences) == ("equal", {}, [])

    def test_what_is_the_same_is_not_written_again(self, compare: Any, till: Any, known: Any) -> None:
        known(till.sell(1990, at=noon()), status="succeeded")

        row = compare()

        assert (row.status, row.vendor_count, row.our_count) == ("equal", 1, 1)
        assert not Evidence.objects.exists()

    def test_processing_at_both(self, compare: Any, till: Any, known: Any) -> None:
        known(till.sell(1990, at=noon(), status="processing", received=0), status="processing")

        assert compare().status == "equal"

    def test_what_a_bank_took_back_stays_so(self, compare: Any, till: Any, known: Any, shop: Any) -> None:
        payment = known(till.sell(1990, at=noon()), status="succeeded")
        Dispute.objects.create(
            integration=shop, payment=payment, external_id="dis_1", amount_minor=1990, currency="BRL", status="lost"
        )
        Payment.objects.update(status="charged_back")

        assert compare().status == "equal"

    def test_a_second_run_is_equal_and_keeps_what_the_first_found(self, compare: Any, till: Any) -> None:
        till.sell(1990, at=noon())
        first = compare()

        row = compare()

        assert row.pk == first.pk
        assert (row.status, row.repaired_count, row.differences) == ("equal", 1, first.differences)
        assert Evidence.objects.count() == 1

    def test_another_account_s_payment_is_none_of_ours(self, compare: Any, till: Any, shop: Any) -> None:
        shop.environment = "live"
        shop.save()
        till.sell(1990, at=noon())

        row = compare()

        assert (row.status, row.vendor_count, Payment.objects.count()) == ("equal", 0, 0)


class TestDifferent:
    def test_another_amount_stays_and_is_told(self, compare: Any, till: Any, known: Any, shop: Any) -> None:
        payment = known(till.sell(1990, at=noon(), received=900))

        row = compare()

        payment.refresh_from_db()
        assert (payment.status, payment.warning) == ("processing", "amount_mismatch")
        assert (row.status, row.different_count, row.repaired_count) == ("different", 1, 0)
        assert row.totals == {"BRL": {"vendor_minor": 900, "ours_minor": 0, "difference_minor": 900}}
        assert row.differences[0]["kind"] == "amount"
        issue = Issue.objects.get(integration=shop)
        assert str(yesterday()) in issue.english
        assert "BRL 9.00 there, 0.00 here" in issue.english
        assert issue.who == "user"
        assert str(yesterday()) in issue.english_action

    def test_it_stays_so_until_it_is_equal_and_the_issue_ends(self, compare: Any, till: Any, known: Any) -> None:
        name = till.sell(1990, at=noon(), received=900)
        known(name)
        compare()
        assert compare().status == "different"
        assert Issue.objects.get().count == 2

        till.touch(name, at=noon(1), received=1990)
        row = compare()

        assert row.status == "repaired"
        assert (row.differences[0]["vendor"]["amount_received_minor"], row.different_count) == (900, 0)
        assert Issue.objects.get().resolved_at is not None

    def test_another_currency(self, compare: Any, till: Any, known: Any) -> None:
        known(till.sell(1990, at=noon(), currency="JPY"))

        row = compare()

        assert (row.status, row.differences[0]["kind"]) == ("different", "currency")
        assert row.totals["JPY"]["difference_minor"] == 1990

    def test_a_changed_amount_is_seen_before_anybody_paid(self, compare: Any, till: Any, known: Any) -> None:
        known(till.sell(500, at=noon(), status="pending", received=0))

        row = compare()

        assert (row.status, row.differences[0]["kind"]) == ("different", "amount")

    def test_what_the_vendor_does_not_know(self, compare: Any, known: Any) -> None:
        known("pay_gone", status="succeeded")

        row = compare()

        assert (row.status, row.vendor_count, row.our_count) == ("different", 0, 1)
        (found,) = row.differences
        assert (found["kind"], found["vendor"], found["ours"]["status"]) == ("missing_there", None, "succeeded")
        assert row.totals["BRL"] == {"vendor_minor": 0, "ours_minor": 1990, "difference_minor": -1990}

    def test_a_payment_that_was_never_confirmed_gets_a_last_look(self, compare: Any, known: Any, work: Any) -> None:
        payment = known("", status="processing", intended_at=noon())

        row = compare()

        assert (row.status, row.differences[0]["external_id"]) == ("different", str(payment.pk))
        assert OutboxEntry.objects.get(kind="payment.settle").object_id == str(payment.pk)
        work(hours=1)
        payment.refresh_from_db()
        assert (payment.status, payment.error["reason"]) == ("failed", "not_created")
        assert compare().status == "equal"

    def test_money_that_we_believe_and_the_vendor_takes_back_silently(
        self, compare: Any, till: Any, known: Any
    ) -> None:
        known(till.sell(1990, at=noon(1), status="failed", received=0), status="succeeded")

        row = compare()

        assert (row.status, row.differences[0]["kind"]) == ("different", "status")
        assert row.totals["BRL"]["difference_minor"] == -1990


class TestTotals:
    def test_count_each_currency_in_its_own_units(self, compare: Any, till: Any, known: Any, shop: Any) -> None:
        till.sell(1990, at=noon())
        till.sell(10, at=noon())
        till.sell(500, at=noon(), currency="JPY")
        known(till.sell(1230, at=noon(), currency="KWD", received=1000), currency="KWD", amount_minor=1230)

        row = compare()

        assert row.totals == {
            "BRL": {"vendor_minor": 2000, "ours_minor": 2000, "difference_minor": 0},
            "JPY": {"vendor_minor": 500, "ours_minor": 500, "difference_minor": 0},
            "KWD": {"vendor_minor": 1000, "ours_minor": 0, "difference_minor": 1000},
        }
        text = Issue.objects.get().english
        assert "JPY 500 there, 500 here" in text
        assert "KWD 1.000 there, 0.000 here" in text


class TestListing:
    def test_reads_all_pages(self, compare: Any, till: Any) -> None:
        for _ in range(5):
            till.sell(1990, at=noon())

        row = compare()

        assert (row.vendor_count, row.totals["BRL"]["ours_minor"]) == (5, 5 * 1990)
        assert till.count(LIST) == 3

    def test_a_cut_one_is_never_equal_and_goes_on_in_halves(
        self, compare: Any, till: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("billing.services.comparing.MOST_LISTED", 4)
        for hour in (-9, -8, -2, 2, 8, 9):
            till.sell(1000, at=noon(hour))

        row = compare()
        assert (row.status, row.error["code"]) == ("failed", "unfinished")
        assert not Issue.objects.exists()

        row = compare()
        assert (row.status, row.vendor_count) == ("repaired", 6)
        assert row.totals["BRL"]["vendor_minor"] == 6000
        assert row.error is None

    def test_what_was_compared_before_a_cut_is_not_lost(
        self, compare: Any, till: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("billing.services.comparing.MOST_LISTED", 3)
        for hour in (-9, -8, 1, 2, 9, 10):
            till.sell(1000, at=noon(hour))
        compare()

        row = compare()
        assert (row.status, row.vendor_count) == ("failed", 2)
        assert row.error["compared_until"] == clock.iso(noon())

        row = compare()
        assert (row.status, row.vendor_count, row.repaired_count) == ("repaired", 6, 6)

    def test_a_slow_one_is_cut(self, compare: Any, till: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("billing.services.comparing.LIST_FOR", timedelta(0))
        till.sell(1990, at=noon())

        assert compare().error["code"] == "unfinished"

    @pytest.mark.parametrize(("failure", "code"), [("broken", "provider_unavailable"), ("locked", "provider_authent")])
    def test_a_vendor_that_does_not_list_is_no_equal_day(
        self, compare: Any, till: Any, failure: str, code: str
    ) -> None:
        till.fails[LIST] = failure

        row = compare()

        assert row.status == "failed"
        assert row.error["code"].startswith(code)
        assert row.error["message"]
        assert not Issue.objects.exists()


class TestDays:
    def test_what_was_paid_a_moment_ago_is_left_to_its_webhook(self, compare: Any, till: Any) -> None:
        till.sell(1990, at=clock.now() - timedelta(minutes=2))

        row = compare(clock.now().date())

        assert (row.vendor_count, Payment.objects.count()) == (0, 0)

    def test_days_before_the_connection_are_refused(self, compare: Any, shop: Any) -> None:
        with pytest.raises(CannotCompare):
            compare(shop.created_at.date() - timedelta(days=1))

    def test_days_to_come_are_refused(self, compare: Any) -> None:
        with pytest.raises(CannotCompare):
            compare(yesterday() + timedelta(days=2))

    def test_a_disabled_integration_is_not_asked(self, compare: Any, shop: Any, till: Any) -> None:
        shop.status = "disabled"
        shop.save()

        with pytest.raises(NotReady):
            compare()
        assert till.calls == []

    def test_another_organization_sees_nothing_of_it(self, compare: Any, other_organization: Any, till: Any) -> None:
        from tenants.context import in_organization

        till.sell(1990, at=noon())
        compare()

        with in_organization(other_organization):
            assert not Reconciliation.objects.exists()
            assert not Payment.objects.exists()


class TestSweep:
    @pytest.fixture
    def sweep(self, shop: Any) -> Any:
        """Compare what is due, with half a minute for it."""
        return lambda: reconciliation.compare_days(shop, ends_at=clock.now() + timedelta(seconds=30))

    def test_compares_each_day_since_the_connection_once(self, sweep: Any, shop: Any, till: Any) -> None:
        till.sell(1990, at=noon(-48))

        assert sweep()
        listed = till.count(LIST)
        assert sweep()

        days = [row.day for row in Reconciliation.objects.order_by("day")]
        assert days[0] == shop.created_at.date()
        assert len(days) in {10, 11}  # today, when its grace is over
        assert Reconciliation.objects.get(status="repaired").day == noon(-48).date()
        assert till.count(LIST) - listed <= 1  # today again

    def test_begins_at_the_moment_of_the_connection(self, sweep: Any, shop: Any, till: Any) -> None:
        shop.created_at = noon()
        shop.save()
        till.sell(1990, at=noon(-1))

        sweep()

        assert not Payment.objects.exists()

    def test_stops_when_its_time_is_over(self, shop: Any, till: Any) -> None:
        assert not reconciliation.compare_days(shop, ends_at=clock.now())
        assert till.calls == []

    def test_tries_again_soon_what_a_vendor_in_trouble_did_not_list(self, sweep: Any, till: Any) -> None:
        till.fails[LIST] = "broken"

        assert not sweep()
        assert Reconciliation.objects.get().status == "failed"

        till.fails.clear()
        assert sweep()
        assert not Reconciliation.objects.filter(status="failed").exists()

    def test_looks_at_a_different_day_again(self, sweep: Any, shop: Any, till: Any, known: Any) -> None:
        name = till.sell(1990, at=noon(), received=900)
        known(name)
        sweep()
        till.touch(name, at=noon(1), received=1990)

        sweep()
        assert Reconciliation.objects.get(day=yesterday()).status == "different"
        with clock.shifted(timedelta(hours=13)):
            reconciliation.compare_days(shop, ends_at=clock.now() + timedelta(seconds=30))

        assert Reconciliation.objects.get(day=yesterday()).status == "repaired"

    def test_is_called_by_the_daily_reconciliation(self, shop: Any, till: Any) -> None:
        from dispatch.models import Link
        from integrations.services import reconcile
        from tenants.context import in_public_schema

        till.sell(1990, at=noon())
        Link.objects.filter(pk=shop.pk).update(next_reconcile_at=clock.now())

        with in_public_schema():
            assert reconcile.sweep() == 1

        assert Payment.objects.get().status == "succeeded"
        link = Link.objects.get(pk=shop.pk)
        assert link.next_reconcile_at is not None
        assert link.next_reconcile_at - clock.now() > timedelta(hours=20)
