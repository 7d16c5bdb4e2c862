"""Stripe's subscriptions, invoices, checkout and hosted pages, driven by the real SDK and a browser's requests."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.conftest import Sandbox
from tests.sandbox.stripe_client import CHARGE, MONTHLY, PIX, SINGLE, client

SUCCESS = "https://shop.example.com/ok?session={CHECKOUT_SESSION_ID}"
SECRET = ["latest_invoice.confirmation_secret", "latest_invoice.payments"]


def customer(sandbox: Sandbox, **more: Any) -> stripe.Customer:
    return client(sandbox).v1.customers.create({"email": "ana@example.com", "name": "Ana"} | more)


def subscribe(sandbox: Sandbox, **more: Any) -> stripe.Subscription:
    values = {
        "customer": customer(sandbox).id, "items": [{"price": MONTHLY}], "payment_behavior": "default_incomplete",
        "payment_settings": {"save_default_payment_method": "on_subscription"}, "expand": SECRET,
    }  # fmt: skip
    return client(sandbox).v1.subscriptions.create(values | more)


def read(sandbox: Sandbox, key: str) -> stripe.Subscription:
    return client(sandbox).v1.subscriptions.retrieve(key)


def types(sandbox: Sandbox) -> list[str]:
    return [event.type for event in reversed(client(sandbox).v1.events.list({"limit": 100}).data)]


def session(sandbox: Sandbox, **more: Any) -> stripe.checkout.Session:
    values = {
        "mode": "payment", "line_items": [{"price": SINGLE, "quantity": 2}], "success_url": SUCCESS,
        "cancel_url": "https://shop.example.com/cart", "client_reference_id": "org-1",
    }  # fmt: skip
    return client(sandbox).v1.checkout.sessions.create(values | more)


def press(url: str, act: str, **more: str) -> requests.Response:
    assert requests.get(url, timeout=5).ok
    return requests.post(url, data={"act": act} | more, timeout=5, allow_redirects=False)


class TestCustomer:
    def test_is_kept_changed_listed_and_deleted(self, sandbox: Sandbox) -> None:
        customers = client(sandbox).v1.customers
        made = customer(sandbox, metadata={"a": "1", "b": "2"})

        changed = customers.update(made.id, {"name": "Ana Lima", "metadata": {"a": "", "c": "3"}})

        assert (changed.name, changed.metadata.to_dict()) == ("Ana Lima", {"b": "2", "c": "3"})
        assert [found.id for found in customers.list({"email": "ana@example.com"}).data] == [made.id]
        assert customers.delete(made.id).deleted is True
        assert customers.retrieve(made.id).deleted is True
        assert types(sandbox) == ["customer.created", "customer.updated", "customer.deleted"]
        with pytest.raises(stripe.InvalidRequestError) as caught:
            customers.retrieve("cus_none")
        assert (caught.value.http_status, caught.value.json_body["error"]["code"]) == (404, "resource_missing")


class TestSubscription:
    def test_waits_for_its_first_payment(self, sandbox: Sandbox) -> None:
        made = subscribe(sandbox)
        secret = made.latest_invoice.confirmation_secret.client_secret
        intent = secret.partition("_secret_")[0]

        client(sandbox).v1.payment_intents.confirm(
            intent, {"payment_method": "pm_card_visa", "return_url": "https://shop.example.com"}
        )

        active, item = read(sandbox, made.id), made["items"].data[0]
        invoice = client(sandbox).v1.invoices.retrieve(str(active.latest_invoice), {"expand": ["payments"]})
        paid = client(sandbox).v1.invoice_payments.list({"invoice": invoice.id}).data[0]
        assert (made.status, active.status, invoice.status) == ("incomplete", "active", "paid")
        assert active.default_payment_method.startswith("pm_")
        assert 28 * 86400 <= item.current_period_end - item.current_period_start <= 31 * 86400
        assert invoice.parent.subscription_details.subscription == made.id
        assert (invoice.payments.data[0].id, paid.payment.payment_intent, paid.status) == (paid.id, intent, "paid")
        assert types(sandbox)[-4:] == [
            "invoice_payment.paid",
            "invoice.paid",
            "invoice.payment_succeeded",
            "customer.subscription.updated",
        ]

    def test_stays_incomplete_when_the_card_is_refused(self, sandbox: Sandbox) -> None:
        made = subscribe(sandbox)
        intent = made.latest_invoice.confirmation_secret.client_secret.partition("_secret_")[0]

        sandbox.control("POST", f"/stripe/payment_intents/{intent}/decline")

        assert read(sandbox, made.id).status == "incomplete"
        assert "invoice.payment_failed" in types(sandbox)

    def test_trial_asks_for_a_method(self, sandbox: Sandbox) -> None:
        made = subscribe(sandbox, trial_period_days=7, expand=["pending_setup_intent", "latest_invoice"])

        assert (made.status, made.latest_invoice.total, made.latest_invoice.status) == ("trialing", 0, "paid")
        assert made.pending_setup_intent.client_secret.startswith("seti_")
        assert made.trial_end - made.trial_start == 7 * 86400

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"expand": ["latest_invoice.payment_intent"]}, None),
            ({"items": [{"price": SINGLE}]}, None),
            ({"items": [{"price": "price_none"}]}, "resource_missing"),
            ({"customer": "cus_none"}, "resource_missing"),
            ({"payment_behavior": "allow_incomplete"}, "resource_missing"),
            ({"payment_behavior": "sometimes"}, None),
            ({"coupon": "x"}, "parameter_unknown"),
        ],
    )
    def test_refuses_what_stripe_refuses(self, sandbox: Sandbox, change: dict[str, Any], code: str | None) -> None:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            subscribe(sandbox, **change)

        assert (caught.value.http_status, caught.value.json_body["error"].get("code")) == (400, code)

    def test_is_updated_and_ended(self, sandbox: Sandbox) -> None:
        made, subscriptions = subscribe(sandbox), client(sandbox).v1.subscriptions
        item = made["items"].data[0].id

        more = subscriptions.update(made.id, {"items": [{"id": item, "quantity": 3}], "cancel_at_period_end": True})
        with pytest.raises(stripe.InvalidRequestError):
            subscriptions.update(made.id, {"billing_cycle_anchor": "now"})
        ended = subscriptions.cancel(made.id)

        assert (more["items"].data[0].quantity, more.cancel_at_period_end) == (3, True)
        assert (ended.status, types(sandbox)[-1]) == ("canceled", "customer.subscription.deleted")
        with pytest.raises(stripe.InvalidRequestError) as caught:
            subscriptions.cancel(made.id)
        assert caught.value.http_status == 404

    def test_lives_on_under_control(self, sandbox: Sandbox) -> None:
        payer = customer(
            sandbox, payment_method="pm_card_visa", invoice_settings={"default_payment_method": "pm_card_visa"}
        )
        made = subscribe(sandbox, customer=payer.id, payment_behavior="allow_incomplete")
        path = f"/stripe/subscriptions/{made.id}/advance"

        seen = [made.status]
        for to in ("renew", "past_due", "pause", "resume", "trial_will_end"):
            seen.append(sandbox.control("POST", path, {"to": to})["status"])

        assert seen == ["active", "active", "past_due", "paused", "active", "active"]
        reasons = [found.billing_reason for found in client(sandbox).v1.invoices.list({"subscription": made.id}).data]
        assert reasons == ["subscription_cycle", "subscription_create"]
        assert types(sandbox)[-1] == "customer.subscription.trial_will_end"


class TestCheckout:
    def test_is_paid_by_card_on_the_page(self, sandbox: Sandbox) -> None:
        opened = session(sandbox, payment_intent_data={"metadata": {"order": "9"}})

        gone = press(opened.url, "card")

        done = client(sandbox).v1.checkout.sessions.retrieve(opened.id, {"expand": ["payment_intent", "line_items"]})
        assert (opened.status, opened.payment_intent, opened.amount_total) == ("open", None, 37_800)
        assert gone.headers["Location"] == SUCCESS.replace("{CHECKOUT_SESSION_ID}", opened.id)
        assert (done.status, done.payment_status, done.payment_intent.metadata["order"]) == ("complete", "paid", "9")
        assert done.line_items.data[0].quantity == 2
        assert types(sandbox)[-1] == "checkout.session.completed"

    def test_stays_open_when_the_card_is_refused_or_the_payer_leaves(self, sandbox: Sandbox) -> None:
        opened = session(sandbox)

        refused, left = press(opened.url, "decline"), press(opened.url, "cancel")

        assert (refused.status_code, left.headers["Location"]) == (402, "https://shop.example.com/cart")
        assert client(sandbox).v1.checkout.sessions.retrieve(opened.id).status == "open"
        assert "payment_intent.payment_failed" in types(sandbox)

    def test_is_paid_by_pix_later(self, sandbox: Sandbox) -> None:
        opened = session(sandbox)

        page = press(opened.url, "pix").headers["Location"]
        between = client(sandbox).v1.checkout.sessions.retrieve(opened.id)
        gone = press(page, "pay")

        assert (between.status, between.payment_status) == ("complete", "unpaid")
        assert gone.headers["Location"].endswith(opened.id)
        assert types(sandbox)[-1] == "checkout.session.async_payment_succeeded"
        assert client(sandbox).v1.checkout.sessions.retrieve(opened.id).payment_status == "paid"

    def test_starts_a_subscription(self, sandbox: Sandbox) -> None:
        opened = session(sandbox, mode="subscription", line_items=[{"price": MONTHLY, "quantity": 1}],
                         customer=customer(sandbox).id)  # fmt: skip

        press(opened.url, "card")

        done = client(sandbox).v1.checkout.sessions.retrieve(opened.id)
        assert (done.payment_status, read(sandbox, str(done.subscription)).status) == ("paid", "active")

    def test_expires(self, sandbox: Sandbox) -> None:
        opened, sessions = session(sandbox), client(sandbox).v1.checkout.sessions

        assert sessions.expire(opened.id).status == "expired"
        with pytest.raises(stripe.InvalidRequestError):
            sessions.expire(opened.id)
        assert types(sandbox)[-1] == "checkout.session.expired"

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"payment_method_types": ["card"]}, "payment_method_types_no_longer_supported"),
            ({"line_items": [{"price": MONTHLY, "quantity": 1}]}, None),
            ({"line_items": [{"price": SINGLE}]}, "parameter_missing"),
            ({"success_url": "shop"}, "url_invalid"),
            ({"ui_mode": "hosted"}, None),
            ({"ui_mode": "embedded_page"}, "parameter_missing"),
            ({"expires_at": int(time.time()) + 60}, None),
            ({"customer_email": "nobody"}, "email_invalid"),
            ({"subscription_data": {"description": "x"}}, None),
            ({"metadata": {"x" * 41: "1"}}, "parameter_invalid_string_too_long"),
        ],
    )
    def test_refuses_what_stripe_refuses(self, sandbox: Sandbox, change: dict[str, Any], code: str | None) -> None:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            session(sandbox, **change)

        assert (caught.value.http_status, caught.value.json_body["error"].get("code")) == (400, code)


class TestPayersPage:
    def test_pays_refuses_and_asks(self, sandbox: Sandbox) -> None:
        made = client(sandbox).v1.payment_intents.create(CHARGE)
        page = f"{sandbox.url}/stripe/payer/{made.client_secret}"

        press(page, "decline")
        press(page, "three_d_secure")
        asked = client(sandbox).v1.payment_intents.retrieve(made.id)
        press(page, "pay")

        assert asked.status == "requires_action"
        assert client(sandbox).v1.payment_intents.retrieve(made.id).status == "succeeded"
        assert requests.get(page + "x", timeout=5).status_code == 404

    @pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
    def test_draws_the_code(self, sandbox: Sandbox, kind: str, start: bytes) -> None:
        values = {"amount": 500, "currency": "brl", "confirm": True, "payment_method_data": PIX,
                  "allowed_payment_method_types": ["pix"]}  # fmt: skip
        asked = client(sandbox).v1.payment_intents.create(values)

        url = asked.next_action.pix_display_qr_code[f"image_url_{kind}"]

        assert requests.get(url, timeout=5).content.startswith(start)


class TestPortal:
    def test_leads_back_and_ends_a_subscription(self, sandbox: Sandbox) -> None:
        made = subscribe(sandbox)
        values = {"customer": str(made.customer), "return_url": "https://shop.example.com/me"}
        opened = client(sandbox).v1.billing_portal.sessions.create(values)

        press(opened.url, "cancel_subscriptions")

        assert read(sandbox, made.id).cancel_at_period_end is True
        assert press(opened.url, "back").headers["Location"] == "https://shop.example.com/me"
        with pytest.raises(stripe.InvalidRequestError):
            client(sandbox).v1.billing_portal.sessions.create(values | {"flow_data": {"type": "subscription_cancel"}})
