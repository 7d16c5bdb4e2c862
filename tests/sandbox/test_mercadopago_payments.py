"""MercadoPago: who may call, what is refused and how, and what becomes of payments."""

from __future__ import annotations

import base64
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from tests.sandbox.conftest import Sandbox
from tests.sandbox.mercadopago import BUYER, ELO_DEBIT, Shop, cause_of, shop_of
from tests.sandbox.mercadopago import shop as shop  # noqa: PLC0414 - a fixture


def moment(**ahead: float) -> str:
    """A date as the vendor wants it."""
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat(timespec="milliseconds")


def crc16(text: str) -> str:
    """CRC-16/CCITT-FALSE, bit by bit."""
    crc = 0xFFFF
    for byte in text.encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021) & 0xFFFF if crc & 0x8000 else crc << 1
    return f"{crc:04X}"


class TestToken:
    def test_opens_the_account(self, shop: Shop) -> None:
        answer = shop.call("GET", "/users/me")

        me = answer.json()
        assert answer.headers["x-request-id"]
        assert (me["id"], me["site_id"], me["country_id"]) == (shop.seller_id, "MLB", "BR")

    def test_in_the_query_is_refused(self, shop: Shop) -> None:
        answer = requests.get(f"{shop.url}/users/me?access_token={shop.token()['token']}", timeout=5)

        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")

    @pytest.mark.parametrize("sent", ["", "Basic abc", "bearer x", "Bearer nonsense"])
    def test_must_be_a_bearer(self, shop: Shop, sent: str) -> None:
        answer = requests.get(f"{shop.url}/users/me", headers={"Authorization": sent}, timeout=5)

        assert (answer.status_code, answer.json()) == (401, {"code": "unauthorized", "message": "invalid access token"})

    def test_is_dead_when_unknown_or_revoked(self, shop: Shop) -> None:
        unknown = shop.call("GET", "/users/me", token="APP_USR-1-sandboxnobodyhasthis-2")
        shop.control("POST", f"/tokens/{shop.token()['token']}/revoke")
        revoked = shop.call("GET", "/users/me")

        assert [answer.status_code for answer in (unknown, revoked)] == [401, 401]
        assert unknown.json() == revoked.json() == {
            "message": "invalid_token", "error": "bad_request", "status": 401, "cause": [],
        }  # fmt: skip

    def test_makes_test_users_only_in_production(self, shop: Shop) -> None:
        body = {"site_id": "MLB", "description": "a buyer"}

        made = shop.call("POST", "/users/test", json=body)
        refused = shop.call("POST", "/users/test", json=body, token=shop.token(live=False)["token"])

        assert (made.status_code, refused.status_code) == (201, 403)
        assert made.json()["email"].endswith("@testuser.com")


class TestIdempotencyKey:
    def test_is_obligatory(self, shop: Shop) -> None:
        answer = shop.pix(key=None)

        assert (answer.status_code, cause_of(answer)) == (400, 4292)
        assert answer.json()["message"] == "Header X-Idempotency-Key can't be null"
        assert shop.pix(key="k" * 65).status_code == 400

    def test_gives_the_same_answer_and_no_second_payment(self, shop: Shop) -> None:
        first, second = shop.pix(key="op-1"), shop.pix(key="op-1")

        assert first.status_code == second.status_code == 201
        assert first.json() == second.json()
        assert shop.call("GET", "/v1/payments/search").json()["paging"]["total"] == 1

    def test_holds_when_many_come_at_once(self, shop: Shop) -> None:
        with ThreadPoolExecutor(max_workers=12) as crowd:
            answers = list(crowd.map(lambda _: shop.pix(key="op-1"), range(24)))

        assert {answer.json()["id"] for answer in answers} == {answers[0].json()["id"]}
        assert shop.call("GET", "/v1/payments/search").json()["paging"]["total"] == 1

    def test_with_another_body_is_a_conflict(self, shop: Shop) -> None:
        shop.pix(key="op-1")

        answer = shop.pix(key="op-1", transaction_amount=1)

        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "idempotency_key_already_used")

    def test_is_not_used_up_by_a_refusal(self, shop: Shop) -> None:
        assert shop.pix(key="op-1", payer=None).status_code == 400
        assert shop.pix(key="op-1").status_code == 201

    def test_belongs_to_one_seller(self, shop: Shop, sandbox: Sandbox) -> None:
        other = shop_of(sandbox, "MLM")
        shop.pix(key="op-1")

        body = {"transaction_amount": 20, "payment_method_id": "oxxo", "payer": {"email": "x@example.com"}}
        answer = other.call("POST", "/v1/payments", json=body, key="op-1")

        assert (answer.status_code, answer.json()["currency_id"]) == (201, "MXN")


