"""Whoever lies about money, at the door or through the vendor: no payment is marked as paid, and it shows."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from billing.models import Evidence, Payment
from core.ids import new_id
from dispatch.models import DeliveryStatus, WebhookDelivery
from tests.billing.whole.shops import ASKED, Post, Shop, post_to_ingress

pytestmark = pytest.mark.django_db


@pytest.fixture
def payment(any_shop: Shop) -> Payment:
    """A PIX of the shop that nobody has paid."""
    return waiting(any_shop)


def waiting(shop: Shop) -> Payment:
    """Make a PIX and hear all that its making tells."""
    payment = shop.pay()
    shop.hear()
    return payment


def dead() -> list[str]:
    """Return why deliveries were given up."""
    found = WebhookDelivery.objects.filter(status=DeliveryStatus.DEAD)
    return list(found.values_list("error_class", flat=True))


def sign_for_stripe(shop: Shop, body: bytes, *, age_s: float = 0.0) -> Post:
    """Sign a body as Stripe does for the shop's own endpoint."""
    (endpoint,) = [
        found
        for found in shop.control("GET", "/endpoints")["endpoints"]
        if found["url"] == shop.integration.webhook_url
    ]
    stamp = str(int(time.time() - age_s))
    digest = hmac.new(endpoint["secret"].encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return urlsplit(shop.integration.webhook_url).path, {"stripe-signature": f"t={stamp},v1={digest}"}, body


def succeeded_event(shop: Shop, payment: Payment, **changes: Any) -> dict[str, Any]:
    """Return the event that says that the payment was paid, as Stripe writes it, changed as asked."""
    intent = dict(payment.vendor_payload)
    said = {"status": "succeeded", "amount_received": payment.amount_minor, "next_action": None}
    known = shop.control("GET", "/events")["events"][0]
    event = {**known, "id": f"evt_test_{new_id().hex}", "type": "payment_intent.succeeded", "created": int(time.time())}
    event.update({name: changes.pop(name) for name in ("livemode", "id", "account") if name in changes})
    return {**event, "data": {"object": {**intent, **said, "livemode": event["livemode"], **changes}}}


def tell(shop: Shop, event: dict[str, Any], **how: Any) -> int:
    """Post a rightly signed event to the shop's own address and work it off."""
    answer = post_to_ingress(sign_for_stripe(shop, json.dumps(event).encode(), **how))
    shop.work(seconds=15)
    return answer


class TestDoor:
    """Signatures: who is not the vendor is refused before anything is stored."""

    @pytest.mark.parametrize("provider", ["stripe", "mercadopago"])
    @pytest.mark.parametrize("attack", ["unsigned", "forged", "other_body", "other_shops_url"])
    def test_refuses_what_the_vendor_did_not_sign_for_this_address(
        self, open_shop: Any, other_organization: Any, provider: str, attack: str
    ) -> None:
        shop = open_shop(provider)
        payment = waiting(shop)
        shop.act(payment, "pay")
        posts, path = shop.posts(), ""
        if attack == "other_shops_url":
            other = open_shop(provider, of=other_organization, number=1)
            path = urlsplit(other.integration.webhook_url).path
        before = WebhookDelivery.objects.count()

        answers = [post_to_ingress(ATTACKS[attack](post), path=path) for post in posts]
        shop.work(seconds=15)

        assert set(answers) == {401}
        assert WebhookDelivery.objects.count() == before
        assert shop.paid() == []

    def test_refuses_a_recording_that_is_old(self, stripe: Shop) -> None:
        payment = waiting(stripe)

        assert tell(stripe, succeeded_event(stripe, payment), age_s=3600) == 401
        assert stripe.paid() == []

    @pytest.mark.parametrize(
        ("mode", "status"),
        [("forged", 401), ("unsigned", 401), ("stale", 401), ("swapped_body", 401), ("foreign", 200)],
    )
    def test_refuses_the_scenarios_of_mercadopago(self, mercadopago: Shop, mode: str, status: int) -> None:
        payment = waiting(mercadopago)
        paid = mercadopago.control(
            "POST", "/payments", {"seller_id": mercadopago.account["id"], "amount": "49.90", "notify": False}
        )
        named = {"other_payment_id": paid["id"]} if mode == "swapped_body" else {}
        if mode == "foreign":
            named = {"other_payment_id": foreign_payment(mercadopago, reference=str(payment.pk))}
        how = {"age_s": 4 * 86_400} if mode == "stale" else {}
        facts = {"mode": mode, "payment_id": payment.external_id, **named, **how}
        mercadopago.control("POST", "/deliveries", facts)

        assert mercadopago.hear() == [status]
        assert mercadopago.paid() == []
        assert dead() == (["NotFound"] if mode == "foreign" else [])

    def test_refuses_the_unsigned_ipn(self, mercadopago: Shop) -> None:
        payment = waiting(mercadopago)
        body = json.dumps({"resource": f"/v1/payments/{payment.external_id}", "topic": "payment"}).encode()
        path = f"{urlsplit(mercadopago.integration.webhook_url).path}?topic=payment&id={payment.external_id}"

        assert post_to_ingress((path, {}, body)) == 401
        assert mercadopago.paid() == []


def forged(post: Post) -> Post:
    """Turn the last digit of each signature."""
    path, headers, body = post
    turned = {
        name: value[:-1] + ("0" if value[-1] != "0" else "1")
        for name, value in headers.items()
        if name in {"stripe-signature", "x-signature"}
    }
    return path, headers | turned, body


def unsigned(post: Post) -> Post:
    """Leave the signature out."""
    path, headers, body = post
    kept = {name: value for name, value in headers.items() if name not in {"stripe-signature", "x-signature"}}
    return path, kept, body


def other_body(post: Post) -> Post:
    """Let the signed call carry another object's id."""
    path, headers, body = post
    tree = json.loads(body)
    if "object" in tree.get("data", {}):
        tree["data"]["object"]["id"] = "pi_test_other"
    else:
        tree["data"]["id"] = "17"
    return path, headers, json.dumps(tree).encode()


ATTACKS: dict[str, Callable[[Post], Post]] = {
    "unsigned": unsigned,
    "forged": forged,
    "other_body": other_body,
    "other_shops_url": lambda post: post,
}


class TestReplay:
    def test_of_the_same_bytes_and_of_the_same_event_is_one_effect(self, any_shop: Shop, payment: Payment) -> None:
        any_shop.act(payment, "pay")
        posts = any_shop.posts()

        answers = any_shop.hand_over([*posts, *posts])
        any_shop.work(seconds=15)
        any_shop.hand_over(posts)
        any_shop.work(seconds=15)

        (found,) = any_shop.rows(Payment)
        assert set(answers) == {200}
        assert found.status == "succeeded"
        assert [claim.moved_to for claim in any_shop.rows(Evidence)].count("succeeded") == 1

    def test_of_a_payment_that_was_given_back_does_not_bring_it_back(self, any_shop: Shop, payment: Payment) -> None:
        any_shop.act(payment, "pay")
        told = any_shop.posts()
        any_shop.hand_over(told)
        any_shop.work(seconds=15)
        refund = any_shop.refund(payment)
        if any_shop.provider == "stripe":
            any_shop.control("POST", f"/refunds/{refund.external_id}/succeed", {})
        if any_shop.provider == "pix":
            any_shop.receiver.posts.put(any_shop.receiver.next())
        any_shop.hear()
        assert any_shop.now(payment).status == "refunded"

        any_shop.hand_over(told)
        any_shop.work(seconds=15)

        assert any_shop.now(payment).status == "refunded"

    def test_of_an_event_under_a_new_signature_is_known(self, stripe: Shop) -> None:
        payment = waiting(stripe)
        stripe.act(payment, "pay")
        stripe.hear()
        known = len(stripe.rows(Evidence))
        event = next(
            found for found in stripe.control("GET", "/events")["events"] if found["type"] == "payment_intent.succeeded"
        )

        assert tell(stripe, event) == 200
        assert len(stripe.rows(Evidence)) == known


class TestSpoofedReceiver:
    def test_another_sellers_money_that_names_ours(self, mercadopago: Shop) -> None:
        payment = waiting(mercadopago)
        other = foreign_payment(mercadopago, reference=str(payment.pk))
        mercadopago.control(
            "POST",
            "/deliveries",
            {"mode": "foreign", "payment_id": payment.external_id, "other_payment_id": other},
        )

        mercadopago.hear()

        assert mercadopago.paid() == []
        assert dead() == ["NotFound"]
        assert [found.pk for found in mercadopago.rows(Payment)] == [payment.pk]

    def test_another_key_of_the_bank(self, pix: Shop, open_shop: Any, other_organization: Any) -> None:
        payment = waiting(pix)
        harbor = open_shop("pix", of=other_organization, number=1)
        theirs = harbor.pay()
        (paid,) = harbor.act(theirs, "pay", notify=False)["pix"]
        told = {**paid, "txid": payment.external_id, "chave": pix.account["keys"][0]}
        path = urlsplit(pix.integration.webhook_url).path

        answer = post_to_ingress((path, {}, json.dumps({"pix": [told]}).encode()))
        pix.work(seconds=15)

        assert answer == 200
        assert dead() == ["NotFound"]
        assert pix.paid() == []

    def test_a_settlement_that_no_bank_knows(self, pix: Shop) -> None:
        payment = waiting(pix)
        pix.control(
            "POST",
            "/callbacks/forged",
            {"to": pix.account["keys"][0], "pix": [{"txid": payment.external_id, "valor": "49.90"}]},
        )

        assert pix.hear() == [200]
        assert dead() == ["NotFound"]
        assert pix.paid() == []

    def test_another_accounts_events_on_this_address(self, stripe: Shop) -> None:
        payment = waiting(stripe)

        assert tell(stripe, succeeded_event(stripe, payment, account="acct_1SandboxBoreal")) == 200
        assert stripe.paid() == []


def foreign_payment(shop: Shop, *, reference: str) -> str:
    """Make a paid payment of another seller that carries a reference of ours."""
    other = shop.control("POST", "/accounts", {"site_id": "MLB", "name": "Outra", "pix_key": "outra@example.com"})
    facts = {"seller_id": other["id"], "amount": "49.90", "external_reference": reference}
    return str(shop.control("POST", "/payments", facts)["id"])


class TestChangedAmount:
    @pytest.mark.parametrize(
        "change",
        [{"amount_received": 100}, {"amount_received": ASKED + 1}, {"amount": 100, "amount_received": 100},
         {"currency": "usd"}, {"amount_received": 0}],
    )  # fmt: skip
    def test_under_a_valid_signature_of_stripe(self, stripe: Shop, change: dict[str, Any]) -> None:
        payment = waiting(stripe)

        assert tell(stripe, succeeded_event(stripe, payment, **change)) == 200
        assert stripe.paid() == []
        assert stripe.failed_rungs()[-1] == "amount"
        assert stripe.now(payment).warning == "amount_mismatch"

    @pytest.mark.parametrize("provider", ["mercadopago", "pix"])
    @pytest.mark.parametrize("amount", ["0.01", "49.89", "49.91"])
    def test_by_the_payer(self, open_shop: Any, provider: str, amount: str) -> None:
        shop = open_shop(provider)
        payment = waiting(shop)

        shop.act(payment, "pay", **{"amount" if provider == "mercadopago" else "valor": amount})
        shop.hear()

        assert shop.paid() == []
        assert shop.failed_rungs()[-1] == "amount"
        assert shop.now(payment).warning == "amount_mismatch"

    def test_in_the_body_of_a_pix_is_not_read(self, pix: Shop) -> None:
        payment = waiting(pix)
        pix.act(payment, "pay", valor="0.01", notify=False)
        (paid,) = pix.act(payment, "pay", valor="0.02", force=True, notify=False)["pix"]
        path = urlsplit(pix.integration.webhook_url).path

        post_to_ingress((path, {}, json.dumps({"pix": [paid | {"valor": "49.90"}]}).encode()))
        pix.work(seconds=15)

        assert pix.paid() == []


class TestModes:
    def test_a_live_event_on_a_test_integration(self, stripe: Shop) -> None:
        payment = waiting(stripe)

        assert tell(stripe, succeeded_event(stripe, payment, livemode=True)) == 200
        assert stripe.paid() == []

    def test_a_test_event_on_a_live_integration(self, stripe: Shop) -> None:
        payment = waiting(stripe)
        go_live(stripe)

        assert tell(stripe, succeeded_event(stripe, payment)) == 200
        assert stripe.paid() == []
        assert "account" in stripe.failed_rungs()

    def test_a_test_payment_of_a_live_seller(self, mercadopago: Shop) -> None:
        go_live(mercadopago)
        made = {"seller_id": mercadopago.account["id"], "amount": "49.90", "live_mode": False, "notify": True}
        paid = mercadopago.control("POST", "/payments", made)
        mercadopago.control("POST", "/deliveries", {"mode": "seconds", "payment_id": str(paid["id"])})

        mercadopago.hear()

        assert mercadopago.paid() == []
        assert mercadopago.failed_rungs() == ["account"]


def go_live(shop: Shop) -> None:
    """Make the integration a live one."""
    from tenants.context import in_organization

    with in_organization(shop.organization):
        type(shop.integration).objects.filter(pk=shop.integration.pk).update(environment="live")


class TestBorrowedReference:
    """A claim that names a payment of ours moves it only if it is the one that we asked the vendor for."""

    def test_of_another_payment_of_ours(self, stripe: Shop) -> None:
        cheap, dear = stripe.pay(amount_minor=100), stripe.pay()
        stripe.hear()
        reference = dict(dear.vendor_payload["metadata"])
        event = succeeded_event(stripe, cheap, metadata=reference)

        assert tell(stripe, event) == 200
        assert stripe.now(dear).status == "requires_action"
        assert [found.pk for found in stripe.paid()] == [cheap.pk]

    def test_of_another_payment_of_ours_at_mercadopago(self, mercadopago: Shop) -> None:
        payment = waiting(mercadopago)
        facts = {"seller_id": mercadopago.account["id"], "amount": "0.01", "external_reference": str(payment.pk)}
        mercadopago.control("POST", "/payments", facts | {"notify": True})

        mercadopago.hear()

        assert mercadopago.now(payment).status == "requires_action"
        assert payment.pk not in {found.pk for found in mercadopago.paid()}

    @pytest.mark.parametrize("provider", ["stripe", "mercadopago"])
    def test_of_another_organizations_payment(self, open_shop: Any, other_organization: Any, provider: str) -> None:
        ours, theirs = open_shop(provider), open_shop(provider, of=other_organization, number=1)
        asked = theirs.pay()
        theirs.hear()
        if provider == "stripe":
            own = waiting(ours)
            tell(
                ours, succeeded_event(ours, own, id="evt_test_foreign", metadata=dict(asked.vendor_payload["metadata"]))
            )
        else:
            facts = {"seller_id": ours.account["id"], "amount": "49.90", "external_reference": str(asked.pk)}
            ours.control("POST", "/payments", facts | {"notify": True})
        ours.hear()

        assert theirs.now(asked).status == "requires_action"
        assert theirs.paid() == []
        assert asked.pk not in {found.pk for found in ours.rows(Payment)}
