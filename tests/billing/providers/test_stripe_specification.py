"""Every request that the Stripe module can send fits the specification of the version that it pins."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
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
from billing.providers.stripe import StripeProvider
from core import clock
from core.secret import Secret, Secrets
from integrations.contract import AppContext, Attempt, TokenSet
from tests.wire import Seen, Wire

BEYOND = re.compile(r"/oauth/token|/v1/payouts/\w+")
"""What the module asks for that the material does not describe: the OAuth host, and the reading of one payout."""

SINCE = datetime(2026, 11, 22, 10, tzinfo=UTC)
PAYER = Payer(
    email="cliente@example.com",
    name="Cliente Exemplo",
    tax_id="52998224725",
    phone="+5511955550100",
    address=Address(
        postal_code="01310100", street="Rua Exemplo", number="17", neighborhood="Centro", city="São Paulo", state="SP"
    ),
)
ANSWERS = (
    ("POST", "/v1/payment_intents", "payment__card"),
    ("GET", "/v1/payment_intents", "payments__last_page"),
    ("GET", "/v1/payment_intents/pi_3Test0050", "payment__succeeded"),
    ("GET", "/v1/payment_intents/pi_3Test0061", "payment__card"),
    ("POST", "/v1/payment_intents/pi_3Test0050/cancel", "payment__canceled"),
    ("GET", "/v1/charges/ch_3Test0050", "charge__partly_refunded"),
    ("POST", "/v1/refunds", "refund__pending"),
    ("GET", "/v1/refunds/re_3Test0050", "refund__pending"),
    ("GET", "/v1/disputes/du_1Test0050", "dispute__lost"),
    ("POST", "/v1/customers", "customer__created"),
    ("GET", "/v1/customers/cus_Test0050", "customer__created"),
    ("GET", "/v1/prices", "prices__page"),
    ("POST", "/v1/subscriptions", "subscription__incomplete"),
    ("GET", "/v1/subscriptions/sub_1Test0050", "subscription__active"),
    ("POST", "/v1/subscriptions/sub_1Test0050", "subscription__active"),
    ("DELETE", "/v1/subscriptions/sub_1Test0050", "subscription__canceled"),
    ("GET", "/v1/invoices/in_1Test0050", "invoice__paid"),
    ("GET", "/v1/invoice_payments", "invoice_payments__one"),
    ("POST", "/v1/checkout/sessions", "checkout__open"),
    ("GET", "/v1/checkout/sessions/cs_test_a1Test0050", "checkout__open"),
    ("POST", "/v1/billing_portal/sessions", "portal__made"),
    ("GET", "/v1/payouts/po_1Test0050", "payout__in_transit"),
    ("GET", "/v1/events", "events__of_payments"),
    ("GET", "/v1/webhook_endpoints", "webhooks__ours"),
    ("POST", "/v1/webhook_endpoints", "webhook__made"),
    ("DELETE", "/v1/webhook_endpoints/we_1Test0050", "webhook__deleted"),
    ("GET", "/v1/account", "account__connected"),
    ("POST", "/v1/accounts", "account__connected"),
    ("POST", "/v1/account_links", "account_link__made"),
    ("POST", "/oauth/token", "oauth__token"),
)


def _payment(**changes: Any) -> PaymentRequest:
    facts: dict[str, Any] = {"reference": "r", "idempotency_key": "k", "amount_minor": 4990, "currency": "BRL"}
    facts |= {"method": Method.CARD, "payer": PAYER, "customer": "cus_Test0050", "description": "Pedido 17"}
    return PaymentRequest(**{**facts, "metadata": {"order": "17"}, **changes})


def _refund(**changes: Any) -> RefundRequest:
    facts: dict[str, Any] = {"reference": "r", "idempotency_key": "k", "payment": "pi_3Test0050", "amount_minor": 990}
    return RefundRequest(**{**facts, "currency": "BRL", "is_full": False, **changes})


def _page(**changes: Any) -> CheckoutRequest:
    facts: dict[str, Any] = {"reference": "r", "idempotency_key": "k", "mode": "payment", "payer": PAYER}
    facts |= {"success_url": "https://shop.example.com/ok", "cancel_url": "https://shop.example.com/no"}
    item = LineItem(quantity=2, name="Caneca", amount_minor=2495, currency="BRL")
    return CheckoutRequest(**{**facts, "line_items": (item,), **changes})


def _customer() -> CustomerRequest:
    return CustomerRequest(
        reference="r",
        idempotency_key="k",
        email="a@example.com",
        name="A",
        phone="+5511955550100",
        tax_id="52998224725",
    )


def _change() -> SubscriptionChange:
    return SubscriptionChange(
        idempotency_key="k", price="price_1Test0050", quantity=2, cancel_at_period_end=False, metadata={"a": "b"}
    )


def _plan() -> SubscriptionRequest:
    return SubscriptionRequest(
        reference="r", idempotency_key="k", price="price_1Test0050", customer="cus_Test0050", trial_days=7
    )


def _platform(verb: Callable[[AppContext, Any], Any]) -> Callable[[Any], Any]:
    app = AppContext(provider="stripe", client_id="ca_test", secrets=Secrets({"platform_key": "sk_test_platform17"}))
    return lambda provider: verb(app, provider.outbound)


def _connected(provider: Any) -> StripeProvider:
    """The same account's connection, reached with the platform's key."""
    secrets = Secrets({"platform_key": "sk_test_platform17"})
    settings = {"account_id": "acct_1TestConnected0017"}
    return StripeProvider(replace(provider.integration, settings=settings, secrets=secrets), provider.outbound)


LATER = clock.now() + timedelta(days=2)
PRICED = LineItem(quantity=1, price="price_1Test0050")
TOKENS = TokenSet(access_token=Secret("sk_test_granted0017"), account_external_id="acct_1TestConnected0017")
CODE = Attempt(state="s17", redirect_uri="https://registry.example/oauth/stripe/callback/", code=Secret("ac_test"))

VERBS: Mapping[str, Callable[[Any], Any]] = {
    "check": lambda provider: provider.check(),
    "list_since": lambda provider: list(provider.list_since(SINCE)),
    "register_webhook": lambda provider: provider.register_webhook("https://registry.example/webhooks/stripe/t/"),
    "inspect_webhook": lambda provider: provider.inspect_webhook(),
    "unregister_webhook": lambda provider: provider.unregister_webhook(),
    "pay_card": lambda provider: provider.create_payment(_payment()),
    "pay_automatic": lambda provider: provider.create_payment(_payment(method=Method.AUTOMATIC)),
    "pay_pix": lambda provider: provider.create_payment(_payment(method=Method.PIX, expires_at=LATER)),
    "pay_boleto": lambda provider: provider.create_payment(_payment(method=Method.BOLETO, expires_at=LATER)),
    "fetch_payment": lambda provider: provider.fetch_payment("pi_3Test0050"),
    "fetch_payment_by_charge": lambda provider: provider.fetch_payment("ch_3Test0050"),
    "find_payment": lambda provider: provider.find_payment(_payment(), since=SINCE),
    "cancel_payment": lambda provider: provider.cancel_payment("pi_3Test0050", idempotency_key="k"),
    "list_payments": lambda provider: list(provider.list_payments(since=SINCE, until=SINCE + timedelta(days=1))),
    "refund_part": lambda provider: provider.refund_payment(_refund(reason="fraudulent")),
    "refund_all": lambda provider: provider.refund_payment(_refund(is_full=True, reason="x", payment="ch_3Test0050")),
    "create_customer": lambda provider: provider.create_customer(_customer()),
    "list_prices": lambda provider: provider.list_prices(),
    "create_subscription": lambda provider: provider.create_subscription(_plan()),
    "update_subscription": lambda provider: provider.update_subscription("sub_1Test0050", _change()),
    "cancel_subscription": lambda provider: provider.cancel_subscription("sub_1Test0050", idempotency_key="k"),
    "create_checkout": lambda provider: provider.create_checkout(_page()),
    "create_checkout_of_prices": lambda provider: provider.create_checkout(
        _page(mode="subscription", line_items=(PRICED,), customer="cus_Test0050")
    ),
    "create_portal": lambda provider: provider.create_portal(
        customer="cus_Test0050", return_url="https://shop.example.com/conta", idempotency_key="k"
    ),
    "list_payment_methods": lambda provider: provider.list_payment_methods(),
    "create_account_link": lambda provider: _connected(provider).create_account_link(
        refresh_url="https://registry.example/again", return_url="https://registry.example/done", idempotency_key="k"
    ),
    "exchange_code": _platform(lambda app, outbound: StripeProvider.exchange_code(app, outbound, CODE)),
    "list_accounts": _platform(lambda app, outbound: StripeProvider.list_accounts(app, outbound, TOKENS)),
    "open_account": _platform(
        lambda app, outbound: StripeProvider.open_account(
            app, outbound, country="BR", email="loja@example.com", reference="r", idempotency_key="k"
        )
    ),
    **{
        f"fetch_{kind.value}": lambda provider, kind=kind, name=name: provider.fetch_object(kind, name)
        for kind, name in (
            (ObjectKind.REFUND, "re_3Test0050"),
            (ObjectKind.DISPUTE, "du_1Test0050"),
            (ObjectKind.CUSTOMER, "cus_Test0050"),
            (ObjectKind.SUBSCRIPTION, "sub_1Test0050"),
            (ObjectKind.INVOICE, "in_1Test0050"),
            (ObjectKind.CHECKOUT, "cs_test_a1Test0050"),
            (ObjectKind.PAYOUT, "po_1Test0050"),
        )
    },
}
"""Every verb in every shape of its request."""


class Specification:
    """Stripe's OpenAPI file, strict: what it does not name is a problem."""

    def __init__(self, path: Path) -> None:
        self._tree = json.loads(path.read_text())
        self._paths = [(_pattern(template), operations) for template, operations in self._tree["paths"].items()]

    def problems(self, seen: Seen) -> list[str]:
        """Say what is wrong with a request; nothing when it fits."""
        found = next((operations for pattern, operations in self._paths if pattern.fullmatch(seen.path)), {})
        operation = found.get(seen.method.lower())
        if operation is None:
            return [f"{seen.method} {seen.path} is not described"]
        known = {item["name"]: item["schema"] for item in operation["parameters"] if item["in"] == "query"}
        query = _tree(seen.query.items())
        wrong = self._members({"type": "object", "properties": known, "additionalProperties": False}, query, "query")
        body = dict(parse_qsl(seen.body.decode(), keep_blank_values=True))
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]
            return [*wrong, *self._wrong(content["schema"], _tree(body.items()), "body")]
        return [*wrong, *(["a body where none belongs"] if body else [])]

    def _wrong(self, schema: Mapping[str, Any], value: Any, at: str) -> list[str]:
        if "$ref" in schema:
            return self._wrong(self._tree["components"]["schemas"][schema["$ref"].rpartition("/")[2]], value, at)
        if "anyOf" in schema:
            tries = [self._wrong(option, value, at) for option in schema["anyOf"]]
            return [] if any(not problems for problems in tries) else tries[-1]
        if schema["type"] == "object":
            return self._members(schema, value, at)
        if schema["type"] == "array":
            if not isinstance(value, dict) or list(value) != [str(number) for number in range(len(value))]:
                return [f"{at} is no list"]
            return [
                wrong for name, item in value.items() for wrong in self._wrong(schema["items"], item, f"{at}[{name}]")
            ]
        return [] if _is_scalar(schema, value) else [f"{at} is no {schema['type']} that is allowed: {value!r}"]

    def _members(self, schema: Mapping[str, Any], value: Any, at: str) -> list[str]:
        if not isinstance(value, dict):
            return [f"{at} is no object"]
        others = schema.get("additionalProperties", False)
        problems = [f"{at} lacks {name}" for name in schema.get("required", ()) if name not in value]
        for name, item in value.items():
            member = schema.get("properties", {}).get(name, others)
            problems += self._wrong(member, item, f"{at}.{name}") if member else [f"{at}.{name} is unknown"]
        return problems


