"""MercadoPago: where notifications go, how they are signed, repeated, and spoiled on purpose."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.sandbox.conftest import Receiver, Sandbox
from tests.sandbox.mercadopago import Shop, is_signed, shop_of
from tests.sandbox.mercadopago import notified as notified  # noqa: PLC0414 - a fixture
from tests.sandbox.mercadopago import shop as shop  # noqa: PLC0414 - a fixture


def query_of(path: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}


class TestNotification:
    def test_is_signed_over_the_manifest(self, notified: Shop, receiver: Receiver) -> None:
        payment = notified.pix().json()

        path, headers, raw = receiver.next()

        body = json.loads(raw)
        assert query_of(path) == {"data.id": str(payment["id"]), "type": "payment"}
        assert is_signed(path, headers, secret=notified.app["webhook"]["secret"])
        assert (body["type"], body["action"], body["api_version"]) == ("payment", "payment.created", "v1")
        assert (body["user_id"], body["live_mode"]) == (notified.seller_id, True)
        assert body["data"] == {"id": str(payment["id"])}

    def test_follows_every_change(self, notified: Shop, receiver: Receiver) -> None:
        payment = notified.pix().json()
        notified.act(payment, "pay")
        notified.act(payment, "refund")

        bodies = [json.loads(receiver.next()[2]) for _ in range(3)]

        assert [body["action"] for body in bodies].count("payment.updated") == 2
        assert len({body["id"] for body in bodies}) == 3

    @pytest.mark.parametrize(("unit", "digits"), [("ms", 13), ("s", 10)])
    def test_stamp_has_either_unit(self, notified: Shop, receiver: Receiver, unit: str, digits: int) -> None:
        notified.control("POST", "/settings", {"ts_unit": unit})
        notified.pix()

        path, headers, _ = receiver.next()

        assert len(headers["x-signature"].split(",")[0].partition("=")[2]) == digits
        assert is_signed(path, headers, secret=notified.app["webhook"]["secret"])

    @pytest.mark.parametrize(("case", "fits"), [("as_received", True), ("lower", False)])
    def test_id_with_letters_is_signed_in_either_case(
        self, notified: Shop, receiver: Receiver, case: str, fits: bool
    ) -> None:
        notified.control("POST", "/settings", {"id_case": case})
        payment = notified.card().json()
        opened = notified.act(payment, "chargeback")
        secret = notified.app["webhook"]["secret"]

        arrived = [receiver.next() for _ in range(3)]

        ((path, headers, _),) = [one for one in arrived if "topic_chargebacks_wh" in one[0]]
        assert query_of(path)["data.id"] == opened["id"]
        assert is_signed(path, headers, secret=secret) is fits
        assert is_signed(path.replace("CB-", "cb-"), headers, secret=secret) is not fits

    def test_is_repeated_until_200_or_201(self, notified: Shop, receiver: Receiver) -> None:
        receiver.statuses.extend([500, 204, 201])
        notified.pix()

        arrived = [receiver.next() for _ in range(3)]

        assert len({body for _, _, body in arrived}) == 1
        assert len({headers["x-signature"] for _, headers, _ in arrived}) == 1
        assert receiver.silent()

    def test_is_not_sent_for_topics_that_nobody_chose(self, shop: Shop, receiver: Receiver) -> None:
        shop.listen(receiver.url, topics=["mp-connect"])

        shop.pix()

        assert receiver.silent(for_s=0.3)

    def test_may_arrive_twice_and_in_disorder(self, notified: Shop, receiver: Receiver) -> None:
        notified.control("POST", "/settings", {"duplicates": 1, "disorder": True})
        payment = notified.pix().json()
        notified.control("POST", "/settings", {"disorder": False, "duplicates": 0})
        notified.act(payment, "pay")

        actions = [json.loads(receiver.next()[2])["action"] for _ in range(3)]

        assert actions == ["payment.updated", "payment.created", "payment.created"]


class TestPaymentsOwnAddress:
    def test_wins_and_gets_the_unsigned_notification_too(self, notified: Shop, receiver: Receiver) -> None:
        payment = notified.pix(notification_url=f"{receiver.url}own?org=7").json()

        arrived = {query_of(path).get("type", "ipn"): (path, headers, body) for path, headers, body in
                   (receiver.next(), receiver.next())}  # fmt: skip

        path, headers, _ = arrived["payment"]
        assert path.startswith("/hook/own?org=7&data.id=")
        assert is_signed(path, headers, secret=notified.app["webhook"]["secret"])
        path, headers, body = arrived["ipn"]
        assert query_of(path) == {"org": "7", "topic": "payment", "id": str(payment["id"])}
        assert "x-signature" not in headers
        assert json.loads(body) == {"resource": str(payment["id"]), "topic": "payment"}
        assert receiver.silent()

    def test_may_refuse_the_unsigned_one(self, notified: Shop, receiver: Receiver) -> None:
        notified.pix(notification_url=f"{receiver.url}own?source_news=webhooks")

        path, headers, _ = receiver.next()

        assert query_of(path)["source_news"] == "webhooks"
        assert "x-signature" in headers
        assert receiver.silent()

    def test_hears_nothing_of_test_credentials(self, notified: Shop, receiver: Receiver) -> None:
        token = notified.token(live=False)["token"]

        payment = notified.pix(token=token, notification_url=f"{receiver.url}own").json()

        assert payment["live_mode"] is False
        assert receiver.silent()


class TestScenario:
    def play(self, shop: Shop, mode: str, payment: dict[str, Any], **values: Any) -> None:
        shop.control("POST", "/deliveries", {"mode": mode, "payment_id": payment["id"]} | values)

    @pytest.fixture
    def payment(self, notified: Shop, receiver: Receiver) -> dict[str, Any]:
        """A payment whose first notification is over."""
        made = notified.pix().json()
        receiver.next()
        return dict(made)

    def test_swapped_body_is_under_a_valid_manifest(
        self, notified: Shop, receiver: Receiver, payment: dict[str, Any], sandbox: Sandbox
    ) -> None:
        seller = shop_of(sandbox, "MLA")
        made = notified.control(
            "POST", "/payments", {"seller_id": seller.seller_id, "amount": 1, "payment_method_id": "visa"}
        )

        self.play(notified, "swapped_body", payment, other_payment_id=made["id"])

        path, headers, raw = receiver.next()
        assert is_signed(path, headers, secret=notified.app["webhook"]["secret"])
        assert query_of(path)["data.id"] == str(payment["id"])
        assert json.loads(raw)["data"]["id"] == str(made["id"])

    def test_foreign_payment_is_signed_but_not_readable(
        self, notified: Shop, receiver: Receiver, payment: dict[str, Any], sandbox: Sandbox
    ) -> None:
        seller = shop_of(sandbox, "MLA")
        made = notified.control(
            "POST", "/payments", {"seller_id": seller.seller_id, "amount": 1, "payment_method_id": "visa"}
        )

        self.play(notified, "foreign", payment, other_payment_id=made["id"])

        path, headers, raw = receiver.next()
        assert is_signed(path, headers, secret=notified.app["webhook"]["secret"])
        assert json.loads(raw)["user_id"] == notified.seller_id
        assert notified.call("GET", f"/v1/payments/{query_of(path)['data.id']}").status_code == 404

    def test_simulator_has_an_id_that_is_nowhere(
        self, notified: Shop, receiver: Receiver, payment: dict[str, Any]
    ) -> None:
        self.play(notified, "simulator", payment)

        path, headers, raw = receiver.next()
        assert (query_of(path)["data.id"], json.loads(raw)["id"]) == ("123456", 123456)
        assert is_signed(path, headers, secret=notified.app["webhook"]["secret"])

    @pytest.mark.parametrize("mode", ["forged", "unsigned"])
    def test_forgery_does_not_pass(
        self, notified: Shop, receiver: Receiver, payment: dict[str, Any], mode: str
    ) -> None:
        self.play(notified, mode, payment)

        path, headers, _ = receiver.next()
        secret = notified.app["webhook"]["secret"]
        assert "x-signature" not in headers or not is_signed(path, headers, secret=secret)

    def test_duplicates_share_their_number(self, notified: Shop, receiver: Receiver, payment: dict[str, Any]) -> None:
        self.play(notified, "duplicate", payment, count=3)

        assert len({json.loads(receiver.next()[2])["id"] for _ in range(3)}) == 1

    def test_later_one_may_come_first(self, notified: Shop, receiver: Receiver, payment: dict[str, Any]) -> None:
        self.play(notified, "out_of_order", payment)

        assert [json.loads(receiver.next()[2])["action"] for _ in range(2)] == ["payment.updated", "payment.created"]

    def test_seller_leaves(self, notified: Shop, receiver: Receiver) -> None:
        body = {"seller_id": notified.seller_id}

        answer = notified.control("POST", f"/apps/{notified.app['id']}/deauthorize", body)

        notice = json.loads(receiver.next()[2])
        assert (notice["type"], notice["action"]) == ("mp-connect", "application.deauthorized")
        assert answer["revoked"] == 2
        assert notified.call("GET", "/users/me").status_code == 401