class TestPix:
    def test_waits_with_a_code_that_banks_can_read(self, shop: Shop) -> None:
        payment = shop.pix(external_reference="org-1-order-7").json()

        data = payment["point_of_interaction"]["transaction_data"]
        assert (payment["status"], payment["status_detail"]) == ("pending", "pending_waiting_transfer")
        assert (payment["transaction_amount"], payment["collector_id"]) == (58.8, shop.seller_id)
        assert data["qr_code"].startswith("000201")
        assert "540558.80" in data["qr_code"]
        assert "5914Padaria Aurora" in data["qr_code"]
        assert data["qr_code"][-4:] == crc16(data["qr_code"][:-4])
        assert base64.b64decode(data["qr_code_base64"]).startswith(b"\x89PNG\r\n\x1a\n")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}-04:00", payment["date_of_expiration"])

    def test_is_paid_by_the_buyer(self, shop: Shop) -> None:
        payment = shop.pix().json()

        shop.act(payment, "pay")

        paid = shop.show(payment)
        assert (paid["status"], paid["status_detail"]) == ("approved", "accredited")
        assert paid["transaction_details"]["net_received_amount"] == 58.22
        assert paid["fee_details"][0]["amount"] == 0.58

    def test_paid_with_another_amount_shows_that_amount(self, shop: Shop) -> None:
        payment = shop.pix().json()

        shop.act(payment, "pay", amount=1)

        assert shop.show(payment)["transaction_amount"] == 1
        assert shop.show(payment)["status"] == "approved"

    def test_pays_itself_if_asked(self, shop: Shop, eventually: Any) -> None:
        shop.control("POST", "/settings", {"pay_pix_after_s": 0.05})

        payment = shop.pix().json()

        eventually(lambda: shop.show(payment)["status"] == "approved")

    def test_expires_and_cannot_be_paid_then(self, shop: Shop) -> None:
        payment = shop.pix().json()

        shop.act(payment, "expire")

        assert (shop.show(payment)["status"], shop.show(payment)["status_detail"]) == ("cancelled", "expired")
        late = requests.post(f"{shop.sandbox.url}/control/mercadopago/payments/{payment['id']}/pay", json={}, timeout=5)
        assert (late.status_code, cause_of(late)) == (400, 2018)

    def test_is_cancelled_once(self, shop: Shop) -> None:
        path = f"/v1/payments/{shop.pix().json()['id']}"

        first, second = (shop.call("PUT", path, json={"status": "cancelled"}) for _ in range(2))

        assert first.json()["status"] == "cancelled"
        assert (second.status_code, cause_of(second)) == (400, 2018)

    def test_needs_a_key_of_the_seller(self, sandbox: Sandbox) -> None:
        answer = shop_of(sandbox, "MLB", pix=False).pix()

        assert (answer.status_code, cause_of(answer)) == (400, 13253)
        assert answer.json()["message"] == "Collector user without key enabled for QR render"

    @pytest.mark.parametrize("site_id", ["MLA", "MLM"])
    def test_exists_in_brazil_only(self, sandbox: Sandbox, site_id: str) -> None:
        assert cause_of(shop_of(sandbox, site_id).pix()) == 2131


