"""Stripe's webhooks and Connect: signed, repeated, in disorder, thin, of old versions, for connected accounts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import stripe

from tests.sandbox.conftest import Receiver, Sandbox
from tests.sandbox.stripe_client import CHARGE, KEY, MONTHLY, PLATFORM_KEY, client

Eventually = Callable[[Callable[[], object]], object]
BOREAL = "acct_1SandboxBoreal"
ALL_OF_A_PAYMENT = ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]


def endpoint(sandbox: Sandbox, receiver: Receiver, *events: str, key: str = KEY, **more: Any) -> stripe.WebhookEndpoint:
    values = {"url": receiver.url, "enabled_events": list(events or ["*"])} | more
    return client(sandbox, key).v1.webhook_endpoints.create(values)


def pay(sandbox: Sandbox, key: str = KEY, **options: Any) -> stripe.PaymentIntent:
    values = CHARGE | {"confirm": True, "payment_method": "pm_card_visa"}
    return client(sandbox, key).v1.payment_intents.create(values, options)


def bodies(receiver: Receiver, count: int) -> list[dict[str, Any]]:
    return [json.loads(receiver.next()[2]) for _ in range(count)]


class TestWebhook:
    def test_is_taken_by_the_sdk(self, sandbox: Sandbox, receiver: Receiver) -> None:
        made = endpoint(sandbox, receiver, "payment_intent.succeeded", api_version="2026-10-28.endive")

        paid = pay(sandbox, idempotency_key="op-9")
        _, headers, body = receiver.next()

        event = client(sandbox).construct_event(body, headers["stripe-signature"], str(made.secret))
        assert (event.type, event.data.object.id, event.livemode) == ("payment_intent.succeeded", paid.id, False)
        assert (event.request.idempotency_key, event.api_version) == ("op-9", "2026-10-28.endive")
        assert receiver.silent()

    def test_is_repeated_until_taken_and_then_counted(
        self, sandbox: Sandbox, receiver: Receiver, eventually: Eventually
    ) -> None:
        endpoint(sandbox, receiver, "customer.created")
        receiver.statuses[:] = [500, 302]
        events = client(sandbox).v1.events

        client(sandbox).v1.customers.create({})

        assert len({body["id"] for body in bodies(receiver, 3)}) == 1
        eventually(lambda: events.list({"delivery_success": True, "types": ["customer.created"]}).data)
        assert events.list({"delivery_success": False}).data == []

    def test_comes_twice_and_in_disorder(self, sandbox: Sandbox, receiver: Receiver) -> None:
        endpoint(sandbox, receiver)
        sandbox.control("POST", "/stripe/settings", {"webhooks": "held"})

        pay(sandbox)
        assert receiver.silent()
        sandbox.control("POST", "/stripe/deliveries/release", {"order": "reversed", "copies": 2})

        found = bodies(receiver, 6)
        assert sorted(body["type"] for body in found) == sorted(ALL_OF_A_PAYMENT * 2)
        assert [body["type"] for body in found[::2]] == ALL_OF_A_PAYMENT[::-1]

    def test_is_thin_where_the_endpoint_is(self, sandbox: Sandbox, receiver: Receiver) -> None:
        made = endpoint(sandbox, receiver, "payment_intent.succeeded")
        sandbox.control("POST", f"/stripe/endpoints/{made.id}", {"thin": True})

        paid = pay(sandbox)
        _, headers, body = receiver.next()

        told = client(sandbox).parse_event_notification(body, headers["stripe-signature"], str(made.secret))
        assert (told.type, told.related_object.id) == ("v1.payment_intent.succeeded", paid.id)
        assert told.fetch_related_object().id == paid.id
        assert client(sandbox).v2.core.events.retrieve(told.id).id == told.id

    def test_has_the_shape_of_the_endpoints_version(self, sandbox: Sandbox, receiver: Receiver) -> None:
        endpoint(sandbox, receiver, "invoice.paid", "customer.subscription.updated", api_version="2023-10-16")
        payer = client(sandbox).v1.customers.create({"invoice_settings": {"default_payment_method": "pm_card_visa"}})

        client(sandbox).v1.subscriptions.create({"customer": payer.id, "items": [{"price": MONTHLY}]})

        found = {body["type"]: body for body in bodies(receiver, 2)}
        invoice = found["invoice.paid"]["data"]["object"]
        subscription = found["customer.subscription.updated"]["data"]["object"]
        assert found["invoice.paid"]["api_version"] == "2023-10-16"
        assert (invoice["payment_intent"][:3], invoice["subscription"]) == ("pi_", subscription["id"])
        assert subscription["current_period_end"] > subscription["current_period_start"]
        assert "current_period_end" not in subscription["items"]["data"][0]

    def test_carries_two_signatures_while_a_secret_rolls(self, sandbox: Sandbox, receiver: Receiver) -> None:
        made = endpoint(sandbox, receiver, "customer.created")
        rolled = sandbox.control("POST", f"/stripe/endpoints/{made.id}", {"roll_overlap_s": 60})

        client(sandbox).v1.customers.create({})
        _, headers, body = receiver.next()

        assert headers["stripe-signature"].count("v1=") == 2
        for secret in (str(made.secret), rolled["secret"]):
            assert client(sandbox).construct_event(body, headers["stripe-signature"], secret)

    def test_stops_when_the_endpoint_is_disabled(self, sandbox: Sandbox, receiver: Receiver) -> None:
        made = endpoint(sandbox, receiver)
        changed = client(sandbox).v1.webhook_endpoints.update(made.id, {"disabled": True})

        client(sandbox).v1.customers.create({})

        assert (changed.status, receiver.silent()) == ("disabled", True)
        with pytest.raises(stripe.InvalidRequestError):
            client(sandbox).v1.webhook_endpoints.update(made.id, {"enabled_events": ["invoice.eaten"]})

    def test_is_missing_for_what_only_a_look_finds(self, sandbox: Sandbox, receiver: Receiver) -> None:
        endpoint(sandbox, receiver)

        paid = sandbox.control("POST", "/stripe/payments", {"amount": 7700, "silent": True})

        assert receiver.silent()
        listed = client(sandbox).v1.events.list({"type": "payment_intent.succeeded", "delivery_success": False})
        assert [event.data.object.id for event in listed.data] == [paid["id"]]


class TestMode:
    def test_follows_the_key(self, sandbox: Sandbox) -> None:
        live = "sk_live_sandboxOfTheTest"
        sandbox.control("POST", "/stripe/keys", {"key": live})

        made = client(sandbox, live).v1.customers.create({})

        assert made.livemode is True
        with pytest.raises(stripe.InvalidRequestError, match="exists in live mode"):
            client(sandbox).v1.customers.retrieve(made.id)

    def test_rights_may_be_to_read_only(self, sandbox: Sandbox) -> None:
        key = sandbox.control("POST", "/stripe/keys", {"rights": ["customers:read"]})["key"]

        assert client(sandbox, key).v1.customers.list().data == []
        with pytest.raises(stripe.PermissionError) as caught:
            client(sandbox, key).v1.customers.create({})
        assert caught.value.json_body["error"]["code"] == "more_permissions_required_for_application"


class TestConnect:
    def test_reaches_connected_accounts_only(self, sandbox: Sandbox) -> None:
        paid = pay(sandbox, PLATFORM_KEY, stripe_account=BOREAL)
        platform = client(sandbox, PLATFORM_KEY)

        assert platform.v1.payment_intents.retrieve(paid.id, options={"stripe_account": BOREAL}).id == paid.id
        assert platform.v1.accounts.retrieve_current({}, {"stripe_account": BOREAL}).id == BOREAL
        with pytest.raises(stripe.InvalidRequestError) as missing:
            platform.v1.payment_intents.retrieve(paid.id)
        with pytest.raises(stripe.PermissionError) as foreign:
            pay(sandbox, PLATFORM_KEY, stripe_account="acct_1SandboxAurora")
        assert missing.value.http_status == 404
        assert foreign.value.json_body["error"]["code"] == "account_invalid"

    def test_tells_the_platform_with_the_account(self, sandbox: Sandbox, receiver: Receiver) -> None:
        endpoint(sandbox, receiver, "payment_intent.succeeded", "account.application.deauthorized",
                 key=PLATFORM_KEY, connect=True)  # fmt: skip

        pay(sandbox, PLATFORM_KEY, stripe_account=BOREAL)
        sandbox.control("POST", f"/stripe/accounts/{BOREAL}/deauthorize", {})

        found = {body["type"]: body["account"] for body in bodies(receiver, 2)}
        assert found == {"payment_intent.succeeded": BOREAL, "account.application.deauthorized": BOREAL}
        with pytest.raises(stripe.PermissionError):
            pay(sandbox, PLATFORM_KEY, stripe_account=BOREAL)

    def test_by_oauth_serves_a_code_once(self, sandbox: Sandbox) -> None:
        platform = client(sandbox, PLATFORM_KEY, client_id="ca_test_sandboxPlatform")
        back = "https://app.example.com/back"
        url = platform.oauth.authorize_url(
            {"response_type": "code", "scope": "read_write", "state": "s-1", "redirect_uri": back}
        )

        page = requests.get(url, timeout=5)
        form = {"act": "connect", "account": "acct_1SandboxAurora"}
        gone = requests.post(url, data=form, timeout=5, allow_redirects=False)
        answer = parse_qs(urlsplit(gone.headers["Location"]).query)
        token = platform.oauth.token({"grant_type": "authorization_code", "code": answer["code"][0]})

        assert "form-action 'self' https://app.example.com" in page.headers["Content-Security-Policy"]
        assert (answer["state"], token.stripe_user_id, token.livemode) == (["s-1"], "acct_1SandboxAurora", False)
        assert client(sandbox, token.access_token).v1.accounts.retrieve_current().id == "acct_1SandboxAurora"
        assert pay(sandbox, PLATFORM_KEY, stripe_account="acct_1SandboxAurora").status == "succeeded"
        with pytest.raises(stripe.oauth_error.InvalidGrantError):
            platform.oauth.token({"grant_type": "authorization_code", "code": answer["code"][0]})
        platform.oauth.deauthorize({"stripe_user_id": "acct_1SandboxAurora"})
        with pytest.raises(stripe.AuthenticationError):
            client(sandbox, token.access_token).v1.accounts.retrieve_current()

    def test_by_oauth_may_be_denied(self, sandbox: Sandbox) -> None:
        query = "response_type=code&client_id=ca_test_sandboxPlatform&state=s&redirect_uri=https://app.example.com/b"

        gone = requests.post(f"{sandbox.url}/stripe/oauth/authorize?{query}", data={"act": "deny"}, timeout=5,
                             allow_redirects=False)  # fmt: skip

        assert "error=access_denied" in gone.headers["Location"]
        assert requests.get(f"{sandbox.url}/stripe/oauth/authorize?client_id=ca_none", timeout=5).status_code == 400

    def test_by_link_lets_an_account_charge(self, sandbox: Sandbox, receiver: Receiver) -> None:
        endpoint(sandbox, receiver, "account.updated", key=PLATFORM_KEY, connect=True)
        platform = client(sandbox, PLATFORM_KEY)
        controller = {
            "fees": {"payer": "application"}, "losses": {"payments": "application"},
            "requirement_collection": "stripe", "stripe_dashboard": {"type": "express"},
        }  # fmt: skip
        made = platform.v1.accounts.create({"country": "BR", "controller": controller})
        link = platform.v1.account_links.create({
            "account": made.id, "type": "account_onboarding", "refresh_url": "https://app.example.com/again",
            "return_url": "https://app.example.com/done",
        })  # fmt: skip

        gone = requests.post(link.url, data={"act": "finish"}, timeout=5, allow_redirects=False)

        told = bodies(receiver, 1)[0]
        assert (made.charges_enabled, gone.headers["Location"]) == (False, "https://app.example.com/done")
        assert (told["account"], told["data"]["object"]["charges_enabled"]) == (made.id, True)
        assert platform.v1.accounts.retrieve(made.id).details_submitted is True
        again = requests.get(link.url, timeout=5, allow_redirects=False)
        assert again.headers["Location"] == "https://app.example.com/again"
        with pytest.raises(stripe.InvalidRequestError):
            client(sandbox).v1.accounts.create({"country": "BR"})
