"""MercadoPago: preferences and their page, tickets, subscriptions."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.sandbox.conftest import Receiver, Sandbox
from tests.sandbox.mercadopago import Shop, shop_of
from tests.sandbox.mercadopago import notified as notified  # noqa: PLC0414 - a fixture
from tests.sandbox.mercadopago import shop as shop  # noqa: PLC0414 - a fixture

BACK = {name: f"https://shop.example.com/{name}" for name in ("success", "pending", "failure")}
MONTHLY = {"frequency": 1, "frequency_type": "months", "transaction_amount": 49.9, "currency_id": "BRL"}
CLUB = {"reason": "Clube do pão", "auto_recurring": MONTHLY, "back_url": "https://shop.example.com/club"}


def prefer(shop: Shop, **more: Any) -> requests.Response:
    body = {
        "items": [{"title": "Cesta", "quantity": 2, "unit_price": 30.25, "currency_id": "BRL"}], "back_urls": BACK,
        "auto_return": "approved", "external_reference": "o-7",
    } | more  # fmt: skip
    return shop.call("POST", "/checkout/preferences", json=body)


def choose(preference: dict[str, Any], way: str) -> requests.Response:
    return requests.post(preference["init_point"], data={"way": way}, allow_redirects=False, timeout=5)


def back_query(answer: requests.Response) -> tuple[str, dict[str, str]]:
    parts = urlsplit(answer.headers["Location"])
    return parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()}


class TestPreference:
    def test_has_a_page(self, shop: Shop) -> None:
        made = prefer(shop)

        shown = shop.call("GET", f"/checkout/preferences/{made.json()['id']}")
        page = requests.get(made.json()["init_point"], timeout=5)

        assert made.status_code == 201
        assert shown.json() == made.json()
        assert page.ok
        assert "BRL 60.50" in page.text
        assert [f'value="{way}"' in page.text for way in ("card", "decline", "pix", "account_money", "back")] == [
            True
        ] * 5

    def test_is_changed_field_by_field(self, shop: Shop) -> None:
        made = prefer(shop).json()

        changed = shop.call("PUT", f"/checkout/preferences/{made['id']}", json={"external_reference": "o-8"}).json()

        assert (changed["external_reference"], changed["items"]) == ("o-8", made["items"])
        assert shop.call("PUT", f"/checkout/preferences/{made['id']}", json={"id": "x"}).status_code == 400

    @pytest.mark.parametrize(
        "wrong",
        [
            {"items": []}, {"items": [{"title": "x", "quantity": 1}]}, {"novelty": 1},
            {"items": [{"title": "x", "quantity": 0, "unit_price": 1}]},
            {"items": [{"title": "x", "quantity": 1, "unit_price": 1.001}]},
            {"items": [{"title": "x", "quantity": 1, "unit_price": -1}]},
            {"items": [{"title": "x", "quantity": 1, "unit_price": "1"}]},
            {"items": [{"title": "x", "quantity": 1, "unit_price": 1, "currency_id": "ARS"}]},
            {"back_urls": {}}, {"back_urls": {"success": "shop"}},
            {"back_urls": {"success": "http://127.0.0.1/"}}, {"auto_return": "always"},
            {"notification_url": "http://shop.example.com"}, {"payer": {"email": "x"}},
            {"expires": True}, {"date_of_expiration": "2027-01-01"}, {"external_reference": "o 7"},
        ],
    )  # fmt: skip
    def test_with_a_mistake_is_refused(self, shop: Shop, wrong: dict[str, Any]) -> None:
        answer = prefer(shop, **wrong)

        assert answer.status_code == 400
        assert set(answer.json()) == {"code", "message"}

    def test_of_another_is_not_found(self, shop: Shop, sandbox: Sandbox) -> None:
        path = f"/checkout/preferences/{prefer(shop).json()['id']}"

        assert shop_of(sandbox, "MLM").call("GET", path).status_code == 404

    def test_leaves_excluded_ways_out(self, shop: Shop) -> None:
        limits = {"excluded_payment_types": [{"id": "bank_transfer"}], "excluded_payment_methods": []}

        page = requests.get(prefer(shop, payment_methods=limits).json()["init_point"], timeout=5).text

        assert 'value="pix"' not in page
        assert 'value="card"' in page

    def test_that_is_over_takes_no_payment(self, shop: Shop) -> None:
        dates = {"expires": True, "expiration_date_to": "2026-01-01T00:00:00.000-03:00"}
        preference = prefer(shop, **dates).json()

        path, _ = back_query(choose(preference, "card"))

        assert path == "/failure"
        assert shop.call("GET", "/v1/payments/search").json()["results"] == []


class TestCheckoutPage:
    @pytest.mark.parametrize("way", ["card", "account_money"])
    def test_brings_a_paying_buyer_back(self, notified: Shop, receiver: Receiver, way: str) -> None:
        preference = prefer(notified).json()

        path, query = back_query(choose(preference, way))

        payment = notified.call("GET", f"/v1/payments/{query['payment_id']}").json()
        order = notified.call("GET", f"/merchant_orders/{query['merchant_order_id']}").json()
        assert (path, query["status"], query["preference_id"]) == ("/success", "approved", preference["id"])
        assert (payment["status"], payment["transaction_amount"]) == ("approved", 60.5)
        assert (payment["external_reference"], payment["order"]["id"]) == ("o-7", order["id"])
        assert (order["order_status"], order["paid_amount"], order["total_amount"]) == ("paid", 60.5, 60.5)
        topics = {parse_qs(urlsplit(receiver.next()[0]).query)["type"][0] for _ in range(2)}
        assert topics == {"payment", "topic_merchant_order_wh"}

    def test_shows_a_declined_card_and_may_be_tried_again(self, shop: Shop) -> None:
        preference = prefer(shop).json()

        declined = choose(preference, "decline")
        path, _ = back_query(choose(preference, "card"))

        assert declined.status_code == 200
        assert "https://shop.example.com/failure" in declined.text
        assert path == "/success"
        found = shop.call("GET", "/v1/payments/search").json()["results"]
        assert [payment["status"] for payment in found] == ["approved", "rejected"]

    def test_shows_a_pix_that_is_paid_on_its_page(self, shop: Shop) -> None:
        ticket = choose(prefer(shop).json(), "pix").headers["Location"]

        page = requests.get(ticket, timeout=5).text
        requests.post(ticket, data={"pay": "whole"}, timeout=5)

        (payment,) = shop.call("GET", "/v1/payments/search").json()["results"]
        assert payment["point_of_interaction"]["transaction_data"]["qr_code"] in page
        assert (payment["status"], payment["payment_method_id"]) == ("approved", "pix")

    def test_lets_the_buyer_go_back(self, shop: Shop) -> None:
        path, query = back_query(choose(prefer(shop).json(), "back"))

        assert (path, query["status"], query["payment_id"]) == ("/failure", "null", "null")


class TestTicket:
    def test_may_be_paid_by_half(self, shop: Shop) -> None:
        payment = shop.pix().json()
        ticket = payment["point_of_interaction"]["transaction_data"]["ticket_url"]
        waiting = f"{shop.sandbox.url}/phone/mercadopago/"
        assert ticket in requests.get(waiting, timeout=5).text

        requests.post(ticket, data={"pay": "half"}, timeout=5)

        assert shop.show(payment)["transaction_amount"] == 29.4
        assert ticket not in requests.get(waiting, timeout=5).text


class TestSubscription:
    def subscribe(self, shop: Shop, **more: Any) -> requests.Response:
        return shop.call("POST", "/preapproval", json=CLUB | {"payer_email": "ana@example.com"} | more)

    def test_waits_for_the_buyer_and_is_then_charged(self, notified: Shop, receiver: Receiver) -> None:
        made = self.subscribe(notified).json()
        assert made["status"] == "pending"

        answer = requests.post(made["init_point"], data={"pay": "card"}, allow_redirects=False, timeout=5)

        shown = notified.call("GET", f"/preapproval/{made['id']}").json()
        topics = {parse_qs(urlsplit(receiver.next()[0]).query)["type"][0] for _ in range(4)}
        assert answer.headers["Location"] == f"https://shop.example.com/club?preapproval_id={made['id']}"
        assert shown["status"] == "authorized"
        assert topics == {"subscription_preapproval", "subscription_authorized_payment", "payment"}

    def test_with_a_card_is_charged_at_once(self, notified: Shop, receiver: Receiver) -> None:
        made = self.subscribe(notified, card_token_id=notified.card_token(), status="authorized").json()

        paths = [receiver.next()[0] for _ in range(4)]

        (path,) = [path for path in paths if "subscription_authorized_payment" in path]
        payment_id = parse_qs(urlsplit(path).query)["data.id"][0]
        shown = notified.call("GET", f"/authorized_payments/{payment_id}").json()
        assert (made["status"], made["payment_method_id"]) == ("authorized", "visa")
        assert (shown["preapproval_id"], shown["transaction_amount"]) == (made["id"], 49.9)
        assert notified.call("GET", f"/v1/payments/{shown['payment']['id']}").json()["status"] == "approved"

    def test_is_charged_again_and_may_fail(self, shop: Shop) -> None:
        made = self.subscribe(shop, card_token_id=shop.card_token(), status="authorized").json()

        charged = shop.control("POST", f"/subscriptions/{made['id']}/charge", {"card": "FUND"})

        shown = shop.call("GET", f"/authorized_payments/{charged['id']}").json()
        assert (shown["status"], shown["payment"]["status"]) == ("recycling", "rejected")

    def test_is_paused_resumed_and_ended(self, shop: Shop) -> None:
        made = self.subscribe(shop, card_token_id=shop.card_token(), status="authorized").json()
        path = f"/preapproval/{made['id']}"

        statuses = [
            shop.call("PUT", path, json={"status": status}).json()["status"]
            for status in ("paused", "authorized", "cancelled")
        ]
        revived = shop.call("PUT", path, json={"status": "authorized"})

        assert statuses == ["paused", "authorized", "cancelled"]
        assert revived.status_code == 400
        found = shop.call("GET", "/preapproval/search", params={"status": "cancelled"}).json()
        assert [one["id"] for one in found["results"]] == [made["id"]]

    def test_follows_a_plan_with_a_card(self, shop: Shop) -> None:
        plan = shop.call("POST", "/preapproval_plan", json=CLUB).json()
        body = {"preapproval_plan_id": plan["id"], "payer_email": "ana@example.com"}

        bare = shop.call("POST", "/preapproval", json=body)
        made = shop.call("POST", "/preapproval", json=body | {"card_token_id": shop.card_token()}).json()

        assert bare.status_code == 400
        assert (made["reason"], made["auto_recurring"]["transaction_amount"]) == ("Clube do pão", 49.9)
        assert shop.call("GET", f"/preapproval_plan/{plan['id']}").json() == plan
        assert shop.call("GET", "/preapproval_plan/search").json()["results"] == [plan]

    def test_changes_its_amount_and_keeps_its_rhythm(self, shop: Shop) -> None:
        path = f"/preapproval/{self.subscribe(shop).json()['id']}"
        terms = {"transaction_amount": 59.9, "currency_id": "BRL"}

        changed = shop.call("PUT", path, json={"auto_recurring": terms}).json()["auto_recurring"]
        refused = shop.call("PUT", path, json={"auto_recurring": {"frequency": 2}})

        assert (changed["transaction_amount"], changed["frequency"]) == (59.9, 1)
        assert refused.status_code == 400

    @pytest.mark.parametrize(
        "wrong",
        [
            {"auto_recurring": MONTHLY | {"transaction_amount": 0}}, {"payer_email": "x"}, {"novelty": 1},
            {"auto_recurring": MONTHLY | {"transaction_amount": 1.001}}, {"back_url": "club"}, {"status": "authorized"},
            {"auto_recurring": MONTHLY | {"currency_id": "ARS"}}, {"auto_recurring": MONTHLY | {"frequency": 0}},
            {"auto_recurring": MONTHLY | {"frequency_type": "weeks"}}, {"preapproval_plan_id": "none"},
        ],
    )  # fmt: skip
    def test_with_a_mistake_is_refused(self, shop: Shop, wrong: dict[str, Any]) -> None:
        assert self.subscribe(shop, **wrong).status_code in (400, 404)
        assert shop.call("GET", "/preapproval/search").json()["results"] == []