class TestBody:
    @pytest.mark.parametrize(
        ("wrong", "code"),
        [
            ({"novelty": 1}, 8),
            ({"payer": BUYER | {"nickname": "x"}}, 8),
            ({"transaction_amount": None}, 4002),
            ({"transaction_amount": "58.80"}, 4003),
            ({"transaction_amount": True}, 4003),
            ({"transaction_amount": 58.805}, 2072),
            ({"transaction_amount": 0}, 4037),
            ({"transaction_amount": -5}, 4037),
            ({"transaction_amount": 10_000_000}, 4037),
            ({"payment_method_id": None}, 4001),
            ({"payment_method_id": "boleto_bancario"}, 2131),
            ({"payment_method_id": "account_money"}, 2131),
            ({"payment_method_id": "debvisa"}, 2131),
            ({"payer": None}, 4096),
            ({"payer": "x"}, 4006),
            ({"payer": {"identification": BUYER["identification"]}}, 4050),
            ({"payer": BUYER | {"email": "nobody@shop.test"}}, 4050),
            ({"payer": {"email": "a@example.com"}}, 4097),
            ({"payer": BUYER | {"identification": {"type": "CPF"}}}, 4098),
            ({"payer": BUYER | {"identification": {"type": "CPF", "number": "19119119101"}}}, 2067),
            ({"payer": BUYER | {"identification": {"type": "CPF", "number": "191.191.191-00"}}}, 2067),
            ({"payer": BUYER | {"identification": {"type": "DNI", "number": "1234567"}}}, 2067),
            ({"payer": BUYER | {"email": "test_user_512308774@testuser.com"}}, 2060),
            ({"notification_url": "http://shop.example.com/hook"}, 4020),
            ({"notification_url": "shop"}, 4020),
            ({"metadata": "x"}, 4022),
            ({"external_reference": "order #7"}, 1),
            ({"external_reference": "x" * 257}, 1),
            ({"description": 7}, 1),
            ({"installments": 2}, 1),
            ({"issuer_id": "25"}, 1),
            ({"application_fee": 1}, 2059),
            ({"date_of_expiration": "2026-12-01"}, 23),
            ({"date_of_expiration": "2026-12-01T10:00:00Z"}, 23),
            ({"date_of_expiration": moment(minutes=20)}, 23),
            ({"date_of_expiration": moment(days=31)}, 23),
        ],
    )  # fmt: skip
    def test_with_a_mistake_is_refused(self, shop: Shop, wrong: dict[str, Any], code: int) -> None:
        answer = shop.pix(**wrong)

        assert (answer.status_code, cause_of(answer)) == (400, code)
        assert set(answer.json()) == {"message", "error", "status", "cause"}
        assert shop.call("GET", "/v1/payments/search").json()["results"] == []

    @pytest.mark.parametrize("sent", [b"{", b"[]", b'{"a": NaN}', b'{"a": 1, "a": 2}'])
    def test_must_be_one_json_object(self, shop: Shop, sent: bytes) -> None:
        answer = shop.call("POST", "/v1/payments", data=sent, headers={"Content-Type": "application/json"})

        assert answer.status_code == 400

    def test_must_say_that_it_is_json(self, shop: Shop) -> None:
        assert shop.call("POST", "/v1/payments", data={"transaction_amount": "1"}).status_code == 415

    def test_may_set_an_expiry_within_the_range(self, shop: Shop) -> None:
        assert shop.pix(date_of_expiration=moment(minutes=30)).status_code == 201

    def test_keeps_an_exact_amount(self, shop: Shop) -> None:
        for amount in (0.01, 1.1, 4999.99, 1000000.01):
            assert shop.pix(transaction_amount=amount).json()["transaction_amount"] == amount


class TestBoleto:
    payer = BUYER | {
        "first_name": "Ana", "last_name": "Lima",
        "address": {
            "zip_code": "01310100", "street_name": "Rua Um", "street_number": "7", "neighborhood": "Centro",
            "city": "São Paulo", "federal_unit": "SP",
        },
    }  # fmt: skip

    def test_has_a_bar_code_and_a_page(self, shop: Shop) -> None:
        payment = shop.pix(payment_method_id="bolbradesco", payer=self.payer).json()

        assert (payment["payment_type_id"], payment["status_detail"]) == ("ticket", "pending_waiting_payment")
        assert re.fullmatch(r"\d{44}", payment["barcode"]["content"])
        assert payment["transaction_details"]["external_resource_url"].endswith(f"/payments/{payment['id']}/ticket")
        assert payment["transaction_details"]["verification_code"]

    @pytest.mark.parametrize(("lacking", "code"), [("first_name", 4094), ("last_name", 4095), ("address", 1)])
    def test_needs_names_and_address(self, shop: Shop, lacking: str, code: int) -> None:
        payer = {name: value for name, value in self.payer.items() if name != lacking}

        assert cause_of(shop.pix(payment_method_id="bolbradesco", payer=payer)) == code


