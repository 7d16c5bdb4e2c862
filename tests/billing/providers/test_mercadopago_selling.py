"""What MercadoPago sells beside payments: its page, plans, tables of installments and ways to pay."""

from __future__ import annotations

from typing import Any

import pytest

from billing.contract import CheckoutRequest, LineItem, Payer, SubscriptionChange, SubscriptionRequest
from billing.providers.mercadopago import MercadoPagoProvider
from integrations.contract import RequestRejected
from tests.wire import Wire

SELLER = "200000017"
PAYER = Payer(email="payer@example.com", name="Ana Exemplo Silva", tax_id="12345678909")


@pytest.fixture
def wire() -> Wire:
    """The vendor's side, which fails unplanned calls."""
    return Wire(provider=MercadoPagoProvider)


def connected(wire: Wire, **context: Any) -> Any:
    return wire.connect(**{"account_external_id": SELLER, **context})


class TestCheckout:
    def request(self, **changes: Any) -> CheckoutRequest:
        facts: dict[str, Any] = {
            "reference": "0192a17e00007000800000000000c017",
            "idempotency_key": "k17",
            "mode": "payment",
            "line_items": (LineItem(quantity=2, name="Camiseta", amount_minor=2940, currency="BRL"),),
            "success_url": "https://shop.example.com/ok",
            "cancel_url": "https://shop.example.com/back",
            "payer": PAYER,
            "notification_url": "https://registry.example.com/webhooks/mercadopago/t17/?a=1",
        }
        return CheckoutRequest(**{**facts, **changes})

    def test_makes_a_page(self, wire: Wire) -> None:
        wire.answer("POST", "/checkout/preferences", "preference__ok")

        state = connected(wire).create_checkout(self.request())

        (seen,) = wire.calls
        assert b'"unit_price":29.40,' in seen.body
        assert seen.json == {
            "items": [{"title": "Camiseta", "quantity": 2, "unit_price": 29.4, "currency_id": "BRL"}],
            "payer": {
                "email": "payer@example.com",
                "name": "Ana",
                "surname": "Exemplo Silva",
                "identification": {"type": "CPF", "number": "12345678909"},
            },
            "back_urls": {
                "success": "https://shop.example.com/ok",
                "pending": "https://shop.example.com/ok",
                "failure": "https://shop.example.com/back",
            },
            "auto_return": "approved",
            "external_reference": "0192a17e00007000800000000000c017",
            "notification_url": "https://registry.example.com/webhooks/mercadopago/t17/?a=1&source_news=webhooks",
        }
        assert (state.url, state.is_open) == ("https://www.example.com/checkout?pref_id=17", True)

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"mode": "subscription"}, "mode"),
            ({"line_items": (LineItem(quantity=1, price="plan"),)}, "line_items"),
            ({"line_items": (LineItem(quantity=1, name="x", amount_minor=1, currency="USD"),)}, "line_items"),
        ],
    )
    def test_refuses_what_the_page_cannot(self, wire: Wire, changes: dict[str, Any], field: str) -> None:
        with pytest.raises(RequestRejected) as caught:
            connected(wire).create_checkout(self.request(**changes))

        assert caught.value.field == field
        assert caught.value.next_action
        assert wire.calls == []


