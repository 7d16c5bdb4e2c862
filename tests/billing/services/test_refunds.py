"""Giving money back: never more than came, once for each request, whatever gets lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from billing import services
from billing.models import Payment, Refund
from billing.services.outcomes import Outcome, outcome_of
from core import clock
from core.errors import Conflict, ValidationFailed
from integrations.contract import RequestRejected, Unavailable

REFUND = "POST /refunds"


@pytest.fixture
def refund(paid: Payment, actor: Any) -> Any:
    """Refund the paid payment, changed as asked."""

    def run(**changes: Any) -> Refund:
        return services.refund_payment(paid, **changes, actor=actor)

    return run


class TestRefundPayment:
    def test_gives_all_back(self, refund: Any, paid: Payment) -> None:
        made = refund(reason="wrong size")

        paid.refresh_from_db()
        assert (made.status, made.amount_minor) == ("succeeded", 1990)
        assert (paid.status, paid.amount_refunded_minor) == ("refunded", 1990)

    def test_gives_a_part_back_and_then_the_rest(self, refund: Any, paid: Payment) -> None:
        assert refund(amount_minor=500).status == "succeeded"
        paid.refresh_from_db()
        assert (paid.status, paid.amount_refunded_minor) == ("partially_refunded", 500)

        assert refund().amount_minor == 1490
        paid.refresh_from_db()
        assert paid.status == "refunded"

    def test_above_the_rest_is_refused_with_the_rest(self, refund: Any, till: Any) -> None:
        refund(amount_minor=500)

        with pytest.raises(ValidationFailed) as refused:
            refund(amount_minor=1491)
        assert "1490" in refused.value.errors["amount_minor"][0]
        assert "14.90 BRL" in refused.value.detail
        assert till.count(REFUND) == 1

    @pytest.mark.parametrize("amount", [0, -5, 1.5, True])
    def test_an_amount_that_is_none_is_refused(self, refund: Any, till: Any, amount: Any) -> None:
        with pytest.raises(ValidationFailed):
            refund(amount_minor=amount)
        assert till.count(REFUND) == 0

    def test_twice_is_a_conflict(self, refund: Any, till: Any) -> None:
        refund()

        with pytest.raises(Conflict) as refused:
            refund()
        assert refused.value.code == "already_refunded"
        assert till.count(REFUND) == 1

    def test_the_same_key_gives_back_once(self, refund: Any, till: Any) -> None:
        assert refund(amount_minor=500, caller_key="k1") == refund(amount_minor=500, caller_key="k1")
        assert till.count(REFUND) == 1
        with pytest.raises(Conflict):
            refund(amount_minor=501, caller_key="k1")

    @pytest.mark.parametrize("status", ["pending", "processing", "failed", "canceled", "expired", "charged_back"])
    def test_needs_money_that_came(self, refund: Any, status: str) -> None:
        Payment.objects.update(status=status)

        with pytest.raises(Conflict):
            refund()

    def test_what_the_vendor_gave_back_by_itself_counts(self, refund: Any, paid: Payment) -> None:
        Payment.objects.update(amount_refunded_minor=1000, status="partially_refunded")

        with pytest.raises(ValidationFailed):
            refund(amount_minor=991)
        assert refund().amount_minor == 990

    def test_a_refusal_is_raised_and_frees_the_money(self, refund: Any, till: Any) -> None:
        till.fails[REFUND] = "refused"
        with pytest.raises(RequestRejected):
            refund()
        assert Refund.objects.get().status == "failed"
        till.fails.clear()

        assert refund().status == "succeeded"

    def test_what_was_not_sent_is_failed_and_raised(self, refund: Any, till: Any) -> None:
        till.fails[REFUND] = "unreached"

        with pytest.raises(Unavailable):
            refund()
        assert Refund.objects.get().error["reason"] == "not_sent"

    def test_what_was_not_sent_is_tried_again_on_the_same_row(self, refund: Any, till: Any) -> None:
        till.fails[REFUND] = "unreached"
        with pytest.raises(Unavailable):
            refund(caller_key="k1", amount_minor=500)
        till.fails.clear()

        again = refund(caller_key="k1", amount_minor=500)

        assert (again.status, again.error, Refund.objects.count()) == ("succeeded", None, 1)
        assert refund(caller_key="k1", amount_minor=500).pk == again.pk
        assert len(till.of("refunds")) == 1

    def test_what_was_not_sent_is_not_sent_when_the_money_went_back_meanwhile(self, refund: Any, till: Any) -> None:
        till.fails[REFUND] = "unreached"
        with pytest.raises(Unavailable):
            refund(caller_key="k1")
        till.fails.clear()
        refund()

        with pytest.raises(Conflict):
            refund(caller_key="k1")

    def test_the_same_key_with_another_amount_or_reason_is_a_conflict(self, refund: Any) -> None:
        refund(caller_key="k1", amount_minor=500, reason="size")

        for changes in ({"amount_minor": 400, "reason": "size"}, {"amount_minor": 500, "reason": "color"}):
            with pytest.raises(Conflict):
                refund(caller_key="k1", **changes)

    @pytest.mark.parametrize("reason", ["idempotency_mismatch", "idempotency_conflict"])
    def test_a_key_that_was_used_is_no_refusal(self, reason: str) -> None:
        assert outcome_of(RequestRejected("used", reason=reason)) is Outcome.UNKNOWN


class TestLostAnswers:
    def test_are_asked_for_again_by_the_same_key(self, refund: Any, till: Any, work: Any, paid: Payment) -> None:
        till.fails[REFUND] = "lost"
        made = refund()
        assert made.status == "pending"
        till.fails.clear()

        work(seconds=61)

        made.refresh_from_db()
        paid.refresh_from_db()
        assert (made.status, paid.status) == ("succeeded", "refunded")
        assert len(till.of("refunds")) == 1

    def test_hold_the_money_meanwhile(self, refund: Any, till: Any) -> None:
        till.fails[REFUND] = "lost"
        refund()
        till.fails.clear()

        with pytest.raises(Conflict):
            refund()

    def test_a_refusal_of_the_repetition_fails_it_and_reads_the_payment(
        self, refund: Any, till: Any, work: Any
    ) -> None:
        till.fails[REFUND] = "broken"
        made = refund()
        till.fails[REFUND] = "refused"

        work(seconds=61)

        made.refresh_from_db()
        assert made.status == "failed"
        assert till.count("GET /payments/pay_1") == 1

    def test_are_not_asked_for_when_the_vendor_may_have_forgotten_the_key(
        self, refund: Any, till: Any, work: Any
    ) -> None:
        till.fails[REFUND] = "lost"
        made = refund()
        till.fails.clear()
        asked = till.count(REFUND)

        work(hours=21)

        made.refresh_from_db()
        assert made.status == "pending"
        assert till.count(REFUND) == asked

    def test_a_refund_on_its_way_is_asked_for(self, refund: Any, till: Any, work: Any) -> None:
        made = refund()
        Refund.objects.update(status="pending", vendor_at=clock.now() - timedelta(seconds=5))
        from billing.contract import ObjectKind
        from billing.services.reading import read_row_later

        read_row_later(made, ObjectKind.REFUND, due_at=clock.now())
        till.change(made.external_id, status="succeeded")

        work(seconds=1)

        made.refresh_from_db()
        assert made.status == "succeeded"
