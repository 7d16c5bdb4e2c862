"""Answers that get lost after the vendor acted: nobody is charged twice, nothing is given back twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import requests

from billing.models import Payment, Refund
from dispatch.models import OutboxEntry
from integrations import registry
from integrations.contract import Unavailable
from tests.billing.whole.shops import ASKED, Shop
from tests.sandbox.mercadopago import Shop as Seller
from tests.sandbox.pix import Business, around_now

pytestmark = pytest.mark.django_db

PART = 1_000
LOST = ["hang", "reset", "html"]

CREATE = {"stripe": "POST /v1/payment_intents", "mercadopago": "POST /v1/payments", "pix": "PUT /cob/{txid}"}
GIVE_BACK = {
    "stripe": "POST /v1/refunds",
    "mercadopago": "POST /v1/payments/{payment_id}/refunds",
    "pix": "PUT /pix/{e2eid}/devolucao/{refund_id}",
}


@pytest.fixture(autouse=True)
def _impatient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a second for a vendor that hangs, who in life gets thirty."""
    spec = getattr(request.node, "callspec", None)
    if spec is None or spec.params.get("kind") != "hang":
        return
    for key in CREATE:
        provider = registry.provider(key)
        deadlines = dict.fromkeys(("create_payment", "refund_payment"), 1.0)
        monkeypatch.setattr(provider, "spec", replace(provider.spec, deadlines=provider.spec.deadlines | deadlines))


def at_vendor(shop: Shop) -> list[str]:
    """Return the ids of all payments that the vendor has of the shop, asked past our code."""
    if shop.provider == "pix":
        business = Business(shop.sandbox, shop.account, shop.account["base_url"])
        return [charge["txid"] for charge in business.call("GET", "/cob", **around_now()).json()["cobs"]]
    if shop.provider == "mercadopago":
        listed = shop.control("GET", f"/payments?seller_id={shop.account['id']}")["payments"]
        return [str(payment["id"]) for payment in listed]
    key = shop.account["keys"][0]["key"]
    answer = requests.get(f"{shop.sandbox.url}/stripe/v1/payment_intents", auth=(key, ""), timeout=5)
    return [intent["id"] for intent in answer.json()["data"]]


def given_back_at_vendor(shop: Shop, payment: Payment) -> list[int]:
    """Return the amounts of the refunds that the vendor has of a payment, in minor units."""
    if shop.provider == "pix":
        business = Business(shop.sandbox, shop.account, shop.account["base_url"])
        (pix,) = business.call("GET", f"/cob/{payment.external_id}").json()["pix"]
        return [int(refund["valor"].replace(".", "")) for refund in pix.get("devolucoes", [])]
    if shop.provider == "mercadopago":
        seller = Seller(sandbox=shop.sandbox, account=shop.account)
        return [round(refund["amount"] * 100) for refund in seller.show({"id": payment.external_id})["refunds"]]
    key = shop.account["keys"][0]["key"]
    query = {"payment_intent": payment.external_id}
    answer = requests.get(f"{shop.sandbox.url}/stripe/v1/refunds", params=query, auth=(key, ""), timeout=5)
    return [refund["amount"] for refund in answer.json()["data"]]