class TestSubscriptions:
    PLAN = "00000000000000000000000000000a17"
    PATH = "/preapproval/000000000000000000000000000aa017"

    def request(self, **changes: Any) -> SubscriptionRequest:
        facts: dict[str, Any] = {
            "reference": "0192a17e0000700080000000000005b1",
            "idempotency_key": "k17",
            "price": self.PLAN,
            "payer": PAYER,
            "return_url": "https://shop.example.com/plan",
        }
        return SubscriptionRequest(**{**facts, **changes})

    def test_lists_plans_as_prices(self, wire: Wire) -> None:
        wire.answer("GET", "/preapproval_plan/search", "plans__page")

        prices = connected(wire).list_prices()

        assert [(price.amount_minor, price.interval, price.interval_count, price.is_active) for price in prices] == [
            (4990, "month", 1, True),
            (4990, "month", 1, False),
            (25000, "month", 6, True),
        ]

    def test_begins_with_a_page_to_confirm(self, wire: Wire) -> None:
        wire.answer("GET", f"/preapproval_plan/{self.PLAN}", "plan__ok")
        wire.answer("POST", "/preapproval", "preapproval__pending")

        state = connected(wire).create_subscription(self.request(trial_days=7))

        assert b'"transaction_amount":49.90' in wire.calls[1].body
        assert wire.calls[1].json == {
            "reason": "Plano mensal",
            "external_reference": "0192a17e0000700080000000000005b1",
            "payer_email": "payer@example.com",
            "back_url": "https://shop.example.com/plan",
            "auto_recurring": {
                "frequency": 1,
                "frequency_type": "months",
                "transaction_amount": 49.9,
                "currency_id": "BRL",
                "free_trial": {"frequency": 7, "frequency_type": "days"},
            },
            "status": "pending",
        }
        assert (str(state.status), state.price, state.amount_minor) == ("incomplete", self.PLAN, 4990)
        assert state.url == "https://www.example.com/subscriptions?preapproval_id=17"

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"quantity": 2}, "quantity"),
            ({"payer": Payer()}, "payer.email"),
            ({"return_url": ""}, "return_url"),
            ({"price": "../x"}, "price"),
        ],
    )
    def test_refuses_before_any_call(self, wire: Wire, changes: dict[str, Any], field: str) -> None:
        with pytest.raises(RequestRejected) as caught:
            connected(wire).create_subscription(self.request(**changes))

        assert (caught.value.field, wire.calls) == (field, [])

    def test_refuses_a_plan_that_is_not_sold(self, wire: Wire) -> None:
        wire.answer("GET", f"/preapproval_plan/{self.PLAN}", "plan__inactive")

        with pytest.raises(RequestRejected) as caught:
            connected(wire).create_subscription(self.request())

        assert caught.value.field == "price"

    def test_moves_to_a_plan_of_the_same_rhythm_alone(self, wire: Wire) -> None:
        wire.answer("GET", self.PATH, "preapproval__authorized")
        wire.answer("GET", "/preapproval_plan/larger", "plan__larger")
        wire.answer("GET", "/preapproval_plan/half", "plan__half_year")
        wire.answer("PUT", self.PATH, "preapproval__authorized")
        provider, external_id = connected(wire), self.PATH.rpartition("/")[2]

        state = provider.update_subscription(external_id, SubscriptionChange(idempotency_key="k", price="larger"))

        assert (
            wire.last("PUT", self.PATH).body == b'{"auto_recurring":{"transaction_amount":99.00,"currency_id":"BRL"}}'
        )
        assert state.price == "larger"
        with pytest.raises(RequestRejected) as caught:
            provider.update_subscription(external_id, SubscriptionChange(idempotency_key="k", price="half"))
        assert caught.value.field == "price"

    @pytest.mark.parametrize(
        ("change", "field"),
        [({"quantity": 2}, "quantity"), ({"cancel_at_period_end": True}, "cancel_at_period_end")],
    )
    def test_refuses_what_the_vendor_has_not(self, wire: Wire, change: dict[str, Any], field: str) -> None:
        with pytest.raises(RequestRejected) as caught:
            connected(wire).update_subscription("17", SubscriptionChange(idempotency_key="k", **change))

        assert (caught.value.field, wire.calls) == (field, [])

    def test_leaves_it_as_it_is_where_nothing_changes(self, wire: Wire) -> None:
        wire.answer("GET", self.PATH, "preapproval__authorized")

        state = connected(wire).update_subscription(
            self.PATH.rpartition("/")[2], SubscriptionChange(idempotency_key="k", metadata={"a": "b"})
        )

        assert str(state.status) == "active"

    def test_ends_now(self, wire: Wire) -> None:
        wire.answer("GET", self.PATH, "preapproval__authorized")
        wire.answer("PUT", self.PATH, "preapproval__cancelled")

        state = connected(wire).cancel_subscription(self.PATH.rpartition("/")[2], idempotency_key="k")

        assert wire.last("PUT", self.PATH).json == {"status": "cancelled"}
        assert (str(state.status), state.url) == ("canceled", "")


class TestQuotes:
    def test_lists_what_is_active_with_exact_bounds(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/payment_methods", "payment_methods__ok")

        found = {method.id: method for method in connected(wire).list_payment_methods()}

        assert {name: method.kind for name, method in found.items()} == {
            "visa": "card", "pix": "pix", "bolbradesco": "boleto", "pec": "ticket", "account_money": "account_money",
        }  # fmt: skip
        assert (found["pix"].min_amount_minor, found["pix"].max_amount_minor) == (1, 999999900)

    def test_passes_the_vendors_table_on(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/payment_methods/installments", "installments__ok")

        one, three = connected(wire).quote_installments(amount_minor=10000, bin="450995")

        assert wire.calls[0].query == {"amount": "100.00", "bin": "450995"}
        assert (one.rate_percent, one.total_minor) == ("0", 10000)
        assert (three.count, three.amount_minor, three.total_minor, three.rate_percent) == (3, 3539, 10618, "6.18")

    def test_knows_no_table_for_an_unknown_card(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/payment_methods/installments", "installments__none")

        assert connected(wire).quote_installments(amount_minor=10000, bin="450995") == []

    @pytest.mark.parametrize("digits", ["45099", "450995370", "4509953566233704", "abcdef", ""])
    def test_never_sends_more_of_a_card_than_its_first_digits(self, wire: Wire, digits: str) -> None:
        with pytest.raises(RequestRejected) as caught:
            connected(wire).quote_installments(amount_minor=10000, bin=digits)

        assert (caught.value.field, wire.calls) == ("bin", [])
