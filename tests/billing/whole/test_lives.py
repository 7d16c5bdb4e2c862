"""Whole lives of payments: what the payer, the bank and time do at the vendor, our rows say in the end."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from billing import services
from billing.contract import LineItem
from billing.models import CheckoutSession, Dispute, Invoice, Payment, Refund, Subscription
from tenants.context import in_organization
from tests.billing.whole.shops import ACTOR, ASKED, PAYER, Shop
from tests.sandbox.mercadopago import Shop as Seller
from tests.sandbox.stripe_client import MONTHLY

pytestmark = pytest.mark.django_db

PART = 1_000
PAGES = {"success_url": "https://shop.example.com/ok", "cancel_url": "https://shop.example.com/no"}


def seen(shop: Shop, payment: Payment) -> tuple[str, int, int]:
    """Return status, received and given back of a payment, as they are now."""
    found = shop.now(payment)
    return found.status, found.amount_received_minor, found.amount_refunded_minor


def card_of(shop: Shop, name: str) -> str:
    """Return a card token as the payer's browser makes it; the holder's name decides."""
    return Seller(sandbox=shop.sandbox, account=shop.account).card_token(name)


@pytest.fixture
def paid(any_shop: Shop) -> Payment:
    """A PIX that was paid."""
    return paid_pix(any_shop)


def paid_pix(shop: Shop) -> Payment:
    """Make a PIX, let it be paid and told."""
    payment = shop.pay()
    shop.act(payment, "pay")
    shop.hear()
    assert seen(shop, payment) == ("succeeded", ASKED, 0)
    return shop.now(payment)


class TestPix:
    def test_is_paid_with_its_evidence_and_touches_nobody_else(
        self, any_shop: Shop, paid: Payment, other_organization: Any
    ) -> None:
        with in_organization(any_shop.organization):
            moves = [claim.moved_to for claim in paid.evidence.exclude(moved_to="")]
        assert moves.count("succeeded") == 1
        assert paid.end_to_end_id or any_shop.provider == "stripe"
        assert paid.paid_at is not None
        with in_organization(other_organization):
            assert not Payment.objects.exists()

    def test_expires_when_nobody_pays(self, any_shop: Shop) -> None:
        payment = any_shop.pay(expires_in_s=3600)

        any_shop.act(payment, "expire")
        any_shop.hear()
        any_shop.work(minutes=70)

        assert seen(any_shop, payment) == ("expired", 0, 0)

    @pytest.mark.parametrize(
        ("provider", "how"),
        [("mercadopago", {"amount": "1.00"}), ("pix", {"valor": "1.00"})],
        ids=str,
    )
    def test_with_a_wrong_amount_is_not_paid(self, open_shop: Any, provider: str, how: dict[str, str]) -> None:
        shop = open_shop(provider)
        payment = shop.pay()

        shop.act(payment, "pay", **how)
        shop.hear()

        assert seen(shop, payment) == ("processing", 100, 0)
        assert shop.now(payment).warning == "amount_mismatch"
        assert shop.paid() == []

    @pytest.mark.parametrize("told", ["together", "one after the other"])
    def test_paid_twice_is_one_payment_that_shows_it(self, pix: Shop, told: str) -> None:
        payment = pix.pay()

        if told == "together":
            pix.act(payment, "pay", times=2)
        else:
            pix.act(payment, "pay")
            pix.hear()
            pix.act(payment, "pay", force=True)
        pix.hear()

        (found,) = pix.rows(Payment)
        assert (found.warning, found.amount_received_minor) == ("amount_mismatch", 2 * ASKED)
        assert found.status == ("processing" if told == "together" else "succeeded")


class TestRefund:
    def test_of_a_part_and_then_of_the_rest(self, any_shop: Shop, paid: Payment) -> None:
        first = any_shop.refund(paid, amount_minor=PART)
        settle_refund(any_shop, first)
        assert seen(any_shop, paid) == ("partially_refunded", ASKED, PART)

        settle_refund(any_shop, any_shop.refund(paid))

        assert seen(any_shop, paid) == ("refunded", ASKED, ASKED)
        assert [refund.status for refund in any_shop.rows(Refund)] == ["succeeded", "succeeded"]

    def test_that_fails_leaves_the_money(self, pix: Shop) -> None:
        payment = paid_pix(pix)
        pix.control("POST", "/settings", {"refund_fails": True})

        settle_refund(pix, pix.refund(payment, amount_minor=PART))

        assert seen(pix, payment) == ("succeeded", ASKED, 0)
        assert [refund.status for refund in pix.rows(Refund)] == ["failed"]

    def test_that_fails_after_it_had_succeeded_gives_the_money_back(self, stripe: Shop) -> None:
        payment = stripe.pay("card")
        stripe.act(payment, "pay")
        stripe.hear()
        refund = stripe.refund(payment, amount_minor=PART)
        stripe.hear()
        assert seen(stripe, payment) == ("partially_refunded", ASKED, PART)

        stripe.control("POST", f"/refunds/{refund.external_id}/fail", {})
        stripe.hear()

        assert seen(stripe, payment) == ("succeeded", ASKED, 0)
        assert stripe.now(refund).status == "failed"

    def test_made_on_the_vendors_own_pages_is_seen(self, open_shop: Any) -> None:
        for provider in ("stripe", "mercadopago"):
            shop = open_shop(provider)
            payment = paid_pix(shop)

            shop.act(payment, "refund", amount="10.00" if provider == "mercadopago" else PART)
            shop.hear()

            assert seen(shop, payment) == ("partially_refunded", ASKED, PART)


class TestCard:
    def test_declined_and_then_paid_at_stripe(self, stripe: Shop) -> None:
        payment = stripe.pay("card")

        stripe.act(payment, "decline", decline_code="insufficient_funds")
        stripe.hear()
        refused = stripe.now(payment)
        stripe.act(payment, "pay")
        stripe.hear()

        assert (refused.status, refused.error["reason"]) == ("failed", "payment_declined")
        assert seen(stripe, payment) == ("succeeded", ASKED, 0)
        assert stripe.now(payment).error is None

    def test_declined_is_an_answer_and_another_card_pays(self, mercadopago: Shop) -> None:
        refused = mercadopago.pay("card", card=card_of(mercadopago, "FUND"))
        paid = mercadopago.pay("card", card=card_of(mercadopago, "APRO"))
        mercadopago.hear()

        assert (refused.status, refused.error["reason"]) == ("failed", "payment_declined")
        assert seen(mercadopago, refused) == ("failed", 0, 0)
        assert seen(mercadopago, paid) == ("succeeded", ASKED, 0)


class TestBoleto:
    @pytest.mark.parametrize("provider", ["stripe", "mercadopago"])
    def test_is_shown_and_paid(self, open_shop: Any, provider: str) -> None:
        shop = open_shop(provider)
        payment = shop.pay("boleto")
        assert payment.next_action["kind"] == "boleto"

        shop.act(payment, "pay")
        shop.hear()

        assert seen(shop, payment) == ("succeeded", ASKED, 0)


class TestDispute:
    @pytest.mark.parametrize(("outcome", "status"), [("won", "succeeded"), ("lost", "charged_back")])
    def test_at_stripe(self, stripe: Shop, outcome: str, status: str) -> None:
        payment = stripe.pay("card")
        stripe.act(payment, "pay")
        dispute = stripe.act(payment, "dispute")
        stripe.hear()
        assert [found.status for found in stripe.rows(Dispute)] == ["open"]

        stripe.control("POST", f"/disputes/{dispute['id']}/close", {"outcome": outcome})
        stripe.hear()

        assert [found.status for found in stripe.rows(Dispute)] == [outcome]
        assert seen(stripe, payment)[:2] == (status, ASKED)

    @pytest.mark.parametrize(("outcome", "status"), [("won", "succeeded"), ("lost", "charged_back")])
    def test_at_mercadopago(self, mercadopago: Shop, outcome: str, status: str) -> None:
        payment = mercadopago.pay("card", card=card_of(mercadopago, "APRO"))
        chargeback = mercadopago.act(payment, "chargeback")
        mercadopago.hear()

        mercadopago.control("POST", f"/chargebacks/{chargeback['id']}/close", {"outcome": f"seller_{outcome}"})
        mercadopago.hear()

        assert [found.status for found in mercadopago.rows(Dispute)] == [outcome]
        assert seen(mercadopago, payment)[:2] == (status, ASKED)


class TestSubscription:
    def test_goes_from_incomplete_to_active_to_canceled(self, stripe: Shop) -> None:
        with in_organization(stripe.organization):
            customer = services.create_customer(stripe.integration, email="ana@example.com", actor=ACTOR)
            made = services.create_subscription(
                stripe.integration, price=MONTHLY, customer=str(customer.pk), actor=ACTOR
            )
        assert made.status == "incomplete"
        (intent,) = {payment["payment_intent"] for payment in invoice_payments(stripe)}

        stripe.control("POST", f"/payment_intents/{intent}/pay", {})
        stripe.hear()
        assert stripe.now(made).status == "active"
        assert [invoice.status for invoice in stripe.rows(Invoice)] == ["paid"]
        stripe.control("POST", f"/subscriptions/{made.external_id}/advance", {"to": "renew"})
        stripe.control("POST", f"/subscriptions/{made.external_id}/advance", {"to": "delete"})
        stripe.hear()

        assert stripe.now(made).status == "canceled"
        assert len(stripe.rows(Subscription)) == 1
        assert [invoice.status for invoice in stripe.rows(Invoice)] == ["paid", "paid"]


def invoice_payments(shop: Shop) -> list[dict[str, Any]]:
    """Return what the vendor tells of the payments of invoices."""
    events = shop.control("GET", "/events")["events"]
    return [
        {"payment_intent": event["data"]["object"]["id"]}
        for event in events
        if event["type"] == "payment_intent.created"
    ]


class TestCheckoutPage:
    def test_is_paid_at_stripe(self, stripe: Shop) -> None:
        page = make_page(stripe)

        stripe.control("POST", f"/sessions/{page.external_id}/pay", {})
        stripe.hear()

        assert_paid_page(stripe, page)

    def test_is_paid_at_mercadopago(self, mercadopago: Shop) -> None:
        page = make_page(mercadopago)

        requests.post(page.url, data={"way": "card"}, allow_redirects=False, timeout=5)
        mercadopago.hear()

        assert_paid_page(mercadopago, page)


def make_page(shop: Shop) -> CheckoutSession:
    """Make a page on which something is bought."""
    line = LineItem(quantity=2, name="Caneca", amount_minor=ASKED // 2, currency="BRL")
    with in_organization(shop.organization):
        return services.create_checkout(
            shop.integration, mode="payment", line_items=(line,), payer=PAYER, actor=ACTOR, **PAGES
        )


def assert_paid_page(shop: Shop, page: CheckoutSession) -> None:
    """The page is over, and its payment is there once, with what was asked."""
    (payment,) = shop.rows(Payment)
    found = shop.now(page)
    assert (payment.status, payment.amount_received_minor) == ("succeeded", ASKED)
    assert (found.is_open, found.payment_id) == (False, payment.pk)


def settle_refund(shop: Shop, refund: Refund) -> None:
    """Let the vendor end a refund that it works on, and tell."""
    if shop.provider == "stripe" and refund.status == "pending":
        shop.control("POST", f"/refunds/{refund.external_id}/succeed", {})
    if shop.provider == "pix":
        wait_for_the_bank(shop, refund)
    shop.hear()


def wait_for_the_bank(shop: Shop, refund: Refund) -> None:
    """Wait until the bank has posted of a refund; it does so a fifth of a second after it was asked."""
    shop.receiver.posts.put(shop.receiver.next())
