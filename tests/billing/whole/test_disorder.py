"""Whatever order the vendor's posts come in, and however often: one effect, and the vendor's own state in the end."""

from __future__ import annotations

import random
from typing import Any

import pytest

from billing.models import Dispute, Evidence, Payment, Refund
from tests.billing.whole.shops import ASKED, Post, Shop
from tests.sandbox.pix import Business

pytestmark = pytest.mark.django_db

PART = 1_000
SEEDS = range(2)


def live(shop: Shop) -> Payment:
    """Make a PIX; let it be paid and given back in part, while nothing of it reaches us."""
    payment = shop.pay()
    shop.act(payment, "pay")
    if shop.provider == "pix":
        give_back_at_the_bank(shop, payment)
    else:
        shop.act(payment, "refund", amount="10.00" if shop.provider == "mercadopago" else PART)
    if shop.provider == "stripe":
        refunds = [found for found in shop.control("GET", "/events")["events"] if found["type"] == "refund.created"]
        shop.control("POST", f"/refunds/{refunds[-1]['data']['object']['id']}/succeed", {})
    return payment


def give_back_at_the_bank(shop: Shop, payment: Payment) -> None:
    """Let the bank's own app give a part back, and wait until the bank has told."""
    business = Business(shop.sandbox, shop.account, shop.account["base_url"])
    charge = business.call("GET", f"/cob/{payment.external_id}").json()
    e2eid = charge["pix"][0]["endToEndId"]
    first = shop.receiver.next()
    assert business.call("PUT", f"/pix/{e2eid}/devolucao/app17", {"valor": "10.00"}).ok
    second = shop.receiver.next()
    for post in (first, second):
        shop.receiver.posts.put(post)


def shuffled(posts: list[Post], seed: int) -> list[Post]:
    """Repeat posts and put all in another order, the same for a seed."""
    chance = random.Random(seed)
    found = [*posts, *chance.choices(posts, k=len(posts))]
    chance.shuffle(found)
    return found


def truth(shop: Shop, payment: Payment) -> tuple[str, int, int]:
    """Return status, received and given back as the vendor itself has them."""
    with_us = shop.read_at_vendor(payment)
    return with_us.status, with_us.amount_received_minor, with_us.amount_refunded_minor or 0


class TestAnyOrder:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_ends_as_the_vendor_says(self, any_shop: Shop, seed: int) -> None:
        payment = live(any_shop)
        posts = any_shop.posts()

        for post in shuffled(posts, seed):
            any_shop.hand_over([post])
            any_shop.work(seconds=15)

        (found,) = any_shop.rows(Payment)
        _status, received, given_back = truth(any_shop, payment)
        assert (found.status, found.amount_received_minor, found.amount_refunded_minor) == (
            "partially_refunded",
            received,
            given_back,
        )
        assert [refund.amount_minor for refund in any_shop.rows(Refund)] == [PART]
        assert [claim.moved_to for claim in any_shop.rows(Evidence)].count("succeeded") <= 1

    @pytest.mark.parametrize("order", ["in_order", "reversed", "shuffled"])
    def test_of_what_stripe_held_back(self, stripe: Shop, order: str) -> None:
        stripe.control("POST", "/settings", {"webhooks": "held"})
        payment = stripe.pay("card")
        stripe.act(payment, "decline", decline_code="generic_decline")
        stripe.act(payment, "pay")
        dispute = stripe.act(payment, "dispute")
        stripe.control("POST", f"/disputes/{dispute['id']}/close", {"outcome": "lost"})
        assert stripe.now(payment).status == "requires_action"

        stripe.control("POST", "/deliveries/release", {"order": order, "copies": 3})
        stripe.hear()

        assert [found.status for found in stripe.rows(Payment)] == ["charged_back"]
        assert [found.status for found in stripe.rows(Dispute)] == ["lost"]

    def test_of_mercadopagos_own_disorder(self, mercadopago: Shop) -> None:
        mercadopago.control("POST", "/settings", {"disorder": True, "duplicates": 2})
        payment = mercadopago.pay()
        mercadopago.act(payment, "pay")
        mercadopago.act(payment, "refund")

        mercadopago.hear()

        (found,) = mercadopago.rows(Payment)
        assert (found.status, found.amount_refunded_minor) == ("refunded", ASKED)

    def test_of_many_settlements_in_one_post_of_a_bank(self, pix: Shop) -> None:
        payments = [pix.pay() for _ in range(4)]
        ids = [pix.act(payment, "pay", notify=False)["pix"][0]["endToEndId"] for payment in payments]
        pix.control("POST", "/callbacks", {"pix": [*ids[::-1], ids[0]], "repeat": 3})
        pix.control("POST", "/callbacks", {"pix": ids, "together": False})

        pix.hear()

        assert [found.status for found in pix.rows(Payment)] == ["succeeded"] * 4
        assert [claim.moved_to for claim in pix.rows(Evidence)].count("succeeded") == 4

    def test_thin_events_of_stripe_end_alike(self, stripe: Shop) -> None:
        stripe.control("POST", "/settings", {"thin": True})
        payment = stripe.pay()
        stripe.act(payment, "pay")
        posts = stripe.posts()

        stripe.hand_over([*posts[::-1], *posts])
        stripe.work(seconds=15)

        assert [found.status for found in stripe.rows(Payment)] == ["succeeded"]


class TestNothingTold:
    def test_another_organizations_rows_stay_as_they_are(self, open_shop: Any, other_organization: Any) -> None:
        ours, theirs = open_shop("stripe"), open_shop("stripe", of=other_organization, number=1)
        waits = theirs.pay()
        payment = ours.pay()
        ours.act(payment, "pay")

        ours.hear()

        assert ours.now(payment).status == "succeeded"
        assert theirs.now(waits).status == "requires_action"
