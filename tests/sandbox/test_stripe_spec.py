"""Compare the stand-in with the specification that VENDOR_FIXTURES stands beside: parameters and answers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.stripe import params, params_pages
from sandbox.stripe.form import Listed, Record, Unset
from tests.sandbox.conftest import Sandbox
from tests.sandbox.stripe_client import KEY, MONTHLY, PLATFORM_KEY, SINGLE

SPEC = Path(os.environ.get("VENDOR_FIXTURES", "")) / "../specs/stripe/openapi_trimmed_2026-10-28.endive.json"
pytestmark = [
    pytest.mark.vendor_fixtures,
    pytest.mark.skipif(
        "VENDOR_FIXTURES" not in os.environ or not SPEC.exists(), reason="VENDOR_FIXTURES names no specification"
    ),
]
RECORDS = {
    "/v1/customers": params.CUSTOMER_CREATE,
    "/v1/customers/{id}": params.CUSTOMER_UPDATE,
    "/v1/payment_intents": params.INTENT_CREATE,
    "/v1/payment_intents/{id}": params.INTENT_UPDATE,
    "/v1/payment_intents/{id}/confirm": params.INTENT_CONFIRM,
    "/v1/payment_intents/{id}/capture": params.INTENT_CAPTURE,
    "/v1/payment_intents/{id}/cancel": params.INTENT_CANCEL,
    "/v1/payment_methods/{id}/attach": params.METHOD_ATTACH,
    "/v1/refunds": params.REFUND_CREATE,
    "/v1/subscriptions": params.SUBSCRIPTION_CREATE,
    "/v1/subscriptions/{id}": params.SUBSCRIPTION_UPDATE,
    "/v1/checkout/sessions": params_pages.SESSION_CREATE,
    "/v1/billing_portal/sessions": params_pages.PORTAL_CREATE,
    "/v1/webhook_endpoints": params_pages.ENDPOINT_CREATE,
    "/v1/accounts": params_pages.ACCOUNT_CREATE,
    "/v1/account_links": params_pages.LINK_CREATE,
}
LISTS = {
    "/v1/customers": params.CUSTOMER_LIST,
    "/v1/prices": params.PRICE_LIST,
    "/v1/payment_intents": params.INTENT_LIST,
    "/v1/subscriptions": params.SUBSCRIPTION_LIST,
    "/v1/invoices": params.INVOICE_LIST,
    "/v1/invoice_payments": params.INVOICE_PAYMENT_LIST,
    "/v1/events": params_pages.EVENT_LIST,
}
HOOK = {"url": "https://hooks.example.com/s", "enabled_events[0]": "*"}
CONTROLLER = {
    "controller[fees][payer]": "application",
    "controller[losses][payments]": "application",
    "controller[stripe_dashboard][type]": "none",
}


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    return json.loads(SPEC.read_text())


def unknown_names(record: Record, schema: dict[str, Any], schemas: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield every parameter that the stand-in takes and the specification does not."""
    shapes = list(objects(schema, schemas))
    known = {name: entry for shape in shapes for name, entry in shape.get("properties", {}).items()}
    for name, rule in record.fields.items():
        if name not in known and rule is not params.retired:
            yield f"{path}{name}"
        inner = inner_record(rule)
        if inner is not None and name in known:
            yield from unknown_names(inner, known[name], schemas, f"{path}{name}.")


def inner_record(rule: Any) -> Record | None:
    while isinstance(rule, Unset | Listed):
        rule = rule.rule
    return rule if isinstance(rule, Record) else None


