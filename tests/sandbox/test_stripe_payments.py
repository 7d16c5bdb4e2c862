"""Stripe's payments, refunds and disputes, driven by the real SDK."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import Sandbox
from tests.sandbox.stripe_client import CHARGE, NO_REDIRECTS, PIX, client

Eventually = Callable[[Callable[[], object]], object]
BOLETO = {
    "type": "boleto",
    "boleto": {"tax_id": "000.000.000-00"},
    "billing_details": {
        "name": "Ana Lima",
        "email": "ana@example.com",
        "address": {"line1": "Rua A, 1", "city": "Recife", "state": "PE", "postal_code": "50000-000", "country": "BR"},
    },
}


def pay(sandbox: Sandbox, **more: Any) -> stripe.PaymentIntent:
    values = CHARGE | {"confirm": True, "payment_method": "pm_card_visa"} | more
    return client(sandbox).v1.payment_intents.create(values)


def types(sandbox: Sandbox) -> list[str]:
    return [event.type for event in reversed(client(sandbox).v1.events.list({"limit": 100}).data)]


class TestCard:
    def test_is_charged(self, sandbox: Sandbox) -> None:
        paid = pay(sandbox, metadata={"order": "7"})

        charge = client(sandbox).v1.charges.retrieve(str(paid.latest_charge))
        assert (paid.status, paid.amount_received, paid.metadata["order"]) == ("succeeded", 1990, "7")
        assert (charge.status, charge.payment_intent, charge.payment_method_details.type) == (
            "succeeded",
            paid.id,
            "card",
        )
        assert types(sandbox) == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]

    @pytest.mark.parametrize(
        ("method", "code", "decline_code"),
        [
            ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
            ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
            ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ],
    )
    def test_is_refused_and_the_attempt_kept(self, sandbox: Sandbox, method: str, code: str, decline_code: str) -> None:
        with pytest.raises(stripe.CardError) as caught:
            pay(sandbox, payment_method=method)

        body = caught.value.json_body["error"]
        kept = client(sandbox).v1.payment_intents.retrieve(body["payment_intent"]["id"])
        assert (caught.value.http_status, body["code"], body["decline_code"]) == (402, code, decline_code)
        assert (kept.status, kept.last_payment_error.code) == ("requires_payment_method", code)
        assert types(sandbox)[-2:] == ["charge.failed", "payment_intent.payment_failed"]

    def test_that_asks_waits_for_the_payer(self, sandbox: Sandbox) -> None:
        method = "pm_card_authenticationRequired"
        asked = pay(sandbox, payment_method=method, return_url="https://shop.example.com/back")

        assert (asked.status, asked.next_action.type) == ("requires_action", "redirect_to_url")
        with pytest.raises(stripe.CardError) as caught:
            pay(sandbox, payment_method=method, off_session=True)
        assert caught.value.json_body["error"]["code"] == "authentication_required"

    def test_is_captured_by_hand_and_never_for_more(self, sandbox: Sandbox) -> None:
        held = pay(sandbox, capture_method="manual")
        intents = client(sandbox).v1.payment_intents

        with pytest.raises(stripe.InvalidRequestError):
            intents.capture(held.id, {"amount_to_capture": 2000})
        taken = intents.capture(held.id, {"amount_to_capture": 1500})

        assert held.status == "requires_capture"
        assert (taken.status, taken.amount_received) == ("succeeded", 1500)
        with pytest.raises(stripe.InvalidRequestError) as caught:
            intents.cancel(held.id)
        assert caught.value.json_body["error"]["code"] == "payment_intent_unexpected_state"


class TestPix:
    def test_shows_a_code_and_is_paid_by_somebody(self, sandbox: Sandbox) -> None:
        asked = pay(sandbox, payment_method=None, payment_method_data=PIX)
        code = asked.next_action.pix_display_qr_code

        sandbox.control("POST", f"/stripe/payment_intents/{asked.id}/pay")

        assert (asked.status, code.data[:6]) == ("requires_action", "000201")
        assert code.expires_at - asked.created == pytest.approx(14_400, abs=2)
        assert client(sandbox).v1.payment_intents.retrieve(asked.id).status == "succeeded"

    def test_pays_itself_when_told(self, sandbox: Sandbox, eventually: Eventually) -> None:
        sandbox.control("POST", "/stripe/settings", {"pix_pays_after_s": 0.05})

        asked = pay(sandbox, payment_method=None, payment_method_data=PIX)

        eventually(lambda: client(sandbox).v1.payment_intents.retrieve(asked.id).status == "succeeded")

    def test_runs_out(self, sandbox: Sandbox) -> None:
        asked = pay(sandbox, payment_method=None, payment_method_data=PIX)

        sandbox.control("POST", f"/stripe/payment_intents/{asked.id}/expire")

        over = client(sandbox).v1.payment_intents.retrieve(asked.id)
        assert over.status == "requires_payment_method"
        assert over.last_payment_error.code == "payment_intent_payment_attempt_expired"

    def test_boleto_needs_the_payer(self, sandbox: Sandbox) -> None:
        shown = pay(sandbox, payment_method=None, payment_method_data=BOLETO)
        with pytest.raises(stripe.InvalidRequestError) as caught:
            pay(sandbox, payment_method=None, payment_method_data={"type": "boleto"})

        assert shown.next_action.type == "boleto_display_details"
        assert len(shown.next_action.boleto_display_details.number) == 47
        assert caught.value.json_body["error"]["code"] == "parameter_missing"


class TestRefusal:
    @pytest.mark.parametrize(
        ("change", "code", "param"),
        [
            ({"novelty": 1}, "parameter_unknown", "novelty"),
            ({"payment_method_data": PIX | {"novelty": 1}}, "parameter_unknown", "payment_method_data[novelty]"),
            ({"amount": None}, "parameter_missing", "amount"),
            ({"amount": "19.90"}, "parameter_invalid_integer", "amount"),
            ({"amount": -5}, "parameter_invalid_integer", "amount"),
            ({"amount": 49}, "amount_too_small", "amount"),
            ({"amount": 100_000_000}, "amount_too_large", "amount"),
            ({"amount": 1991, "currency": "kwd"}, "parameter_invalid_integer", "amount"),
            ({"currency": "xyz"}, None, "currency"),
            ({"capture_method": "later"}, None, "capture_method"),
            ({"customer": "cus_none"}, "resource_missing", "customer"),
            ({"payment_method_types": ["card"]}, "payment_method_types_no_longer_supported", "payment_method_types"),
            ({"allowed_payment_method_types": ["pix"]}, "parameters_exclusive", "allowed_payment_method_types"),
            ({"expand": ["customer.novelty"]}, None, "expand"),
        ],
    )
    def test_names_the_parameter(self, sandbox: Sandbox, change: dict[str, Any], code: str | None, param: str) -> None:
        values = {name: value for name, value in (CHARGE | change).items() if value is not None}

        with pytest.raises(stripe.InvalidRequestError) as caught:
            client(sandbox).v1.payment_intents.create(values)

        error = caught.value.json_body["error"]
        assert (caught.value.http_status, error.get("code"), error["param"]) == (400, code, param)

    def test_wants_a_return_url_where_methods_may_redirect(self, sandbox: Sandbox) -> None:
        with pytest.raises(stripe.InvalidRequestError, match="return_url"):
            pay(sandbox, automatic_payment_methods={"enabled": True})

    def test_takes_currencies_without_decimals(self, sandbox: Sandbox) -> None:
        paid = pay(sandbox, amount=500, currency="jpy")

        assert (paid.amount_received, paid.currency, paid.payment_method_types) == (500, "jpy", ["card"])

    def test_filters_the_methods(self, sandbox: Sandbox) -> None:
        values = {"amount": 1990, "currency": "brl", "allowed_payment_method_types": ["pix", "klarna"]}
        only = client(sandbox).v1.payment_intents.create(values)

        assert only.payment_method_types == ["pix"]
        with pytest.raises(stripe.InvalidRequestError):
            client(sandbox).v1.payment_intents.confirm(only.id, {"payment_method": "pm_card_visa"})


class TestRefund:
    def test_of_a_card_is_done_at_once_and_never_for_more(self, sandbox: Sandbox) -> None:
        paid, refunds = pay(sandbox), client(sandbox).v1.refunds

        first = refunds.create({"payment_intent": paid.id, "amount": 1000})
        with pytest.raises(stripe.InvalidRequestError) as caught:
            refunds.create({"payment_intent": paid.id, "amount": 991})
        refunds.create({"payment_intent": paid.id})
        with pytest.raises(stripe.InvalidRequestError) as again:
            refunds.create({"payment_intent": paid.id})

        charge = client(sandbox).v1.charges.retrieve(str(paid.latest_charge), {"expand": ["refunds"]})
        assert (first.status, caught.value.param) == ("succeeded", "amount")
        assert again.value.json_body["error"]["code"] == "charge_already_refunded"
        assert (charge.refunded, charge.amount_refunded, len(charge.refunds.data)) == (True, 1990, 2)

    def test_of_pix_succeeds_later(self, sandbox: Sandbox, eventually: Eventually) -> None:
        asked = pay(sandbox, payment_method=None, payment_method_data=PIX)
        sandbox.control("POST", f"/stripe/payment_intents/{asked.id}/pay")

        refund = client(sandbox).v1.refunds.create({"payment_intent": asked.id})

        assert refund.status == "pending"
        eventually(lambda: client(sandbox).v1.refunds.retrieve(refund.id).status == "succeeded")
        assert "refund.updated" in types(sandbox)

    def test_may_fail_after_all(self, sandbox: Sandbox) -> None:
        paid = pay(sandbox)
        refund = client(sandbox).v1.refunds.create({"payment_intent": paid.id})

        sandbox.control("POST", f"/stripe/refunds/{refund.id}/fail", {"reason": "lost_or_stolen_card"})

        failed = client(sandbox).v1.refunds.retrieve(refund.id)
        assert (failed.status, failed.failure_reason) == ("failed", "lost_or_stolen_card")
        assert client(sandbox).v1.charges.retrieve(str(paid.latest_charge)).amount_refunded == 0
        assert types(sandbox)[-1] == "refund.failed"


class TestDispute:
    @pytest.mark.parametrize(("outcome", "last"), [("won", "funds_reinstated"), ("lost", "closed")])
    def test_is_opened_by_a_test_card_and_closed(self, sandbox: Sandbox, outcome: str, last: str) -> None:
        paid = pay(sandbox, payment_method="pm_card_createDispute")
        found = client(sandbox).v1.disputes.list({"payment_intent": paid.id}).data[0]

        sandbox.control("POST", f"/stripe/disputes/{found.id}/close", {"outcome": outcome})

        assert (found.status, found.reason, found.amount) == ("needs_response", "fraudulent", 1990)
        assert client(sandbox).v1.disputes.retrieve(found.id).status == outcome
        assert types(sandbox)[-1] == f"charge.dispute.{last}"
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client(sandbox).v1.refunds.create({"payment_intent": paid.id})
        assert caught.value.json_body["error"]["code"] == "charge_disputed"


class TestRepeat:
    def test_charges_once(self, sandbox: Sandbox) -> None:
        intents, again = client(sandbox).v1.payment_intents, {"idempotency_key": "op-1"}
        values = CHARGE | {"confirm": True, "payment_method": "pm_card_visa"}

        first, second = intents.create(values, again), intents.create(values, again)
        with pytest.raises(stripe.IdempotencyError):
            intents.create(values | {"amount": 2000}, again)

        assert first.id == second.id
        assert len(intents.list().data) == 1

    def test_gives_a_refusal_of_a_card_again(self, sandbox: Sandbox) -> None:
        seen = []
        for _ in range(2):
            with pytest.raises(stripe.CardError) as caught:
                client(sandbox).v1.payment_intents.create(
                    CHARGE | {"confirm": True, "payment_method": "pm_card_chargeDeclined"},
                    {"idempotency_key": "op-2"},
                )
            seen.append(caught.value.json_body["error"]["charge"])

        assert seen[0] == seen[1]


class TestAnswer:
    def test_takes_milliseconds(self, sandbox: Sandbox) -> None:
        api = client(sandbox)
        values = CHARGE | {"confirm": True, "payment_method": "pm_card_visa"}
        api.v1.payment_intents.create(values)

        started = time.monotonic()
        for _ in range(20):
            api.v1.payment_intents.create(values)

        assert (time.monotonic() - started) / 20 < 0.1

    def test_pages_through_lists(self, sandbox: Sandbox) -> None:
        made = [client(sandbox).v1.payment_intents.create(CHARGE).id for _ in range(5)]

        found = client(sandbox).v1.payment_intents.list({"limit": 2})

        assert [intent.id for intent in found.auto_paging_iter()] == made[::-1]
        before = client(sandbox).v1.payment_intents.list({"limit": 2, "ending_before": made[1]})
        assert [intent.id for intent in before.data] == [made[3], made[2]]
        assert before.has_more is True

    def test_knows_what_needs_no_redirect(self, sandbox: Sandbox) -> None:
        assert pay(sandbox, automatic_payment_methods=NO_REDIRECTS).status == "succeeded"