class TestCard:
    def test_is_approved(self, shop: Shop) -> None:
        answer = shop.card("APRO", installments=3, external_reference="o-1")

        payment = answer.json()
        assert (answer.status_code, payment["status"], payment["status_detail"]) == (201, "approved", "accredited")
        assert payment["card"]["first_six_digits"] == "423564"
        assert payment["transaction_details"]["total_paid_amount"] == 106.18
        assert payment["transaction_details"]["installment_amount"] == 35.39
        assert "4235647728025682" not in answer.text

    @pytest.mark.parametrize(
        ("name", "detail"),
        [
            ("OTHE", "cc_rejected_other_reason"), ("CALL", "cc_rejected_call_for_authorize"),
            ("FUND", "cc_rejected_insufficient_amount"), ("SECU", "cc_rejected_bad_filled_security_code"),
            ("EXPI", "cc_rejected_bad_filled_date"), ("FORM", "cc_rejected_bad_filled_other"),
            ("Maria Souza", "cc_rejected_other_reason"),
        ],
    )  # fmt: skip
    def test_is_rejected_with_201(self, shop: Shop, name: str, detail: str) -> None:
        answer = shop.card(name)

        assert (answer.status_code, answer.json()["status"]) == (201, "rejected")
        assert answer.json()["status_detail"] == detail

    @pytest.mark.parametrize(("verb", "status"), [("approve", "approved"), ("reject", "rejected")])
    def test_may_be_reviewed_first(self, shop: Shop, verb: str, status: str) -> None:
        payment = shop.card("CONT").json()
        assert (payment["status"], payment["status_detail"]) == ("in_process", "pending_contingency")

        shop.act(payment, verb)

        assert shop.show(payment)["status"] == status

    def test_token_is_used_once(self, shop: Shop) -> None:
        token = shop.card_token()

        first, second = shop.card(token=token), shop.card(token=token)

        assert first.status_code == 201
        assert (second.status_code, cause_of(second)) == (400, 3003)

    def test_token_of_nobody_another_or_the_other_mode_is_not_found(self, shop: Shop, sandbox: Sandbox) -> None:
        other = shop_of(sandbox, "MLB", pix=False)

        tokens = ["0" * 32, other.card_token(), shop.card_token(live=False)]

        assert [cause_of(shop.card(token=token)) for token in tokens] == [2006, 2006, 2006]

    @pytest.mark.parametrize(
        ("wrong", "code"),
        [
            ({"installments": None}, 4004), ({"installments": "1"}, 4005), ({"installments": 13}, 1),
            ({"installments": 12, "transaction_amount": 10}, 1), ({"payment_method_id": "master"}, 10102),
            ({"issuer_id": "999"}, 1), ({"transaction_amount": 0.4}, 4037), ({"three_d_secure_mode": "yes"}, 1),
        ],
    )  # fmt: skip
    def test_with_a_mistake_is_refused(self, shop: Shop, wrong: dict[str, Any], code: int) -> None:
        assert cause_of(shop.card(**wrong)) == code

    def test_without_a_token_is_refused(self, shop: Shop) -> None:
        assert cause_of(shop.pix(payment_method_id="visa", installments=1)) == 4000

    def test_may_be_captured_later_and_for_less(self, shop: Shop) -> None:
        payment = shop.card(capture=False).json()
        path = f"/v1/payments/{payment['id']}"
        assert (payment["status"], payment["captured"]) == ("authorized", False)

        beyond = shop.call("PUT", path, json={"capture": True, "transaction_amount": 100.01})
        captured = shop.call("PUT", path, json={"capture": True, "transaction_amount": 80.5}).json()

        assert beyond.status_code == 400
        assert (captured["status"], captured["captured"], captured["transaction_amount"]) == ("approved", True, 80.5)

    def test_of_debit_cannot_be_captured_later(self, shop: Shop) -> None:
        token = shop.card_token(number=ELO_DEBIT)

        assert cause_of(shop.card(token=token, payment_method_id="debelo", capture=False)) == 2077


