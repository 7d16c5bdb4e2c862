"""What goes on the wire for each verb, exactly, and what is made of the answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

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
from billing.providers._stripe_spec import API_VERSION
from billing.providers.stripe import StripeProvider
from core import clock
from core.secret import Secret
from integrations.contract import (
    NotFound,
    ProviderError,
    RateLimited,
    RequestRejected,
    Unavailable,
    UnexpectedResponse,
)
from tests.wire import Seen, Wire

REFERENCE = "0192f3a0-0000-7000-8000-000000000017"
READ_AT = datetime(2026, 11, 23, 12, 0, 7, tzinfo=UTC)
SINCE = datetime(2026, 11, 22, 10, tzinfo=UTC)
PAYER = Payer(
    email="cliente@example.com",
    name="Cliente Exemplo",
    tax_id="52998224725",
    address=Address(
        postal_code="01310100", street="Rua Exemplo", number="17", neighborhood="Centro", city="São Paulo", state="SP"
    ),
)


@pytest.fixture
def wire() -> Wire:
    """The vendor's side, which fails unplanned calls."""
    return Wire(provider=StripeProvider)


def form(seen: Seen) -> dict[str, str]:
    return dict(parse_qsl(seen.body.decode(), keep_blank_values=True, strict_parsing=bool(seen.body)))


def payment(**changes: Any) -> PaymentRequest:
    facts: dict[str, Any] = {
        "reference": REFERENCE,
        "idempotency_key": "pay-17",
        "amount_minor": 4990,
        "currency": "BRL",
        "method": Method.CARD,
    }
    return PaymentRequest(**{**facts, **changes})


