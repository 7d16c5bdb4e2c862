"""Stripe's provider against its strict stand-in, over loopback: what one writes, the other takes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from billing.contract import (
    Address,
    CheckoutRequest,
    CustomerRequest,
    LineItem,
    Method,
    ObjectKind,
    Payer,
    PaymentRequest,
    RefundRequest,
    SubscriptionChange,
    SubscriptionRequest,
)
from billing.providers.stripe import StripeProvider
from core import clock
from core.ids import new_id
from core.secret import Secrets
from integrations.contract import IntegrationContext
from integrations.outbound.guard import Guard
from tests.sandbox.conftest import Sandbox
from tests.sandbox.conftest import sandbox as sandbox  # noqa: PLC0414 - a fixture
from tests.sandbox.conftest import server as server  # noqa: PLC0414 - a fixture

PAYER = Payer(
    email="cliente@example.com",
    name="Cliente Exemplo",
    tax_id="52998224725",
    address=Address(
        postal_code="01310100", street="Rua Exemplo", number="17", neighborhood="Centro", city="São Paulo", state="SP"
    ),
)


@pytest.fixture
def stripe(sandbox: Sandbox) -> StripeProvider:
    """The provider with a secret key of the stand-in's first account."""
    key = sandbox.control("GET", "/stripe/accounts")["accounts"][0]["keys"][0]["key"]
    integration = IntegrationContext(
        id="int_17",
        provider="stripe",
        environment="test",
        settings={},
        secrets=Secrets({"secret_key": key}),
        webhook_url=f"{sandbox.url}/hook/17/",
    )
    guard = Guard(
        spec=StripeProvider.spec,
        read_error=StripeProvider.read_error,
        report=lambda report: None,
        overrides={"": f"{sandbox.url}/stripe"},
        secrets=integration.secrets,
    )
    return StripeProvider(integration, guard)


def request(method: Method, **changes: Any) -> PaymentRequest:
    ours = str(new_id())
    facts: dict[str, Any] = {"reference": ours, "idempotency_key": f"pay-{ours}", "amount_minor": 4990}
    return PaymentRequest(**{**facts, "currency": "BRL", "method": method, "payer": PAYER, **changes})


class TestPayments:
    @pytest.mark.parametrize(
        ("method", "kind"),
        [
            (Method.AUTOMATIC, "client_secret"),
            (Method.CARD, "client_secret"),
            (Method.PIX, "pix_qr"),
            (Method.BOLETO, "boleto"),
        ],
    )
    def test_are_made_found_and_cancelled(self, stripe: StripeProvider, method: Method, kind: str) -> None:
        ends_at = clock.now() + timedelta(days=2) if method in {Method.PIX, Method.BOLETO} else None
        asked = request(method, expires_at=ends_at)
        before = clock.now()

        made, again = stripe.create_payment(asked), stripe.create_payment(asked)
        found = stripe.find_payment(asked, since=before)
        ended = stripe.cancel_payment(made.external_id, idempotency_key=f"end-{asked.reference}")

        assert made.next_action is not None
        assert made.next_action.kind == kind
        assert again.external_id == made.external_id
        assert found is not None
        assert found.external_id == made.external_id
        assert (ended.status, stripe.fetch_payment(made.external_id).status) == ("canceled", "canceled")

    def test_of_a_repeated_id_are_one(self, stripe: StripeProvider) -> None:
        asked = request(Method.CARD)

        ids = {stripe.create_payment(asked).external_id for _ in range(3)}

        listed = stripe.list_payments(since=clock.now() - timedelta(minutes=5), until=clock.now())
        assert len(ids) == 1
        assert [state.external_id for state in listed if state.reference == asked.reference] == list(ids)


class TestBilling:
    def test_a_customer_subscribes(self, stripe: StripeProvider) -> None:
        ours = str(new_id())
        customer = stripe.create_customer(
            CustomerRequest(reference=ours, idempotency_key=f"c-{ours}", email="a@example.com", tax_id="52998224725")
        )
        price = next(price for price in stripe.list_prices() if price.interval)

        begun = stripe.create_subscription(
            SubscriptionRequest(
                reference=ours, idempotency_key=f"s-{ours}", price=price.external_id, customer=customer.external_id
            )
        )
        changed = stripe.update_subscription(
            begun.external_id, SubscriptionChange(idempotency_key=f"u-{ours}", metadata={"plan": "a"})
        )
        ended = stripe.cancel_subscription(begun.external_id, idempotency_key=f"e-{ours}")

        assert begun.client_secret is not None
        assert (begun.status, changed.reference) == ("incomplete", ours)
        assert ended.status in {"canceled", "incomplete_expired"}
        assert stripe.fetch_object(ObjectKind.CUSTOMER, customer.external_id).external_id == customer.external_id

    def test_a_page_is_made(self, stripe: StripeProvider) -> None:
        ours = str(new_id())
        item = LineItem(quantity=2, name="Caneca", amount_minor=2495, currency="BRL")

        page = stripe.create_checkout(
            CheckoutRequest(
                reference=ours,
                idempotency_key=f"p-{ours}",
                mode="payment",
                line_items=(item,),
                success_url="https://shop.example.com/ok",
                cancel_url="https://shop.example.com/no",
                payer=PAYER,
            )
        )

        assert page.url.startswith("http")
        assert stripe.fetch_object(ObjectKind.CHECKOUT, page.external_id).reference == ours


class TestAccount:
    def test_is_checked_and_its_endpoint_made_and_removed(self, stripe: StripeProvider) -> None:
        result = stripe.check()
        registered = stripe.register_webhook(stripe.integration.webhook_url)
        state = stripe.inspect_webhook()
        stripe.unregister_webhook()

        assert result.account.external_id.startswith("acct_")
        assert registered.secrets["webhook_secret"].reveal().startswith("whsec_")
        assert state.registered
        assert not stripe.inspect_webhook().registered
        assert {"card"} <= {method.kind for method in stripe.list_payment_methods()}


class TestRefunds:
    def test_go_back_in_part(self, stripe: StripeProvider, sandbox: Sandbox) -> None:
        asked = request(Method.PIX)
        made = stripe.create_payment(asked)
        sandbox.control("POST", f"/stripe/payment_intents/{made.external_id}/pay", {})

        given_back = stripe.refund_payment(
            RefundRequest(
                reference=str(new_id()),
                idempotency_key=f"r-{asked.reference}",
                payment=made.external_id,
                amount_minor=990,
                currency="BRL",
                is_full=False,
            )
        )

        assert given_back.payment == made.external_id
        assert stripe.fetch_payment(made.external_id).amount_received_minor == 4990