class TestCardToken:
    @pytest.mark.parametrize(
        ("wrong", "code"),
        [
            ({"card_number": "4235647728025683"}, "E301"), ({"card_number": "6011000990139424"}, "E301"),
            ({"security_code": "1234"}, "E302"), ({"expiration_month": 13}, 325), ({"expiration_year": 2025}, 326),
            ({"cardholder": {"name": "APRO"}}, 324), ({"cardholder": {}}, 316),
        ],
    )  # fmt: skip
    def test_is_refused_with_codes_of_its_own(self, shop: Shop, wrong: dict[str, Any], code: object) -> None:
        body = {
            "card_number": "4235647728025682", "expiration_month": 11, "expiration_year": 2030, "security_code": "123",
            "cardholder": {"name": "APRO", "identification": BUYER["identification"]},
        } | wrong  # fmt: skip
        key = shop.token()["public_key"]

        answer = requests.post(f"{shop.url}/v1/card_tokens?public_key={key}", json=body, timeout=5)

        assert (answer.status_code, answer.json()["cause"][0]["code"]) == (400, code)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"

    def test_may_be_asked_by_a_page_elsewhere(self, shop: Shop) -> None:
        answer = requests.options(f"{shop.url}/v1/card_tokens", headers={"Origin": "https://x.example"}, timeout=5)

        assert answer.status_code == 204
        assert "Content-Type" in answer.headers["Access-Control-Allow-Headers"]

    def test_needs_a_known_public_key(self, shop: Shop) -> None:
        assert requests.post(f"{shop.url}/v1/card_tokens?public_key=APP_USR-1", json={}, timeout=5).status_code == 401


class TestRefund:
    def test_in_parts_never_passes_the_rest(self, shop: Shop) -> None:
        payment = shop.card().json()
        path = f"/v1/payments/{payment['id']}/refunds"

        part = shop.call("POST", path, json={"amount": 30.01})
        beyond = shop.call("POST", path, json={"amount": 70})
        between = shop.show(payment)
        rest = shop.call("POST", path)
        again = shop.call("POST", path)

        assert (part.status_code, part.json()["amount"], part.json()["status"]) == (201, 30.01, "approved")
        assert (beyond.status_code, again.status_code) == (400, 400)
        assert (between["status"], between["status_detail"]) == ("approved", "partially_refunded")
        assert between["transaction_amount_refunded"] == 30.01
        assert rest.json()["amount"] == 69.99
        assert shop.show(payment)["status"] == "refunded"
        assert [refund["amount"] for refund in shop.call("GET", path).json()] == [30.01, 69.99]
        assert shop.call("GET", f"{path}/{part.json()['id']}").json() == part.json()

    @pytest.mark.parametrize("body", [{"amount": 0}, {"amount": -1}, {"amount": 1.001}, {"amount": "1"}, {"sum": 1}])
    def test_with_a_wrong_amount_is_refused(self, shop: Shop, body: dict[str, Any]) -> None:
        payment = shop.card().json()

        assert shop.call("POST", f"/v1/payments/{payment['id']}/refunds", json=body).status_code == 400

    def test_needs_a_key_and_gives_the_same_answer(self, shop: Shop) -> None:
        path = f"/v1/payments/{shop.card().json()['id']}/refunds"

        none = shop.call("POST", path, json={"amount": 1}, key=None)
        first, second = (shop.call("POST", path, json={"amount": 1}, key="r-1") for _ in range(2))

        assert cause_of(none) == 4292
        assert first.json() == second.json()
        assert len(shop.call("GET", path).json()) == 1

    def test_of_a_waiting_payment_is_refused(self, shop: Shop) -> None:
        assert cause_of(shop.call("POST", f"/v1/payments/{shop.pix().json()['id']}/refunds")) == 2018


class TestChargeback:
    def test_is_opened_and_lost(self, shop: Shop) -> None:
        payment = shop.card().json()

        opened = shop.act(payment, "chargeback")
        during = shop.show(payment)
        shop.control("POST", f"/chargebacks/{opened['id']}/close", {"outcome": "seller_lost"})

        shown = shop.call("GET", f"/v1/chargebacks/{opened['id']}").json()
        assert (during["status"], during["status_detail"]) == ("charged_back", "in_process")
        assert (shown["payment_id"], shown["status"]) == (payment["id"], "settled")
        assert shop.show(payment)["status_detail"] == "settled"
        address = f"{shop.sandbox.url}/control/mercadopago/chargebacks/{opened['id']}/close"
        assert requests.post(address, json={"outcome": "seller_won"}, timeout=5).status_code == 400

    def test_won_brings_the_money_back(self, shop: Shop) -> None:
        payment = shop.card().json()

        opened = shop.act(payment, "chargeback")
        shop.control("POST", f"/chargebacks/{opened['id']}/close", {"outcome": "seller_won"})

        assert shop.show(payment)["status"] == "approved"

    def test_of_another_seller_is_not_found(self, shop: Shop, sandbox: Sandbox) -> None:
        opened = shop.act(shop.card().json(), "chargeback")

        assert shop_of(sandbox, "MLA").call("GET", f"/v1/chargebacks/{opened['id']}").status_code == 404


