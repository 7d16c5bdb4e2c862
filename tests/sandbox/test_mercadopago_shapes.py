"""MercadoPago: what the stand-in answers has the fields of the vendor's payloads, which lie where CI puts them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.conftest import Receiver, Sandbox
from tests.sandbox.mercadopago import BUYER, Shop, cause_of
from tests.sandbox.mercadopago import notified as notified  # noqa: PLC0414 - a fixture
from tests.sandbox.mercadopago import shop as shop  # noqa: PLC0414 - a fixture
from tests.sandbox.test_mercadopago_checkout import CLUB, choose, prefer
from tests.sandbox.test_mercadopago_connect import allow, refresh, with_code
from tests.sandbox.test_mercadopago_connect import app as app  # noqa: PLC0414 - a fixture
from tests.sandbox.test_mercadopago_orders import PIX, order
from tests.sandbox.test_mercadopago_payments import TestBoleto

pytestmark = pytest.mark.vendor_fixtures

# Fields of single examples that depend on what was sent or on the vendor's inner workings.
NOT_HERE = ("internal_metadata", "three_ds_info", "metadata.", "additional_info.", "payment_method.data",
            "payment_method.forward_data", "payer.operator_id")  # fmt: skip


@pytest.fixture
def payloads(vendor_fixtures: Path) -> Path:
    return vendor_fixtures / "payments" / "mercadopago"


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def names(value: Any, path: str = "") -> set[str]:
    """Return every path of fields within objects and the first item of lists."""
    if isinstance(value, list):
        return names(value[0], f"{path}[].") if value else set()
    if not isinstance(value, dict):
        return set()
    inner = [{f"{path}{name}"} | names(entry, f"{path}{name}.") for name, entry in value.items()]
    return set().union(*inner)


def lacking(theirs: Any, ours: Any) -> list[str]:
    """Return the fields of the vendor that the stand-in does not write."""
    return sorted(name for name in names(theirs) - names(ours) if not name.startswith(NOT_HERE))


class TestPayment:
    def test_has_the_fields_of_the_vendors(self, shop: Shop, payloads: Path) -> None:
        card = shop.card().json()
        part = shop.card().json()
        shop.act(part, "refund", amount=1)
        paid, expired = shop.pix().json(), shop.pix().json()
        shop.act(paid, "pay")
        shop.act(expired, "expire")
        ours = {
            "card_approved": card, "card_approved_12_installments": shop.card(installments=12).json(),
            "card_partially_refunded": shop.show(part), "card_rejected_201": shop.card("FUND").json() | {
                "fee_details": card["fee_details"]},
            "pix_pending": shop.pix().json(), "pix_approved": shop.show(paid), "pix_expired": shop.show(expired),
            "boleto_pending": shop.pix(payment_method_id="bolbradesco", payer=TestBoleto.payer).json(),
        }  # fmt: skip

        found = {name: lacking(read(payloads / "payments" / f"{name}.json"), view) for name, view in ours.items()}

        assert {name: fields for name, fields in found.items() if fields} == {}

    def test_statuses_are_the_vendors(self, shop: Shop, payloads: Path) -> None:
        theirs = read(payloads / "payments" / "pix_pending.json")
        payment = shop.pix().json()

        assert {name: payment[name] for name in ("status", "status_detail", "payment_type_id", "currency_id")} == {
            name: theirs[name] for name in ("status", "status_detail", "payment_type_id", "currency_id")
        }

    def test_search_has_the_vendors_page(self, shop: Shop, payloads: Path) -> None:
        shop.card()

        page = shop.call("GET", "/v1/payments/search").json()

        theirs = read(payloads / "payments" / "search_page.json")
        assert set(page) == set(theirs)
        assert set(page["paging"]) == set(theirs["paging"])


class TestOtherObjects:
    def test_have_the_fields_of_the_vendors(self, shop: Shop, payloads: Path) -> None:
        payer = {"email": "ana@example.com", "name": "Ana", "surname": "Lima"}
        preference = prefer(shop, payer=payer).json()
        choose(preference, "card")
        paid = shop.call("GET", "/v1/payments/search").json()["results"][0]
        plan = shop.call("POST", "/preapproval_plan", json=CLUB | {"external_reference": "p-1"}).json()
        dates = {"start_date": "2026-12-01T10:00:00.000-03:00", "end_date": "2027-12-01T10:00:00.000-03:00"}
        body = CLUB | {"auto_recurring": CLUB["auto_recurring"] | dates, "payer_email": "ana@example.com"}
        subscription = shop.call("POST", "/preapproval", json=body | {"card_token_id": shop.card_token()}).json()
        query = {"bin": "423564", "amount": "100"}
        ours = {
            "installments": shop.call("GET", "/v1/payment_methods/installments", params=query).json(),
            "payment_methods": shop.call("GET", "/v1/payment_methods").json()[1:],
            "chargeback": shop.act(shop.card().json(), "chargeback"),
            "merchant_order": shop.call("GET", f"/merchant_orders/{paid['order']['id']}").json(),
            "preapproval": subscription, "preapproval_plan": plan,
            "authorized_payment": shop.control("POST", f"/subscriptions/{subscription['id']}/charge"),
            "orders/order_pix_action_required": order(shop, PIX).json(),
        }  # fmt: skip

        found = {name: lacking(read(payloads / f"{name}.json"), view) for name, view in ours.items()}

        assert {name: fields for name, fields in found.items() if fields} == {}
        sent = ("payer.", "shipments.", "payment_methods.", "items.")
        assert [
            name for name in lacking(read(payloads / "preference.json"), preference) if not name.startswith(sent)
        ] == []


class TestRefusal:
    def test_is_the_vendors_to_the_letter(self, shop: Shop, sandbox: Sandbox, payloads: Path) -> None:
        poor = Shop(sandbox=sandbox, account=sandbox.control("GET", "/mercadopago/accounts")["accounts"][1])
        shop.pix(key="op-1")
        ours = {
            "idempotency_header_missing_400": shop.pix(key=None),
            "idempotency_conflict_409": shop.pix(key="op-1", transaction_amount=1),
            "invalid_identification_400": shop.pix(payer=BUYER | {"identification": {"type": "CPF", "number": "1"}}),
            "collector_without_pix_key_400": poor.pix(),
            "payment_not_found_404": shop.call("GET", "/v1/payments/1"),
            "unauthorized_401": shop.call("GET", "/users/me", token="nonsense"),
            "invalid_token_401": shop.call("GET", "/users/me", token="APP_USR-1-sandboxnobodyhasthis-2"),
        }  # fmt: skip

        for name, answer in ours.items():
            theirs = read(payloads / "errors" / f"{name}.json")
            assert (name, answer.status_code, answer.json()) == (name, theirs["http_status"], theirs["body"])

    def test_of_a_card_token_has_the_vendors_code(self, shop: Shop, payloads: Path) -> None:
        theirs = read(payloads / "errors" / "card_token_not_found_400.json")

        answer = shop.card(token="0" * 32)

        assert (answer.status_code, cause_of(answer)) == (theirs["http_status"], theirs["body"]["cause"][0]["code"])
        assert answer.json()["message"] == theirs["body"]["message"]

    @pytest.mark.parametrize(("kind", "name"), [("429", "too_many_requests_429"), ("500", "internal_500")])
    def test_of_a_vendor_in_trouble_is_the_vendors(
        self, shop: Shop, sandbox: Sandbox, payloads: Path, kind: str, name: str
    ) -> None:
        sandbox.control("POST", "/faults", {"vendor": "mercadopago", "kind": kind, "times": 1})

        answer = shop.call("GET", "/users/me")

        theirs = read(payloads / "errors" / f"{name}.json")
        assert (answer.status_code, answer.json()) == (theirs["http_status"], theirs["body"])


class TestTokens:
    def test_have_the_fields_of_the_vendors(self, shop: Shop, app: dict[str, Any], payloads: Path) -> None:
        code = allow(shop, app)
        first = with_code(shop, app, code).json()

        assert set(first) == set(read(payloads / "oauth" / "token_authorization_code.json"))
        assert first["scope"] == read(payloads / "oauth" / "token_authorization_code.json")["scope"]
        fresh = refresh(shop, app, first["refresh_token"]).json()
        assert set(fresh) == set(read(payloads / "oauth" / "token_refresh.json"))
        for name, answer in (
            ("error_invalid_grant_400", with_code(shop, app, code)),
            ("error_invalid_client_400", with_code(shop, app, code, client_secret="x")),
        ):
            theirs = read(payloads / "oauth" / f"{name}.json")
            assert (answer.status_code, answer.json()) == (theirs["http_status"], theirs["body"])


class TestNotification:
    def test_has_the_fields_and_headers_of_the_vendors(
        self, notified: Shop, receiver: Receiver, payloads: Path
    ) -> None:
        theirs = read(payloads / "webhooks" / "payment.created.json")
        notified.pix()

        path, headers, raw = receiver.next()

        assert list(json.loads(raw)) == list(theirs["body"])
        assert set(theirs["headers"]) <= set(headers)
        assert [part.partition("=")[0] for part in path.partition("?")[2].split("&")] == ["data.id", "type"]

    def test_of_an_order_has_no_number(self, notified: Shop, receiver: Receiver, payloads: Path) -> None:
        theirs = read(payloads / "webhooks" / "order.processed_uppercase_id.json")
        order(notified, PIX)

        body = json.loads(receiver.next()[2])

        assert set(body) == set(theirs["body"])
        assert set(theirs["body"]["data"]) <= set(body["data"])
