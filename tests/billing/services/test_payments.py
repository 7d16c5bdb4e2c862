"""Making payments: what is refused before any call, and what each outcome of the call leaves behind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from audit.models import AuditEntry
from billing import services
from billing.contract import CardToken, Payer
from billing.models import Customer, Evidence, Payment
from billing.services.payments import instance_now
from billing.services.readiness import NotReady
from core import clock
from core.errors import Conflict, ValidationFailed
from core.secret import Secret
from dispatch.models import OutboxEntry
from integrations.contract import AuthenticationFailed, RequestRejected, Unavailable
from tests.billing.services.conftest import PAYER, card

CREATE = "POST /payments"


class TestRules:
    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"amount_minor": 0}, "amount_minor"),
            ({"amount_minor": -1}, "amount_minor"),
            ({"amount_minor": 19.9}, "amount_minor"),
            ({"amount_minor": True}, "amount_minor"),
            ({"amount_minor": 2**63}, "amount_minor"),
            ({"amount_minor": 49}, "amount_minor"),
            ({"currency": "XXX"}, "currency"),
            ({"currency": "brl"}, "currency"),
            ({"currency": "USD"}, "currency"),
            ({"method": "boleto"}, "method"),
            ({"method": "cash"}, "method"),
            ({"method": "card"}, "card.token"),
            ({"payer": Payer()}, "payer.email"),
            ({"payer": Payer(email="nobody")}, "payer.email"),
            ({"payer": Payer(email="a@example.com", tax_id="111.444.777-00")}, "payer.tax_id"),
            ({"installments": 0}, "installments"),
            ({"installments": 13, "method": "card"}, "installments"),
            ({"installments": 2}, "installments"),
            ({"expires_in_s": 59}, "expires_in_s"),
            ({"expires_in_s": 10**9}, "expires_in_s"),
            ({"expires_in_s": 3600, **card()}, "expires_in_s"),
            ({"return_url": "javascript:alert(1)"}, "return_url"),
            ({"return_url": "https://user:pass@example.com/"}, "return_url"),
            ({"metadata": {str(number): "x" for number in range(50)}}, "metadata"),
            ({"metadata": {"x" * 41: "x"}}, "metadata"),
            ({"metadata": {"x": "y" * 501}}, "metadata"),
            ({"description": "x" * 501}, "description"),
            ({"customer": "cus_nobody"}, "customer"),
            ({"card": CardToken(token=Secret("tok_test_x"))}, "card"),
        ],
    )
    def test_are_kept_before_anything_is_stored_or_sent(
        self, pay: Any, till: Any, changes: dict[str, Any], field: str
    ) -> None:
        with pytest.raises(ValidationFailed) as refused:
            pay(**changes)

        assert field in refused.value.errors
        assert till.calls == []
        assert not Payment.objects.exists()
        assert not OutboxEntry.objects.exists()

    @pytest.mark.parametrize(("currency", "amount"), [("JPY", 500), ("KWD", 1230)])
    def test_take_currencies_without_and_with_three_decimals(self, pay: Any, currency: str, amount: int) -> None:
        assert pay(currency=currency, amount_minor=amount, **card()).amount_received_minor == amount

    def test_write_a_tax_id_without_its_marks(self, pay: Any) -> None:
        payment = pay(payer=Payer(email="a@example.com", tax_id="111.444.777-35"))

        assert payment.payer["tax_id"] == "11144477735"

    def test_take_the_payer_from_the_customer(self, pay: Any, shop: Any, actor: Any) -> None:
        customer = services.create_customer(shop, email="known@example.com", name="Known", actor=actor)

        payment = pay(payer=None, customer=str(customer.pk))

        assert payment.payer == {"email": "known@example.com", "name": "Known"}
        assert payment.customer == customer

    def test_a_disabled_integration_charges_nobody(self, pay: Any, shop: Any, till: Any) -> None:
        shop.status = "disabled"
        shop.save()

        with pytest.raises(NotReady):
            pay()
        assert till.calls == []


class TestCreatePayment:
    def test_a_pix_waits_for_its_payer(self, pay: Any, till: Any) -> None:
        payment = pay(expires_in_s=3600)

        assert payment.status == "pending"
        assert payment.external_id == "pay_1"
        assert payment.intended_at is None
        assert payment.next_action["kind"] == "pix_qr"
        assert payment.next_action["pix"]["qr_code"] == "000201till"
        assert till.objects["pay_1"]["reference"] == str(payment.pk)

    def test_a_card_is_paid_with_evidence(self, pay: Any) -> None:
        payment = pay(**card())

        assert payment.status == "succeeded"
        assert payment.amount_received_minor == 1990
        assert Evidence.objects.get(payment=payment).source == "answer"

    def test_a_declined_card_is_an_answer(self, pay: Any) -> None:
        payment = pay(**card("tok_test_declined"))

        assert payment.status == "failed"
        assert payment.error["reason"] == "payment_declined"

    def test_a_decline_that_comes_as_an_error_is_an_answer_too(self, pay: Any, till: Any) -> None:
        till.fails[CREATE] = "declined"

        payment = pay(**card())

        assert payment.status == "failed"
        assert payment.error == {
            "code": "declined",
            "reason": "payment_declined",
            "message": "Insufficient funds.",
        }

    def test_a_refusal_is_raised_and_kept(self, pay: Any, till: Any) -> None:
        till.fails[CREATE] = "refused"

        with pytest.raises(RequestRejected):
            pay()

        payment = Payment.objects.get()
        assert (payment.status, payment.error["code"]) == ("failed", "not_so")
        assert payment.intended_at is None

    @pytest.mark.parametrize("failure", ["lost", "broken"])
    def test_an_answer_that_is_lost_leaves_it_processing(self, pay: Any, till: Any, failure: str) -> None:
        till.fails[CREATE] = failure

        payment = pay(**card())

        assert payment.status == "processing"
        assert payment.intended_at is not None
        assert till.count(CREATE) == 1

    def test_what_was_not_sent_is_tried_again_on_the_same_row(self, pay: Any, till: Any) -> None:
        till.fails[CREATE] = "unreached"
        with pytest.raises(Unavailable):
            pay(caller_key="k1")
        assert Payment.objects.get().error["reason"] == "not_sent"
        del till.fails[CREATE]

        payment = pay(caller_key="k1")

        assert payment.status == "pending"
        assert payment.error is None
        assert payment == Payment.objects.get()

    def test_a_refused_credential_charged_nobody_and_is_confirmed(self, pay: Any, till: Any, shop: Any) -> None:
        till.fails |= {CREATE: "locked", "GET /me": "locked"}

        with pytest.raises(AuthenticationFailed):
            pay()

        shop.refresh_from_db()
        assert Payment.objects.get().error["reason"] == "not_sent"
        assert shop.status == "needs_reauth"

    def test_the_same_key_makes_one_payment(self, pay: Any, till: Any) -> None:
        first, second = pay(caller_key="k1"), pay(caller_key="k1")

        assert first == second
        assert till.count(CREATE) == 1
        assert "k1" not in first.request_key

    def test_the_same_key_with_another_amount_is_a_conflict(self, pay: Any) -> None:
        pay(caller_key="k1")

        with pytest.raises(Conflict) as refused:
            pay(caller_key="k1", amount_minor=2000)
        assert refused.value.code == "idempotency_conflict"

    def test_a_webhook_that_is_faster_than_the_answer_wins(self, pay: Any, till: Any) -> None:
        till.fails[CREATE] = "refused"

        def overtake() -> None:
            Payment.objects.update(external_id="pay_77", status="succeeded")

        till.before = overtake
        with pytest.raises(RequestRejected):
            pay()

        assert Payment.objects.get().status == "succeeded"

    def test_no_secret_is_written_anywhere(self, pay: Any) -> None:
        pay(method="automatic")
        pay(**card("tok_test_never_written"))

        written = [*Payment.objects.values_list("vendor_payload", "next_action", "error", "metadata")]
        written += [*AuditEntry.objects.values_list("details", "target_label")]
        written += [*OutboxEntry.objects.values_list("details", "error_text"), *Evidence.objects.values_list("rungs")]
        assert "secret_sandbox" not in str(written)
        assert b"secret_sandbox" not in b"".join(
            bytes(sealed) for sealed in Payment.objects.values_list("sealed_client_secret", flat=True) if sealed
        )
        audited = str([*AuditEntry.objects.values_list("details", flat=True)])
        assert "tok_test" not in audited
        assert PAYER.email not in audited

    def test_is_written_in_the_audit_trail(self, pay: Any) -> None:
        payment = pay()

        entry = AuditEntry.objects.get(action="payment.created")
        assert entry.target_id == str(payment.pk)


class TestSettling:
    def test_a_lost_payment_is_found_and_never_made_twice(self, pay: Any, till: Any, work: Any) -> None:
        till.fails[CREATE] = "lost"
        payment = pay(**card())
        del till.fails[CREATE]

        work(seconds=61)

        payment.refresh_from_db()
        assert payment.status == "succeeded"
        assert till.count(CREATE) == 1
        assert Evidence.objects.get(payment=payment).source == "query"

    def test_a_process_that_died_after_its_intent_is_settled(self, pay: Any, till: Any, work: Any) -> None:
        def die() -> None:
            till.before = None
            raise KeyboardInterrupt

        till.before = die
        with pytest.raises(KeyboardInterrupt):
            pay(**card())
        assert Payment.objects.get().status == "processing"

        for minutes in (2, 5, 10, 20, 60):
            work(minutes=minutes)

        payment = Payment.objects.get()
        assert (payment.status, payment.error["reason"]) == ("failed", "not_created")
        assert till.count("GET /payments") == 5
        assert till.count(CREATE) == 0

    def test_nothing_is_decided_while_nobody_can_be_asked(self, pay: Any, till: Any, work: Any) -> None:
        till.fails |= {CREATE: "lost", "GET /payments": "broken"}
        payment = pay(**card())

        for hours in (1, 2, 3, 4, 5, 6, 7, 8):
            work(hours=hours)
        payment.refresh_from_db()
        assert payment.status == "processing"

        till.fails.clear()
        work(hours=12)
        payment.refresh_from_db()
        assert payment.status == "succeeded"

    def test_an_answered_payment_costs_no_call(self, pay: Any, till: Any, work: Any) -> None:
        pay()

        work(minutes=5)

        assert till.count("GET /payments") == 0

    def test_the_vendor_wins_over_our_word_that_it_was_never_made(self, pay: Any, till: Any, work: Any) -> None:
        from billing.models import Source
        from billing.services.applying import apply_state

        till.fails[CREATE] = "lost"
        payment = pay(**card())
        Payment.objects.update(status="failed", intended_at=None, error={"reason": "not_created"})
        found = payment.integration.provider_class
        state = instance_now(payment.integration, found).fetch_payment("pay_1")

        apply_state(payment.integration, state, source=Source.WEBHOOK, is_signed=True, is_fetched=True)

        payment.refresh_from_db()
        assert (payment.status, payment.error) == ("succeeded", None)


class TestExpiry:
    def test_the_vendor_is_asked_when_the_time_is_over(self, pay: Any, till: Any, work: Any) -> None:
        payment = pay(expires_in_s=3600)
        till.change("pay_1", status="expired")

        work(minutes=59)
        payment.refresh_from_db()
        assert payment.status == "pending"

        work(minutes=62)
        payment.refresh_from_db()
        assert payment.status == "expired"

    def test_it_is_asked_again_while_it_does_not_say(self, pay: Any, till: Any, work: Any) -> None:
        payment = pay(expires_in_s=3600)
        work(minutes=62)
        assert till.count("GET /payments/pay_1") == 1
        with clock.shifted(timedelta(hours=2)):
            till.change("pay_1", status="expired")

        work(hours=3)

        payment.refresh_from_db()
        assert payment.status == "expired"


class TestCancelPayment:
    def test_ends_what_nobody_paid(self, pay: Any, actor: Any) -> None:
        payment = services.cancel_payment(pay(), actor=actor)

        assert payment.status == "canceled"
        assert AuditEntry.objects.filter(action="payment.cancel_requested").exists()

    @pytest.mark.parametrize("status", ["succeeded", "canceled", "refunded", "charged_back"])
    def test_is_refused_when_it_is_over(self, pay: Any, till: Any, actor: Any, status: str) -> None:
        payment = pay()
        payment.status = status

        with pytest.raises(Conflict):
            services.cancel_payment(payment, actor=actor)
        assert till.count("POST /payments/pay_1/cancel") == 0

    @pytest.mark.parametrize("status", ["failed", "expired"])
    def test_the_vendor_decides_of_one_that_failed_by_a_key_of_its_own(
        self, pay: Any, till: Any, actor: Any, status: str
    ) -> None:
        payment = pay()
        Payment.objects.update(status=status)
        payment.refresh_from_db()

        assert services.cancel_payment(payment, actor=actor).status == "canceled"

        Payment.objects.update(status="failed", external_id="")
        payment.refresh_from_db()
        with pytest.raises(Conflict):
            services.cancel_payment(payment, actor=actor)
        assert till.count("POST /payments/pay_1/cancel") == 1
        assert not [key for key in till.answers if key.startswith(str(payment.pk)) and key != str(payment.pk)]

    def test_a_payer_who_was_faster_is_a_conflict_and_is_read(self, pay: Any, till: Any, actor: Any, work: Any) -> None:
        payment = pay()
        till.pay("pay_1")

        with pytest.raises(Conflict):
            services.cancel_payment(payment, actor=actor)
        work(seconds=1)

        payment.refresh_from_db()
        assert payment.status == "succeeded"

    def test_waits_until_the_vendor_confirmed_it(self, pay: Any, till: Any, actor: Any) -> None:
        till.fails[CREATE] = "lost"

        with pytest.raises(Conflict):
            services.cancel_payment(pay(), actor=actor)


class TestOtherOrganizations:
    def test_see_nothing_of_it(self, pay: Any, other_organization: Any) -> None:
        from tenants.context import in_organization

        pay()

        with in_organization(other_organization):
            assert not Payment.objects.exists()
            assert not Customer.objects.exists()