class TestPayment:
    @pytest.mark.parametrize("kind", LOST)
    def test_is_processing_until_it_is_found_and_there_is_one(self, any_shop: Shop, kind: str) -> None:
        any_shop.spoil(kind, CREATE[any_shop.provider])

        payment = any_shop.pay()
        assert payment.status == "processing"
        assert payment.external_id == ""
        any_shop.work(seconds=61)

        found = any_shop.now(payment)
        assert found.status == "requires_action"
        assert at_vendor(any_shop) == [found.external_id]
        assert any_shop.calls(CREATE[any_shop.provider]) == 1

    def test_that_the_vendor_never_got_fails_without_another_try(self, any_shop: Shop) -> None:
        any_shop.spoil("reset", CREATE[any_shop.provider], moment="before")

        payment = any_shop.pay()
        assert payment.status == "processing"
        for minutes in (2, 5, 11, 22, 55, 100):
            any_shop.work(minutes=minutes)

        found = any_shop.now(payment)
        assert (found.status, found.error["reason"]) == ("failed", "not_created")
        assert at_vendor(any_shop) == []
        assert any_shop.calls(CREATE[any_shop.provider]) == 1

    def test_whose_answer_was_lost_is_told_by_the_webhook(self, any_shop: Shop) -> None:
        any_shop.spoil("reset", CREATE[any_shop.provider])
        payment = any_shop.pay()
        (external_id,) = at_vendor(any_shop)
        payment.external_id = external_id
        any_shop.act(payment, "pay")

        any_shop.hear()

        (found,) = any_shop.rows(Payment)
        assert (found.pk, found.status, found.external_id) == (payment.pk, "succeeded", external_id)

    def test_that_is_asked_for_again_with_its_key_is_the_same(self, any_shop: Shop) -> None:
        any_shop.spoil("reset", CREATE[any_shop.provider])

        first, again = any_shop.pay(caller_key="order-17"), any_shop.pay(caller_key="order-17")
        any_shop.work(seconds=61)

        assert first.pk == again.pk
        assert len(at_vendor(any_shop)) == 1

    def test_is_not_sent_while_the_breaker_is_open(self, any_shop: Shop) -> None:
        any_shop.spoil("500", CREATE[any_shop.provider], times=5, moment="before", status=503)
        for _ in range(5):
            payment_or_error(any_shop)
        sent = any_shop.calls(CREATE[any_shop.provider])

        with pytest.raises(Unavailable):
            any_shop.pay()

        last = any_shop.rows(Payment)[-1]
        assert (last.status, last.error["reason"]) == ("failed", "not_sent")
        assert any_shop.calls(CREATE[any_shop.provider]) == sent
        assert at_vendor(any_shop) == []


def payment_or_error(shop: Shop) -> None:
    """Ask for a payment that the vendor's trouble prevents, whichever way it says so."""
    try:
        assert shop.pay().status == "processing"
    except Unavailable:
        return


class TestRefund:
    @pytest.mark.parametrize("kind", LOST)
    def test_whose_answer_is_lost_gives_back_once(self, any_shop: Shop, kind: str) -> None:
        payment = any_shop.pay()
        any_shop.act(payment, "pay")
        any_shop.hear()
        any_shop.spoil(kind, GIVE_BACK[any_shop.provider])

        refund = any_shop.refund(payment, amount_minor=PART)
        assert refund.status == "pending"
        any_shop.work(seconds=61)
        any_shop.work(minutes=5)

        assert given_back_at_vendor(any_shop, payment) == [PART]
        (found,) = any_shop.rows(Refund)
        assert found.external_id
        assert any_shop.calls(GIVE_BACK[any_shop.provider]) == 2

    def test_is_not_asked_twice_where_the_webhook_was_faster(self, open_shop: Any) -> None:
        shop = open_shop("stripe")
        payment = shop.pay("card")
        shop.act(payment, "pay")
        shop.hear()
        shop.spoil("reset", GIVE_BACK["stripe"])

        refund = shop.refund(payment)
        shop.hear()
        shop.work(minutes=5)

        assert shop.now(refund).status == "succeeded"
        assert shop.now(payment).amount_refunded_minor == ASKED
        assert given_back_at_vendor(shop, payment) == [ASKED]


class TestNothingIsLeft:
    def test_waiting_after_a_payment_was_found(self, stripe: Shop) -> None:
        stripe.spoil("reset", CREATE["stripe"])
        stripe.pay()

        stripe.work(seconds=61)

        kinds = OutboxEntry.objects.filter(status="waiting").values_list("kind", flat=True)
        assert "payment.settle" not in set(kinds)
