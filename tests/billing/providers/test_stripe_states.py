"""What Stripe's objects say, in shapes of all versions, and what of it is not believed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from billing.contract import (
    CheckoutState,
    CustomerState,
    DisputeState,
    InvoiceState,
    PaymentState,
    PayoutState,
    RefundState,
    SubscriptionState,
)
from billing.providers._stripe_money import from_stripe, to_stripe
from billing.providers.stripe import StripeProvider
from core.money import EXPONENTS, InvalidAmount
from integrations.contract import UnexpectedResponse
from tests.signatures import arrived
from tests.wire import Fixtures

AT = 1795400100


def event(vendor_type: str, thing: dict[str, Any], **changes: Any) -> Any:
    body = {"id": "evt_1Test", "object": "event", "type": vendor_type, "created": AT, "livemode": False}
    (parsed,) = StripeProvider.parse(arrived(json.dumps({**body, "data": {"object": thing}, **changes}).encode()))
    return parsed


def said(vendor_type: str, thing: dict[str, Any], **changes: Any) -> Any:
    (state,) = StripeProvider.read_states(event(vendor_type, thing, **changes))
    return state


def intent(**changes: Any) -> dict[str, Any]:
    facts = {"id": "pi_1", "object": "payment_intent", "amount": 4990, "amount_received": 0, "currency": "brl"}
    return {**facts, "status": "requires_payment_method", "metadata": {}, "livemode": False, **changes}


def charge(**changes: Any) -> dict[str, Any]:
    facts = {"id": "ch_1", "object": "charge", "amount": 4990, "amount_captured": 4990, "amount_refunded": 0}
    facts |= {"captured": True, "created": AT, "currency": "brl", "metadata": {}, "payment_intent": "pi_1"}
    return {**facts, "refunded": False, "status": "succeeded", **changes}


class TestPaymentIntents:
    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({}, "requires_action"),
            ({"status": "requires_confirmation"}, "pending"),
            ({"status": "requires_action"}, "requires_action"),
            ({"status": "requires_source_action"}, "requires_action"),
            ({"status": "processing"}, "processing"),
            ({"status": "requires_capture", "amount_capturable": 4990}, "processing"),
            ({"status": "canceled", "cancellation_reason": "abandoned"}, "canceled"),
            ({"status": "canceled", "cancellation_reason": "expired"}, "expired"),
            ({"status": "succeeded"}, "succeeded"),
            ({"status": "succeeded", "latest_charge": charge(amount_refunded=1)}, "partially_refunded"),
            ({"status": "succeeded", "latest_charge": charge(amount_refunded=4990, refunded=True)}, "refunded"),
            ({"last_payment_error": {"code": "card_declined"}}, "failed"),
            ({"last_payment_error": {"code": "payment_intent_payment_attempt_expired"}}, "expired"),
        ],
    )
    def test_have_the_state_of_the_table(self, changes: dict[str, Any], status: str) -> None:
        assert said("payment_intent.processing", intent(**changes)).status == status

    def test_without_the_charge_nobody_knows_what_went_back(self) -> None:
        bare = said("payment_intent.succeeded", intent(status="succeeded", latest_charge="ch_1"))
        whole = said("payment_intent.succeeded", intent(status="succeeded", latest_charge=charge()))

        assert (bare.amount_refunded_minor, bare.aliases) == (None, ("ch_1",))
        assert (whole.amount_refunded_minor, whole.aliases) == (0, ("ch_1",))

    def test_of_old_versions_hold_their_charges(self) -> None:
        old = intent(status="succeeded", charges={"object": "list", "data": [charge(amount_refunded=90)]})

        state = said("payment_intent.succeeded", old, api_version="2020-08-27", request="req_test_old")

        assert (state.status, state.amount_refunded_minor, state.aliases) == ("partially_refunded", 90, ("ch_1",))

    def test_have_the_time_and_account_of_their_event(self) -> None:
        state = said("payment_intent.succeeded", intent(status="succeeded"), account="acct_1Test", livemode=True)

        assert (state.vendor_at, state.account) == (datetime.fromtimestamp(AT, UTC), "acct_1Test")

    def test_redirect_where_the_payer_must_go(self) -> None:
        action = {"type": "redirect_to_url", "redirect_to_url": {"url": "https://bank.example/3ds"}}

        state = said("payment_intent.requires_action", intent(status="requires_action", next_action=action))

        assert state.next_action is not None
        assert dict(state.next_action.details) == {"url": "https://bank.example/3ds"}

    def test_no_client_secret_comes_by_webhook(self) -> None:
        assert said("payment_intent.created", intent(client_secret="pi_1_secret_test")).next_action is None

    @pytest.mark.parametrize(
        "changes",
        [
            {"status": "unheard_of"}, {"status": None}, {"amount": "4990"}, {"amount": None}, {"amount": True},
            {"currency": "zzz"}, {"currency": None}, {"amount": 10**40},
            {"currency": "isk", "amount": 150},
        ],
    )  # fmt: skip
    def test_of_another_shape_are_unexpected(self, changes: dict[str, Any]) -> None:
        with pytest.raises(UnexpectedResponse):
            said("payment_intent.succeeded", intent(**changes))


class TestCharges:
    @pytest.mark.parametrize(
        ("changes", "status", "received"),
        [
            ({}, "succeeded", 4990),
            ({"status": "paid"}, "succeeded", 4990),
            ({"status": "pending"}, "processing", 0),
            ({"status": "failed", "captured": False, "failure_code": "card_declined"}, "failed", 0),
            ({"captured": False}, "processing", 0),
            ({"captured": False, "refunded": True, "amount_refunded": 4990}, "canceled", 0),
            ({"amount_refunded": 90}, "partially_refunded", 4990),
            ({"amount_refunded": 4990, "refunded": True}, "refunded", 4990),
        ],
    )
    def test_speak_of_their_payment(self, changes: dict[str, Any], status: str, received: int) -> None:
        state = said("charge.updated", charge(**changes))

        assert (state.external_id, state.aliases) == ("pi_1", ("ch_1",))
        assert (state.status, state.amount_received_minor) == (status, received)

    def test_without_an_intent_are_payments_themselves(self) -> None:
        assert said("charge.succeeded", charge(payment_intent=None)).external_id == "ch_1"

    def test_of_old_versions_hold_their_refunds(self) -> None:
        refund = {"id": "re_1", "object": "refund", "amount": 90, "currency": "brl", "charge": "ch_1"}
        old = charge(amount_refunded=90, refunds={"object": "list", "data": [{**refund, "status": "succeeded"}]})

        payment, given_back = StripeProvider.read_states(event("charge.refunded", old))

        assert isinstance(payment, PaymentState)
        assert isinstance(given_back, RefundState)
        assert (given_back.external_id, given_back.payment, given_back.status) == ("re_1", "ch_1", "succeeded")

    def test_say_why_they_failed(self) -> None:
        failed = charge(
            status="failed", failure_code="card_declined", failure_message="No.", outcome={"reason": "lost_card"}
        )

        problem = said("charge.failed", failed).problem

        assert (problem.code, problem.reason, problem.message) == ("lost_card", "payment_declined", "No.")


class TestRefundsAndDisputes:
    REFUND = {"id": "re_1", "object": "refund", "amount": 990, "currency": "brl", "charge": "ch_1", "metadata": {}}
    DISPUTE = {"id": "du_1", "object": "dispute", "amount": 4990, "currency": "brl", "charge": "ch_1"}

    def test_name_the_intent_before_the_charge(self) -> None:
        assert said("refund.updated", {**self.REFUND, "status": "failed", "payment_intent": "pi_1"}).payment == "pi_1"
        assert said("refund.updated", {**self.REFUND, "status": "failed"}).payment == "ch_1"

    def test_a_failed_refund_says_why(self) -> None:
        state = said("refund.failed", {**self.REFUND, "status": "failed", "failure_reason": "expired_or_canceled_card"})

        assert (state.status, state.problem.code) == ("failed", "expired_or_canceled_card")

    @pytest.mark.parametrize(
        ("word", "status"),
        [("needs_response", "open"), ("under_review", "under_review"), ("warning_closed", "won"), ("lost", "lost")],
    )
    def test_a_dispute_has_the_state_of_the_table(self, word: str, status: str) -> None:
        thing = {**self.DISPUTE, "status": word, "reason": "fraudulent", "evidence_details": {"due_by": AT}}

        state = said("charge.dispute.updated", thing)

        assert (state.status, state.reason, state.evidence_due_at) == (
            status,
            "fraudulent",
            datetime.fromtimestamp(AT, UTC),
        )

    @pytest.mark.parametrize("thing", [{**REFUND, "charge": None, "status": "pending"}, {**DISPUTE, "charge": None}])
    def test_of_no_payment_are_unexpected(self, thing: dict[str, Any]) -> None:
        with pytest.raises(UnexpectedResponse):
            said("refund.updated", thing)


class TestBilling:
    def test_old_subscriptions_have_periods_and_plan_themselves(self) -> None:
        plan = {"id": "plan_1", "amount": 1990, "currency": "brl"}
        old = {"id": "sub_1", "object": "subscription", "status": "active", "current_period_end": AT, "quantity": 3}
        old |= {"items": {"object": "list", "data": [{"id": "si_1", "plan": plan, "quantity": 3}]}, "customer": "cus_1"}

        state = said("customer.subscription.updated", old, api_version="2019-05-16")

        assert (state.price, state.amount_minor, state.currency, state.quantity) == ("plan_1", 5970, "BRL", 3)
        assert state.current_period_end == datetime.fromtimestamp(AT, UTC)

    def test_a_price_below_the_smallest_unit_is_no_amount(self) -> None:
        price = {"id": "price_1", "unit_amount": 0, "unit_amount_decimal": "0.5", "currency": "brl"}
        thing = {"id": "sub_1", "object": "subscription", "status": "active"}
        thing |= {"items": {"data": [{"id": "si_1", "price": price, "quantity": 1}]}}

        assert said("customer.subscription.created", thing).amount_minor is None

    def test_old_invoices_name_subscription_and_payment_themselves(self) -> None:
        old = {"id": "in_1", "object": "invoice", "amount_due": 1990, "amount_paid": 1990, "currency": "brl"}
        old |= {"subscription": "sub_1", "payment_intent": "pi_1", "charge": "ch_1", "paid": True}

        state = said("invoice.payment_succeeded", old, api_version="2017-08-15")

        assert (state.status, state.subscription, state.payments) == ("paid", "sub_1", ("pi_1",))

    def test_new_invoices_name_them_in_parent_and_payments(self) -> None:
        paid_by = {"data": [{"payment": {"type": "payment_intent", "payment_intent": "pi_1"}}]}
        new = {"id": "in_1", "object": "invoice", "amount_due": 1990, "amount_paid": 0, "currency": "brl"}
        new |= {"status": "open", "payments": paid_by, "parent": {"subscription_details": {"subscription": "sub_1"}}}

        state = said("invoice.finalized", new)

        assert (state.status, state.subscription, state.payments) == ("open", "sub_1", ("pi_1",))

    def test_a_complete_checkout_is_not_a_payment(self) -> None:
        thing = {"id": "cs_1", "object": "checkout.session", "status": "complete", "payment_status": "unpaid"}

        states = StripeProvider.read_states(event("checkout.session.completed", {**thing, "payment_intent": "pi_1"}))

        (state,) = states
        assert isinstance(state, CheckoutState)
        assert (state.is_open, state.payment, state.vendor_status) == (False, "pi_1", "complete unpaid")

    def test_a_deleted_customer_is_gone(self) -> None:
        thing = {"id": "cus_1", "object": "customer", "email": "a@example.com"}

        assert said("customer.deleted", thing).is_deleted
        assert not said("customer.updated", thing).is_deleted

    @pytest.mark.parametrize(("word", "status"), [("in_transit", "pending"), ("paid", "paid"), ("failed", "failed")])
    def test_a_payout_has_the_state_of_the_table(self, word: str, status: str) -> None:
        thing = {"id": "po_1", "object": "payout", "amount": 100, "currency": "brl", "status": word}

        assert said("payout.updated", thing).status == status

    @pytest.mark.parametrize("kind", ["subscription", "invoice", "payout"])
    def test_a_status_that_we_do_not_know_is_unexpected(self, kind: str) -> None:
        thing = {"id": "x_1", "object": kind, "status": "unheard_of", "amount_due": 1, "currency": "brl"}

        with pytest.raises(UnexpectedResponse):
            said("invoice.updated", thing)

    def test_what_is_not_kept_says_nothing(self) -> None:
        assert StripeProvider.read_states(event("account.updated", {"id": "acct_1", "object": "account"})) == ()


class TestMoney:
    @pytest.mark.parametrize("currency", sorted(EXPONENTS))
    def test_every_currency_comes_back_as_it_went(self, currency: str) -> None:
        for amount_minor in (100, 5800, 123_456_700):
            assert from_stripe(to_stripe(amount_minor, currency), currency) == amount_minor

    @pytest.mark.parametrize(("amount", "currency"), [(150, "ISK"), (1, "UGX")])
    def test_fractions_that_do_not_exist_are_refused(self, amount: int, currency: str) -> None:
        with pytest.raises(InvalidAmount):
            from_stripe(amount, currency)


STATES_OF = {
    "payment_intent": PaymentState, "charge": PaymentState, "refund": RefundState, "dispute": DisputeState,
    "subscription": SubscriptionState, "invoice": InvoiceState, "checkout.session": CheckoutState,
    "customer": CustomerState, "payout": PayoutState,
}  # fmt: skip


class TestOwnPayloads:
    def test_each_says_what_its_object_is(self) -> None:
        fixtures = Fixtures.of(StripeProvider)

        for name in fixtures.names("webhooks"):
            (parsed,) = StripeProvider.parse(arrived(fixtures.body(name)))
            states = StripeProvider.read_states(parsed)
            kind = parsed.data["object"].get("object")
            assert [type(state) for state in states] == ([STATES_OF[kind]] if kind in STATES_OF else [])


@pytest.mark.vendor_fixtures
class TestVendorPayloads:
    EXPECTED = {
        "payment_intent.created": "requires_action", "payment_intent.payment_failed": "failed",
        "payment_intent.requires_action_pix": "requires_action", "payment_intent.processing": "processing",
        "payment_intent.succeeded": "succeeded", "payment_intent.succeeded_zero_decimal_jpy": "succeeded",
        "payment_intent.canceled": "canceled", "connect_payment_intent.succeeded": "succeeded",
        "charge.succeeded": "succeeded", "charge.failed": "failed", "charge.refunded_partial": "partially_refunded",
        "charge.dispute.created": "open", "charge.dispute.closed_lost": "lost", "refund.failed": "failed",
        "invoice.created_draft": "draft", "invoice.finalized": "open", "invoice.paid": "paid",
        "customer.subscription.updated_active_to_past_due": "past_due", "customer.subscription.deleted": "canceled",
        "customer.subscription.paused": "paused",
    }  # fmt: skip

    def test_every_event_says_what_its_object_is(self, vendor_fixtures: Path) -> None:
        read = 0
        for path in sorted((vendor_fixtures / "payments" / "stripe" / "events").glob("*.json")):
            (parsed,) = StripeProvider.parse(arrived(path.read_bytes()))
            states = StripeProvider.read_states(parsed)
            kind = parsed.data["object"].get("object")
            assert [type(state) for state in states] == ([STATES_OF[kind]] if kind in STATES_OF else []), path.name
            if path.stem in self.EXPECTED:
                (state,) = states
                assert state.status == self.EXPECTED[path.stem], path.name  # type: ignore[union-attr]
            assert parsed.type != "unknown" or "ping" in path.name
            read += len(states)
        assert read >= 34

    def test_amounts_are_iso_minor_units(self, vendor_fixtures: Path) -> None:
        folder = vendor_fixtures / "payments" / "stripe" / "events"

        (brl,) = self.read(folder / "payment_intent.succeeded.json")
        (jpy,) = self.read(folder / "payment_intent.succeeded_zero_decimal_jpy.json")

        assert (brl.amount_minor, brl.amount_received_minor, brl.currency) == (1990, 1990, "BRL")
        assert jpy.currency == "JPY"
        assert jpy.amount_minor == jpy.object["amount"]

    def test_a_pix_shows_its_code(self, vendor_fixtures: Path) -> None:
        (state,) = self.read(
            vendor_fixtures / "payments" / "stripe" / "events" / "payment_intent.requires_action_pix.json"
        )

        assert state.next_action.kind == "pix_qr"
        assert state.next_action.details["qr_code"].startswith("000201")

    def read(self, path: Path) -> Any:
        (parsed,) = StripeProvider.parse(arrived(path.read_bytes()))
        return StripeProvider.read_states(parsed)