class TestReading:
    def test_shows_own_payments_only(self, shop: Shop, sandbox: Sandbox) -> None:
        payment = shop.pix().json()
        other = shop_of(sandbox, "MLA")

        foreign = other.call("GET", f"/v1/payments/{payment['id']}")

        assert (foreign.status_code, cause_of(foreign)) == (404, 2000)
        assert other.call("GET", "/v1/payments/search").json()["paging"]["total"] == 0

    def test_searches_by_reference_status_and_period(self, shop: Shop) -> None:
        paid = shop.card(external_reference="o-1").json()
        waiting = shop.pix(external_reference="o-2").json()
        day = {"range": "date_created", "begin_date": "NOW-1DAYS", "end_date": "NOW"}

        def ids(**query: Any) -> list[int]:
            found = shop.call("GET", "/v1/payments/search", params=query)
            assert found.ok, found.text
            return [payment["id"] for payment in found.json()["results"]]

        assert ids() == [waiting["id"], paid["id"]]
        assert ids(external_reference="o-1") == [paid["id"]]
        assert ids(status="pending") == [waiting["id"]]
        assert ids(**day, criteria="asc", sort="date_created") == [paid["id"], waiting["id"]]
        assert ids(range="date_approved", begin_date=moment(hours=-1), end_date=moment(hours=1)) == [paid["id"]]
        assert ids(range="date_created", begin_date=moment(hours=1), end_date=moment(hours=2)) == []
        assert ids(limit=1, offset=1) == [paid["id"]]

    @pytest.mark.parametrize(
        "query",
        [
            {"novelty": "1"}, {"limit": "x"}, {"limit": "101"}, {"offset": "10001"}, {"sort": "colour"},
            {"range": "date_created"}, {"begin_date": "NOW"},
            {"range": "date_created", "begin_date": "yesterday", "end_date": "NOW"},
        ],
    )  # fmt: skip
    def test_refuses_wrong_questions(self, shop: Shop, query: dict[str, str]) -> None:
        assert shop.call("GET", "/v1/payments/search", params=query).status_code == 400

    def test_finds_payments_that_nobody_was_told_about(self, shop: Shop) -> None:
        body = {"seller_id": shop.seller_id, "amount": 12.34, "external_reference": "lost-1"}
        made = shop.control("POST", "/payments", body)

        found = shop.call("GET", "/v1/payments/search", params={"external_reference": "lost-1"}).json()

        assert found["results"] == [made]
        assert shop.control("GET", "/deliveries")["deliveries"] == []


class TestCatalogue:
    def test_lists_methods_of_the_country(self, shop: Shop, sandbox: Sandbox) -> None:
        def methods(of: Shop) -> dict[str, str]:
            return {method["id"]: method["status"] for method in of.call("GET", "/v1/payment_methods").json()}

        assert methods(shop)["pix"] == "active"
        assert methods(shop_of(sandbox, "MLB", pix=False))["pix"] == "deactive"
        assert "pix" not in methods(shop_of(sandbox, "MLM"))

    def test_offers_installments_by_bin_and_amount(self, shop: Shop) -> None:
        key = shop.token()["public_key"]
        query = {"public_key": key, "bin": "423564", "amount": "20"}

        (found,) = requests.get(f"{shop.url}/v1/payment_methods/installments", params=query, timeout=5).json()

        assert found["payment_method_id"] == "visa"
        assert [cost["installments"] for cost in found["payer_costs"]] == [1, 2, 3, 4]
        assert found["payer_costs"][1]["total_amount"] == 20.82

    @pytest.mark.parametrize(
        "query", [{}, {"amount": "20"}, {"amount": "x", "bin": "423564"}, {"bin": "4", "amount": "1"}]
    )
    def test_refuses_wrong_questions(self, shop: Shop, query: dict[str, str]) -> None:
        assert shop.call("GET", "/v1/payment_methods/installments", params=query).status_code == 400

    def test_lists_documents_where_there_are_any(self, shop: Shop, sandbox: Sandbox) -> None:
        found = shop.call("GET", "/v1/identification_types").json()

        assert [kind["id"] for kind in found] == ["CPF", "CNPJ"]
        assert shop_of(sandbox, "MLM").call("GET", "/v1/identification_types").status_code == 404
