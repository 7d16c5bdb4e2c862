"""MercadoPago's provider against its strict stand-in, over loopback: what one writes, the other takes and tells."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from billing.contract import (
    Address,
    CardToken,
    CheckoutRequest,
    LineItem,
    Method,
    ObjectKind,
    Payer,
    PaymentRequest,
    RefundRequest,
    SubscriptionChange,
    SubscriptionRequest,
)
from billing.providers.mercadopago import MercadoPagoProvider
from core import clock
from core.secret import Secret, Secrets
from integrations.contract import (
    AppContext,
    Attempt,
    AuthenticationFailed,
    InboundRequest,
    IntegrationContext,
    NotFound,
    RequestRejected,
    SignatureRefused,
)
from integrations.outbound.guard import Guard
from tests.sandbox.conftest import Receiver, Sandbox
from tests.sandbox.conftest import receiver as receiver  # noqa: PLC0414 - a fixture
from tests.sandbox.conftest import sandbox as sandbox  # noqa: PLC0414 - a fixture
from tests.sandbox.conftest import server as server  # noqa: PLC0414 - a fixture
from tests.sandbox.mercadopago import CPF, Shop, shop_of
from tests.sandbox.mercadopago import notified as notified  # noqa: PLC0414 - a fixture
from tests.sandbox.mercadopago import shop as shop  # noqa: PLC0414 - a fixture
from tests.sandbox.test_mercadopago_connect import CHALLENGE, VERIFIER, allow
from tests.sandbox.test_mercadopago_connect import app as app  # noqa: PLC0414 - a fixture

PAYER = Payer(
    email="comprador@example.com",
    name="Ana Exemplo",
    tax_id=CPF,
    address=Address(
        postal_code="01310100", street="Avenida Exemplo", number="17", neighborhood="Centro", city="São Paulo",
        state="SP",
    ),
)  # fmt: skip


def provider_of(shop: Shop, **changes: Any) -> MercadoPagoProvider:
    """Make a provider of a seller, whose calls go to the stand-in."""
    secrets = Secrets({"access_token": shop.token()["token"], **changes.pop("secrets", {})})
    facts = {
        "id": "",
        "provider": "mercadopago",
        "environment": "test",
        "settings": {"country": "BR"},
        "secrets": secrets,
        "account_external_id": str(shop.seller_id),
    }
    context = IntegrationContext(**{**facts, **changes})
    guard = Guard(
        spec=MercadoPagoProvider.spec,
        read_error=MercadoPagoProvider.read_error,
        report=lambda report: None,
        overrides={"": shop.url},
        settings=context.settings,
        secrets=secrets,
    )
    return MercadoPagoProvider(context, guard)


def asked(**changes: Any) -> PaymentRequest:
    """Make a PIX request, changed as asked."""
    facts: dict[str, Any] = {
        "reference": "0192a17e000070008000000000000017",
        "idempotency_key": "0192a17e-0000-7000-8000-000000000017",
        "amount_minor": 5880,
        "currency": "BRL",
        "method": Method.PIX,
        "description": "Pedido 17",
        "payer": PAYER,
    }
    return PaymentRequest(**{**facts, **changes})


def carded(shop: Shop, name: str = "APRO", **changes: Any) -> PaymentRequest:
    """Make a request with a card token of a holder, whose name decides."""
    card = CardToken(token=Secret(shop.card_token(name)), brand="visa")
    return asked(method=Method.CARD, card=card, **changes)


def delivered(post: tuple[str, dict[str, str], bytes]) -> InboundRequest:
    """Make of what arrived what the ingress makes of it."""
    path, headers, body = post
    return InboundRequest(
        method="POST",
        headers={name.lower(): value for name, value in headers.items()},
        query=dict(parse_qsl(urlsplit(path).query)),
        body=body,
        received_at=datetime.now(UTC),
    )


class TestAccount:
    def test_is_proved(self, shop: Shop) -> None:
        provider = provider_of(shop)

        result = provider.check()

        assert result.account.external_id == str(shop.seller_id)
        assert [verdict.ok for verdict in result.verdicts] == [True] * 3
        assert provider.probe() == result.account

    def test_tells_ways_to_pay_and_installments(self, shop: Shop) -> None:
        provider = provider_of(shop)

        methods = {method.kind for method in provider.list_payment_methods()}
        table = provider.quote_installments(amount_minor=10000, bin="423564")

        assert {"pix", "boleto", "card"} <= methods
        assert (table[0].count, table[0].total_minor) == (1, 10000)


class TestPayments:
    def test_a_pix_waits_and_is_paid(self, shop: Shop) -> None:
        provider = provider_of(shop)

        made = provider.create_payment(asked(expires_at=clock.now() + timedelta(minutes=30), metadata={"order": "17"}))
        shop.act({"id": made.external_id}, "pay")
        paid = provider.fetch_payment(made.external_id)

        assert str(made.status) == "requires_action"
        assert made.next_action is not None
        assert made.next_action.details["qr_code"].startswith("000201")
        assert (str(paid.status), paid.amount_received_minor) == ("succeeded", 5880)
        assert paid.paid_at is not None

    def test_a_repetition_is_the_same_payment(self, shop: Shop) -> None:
        provider = provider_of(shop)

        first, second = provider.create_payment(asked()), provider.create_payment(asked())
        with pytest.raises(RequestRejected) as caught:
            provider.create_payment(asked(amount_minor=1))

        assert first.external_id == second.external_id
        assert caught.value.reason == "idempotency_conflict"

    def test_a_wrong_amount_shows(self, shop: Shop) -> None:
        provider = provider_of(shop)
        made = provider.create_payment(asked())

        shop.act({"id": made.external_id}, "pay", amount="5.88")

        assert provider.fetch_payment(made.external_id).amount_received_minor == 588

    def test_a_boleto_has_its_paper(self, shop: Shop) -> None:
        made = provider_of(shop).create_payment(asked(method=Method.BOLETO))

        assert made.next_action is not None
        assert made.next_action.details["url"]
        assert made.next_action.details["barcode"]

    @pytest.mark.parametrize(
        ("holder", "status", "reason"),
        [
            ("APRO", "succeeded", ""),
            ("FUND", "failed", "payment_declined"),
            ("CALL", "failed", "customer_action_required"),
            ("SECU", "failed", "card_data_wrong"),
            ("CONT", "processing", ""),
        ],
    )
    def test_a_card_ends_as_its_holders_name_says(self, shop: Shop, holder: str, status: str, reason: str) -> None:
        made = provider_of(shop).create_payment(carded(shop, holder, installments=3))

        assert str(made.status) == status
        assert (made.problem.reason if made.problem else "") == reason

    def test_a_card_token_serves_once(self, shop: Shop) -> None:
        provider, request = provider_of(shop), carded(shop)
        provider.create_payment(request)

        with pytest.raises(RequestRejected) as caught:
            provider.create_payment(replace(request, idempotency_key="another"))

        assert caught.value.reason == "card_token_invalid"

    def test_a_lost_answer_is_found_again(self, shop: Shop) -> None:
        provider = provider_of(shop)
        made = provider.create_payment(asked())

        found = provider.find_payment(asked(), since=clock.now())

        assert found is not None
        assert found.external_id == made.external_id
        assert provider.find_payment(asked(reference="another"), since=clock.now()) is None

    def test_is_cancelled_or_it_is_too_late(self, shop: Shop) -> None:
        provider = provider_of(shop)
        made = provider.create_payment(asked())

        ended = provider.cancel_payment(made.external_id, idempotency_key="k1")
        paid = provider.create_payment(carded(shop, idempotency_key="k2"))
        with pytest.raises(RequestRejected):
            provider.cancel_payment(paid.external_id, idempotency_key="k3")

        assert str(ended.status) == "canceled"

    def test_is_given_back_in_parts_and_not_beyond(self, shop: Shop) -> None:
        provider = provider_of(shop)
        made = provider.create_payment(carded(shop))

        def give(minor: int, key: str, *, is_full: bool = False) -> Any:
            return provider.refund_payment(
                RefundRequest(
                    reference=key, idempotency_key=key, payment=made.external_id, amount_minor=minor, currency="BRL",
                    is_full=is_full,
                )
            )  # fmt: skip

        part = give(1050, "r1")
        after = provider.fetch_payment(made.external_id)
        with pytest.raises(RequestRejected):
            give(5000, "r2")
        rest = give(4830, "r3", is_full=True)

        assert (str(part.status), str(after.status), after.amount_refunded_minor) == (
            "succeeded",
            "partially_refunded",
            1050,
        )
        assert rest.amount_minor == 4830
        assert str(provider.fetch_payment(made.external_id).status) == "refunded"

    def test_of_another_seller_is_unknown(self, shop: Shop, sandbox: Sandbox) -> None:
        foreign = {"seller_id": shop_of(sandbox, "MLA").seller_id, "amount": 1, "payment_method_id": "visa"}
        other = shop.control("POST", "/payments", foreign)

        with pytest.raises(NotFound):
            provider_of(shop).fetch_payment(str(other["id"]))

    def test_are_listed_since_a_moment_as_events_with_their_states(self, shop: Shop) -> None:
        provider, since = provider_of(shop), clock.now() - timedelta(minutes=1)
        made = provider.create_payment(asked())
        shop.act({"id": made.external_id}, "pay")

        states = {state.external_id: state for state in provider.list_payments(since=since, until=clock.now())}
        events = {event.external_id: event for event in provider.list_since(since)}

        assert str(states[made.external_id].status) == "succeeded"
        (said,) = provider.read_states(events[made.external_id])
        assert said == states[made.external_id]


class TestNotifications:
    @pytest.mark.parametrize(("unit", "case"), [("s", "lower"), ("ms", "as_received")])
    def test_come_verified_and_are_read(self, notified: Shop, receiver: Receiver, unit: str, case: str) -> None:
        notified.control("POST", "/settings", {"ts_unit": unit, "id_case": case})
        provider, secret = provider_of(notified), Secret(notified.app["webhook"]["secret"])
        made = provider.create_payment(carded(notified))
        notified.act({"id": made.external_id}, "chargeback")

        said = []
        for _ in range(3):
            request = delivered(receiver.next())
            provider.verify(request, [secret])
            (event,) = provider.parse(request)
            said += provider.read_states(provider.fetch(event))

        assert {type(state).__name__ for state in said} == {"PaymentState", "DisputeState"}
        assert {state.account for state in said} == {str(notified.seller_id)}

    @pytest.mark.parametrize("mode", ["swapped_body", "forged", "unsigned"])
    def test_that_are_spoiled_are_refused(self, notified: Shop, receiver: Receiver, mode: str) -> None:
        payment, other = notified.pix().json(), notified.pix().json()
        for _ in range(2):
            receiver.next()
        values = {"mode": mode, "payment_id": payment["id"]}
        notified.control(
            "POST", "/deliveries", values | ({"other_payment_id": other["id"]} if mode == "swapped_body" else {})
        )

        with pytest.raises(SignatureRefused):
            MercadoPagoProvider.verify(delivered(receiver.next()), [Secret(notified.app["webhook"]["secret"])])

    def test_of_a_foreign_payment_lead_nowhere(self, notified: Shop, receiver: Receiver, sandbox: Sandbox) -> None:
        foreign = {"seller_id": shop_of(sandbox, "MLA").seller_id, "amount": 1, "payment_method_id": "visa"}
        other, payment = notified.control("POST", "/payments", foreign), notified.pix().json()
        receiver.next()
        values = {"mode": "foreign", "payment_id": payment["id"], "other_payment_id": other["id"]}
        notified.control("POST", "/deliveries", values)
        request, provider = delivered(receiver.next()), provider_of(notified)

        provider.verify(request, [Secret(notified.app["webhook"]["secret"])])
        (event,) = provider.parse(request)

        assert event.account_key == f"account:{notified.seller_id}"
        with pytest.raises(NotFound):
            provider.fetch(event)

    def test_of_the_simulator_are_dropped(self, notified: Shop, receiver: Receiver) -> None:
        payment = notified.pix().json()
        receiver.next()
        notified.control("POST", "/deliveries", {"mode": "simulator", "payment_id": payment["id"]})
        (event,) = MercadoPagoProvider.parse(delivered(receiver.next()))

        assert provider_of(notified).fetch(event).type == "unknown"

    def test_of_a_seller_who_leaves_are_believed(self, notified: Shop, receiver: Receiver) -> None:
        provider = provider_of(notified)
        notified.control("POST", f"/apps/{notified.app['id']}/deauthorize", {"seller_id": notified.seller_id})
        request = delivered(receiver.next())

        provider.verify(request, [Secret(notified.app["webhook"]["secret"])])
        (event,) = provider.parse(request)

        assert event.account_key == f"account:{notified.seller_id}"
        assert provider.fetch(event).type == "account.disconnected"


class TestSelling:
    def test_a_page_leads_to_a_payment(self, shop: Shop) -> None:
        provider = provider_of(shop)

        page = provider.create_checkout(
            CheckoutRequest(
                reference="0192a17e00007000800000000000c017",
                idempotency_key="k1",
                mode="payment",
                line_items=(LineItem(quantity=2, name="Camiseta", amount_minor=2940, currency="BRL"),),
                success_url="https://shop.example.com/ok",
                cancel_url="https://shop.example.com/back",
                payer=PAYER,
            )
        )

        assert page.url.startswith("http")
        assert provider.fetch_object(ObjectKind.CHECKOUT, page.external_id) == page

    def test_a_plan_is_subscribed_to_changed_and_ended(self, shop: Shop) -> None:
        provider = provider_of(shop)
        for name, amount in (("Mensal", 49.9), ("Maior", 99)):
            recurring = {"frequency": 1, "frequency_type": "months", "transaction_amount": amount, "currency_id": "BRL"}
            plan = {"reason": name, "auto_recurring": recurring, "back_url": "https://shop.example.com"}
            assert shop.call("POST", "/preapproval_plan", json=plan).ok
        prices = {price.label: price for price in provider.list_prices()}

        made = provider.create_subscription(
            SubscriptionRequest(
                reference="s17", idempotency_key="k1", price=prices["Mensal"].external_id, payer=PAYER, trial_days=7,
                return_url="https://shop.example.com/plan",
            )
        )  # fmt: skip
        moved = provider.update_subscription(
            made.external_id, SubscriptionChange(idempotency_key="k2", price=prices["Maior"].external_id)
        )
        ended = provider.cancel_subscription(made.external_id, idempotency_key="k3")

        assert (str(made.status), made.amount_minor, made.reference) == ("incomplete", 4990, "s17")
        assert made.url
        assert (moved.amount_minor, str(ended.status)) == (9900, "canceled")


class TestLogin:
    def test_connects_refreshes_once_and_ends(self, shop: Shop, app: dict[str, Any]) -> None:
        context = AppContext(
            provider="mercadopago", client_id=app["id"], secrets=Secrets({"client_secret": app["client_secret"]})
        )
        attempt = Attempt(
            state="s-1", redirect_uri=app["redirect_uris"][0], code_challenge=CHALLENGE,
            code_verifier=Secret(VERIFIER), code=Secret(allow(shop, app)),
        )  # fmt: skip
        outbound = provider_of(shop).outbound

        tokens = MercadoPagoProvider.exchange_code(context, outbound, attempt)
        (account,) = MercadoPagoProvider.list_accounts(context, outbound, tokens)
        assert tokens.refresh_token is not None
        pair = {"refresh_token": tokens.refresh_token.reveal(), "access_token": tokens.access_token.reveal()}
        ours = {"client_id": app["id"], "client_secret": app["client_secret"]}
        renewed = provider_of(shop, secrets={**pair, **ours}).refresh()

        assert account.external_id == tokens.account_external_id == str(shop.seller_id)
        assert renewed.refresh_token is not None
        assert not renewed.refresh_token.matches(pair["refresh_token"])
        with pytest.raises(AuthenticationFailed):
            provider_of(shop, secrets={**pair, **ours}).refresh()
        with pytest.raises(AuthenticationFailed):
            MercadoPagoProvider.exchange_code(context, outbound, attempt)
        assert "client_id=" in MercadoPagoProvider.authorize_url(context, attempt)
        assert json.dumps(account.settings)
