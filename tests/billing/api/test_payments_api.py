"""`/billing/payments/` and what hangs on it, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import StoredAnswer
from billing.models import Payment
from tenants.context import in_organization
from tests.billing.api.conftest import BASE, PAYMENTS

CARD = {"method": "card", "card": {"token": "tok_test_visa", "brand": "visa"}}
VISA = "4242424242424242"
NOBODY = "01930000-0000-7000-8000-00000000dead"


class TestCreatePayment:
    def test_answers_201_with_what_the_payer_must_do(self, post: Any, shop: Any) -> None:
        answer = post(description="Order 7", metadata={"order": "7"})

        assert answer.status_code == 201, answer.json()
        body = answer.json()
        assert (body["status"], body["amount_minor"], body["currency"]) == ("pending", 1990, "BRL")
        assert body["integration"] == str(shop.id)
        assert body["next_action"]["kind"] == "pix_qr"
        assert set(body["next_action"]["pix"]) == {"qr_code", "qr_code_base64", "ticket_url", "expires_at"}
        assert body["external_id"] == "pay_1"
        assert body["metadata"] == {"order": "7"}
        assert answer["Location"] == f"{PAYMENTS}{body['id']}/"

    def test_is_read_with_its_ladder(self, post: Any, client: Any) -> None:
        made = post().json()

        body = client.get(f"{PAYMENTS}{made['id']}/").json()

        assert body["evidence"][0]["source"] == "answer"
        assert [step["rung"] for step in body["evidence"][0]["rungs"]][-1] == "amount"

    def test_a_client_secret_is_shown_alone(self, post: Any, client: Any, inside: Any) -> None:
        made = post(method="automatic").json()

        assert made["next_action"] == {"kind": "client_secret", "client_secret": "pay_1_secret_sandbox"}
        listed = client.get(PAYMENTS).json()["results"][0]
        assert listed["next_action"] == {"kind": "client_secret"}
        with in_organization(inside):
            row = Payment.objects.get()
        assert b"secret_sandbox" not in bytes(row.sealed_client_secret)
        assert "secret_sandbox" not in str(row.vendor_payload)

    def test_an_automatic_payment_has_no_details_in_lists(self, post: Any, client: Any) -> None:
        post(method="automatic")

        assert "secret" not in client.get(PAYMENTS).content.decode().replace('"kind":"client_secret"', "")

    def test_the_same_key_charges_once(self, post: Any, till: Any) -> None:
        first, second = post(key="k1", **CARD), post(key="k1", **CARD)
        other = post(key="k1", **CARD, amount_minor=2000)

        assert first.json() == second.json()
        assert second["Idempotency-Replayed"] == "true"
        assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
        assert till.count("POST /payments") == 1

    def test_a_decline_is_201(self, post: Any) -> None:
        answer = post(method="card", card={"token": "tok_test_declined"})

        assert answer.status_code == 201
        assert answer.json()["status"] == "failed"
        assert answer.json()["error"]["reason"] == "payment_declined"

    def test_a_lost_answer_is_201_processing(self, post: Any, till: Any) -> None:
        till.fails["POST /payments"] = "lost"

        answer = post(**CARD)

        assert (answer.status_code, answer.json()["status"]) == (201, "processing")

    def test_an_unreached_provider_is_502_and_may_be_tried_again(self, post: Any, till: Any) -> None:
        till.fails["POST /payments"] = "unreached"
        answer = post(key="k1", **CARD)
        assert (answer.status_code, answer.json()["code"]) == (502, "provider_unavailable")
        till.fails.clear()

        assert post(key="k1", **CARD).json()["status"] == "succeeded"

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"amount_minor": "1990"}, "amount_minor"),
            ({"amount_minor": 19.9}, "amount_minor"),
            ({"amount_minor": 1990.0}, "amount_minor"),
            ({"amount_minor": True}, "amount_minor"),
            ({"amount_minor": 0}, "amount_minor"),
            ({"amount_minor": -1}, "amount_minor"),
            ({"currency": "ZZZ"}, "currency"),
            ({"method": "cash"}, "method"),
            ({"payer": {}}, "payer.email"),
            ({"payer": {"email": "a@example.com", "tax_id": "12345678901"}}, "payer.tax_id"),
            ({"payer": {"email": "a@example.com", "age": 7}}, "payer.age"),
            ({"installments": 1.5}, "installments"),
            ({"account": "acct_test_other"}, "account"),
            ({"stripe_account": "acct_test_other"}, "stripe_account"),
            ({"environment": "live"}, "environment"),
            ({"return_url": "ftp://example.com"}, "return_url"),
            ({"metadata": {"x": {"y": "z"}}}, "metadata.x"),
        ],
    )
    def test_what_cannot_be_is_422_with_its_field(
        self, post: Any, till: Any, changes: dict[str, Any], field: str
    ) -> None:
        answer = post(**changes)

        assert answer.status_code == 422
        assert answer.json()["code"] == "validation_failed"
        assert field in answer.json()["errors"]
        assert till.calls == []

    def test_another_environment_is_404(self, api: Any, post: Any, shop: Any) -> None:
        made = post().json()
        live = api(environment="live")

        body = {"integration": str(shop.id), "amount_minor": 1, "currency": "BRL", "method": "pix"}
        assert live.post(PAYMENTS, body, format="json").status_code == 404
        assert live.get(f"{PAYMENTS}{made['id']}/").status_code == 404
        assert live.get(PAYMENTS).json()["results"] == []

    def test_another_organization_is_404(self, api: Any, post: Any, other_organization: Any) -> None:
        made = post().json()
        stranger = api(of=other_organization)

        assert stranger.get(f"{PAYMENTS}{made['id']}/").status_code == 404
        assert stranger.post(f"{PAYMENTS}{made['id']}/refunds/", {}, format="json").status_code == 404
        assert stranger.get(PAYMENTS).json()["results"] == []

    def test_scopes_are_asked_for(self, api: Any, post: Any, shop: Any) -> None:
        post()
        reader = api(scopes=("billing:read",))

        assert len(reader.get(PAYMENTS).json()["results"]) == 1
        refused = reader.post(PAYMENTS, {}, format="json")
        assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
        assert api(scopes=("messages:read",)).get(PAYMENTS).status_code == 403


class TestCardNumbers:
    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"description": f"card {VISA}"}, "description"),
            ({"metadata": {"pan": "4242 4242 4242 4242"}}, "metadata.pan"),
            ({"metadata": {VISA: "x"}}, "metadata.[card number]"),
            ({"card": {"token": VISA}, "method": "card"}, "card.token"),
            ({"payer": {"email": "a@example.com", "name": "4242-4242-4242-4242"}}, "payer.name"),
            ({"unknown": [{"deep": VISA}]}, "unknown.0.deep"),
            ({"amount_minor": int(VISA)}, "amount_minor"),
        ],
    )
    def test_are_refused_before_anything_is_kept(
        self, post: Any, till: Any, inside: Any, *, caplog: Any, changes: dict[str, Any], field: str
    ) -> None:
        answer = post(key="k1", **changes)

        assert answer.status_code == 422
        assert answer.json()["code"] == "card_number_refused"
        assert list(answer.json()["errors"]) == [field]
        assert VISA not in answer.content.decode() + caplog.text
        assert not StoredAnswer.objects.exists()
        assert till.calls == []
        with in_organization(inside):
            assert not Payment.objects.exists()

    @pytest.mark.parametrize("address", ["customers", "subscriptions", "checkout-sessions", "pix/static-codes"])
    def test_are_refused_at_every_address(self, client: Any, address: str) -> None:
        answer = client.post(f"{BASE}/{address}/", {"note": VISA}, format="json")

        assert answer.json()["code"] == "card_number_refused"

    def test_a_patch_is_read_too(self, client: Any) -> None:
        answer = client.patch(f"{BASE}/subscriptions/{NOBODY}/", {"metadata": {"x": VISA}}, format="json")

        assert answer.json()["code"] == "card_number_refused"

    def test_who_has_no_key_learns_nothing(self, client: Any) -> None:
        from rest_framework.test import APIClient

        assert APIClient().post(PAYMENTS, {"x": VISA}, format="json").status_code == 401


class TestLists:
    @pytest.mark.parametrize(
        ("query", "count"),
        [
            ("", 2),
            ("status=succeeded", 1),
            ("method=pix", 1),
            ("external_id=pay_2", 1),
            ("currency=BRL", 2),
            ("since=2030-01-01T00:00:00Z", 0),
            ("limit=1", 1),
        ],
    )
    def test_are_narrowed(self, post: Any, client: Any, query: str, count: int) -> None:
        post()
        post(**CARD)

        assert len(client.get(f"{PAYMENTS}?{query}").json()["results"]) == count

    @pytest.mark.parametrize("query", ["status=paid", "since=yesterday", "color=red", f"external_id={VISA}"])
    def test_refuse_what_no_filter_is(self, client: Any, query: str) -> None:
        assert client.get(f"{PAYMENTS}?{query}").status_code == 422

    def test_foreign_ids_are_404(self, client: Any) -> None:
        assert client.get(f"{PAYMENTS}?integration={NOBODY}").status_code == 404
        assert client.get(f"{PAYMENTS}?customer={NOBODY}").status_code == 404

    def test_go_on_by_cursor(self, post: Any, client: Any) -> None:
        made = [post().json()["id"] for _ in range(3)]

        page = client.get(f"{PAYMENTS}?limit=2").json()
        rest = client.get(page["next"].partition("://")[2].partition("/")[2].join(("/", ""))).json()

        assert [found["id"] for found in page["results"] + rest["results"]] == made[::-1]


class TestRefunds:
    def test_give_back_and_are_listed(self, post: Any, client: Any) -> None:
        payment = post(**CARD).json()
        address = f"{PAYMENTS}{payment['id']}/refunds/"

        answer = client.post(address, {"amount_minor": 500, "reason": "late"}, format="json")

        assert answer.status_code == 201
        body = answer.json()
        assert (body["status"], body["amount_minor"], body["payment"]) == ("succeeded", 500, payment["id"])
        assert client.get(address).json()["results"] == [body]
        assert client.get(f"{BASE}/refunds/?payment={payment['id']}&status=succeeded").json()["results"] == [body]
        assert client.get(f"{BASE}/refunds/{body['id']}/").json() == body
        assert client.get(f"{PAYMENTS}{payment['id']}/").json()["status"] == "partially_refunded"

    def test_above_the_rest_and_twice(self, post: Any, client: Any) -> None:
        address = f"{PAYMENTS}{post(**CARD).json()['id']}/refunds/"

        above = client.post(address, {"amount_minor": 1991}, format="json")
        assert (above.status_code, "1990" in above.json()["detail"]) == (422, True)
        assert client.post(address, {}, format="json").status_code == 201
        assert client.post(address, {}, format="json").status_code == 409

    def test_of_nobody_is_404(self, client: Any) -> None:
        assert client.post(f"{PAYMENTS}{NOBODY}/refunds/", {}, format="json").status_code == 404


class TestCancel:
    def test_ends_and_then_conflicts(self, post: Any, client: Any) -> None:
        address = f"{PAYMENTS}{post().json()['id']}/cancel/"

        assert client.post(address).json()["status"] == "canceled"
        assert client.post(address).status_code == 409