@cache
def _specification(path: Path) -> Specification:
    return Specification(path)


def _is_scalar(schema: Mapping[str, Any], value: Any) -> bool:
    shape = {"integer": r"-?\d+", "number": r"-?\d+(\.\d+)?", "boolean": "true|false", "string": r"[\s\S]*"}
    fits = isinstance(value, str) and re.fullmatch(shape[schema["type"]], value) is not None
    return fits and value in schema.get("enum", [value])


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{\w+\}", "[^/]+", template))


def _tree(pairs: Any) -> dict[str, Any]:
    """Turn a[b][0]=c into {"a": {"b": {"0": "c"}}}."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        first, *rest = [part for part in re.split(r"[\[\]]+", name) if part]
        place, path = tree, [first, *rest]
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = value
    return tree


def _calls(verb: str) -> Iterator[Seen]:
    wire = Wire(provider=StripeProvider)
    for method, path, fixture in ANSWERS:
        wire.answer(method, path, fixture)
    provider = wire.connect(
        secrets={"secret_key": "sk_test_planted17"},
        id="int_17",
        webhook_url="https://registry.example/webhooks/stripe/t0k3n/",
    )
    VERBS[verb](provider)
    yield from wire.calls


@pytest.mark.vendor_fixtures
class TestSpecification:
    @pytest.fixture
    def specification(self, vendor_fixtures: Path) -> Specification:
        return _specification(vendor_fixtures.parent / "specs" / "stripe" / "openapi_trimmed_2026-10-28.endive.json")

    @pytest.mark.parametrize("verb", VERBS)
    def test_every_request_fits(self, verb: str, specification: Specification) -> None:
        calls = list(_calls(verb))

        problems = {seen.path: specification.problems(seen) for seen in calls if not BEYOND.fullmatch(seen.path)}
        assert calls
        assert not [wrong for found in problems.values() for wrong in found]

    def test_notices_what_the_version_does_not_take(self, specification: Specification) -> None:
        (seen,) = _calls("pay_card")
        spoiled = replace(seen, body=seen.body + b"&payment_method_types[0]=card")

        assert specification.problems(spoiled) == ["body.payment_method_types is unknown"]


class TestKeys:
    @pytest.mark.parametrize("verb", VERBS)
    def test_every_post_carries_an_idempotency_key(self, verb: str) -> None:
        posts = [seen for seen in _calls(verb) if seen.method == "POST"]

        assert all(0 < len(seen.headers["idempotency-key"]) <= 255 for seen in posts)