class TestCreatePayment:
    def test_a_card_is_entered_with_the_client_secret(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/payment_intents", "payment__card")

        state = wire.connect().create_payment(
            payment(description="Pedido 17", customer="cus_Test0050", metadata={"order": "17"}, payer=PAYER)
        )

        (seen,) = wire.calls
        assert form(seen) == {
            "amount": "4990",
            "currency": "brl",
            "metadata[order]": "17",
            "metadata[ir_reference]": REFERENCE,
            "description": "Pedido 17",
            "customer": "cus_Test0050",
            "receipt_email": "cliente@example.com",
            "allowed_payment_method_types[0]": "card",
            "expand[0]": "latest_charge",
        }
        assert (state.status, state.external_id, state.reference) == ("requires_action", "pi_3Test0050", REFERENCE)
        assert state.next_action is not None
        assert state.next_action.client_secret is not None
        assert state.next_action.client_secret.reveal() == "pi_3Test0050_secret_test"
        assert "client_secret" not in state.object
        assert (state.vendor_at, state.environment, state.amount_received_minor) == (READ_AT, "test", 0)

    def test_carries_key_version_idempotency_and_nothing_of_our_machine(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/payment_intents", "payment__card")

        wire.connect().create_payment(payment())

        (seen,) = wire.calls
        assert seen.headers["idempotency-key"] == "pay-17"
        assert seen.headers["stripe-version"] == API_VERSION
        assert seen.headers["authorization"] == "Bearer sk_test_planted17"
        assert "stripe-account" not in seen.headers
        assert not [name for name in seen.headers if "client" in name or "telemetry" in name]
        assert [report.operation for report in wire.reports] == ["create_payment"]

    def test_automatic_leaves_the_methods_to_the_account(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/payment_intents", "payment__card")

        wire.connect().create_payment(payment(method=Method.AUTOMATIC))

        sent = form(wire.calls[0])
        assert sent["automatic_payment_methods[enabled]"] == "true"
        assert not [name for name in sent if "payment_method_types" in name]

    def test_pix_is_confirmed_at_once_and_shows_its_code(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/payment_intents", "payment__pix")
        ends_at = clock.now() + timedelta(hours=1)

        state = wire.connect().create_payment(payment(method=Method.PIX, payer=PAYER, expires_at=ends_at))

        sent = form(wire.calls[0])
        assert sent["confirm"] == "true"
        assert sent["payment_method_data[type]"] == "pix"
        assert sent["payment_method_data[billing_details][tax_id]"] == "52998224725"
        assert sent["payment_method_data[billing_details][name]"] == "Cliente Exemplo"
        assert sent["payment_method_options[pix][expires_at]"] == str(int(ends_at.timestamp()))
        assert state.next_action is not None
        assert (state.next_action.kind, dict(state.next_action.details)) == (
            "pix_qr",
            {
                "qr_code": "00020126580014br.gov.bcb.pix-test6304ABCD",
                "qr_code_base64": None,
                "ticket_url": "https://payments.stripe.com/qr/instructions/test17",
                "expires_at": "2026-11-23T03:13:20Z",
            },
        )
        assert state.expires_at == datetime.fromtimestamp(1795403600, UTC)
        assert state.method == "pix"

    def test_boleto_takes_the_payers_address(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/payment_intents", "payment__boleto")

        state = wire.connect().create_payment(
            payment(method=Method.BOLETO, payer=PAYER, expires_at=clock.now() + timedelta(days=3))
        )

        sent = form(wire.calls[0])
        details = {
            name[36:]: value for name, value in sent.items() if name.startswith("payment_method_data[billing_details]")
        }
        assert details == {
            "[name]": "Cliente Exemplo",
            "[email]": "cliente@example.com",
            "[tax_id]": "52998224725",
            "[address][line1]": "Rua Exemplo, 17",
            "[address][line2]": "Centro",
            "[address][city]": "São Paulo",
            "[address][state]": "SP",
            "[address][postal_code]": "01310100",
            "[address][country]": "BR",
        }
        assert sent["payment_method_data[boleto][tax_id]"] == "52998224725"
        assert sent["payment_method_options[boleto][expires_after_days]"] == "3"
        assert state.next_action is not None
        assert state.next_action.details["barcode"] == "01010101010101010101010101010101010101010117499"

    def test_a_repetition_sends_the_same_bytes(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/payment_intents", "payment__pix")
        request = payment(method=Method.PIX, payer=PAYER, expires_at=clock.now() + timedelta(hours=1))

        wire.connect().create_payment(request)
        with clock.shifted(timedelta(seconds=30)):
            wire.connect().create_payment(request)

        first, second = wire.calls
        assert (first.body, first.headers["idempotency-key"]) == (second.body, second.headers["idempotency-key"])

    @pytest.mark.parametrize("error", ["card_declined", "idempotency_mismatch"])
    def test_a_declined_one_is_a_state_with_its_problem(self, wire: Wire, error: str) -> None:
        wire.answer("POST", "/v1/payment_intents", f"error__{error}")
        wire.answer("GET", "/v1/payment_intents", "payments__declined")

        state = wire.connect().create_payment(payment(method=Method.PIX, payer=PAYER))

        assert (state.external_id, state.status) == ("pi_3Test0050", "failed")
        assert state.problem is not None
        assert (state.problem.code, state.problem.reason) == ("insufficient_funds", "payment_declined")

    def test_a_decline_that_left_nothing_is_raised(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/payment_intents", "error__card_declined")
        wire.answer("GET", "/v1/payment_intents", "payments__none")

        with pytest.raises(RequestRejected) as caught:
            wire.connect().create_payment(payment())

        assert caught.value.reason == "payment_declined"

    @pytest.mark.parametrize(
        ("fixture", "kind"),
        [
            ("error__rate_limit", RateLimited),
            ("error__api_error", Unavailable),
            ("error__key_in_use", Unavailable),
            ("error__amount_too_small", RequestRejected),
            ("not_json", UnexpectedResponse),
            ("not_an_object", UnexpectedResponse),
        ],
    )
    def test_errors_are_those_of_the_spec_and_nothing_is_tried_twice(
        self, wire: Wire, fixture: str, kind: type[ProviderError]
    ) -> None:
        wire.answer("POST", "/v1/payment_intents", fixture)

        with pytest.raises(kind):
            wire.connect().create_payment(payment())

        assert len(wire.calls) == 1

    def test_a_broken_connection_may_have_had_its_effect(self, wire: Wire) -> None:
        wire.reset("POST", "/v1/payment_intents")

        with pytest.raises(Unavailable) as caught:
            wire.connect().create_payment(payment())

        assert caught.value.reason == "maybe_sent"
        assert len(wire.calls) == 1

    @pytest.mark.parametrize(
        ("currency", "amount_minor", "sent"),
        [("JPY", 500, "500"), ("KWD", 1230, "1230"), ("ISK", 150, "15000"), ("UGX", 7, "700"), ("MGA", 500, "5")],
    )
    def test_amounts_are_counted_as_stripe_counts(
        self, wire: Wire, currency: str, amount_minor: int, sent: str
    ) -> None:
        wire.answer("POST", "/v1/payment_intents", "payment__card")

        wire.connect().create_payment(payment(currency=currency, amount_minor=amount_minor))

        assert form(wire.calls[0])["amount"] == sent


class TestCheckPayment:
    def refused(self, **changes: Any) -> RequestRejected:
        with pytest.raises(RequestRejected) as caught:
            Wire(provider=StripeProvider).connect().check_payment(payment(**changes))
        assert caught.value.next_action
        return caught.value

    def test_takes_what_stripe_takes(self, wire: Wire) -> None:
        later = clock.now() + timedelta(minutes=10)

        for method in StripeProvider.methods:
            wire.connect().check_payment(payment(method=method, payer=PAYER, expires_at=later))

        assert wire.calls == []

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"currency": "KWD", "amount_minor": 1231}, "amount_minor"),
            ({"currency": "MGA", "amount_minor": 550}, "amount_minor"),
            ({"currency": "ZZZ"}, "currency"),
            ({"installments": 3}, "installments"),
            ({"method": Method.PIX, "payer": PAYER, "currency": "USD"}, "currency"),
            ({"method": Method.PIX}, "payer.name"),
            ({"method": Method.BOLETO, "payer": Payer(email="a@example.com", name="A", tax_id="1")}, "payer.address"),
            ({"metadata": {"ir_reference": "x"}}, "metadata"),
            ({"metadata": {"k" * 41: "x"}}, "metadata"),
            ({"metadata": {"k": "x" * 501}}, "metadata"),
            ({"metadata": {"k[0]": "x"}}, "metadata"),
            ({"metadata": {f"k{number}": "x" for number in range(50)}}, "metadata"),
        ],
    )
    def test_names_the_field_to_blame(self, changes: dict[str, Any], field: str) -> None:
        assert self.refused(**changes).field == field

    @pytest.mark.parametrize("seconds", [30, 1_209_700])
    def test_a_pix_lasts_between_a_minute_and_two_weeks(self, seconds: int) -> None:
        ends_at = clock.now() + timedelta(seconds=seconds)

        assert self.refused(method=Method.PIX, payer=PAYER, expires_at=ends_at).field == "expires_in_s"

    def test_a_boleto_ends_within_sixty_days(self) -> None:
        ends_at = clock.now() + timedelta(days=62)

        assert self.refused(method=Method.BOLETO, payer=PAYER, expires_at=ends_at).field == "expires_in_s"

    def test_a_card_token_has_no_place_here(self) -> None:
        from billing.contract import CardToken

        assert self.refused(card=CardToken(token=Secret("tok_test"))).field == "card"


class TestReadPayment:
    def test_the_charge_says_what_went_back(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/payment_intents/pi_3Test0050", "payment__succeeded")
        wire.answer("GET", "/v1/charges/ch_3Test0050", "charge__partly_refunded")

        state = wire.connect().fetch_payment("pi_3Test0050")

        assert (state.status, state.amount_received_minor, state.amount_refunded_minor) == (
            "partially_refunded",
            4990,
            990,
        )
        assert (state.aliases, state.method) == (("ch_3Test0050",), "card")
        assert state.paid_at == datetime.fromtimestamp(1795400003, UTC)
        assert [seen.query for seen in wire.calls] == [{}, {}]

    def test_a_settled_pix_has_its_end_to_end_id(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/payment_intents/pi_3Test0050", "payment__succeeded")
        wire.answer("GET", "/v1/charges/ch_3Test0050", "charge__pix")

        state = wire.connect().fetch_payment("ch_3Test0050")

        assert state.end_to_end_id == "E00000000202611231200test0017abc"
        assert (state.external_id, state.status, state.amount_refunded_minor) == ("pi_3Test0050", "succeeded", 0)

    @pytest.mark.parametrize("name", ["", "pi_3Test/../../v1/account", "pi 3", "ch_3Test0050"])
    def test_what_is_no_payment_is_not_found(self, wire: Wire, name: str) -> None:
        wire.answer("GET", "/v1/charges/ch_3Test0050", "charge__without_intent")

        with pytest.raises(NotFound):
            wire.connect().fetch_payment(name)

    def test_a_shape_that_nobody_documented_is_unexpected(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/payment_intents/pi_3Test0050", "odd_shape")

        with pytest.raises(UnexpectedResponse):
            wire.connect().fetch_payment("pi_3Test0050")

    def test_is_found_again_by_our_reference(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/payment_intents", "payments__first_page")
        wire.answer("GET", "/v1/payment_intents", "payments__last_page", query={"starting_after": "pi_3Test0060"})

        found = wire.connect().find_payment(payment(), since=SINCE)

        assert found is not None
        assert (found.external_id, found.status, found.amount_refunded_minor) == ("pi_3Test0050", "succeeded", 0)
        assert wire.calls[0].query == {
            "created[gte]": str(int(SINCE.timestamp()) - 300),
            "expand[0]": "data.latest_charge",
            "limit": "100",
        }

    def test_is_none_where_there_is_none(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/payment_intents", "payments__none")

        assert wire.connect().find_payment(payment(), since=SINCE) is None

    def test_lists_what_was_created_and_what_changed(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/payment_intents", "payments__first_page")
        wire.answer("GET", "/v1/payment_intents", "payments__none", query={"starting_after": "pi_3Test0060"})
        wire.answer("GET", "/v1/events", "events__of_payments")
        wire.answer("GET", "/v1/payment_intents/pi_3Test0050", "payment__succeeded")
        wire.answer("GET", "/v1/charges/ch_3Test0050", "charge__partly_refunded")

        states = list(wire.connect().list_payments(since=SINCE, until=SINCE + timedelta(days=1)))

        assert [state.external_id for state in states] == ["pi_3Test0061", "pi_3Test0060", "pi_3Test0050"]
        asked = wire.last("GET", "/v1/events").query
        assert (asked["created[gte]"], asked["created[lte]"]) == (
            str(int(SINCE.timestamp())),
            str(int(SINCE.timestamp()) + 86400),
        )
        assert asked["types[0]"] == "payment_intent.canceled"


class TestCancelPayment:
    def test_cancels(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/payment_intents/pi_3Test0050/cancel", "payment__canceled")

        state = wire.connect().cancel_payment("pi_3Test0050", idempotency_key="cancel-17")

        assert state.status == "canceled"
        assert form(wire.calls[0]) == {"expand[0]": "latest_charge"}
        assert wire.calls[0].headers["idempotency-key"] == "cancel-17"

    def test_refuses_what_is_too_late(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/payment_intents/pi_3Test0050/cancel", "error__unexpected_state")

        with pytest.raises(RequestRejected) as caught:
            wire.connect().cancel_payment("pi_3Test0050", idempotency_key="cancel-17")

        assert caught.value.reason == "unexpected_state"


class TestRefund:
    def refund(self, **changes: Any) -> RefundRequest:
        facts: dict[str, Any] = {"reference": REFERENCE, "idempotency_key": "refund-17", "payment": "pi_3Test0050"}
        facts |= {"amount_minor": 990, "currency": "BRL", "is_full": False}
        return RefundRequest(**{**facts, **changes})

    def test_gives_back_a_part(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/refunds", "refund__pending")

        state = wire.connect().refund_payment(self.refund(reason="duplicate"))

        assert form(wire.calls[0]) == {
            "metadata[ir_reference]": REFERENCE,
            "payment_intent": "pi_3Test0050",
            "amount": "990",
            "reason": "duplicate",
        }
        assert (state.status, state.payment, state.amount_minor, state.reference) == (
            "pending",
            "pi_3Test0050",
            990,
            REFERENCE,
        )
        assert wire.calls[0].headers["idempotency-key"] == "refund-17"

    def test_gives_back_all_that_is_left_without_an_amount(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/refunds", "refund__pending")

        wire.connect().refund_payment(self.refund(is_full=True, payment="ch_3Test0050", reason="wrong size"))

        assert form(wire.calls[0]) == {
            "metadata[reason]": "wrong size",
            "metadata[ir_reference]": REFERENCE,
            "charge": "ch_3Test0050",
        }

    def test_a_second_one_is_refused_by_name(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/refunds", "error__already_refunded")

        with pytest.raises(RequestRejected) as caught:
            wire.connect().refund_payment(self.refund())

        assert caught.value.reason == "already_returned"


class TestCustomers:
    @pytest.mark.parametrize(
        ("tax_id", "kind"), [("52998224725", "br_cpf"), ("11222333000181", "br_cnpj"), ("X1", None)]
    )
    def test_makes_one(self, wire: Wire, tax_id: str, kind: str | None) -> None:
        wire.answer("POST", "/v1/customers", "customer__created")
        request = CustomerRequest(
            reference=REFERENCE,
            idempotency_key="customer-17",
            email="cliente@example.com",
            name="Cliente Exemplo",
            phone="+5511955550100",
            tax_id=tax_id,
        )

        state = wire.connect().create_customer(request)

        sent = form(wire.calls[0])
        assert sent.pop("tax_id_data[0][type]", None) == kind
        assert sent.pop("tax_id_data[0][value]", None) == (tax_id if kind else None)
        assert sent == {
            "email": "cliente@example.com",
            "name": "Cliente Exemplo",
            "phone": "+5511955550100",
            "metadata[ir_reference]": REFERENCE,
        }
        assert (state.external_id, state.email, state.reference) == ("cus_Test0050", "cliente@example.com", REFERENCE)


class TestSubscriptions:
    def begin(self, **changes: Any) -> SubscriptionRequest:
        facts: dict[str, Any] = {"reference": REFERENCE, "idempotency_key": "sub-17", "price": "price_1Test0050"}
        return SubscriptionRequest(**{**facts, "customer": "cus_Test0050", "quantity": 2, **changes})

    def test_charges_nothing_before_the_payer_confirms(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/subscriptions", "subscription__incomplete")

        state = wire.connect().create_subscription(self.begin())

        assert form(wire.calls[0]) == {
            "customer": "cus_Test0050",
            "items[0][price]": "price_1Test0050",
            "items[0][quantity]": "2",
            "payment_behavior": "default_incomplete",
            "payment_settings[save_default_payment_method]": "on_subscription",
            "expand[0]": "latest_invoice.confirmation_secret",
            "expand[1]": "pending_setup_intent",
            "metadata[ir_reference]": REFERENCE,
        }
        assert state.client_secret is not None
        assert state.client_secret.reveal() == "pi_3Test0052_secret_test"
        assert "secret_test" not in str(state.object)
        assert (state.status, state.amount_minor, state.quantity) == ("incomplete", 9980, 2)
        assert state.current_period_end == datetime.fromtimestamp(1797992000, UTC)

    def test_a_trial_confirms_by_its_setup(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/subscriptions", "subscription__trialing")

        state = wire.connect().create_subscription(self.begin(trial_days=7))

        assert form(wire.calls[0])["trial_period_days"] == "7"
        assert state.client_secret is not None
        assert state.client_secret.reveal() == "seti_1Test0050_secret_test"
        assert state.trial_end == datetime.fromtimestamp(1796004800, UTC)

    def test_needs_a_customer(self, wire: Wire) -> None:
        with pytest.raises(RequestRejected) as caught:
            wire.connect().create_subscription(self.begin(customer=""))

        assert caught.value.field == "customer"

    def test_changes_its_only_item(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/subscriptions/sub_1Test0050", "subscription__active")
        wire.answer("POST", "/v1/subscriptions/sub_1Test0050", "subscription__active")
        change = SubscriptionChange(
            idempotency_key="change-17",
            price="price_1Test0051",
            quantity=3,
            cancel_at_period_end=True,
            metadata={"a": "b"},
        )

        wire.connect().update_subscription("sub_1Test0050", change)

        assert form(wire.calls[-1]) == {
            "cancel_at_period_end": "true",
            "metadata[a]": "b",
            "items[0][id]": "si_Test0050",
            "items[0][price]": "price_1Test0051",
            "items[0][quantity]": "3",
        }

    def test_does_not_guess_between_several_items(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/subscriptions/sub_1Test0050", "subscription__two_items")

        with pytest.raises(RequestRejected):
            wire.connect().update_subscription(
                "sub_1Test0050", SubscriptionChange(idempotency_key="change-17", quantity=3)
            )

    def test_ends_now(self, wire: Wire) -> None:
        wire.answer("DELETE", "/v1/subscriptions/sub_1Test0050", "subscription__canceled")

        state = wire.connect().cancel_subscription("sub_1Test0050", idempotency_key="end-17")

        assert state.status == "canceled"

    def test_lists_prices_by_their_products_names(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/prices", "prices__page")

        prices = wire.connect().list_prices()

        assert [(price.label, price.amount_minor, price.interval) for price in prices] == [
            ("Plano Exemplo", 4990, "month"),
            ("Por uso", None, ""),
        ]
        assert wire.calls[0].query == {"active": "true", "expand[0]": "data.product", "limit": "100"}


class TestPages:
    def page(self, **changes: Any) -> CheckoutRequest:
        item = LineItem(quantity=2, name="Caneca", amount_minor=2495, currency="BRL")
        facts: dict[str, Any] = {"reference": REFERENCE, "idempotency_key": "page-17", "mode": "payment"}
        facts |= {"success_url": "https://shop.example.com/ok", "cancel_url": "https://shop.example.com/no"}
        return CheckoutRequest(**{**facts, "line_items": (item,), **changes})

    def test_a_checkout_carries_our_id_to_what_it_makes(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/checkout/sessions", "checkout__open")

        state = wire.connect().create_checkout(self.page(payer=PAYER))

        assert form(wire.calls[0]) == {
            "line_items[0][quantity]": "2",
            "line_items[0][price_data][currency]": "brl",
            "line_items[0][price_data][product_data][name]": "Caneca",
            "line_items[0][price_data][unit_amount]": "2495",
            "success_url": "https://shop.example.com/ok",
            "cancel_url": "https://shop.example.com/no",
            "client_reference_id": REFERENCE,
            "metadata[ir_reference]": REFERENCE,
            "mode": "payment",
            "payment_intent_data[metadata][ir_reference]": REFERENCE,
            "customer_email": "cliente@example.com",
        }
        assert (state.url, state.is_open, state.payment) == (
            "https://checkout.stripe.com/c/pay/cs_test_a1Test0050",
            True,
            "",
        )
        assert state.expires_at == datetime.fromtimestamp(1795486400, UTC)

    def test_a_subscription_page_needs_prices(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/checkout/sessions", "checkout__open")
        item = LineItem(quantity=1, price="price_1Test0050")

        wire.connect().create_checkout(self.page(mode="subscription", line_items=(item,), customer="cus_Test0050"))
        with pytest.raises(RequestRejected) as caught:
            wire.connect().create_checkout(self.page(mode="subscription"))

        sent = form(wire.calls[0])
        assert (sent["mode"], sent["line_items[0][price]"], sent["customer"]) == (
            "subscription",
            "price_1Test0050",
            "cus_Test0050",
        )
        assert sent["subscription_data[metadata][ir_reference]"] == REFERENCE
        assert caught.value.field == "line_items.0.price"

    def test_a_portal_is_made_for_each_visit(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/billing_portal/sessions", "portal__made")

        url = wire.connect().create_portal(
            customer="cus_Test0050", return_url="https://shop.example.com/conta", idempotency_key="portal-17"
        )

        assert url == "https://billing.stripe.com/p/session/test17"
        assert form(wire.calls[0]) == {"customer": "cus_Test0050", "return_url": "https://shop.example.com/conta"}


class TestFetchObject:
    @pytest.mark.parametrize(
        ("kind", "path", "fixture", "status"),
        [
            (ObjectKind.REFUND, "/v1/refunds/re_3Test0050", "refund__pending", "pending"),
            (ObjectKind.DISPUTE, "/v1/disputes/du_1Test0050", "dispute__lost", "lost"),
            (ObjectKind.SUBSCRIPTION, "/v1/subscriptions/sub_1Test0050", "subscription__active", "active"),
            (ObjectKind.PAYOUT, "/v1/payouts/po_1Test0050", "payout__in_transit", "pending"),
        ],
    )
    def test_reads_one_as_it_is_now(self, wire: Wire, kind: ObjectKind, path: str, fixture: str, status: str) -> None:
        wire.answer("GET", path, fixture)

        state = wire.connect().fetch_object(kind, path.rpartition("/")[2])

        assert (state.external_id, state.status, state.vendor_at) == (path.rpartition("/")[2], status, READ_AT)

    def test_an_invoice_comes_with_its_payments(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/invoices/in_1Test0050", "invoice__paid")
        wire.answer("GET", "/v1/invoice_payments", "invoice_payments__one")

        state = wire.connect().fetch_object(ObjectKind.INVOICE, "in_1Test0050")

        assert (state.status, state.payments, state.subscription) == ("paid", ("pi_3Test0050",), "sub_1Test0050")
        assert wire.calls[1].query == {"invoice": "in_1Test0050", "limit": "100"}

    def test_a_checkout_and_a_payment(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/checkout/sessions/cs_test_a1Test0050", "checkout__open")
        wire.answer("GET", "/v1/payment_intents/pi_3Test0050", "payment__card")

        assert wire.connect().fetch_object(ObjectKind.CHECKOUT, "cs_test_a1Test0050").is_open
        assert wire.connect().fetch_object(ObjectKind.PAYMENT, "pi_3Test0050").status == "requires_action"

    def test_a_deleted_customer_says_so(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/customers/cus_Test0050", "customer__deleted")

        assert wire.connect().fetch_object(ObjectKind.CUSTOMER, "cus_Test0050").is_deleted

    def test_an_answer_of_another_kind_is_unexpected(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/refunds/re_3Test0050", "account__ok")

        with pytest.raises(UnexpectedResponse):
            wire.connect().fetch_object(ObjectKind.REFUND, "re_3Test0050")


class TestListPaymentMethods:
    def test_says_what_the_account_was_granted(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/account", "account__connected")

        methods = wire.connect().list_payment_methods()

        assert [(method.kind, method.is_active) for method in methods] == [("card", True), ("pix", False)]