def objects(schema: dict[str, Any], schemas: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the object shapes that a schema may be."""
    if "$ref" in schema:
        yield from objects(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    for part in schema.get("anyOf", []):
        yield from objects(part, schemas)
    if "items" in schema:
        yield from objects(schema["items"], schemas)
    if "properties" in schema:
        yield schema


def form_of(operation: dict[str, Any]) -> dict[str, Any]:
    return next(iter(operation["requestBody"]["content"].values()))["schema"]


class TestParameters:
    @pytest.mark.parametrize("path", RECORDS)
    def test_are_known_to_stripe(self, spec: dict[str, Any], path: str) -> None:
        schema = form_of(spec["paths"][path]["post"])

        assert list(unknown_names(RECORDS[path], schema, spec["components"]["schemas"])) == []

    @pytest.mark.parametrize("path", LISTS)
    def test_of_lists_are_known_to_stripe(self, spec: dict[str, Any], path: str) -> None:
        known = {found["name"] for found in spec["paths"][path]["get"]["parameters"]}

        assert set(LISTS[path].fields) - known == set()


class TestAnswer:
    def test_has_what_stripe_always_answers(self, sandbox: Sandbox, spec: dict[str, Any]) -> None:
        schemas = spec["components"]["schemas"]

        for kind, body in answers(sandbox):
            schema = schemas[kind]
            unknown = set(body) - set(schema["properties"])
            assert (kind, set(schema["required"]) - set(body), unknown) == (kind, set(), set())
            assert (kind, list(wrong_types(body, schema, schemas))) == (kind, [])


TYPES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict, "number": (int, float)}


def wrong_types(body: dict[str, Any], schema: dict[str, Any], schemas: dict[str, Any]) -> Iterator[str]:
    """Yield the fields whose value is of no type that the specification names."""
    for name, value in body.items():
        allowed = set(types_of(schema["properties"][name], schemas))
        if value is not None and allowed and not any(isinstance(value, TYPES[kind]) for kind in allowed):
            yield name


def types_of(schema: dict[str, Any], schemas: dict[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        yield from types_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    for part in schema.get("anyOf", []):
        yield from types_of(part, schemas)
    kind = schema.get("type")
    yield from kind if isinstance(kind, list) else [kind] if kind in TYPES else []


def answers(sandbox: Sandbox) -> Iterator[tuple[str, dict[str, Any]]]:
    """Call the stand-in and yield the kind and body of each answer."""

    def call(kind: str, path: str, form: dict[str, Any] | None = None, key: str = KEY) -> tuple[str, dict[str, Any]]:
        method = "GET" if form is None else "POST"
        answer = requests.request(
            method, f"{sandbox.url}/stripe/v1/{path}", headers={"Authorization": f"Bearer {key}"}, data=form, timeout=5
        )
        assert answer.ok, answer.text
        return kind, answer.json()

    yield call("account", "account")
    yield call("balance", "balance")
    made = call("customer", "customers", {"email": "ana@example.com"})
    yield made
    payer = made[1]["id"]
    yield call("price", f"prices/{SINGLE}")
    yield call("product", f"products/{SINGLE.replace('price', 'prod')}")
    paid = call("payment_intent", "payment_intents", {
        "amount": 1990, "currency": "brl", "confirm": "true", "payment_method": "pm_card_createDispute",
        "return_url": "https://shop.example.com", "customer": payer,
    })  # fmt: skip
    yield paid
    yield call("payment_method", f"payment_methods/{paid[1]['payment_method']}")
    yield call("charge", f"charges/{paid[1]['latest_charge']}")
    yield "dispute", call("dispute", "disputes")[1]["data"][0]
    other = call("payment_intent", "payment_intents", {
        "amount": 1990, "currency": "brl", "confirm": "true", "payment_method_data[type]": "pix",
        "return_url": "https://shop.example.com",
    })  # fmt: skip
    yield other
    sandbox.control("POST", f"/stripe/payment_intents/{other[1]['id']}/pay")
    yield call("refund", "refunds", {"payment_intent": other[1]["id"]})
    subscribed = call("subscription", "subscriptions", {
        "customer": payer, "items[0][price]": MONTHLY, "payment_behavior": "default_incomplete",
    })  # fmt: skip
    yield subscribed
    yield "subscription_item", subscribed[1]["items"]["data"][0]
    yield call("invoice", f"invoices/{subscribed[1]['latest_invoice']}")
    yield "invoice_payment", call("", "invoice_payments")[1]["data"][0]
    yield call("checkout_session", "checkout/sessions", {
        "mode": "payment", "line_items[0][price]": SINGLE, "line_items[0][quantity]": 1,
        "success_url": "https://shop.example.com",
    })  # fmt: skip
    yield call("billing_portal_session", "billing_portal/sessions", {"customer": payer})
    yield call("webhook_endpoint", "webhook_endpoints", HOOK)
    yield "event", call("", "events")[1]["data"][0]
    account = call("account", "accounts", CONTROLLER, key=PLATFORM_KEY)
    yield account
    link = {"refresh_url": "https://app.example.com/a", "return_url": "https://app.example.com/b"}
    values = link | {"account": account[1]["id"], "type": "account_onboarding"}
    yield call("account_link", "account_links", values, key=PLATFORM_KEY)
