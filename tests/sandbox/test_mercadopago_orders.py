"""MercadoPago: the Orders API with its ids, texts for amounts, and errors of another form."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import requests

from tests.sandbox.conftest import Receiver
from tests.sandbox.mercadopago import Shop, is_signed
from tests.sandbox.mercadopago import notified as notified  # noqa: PLC0414 - a fixture
from tests.sandbox.mercadopago import shop as shop  # noqa: PLC0414 - a fixture

PIX = {"id": "pix", "type": "bank_transfer"}


def order(shop: Shop, method: dict[str, Any], *, key: str | None = "new", **more: Any) -> requests.Response:
    body = {
        "type": "online", "total_amount": "58.80", "external_reference": "o-7", "payer": {"email": "ana@example.com"},
        "transactions": {"payments": [{"amount": "58.80", "payment_method": method}]},
    } | more  # fmt: skip
    return shop.call("POST", "/v1/orders", json=body, key=key)


class TestOrder:
    def test_by_pix_waits_and_is_paid(self, notified: Shop, receiver: Receiver) -> None:
        made = order(notified, PIX).json()
        receiver.next()

        notified.control("POST", f"/orders/{made['id']}/pay")

        path, headers, raw = receiver.next()
        shown = notified.call("GET", f"/v1/orders/{made['id']}").json()
        notice = json.loads(raw)
        assert re.fullmatch(r"ORD01K[0-9A-Z]{23}", made["id"])
        assert (made["status"], made["total_amount"]) == ("action_required", "58.80")
        assert made["transactions"]["payments"][0]["payment_method"]["qr_code"].startswith("000201")
        assert (shown["status"], shown["status_detail"]) == ("processed", "accredited")
        assert is_signed(path, headers, secret=notified.app["webhook"]["secret"])
        assert (notice["action"], notice["data"]["version"], "id" in notice) == ("order.processed", 2, False)

    def test_by_card_may_be_declined_with_402(self, shop: Shop) -> None:
        card = {"id": "visa", "type": "credit_card", "installments": 1}

        good = order(shop, card | {"token": shop.card_token("APRO")})
        bad = order(shop, card | {"token": shop.card_token("FUND")})

        assert (good.status_code, good.json()["status"]) == (201, "processed")
        assert (bad.status_code, bad.json()["errors"][0]["code"]) == (402, "failed")
        assert bad.json()["data"]["transactions"]["payments"][0]["status_detail"] == "rejected_insufficient_amount"

    def test_is_canceled_once_and_refunded_when_paid(self, shop: Shop) -> None:
        waiting = order(shop, PIX).json()
        paid = order(shop, {"id": "visa", "type": "credit_card", "token": shop.card_token(), "installments": 1}).json()

        canceled, again = (shop.call("POST", f"/v1/orders/{waiting['id']}/cancel") for _ in range(2))
        refunded = shop.call("POST", f"/v1/orders/{paid['id']}/refund")

        assert (canceled.json()["status"], again.status_code) == ("canceled", 409)
        assert (refunded.status_code, refunded.json()["status"]) == (201, "refunded")

    def test_needs_a_key(self, shop: Shop) -> None:
        assert order(shop, PIX, key=None).status_code == 400

    @pytest.mark.parametrize(
        ("wrong", "code"),
        [
            ({"total_amount": 58.8}, "property_value"), ({"total_amount": "58.8"}, "property_value"),
            ({"total_amount": "58.81"}, "property_value"), ({"novelty": 1}, "unsupported_properties"),
            ({"payer": {}}, "property_value"), ({"external_reference": "o 7"}, "property_value"),
            ({"transactions": {}}, "required_properties"),
        ],
    )  # fmt: skip
    def test_with_a_mistake_is_refused(self, shop: Shop, wrong: dict[str, Any], code: str) -> None:
        answer = order(shop, PIX, **wrong)

        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, code)
