"""`/billing/payments/` and what hangs on it, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from billing.models import Payment
from tenants.context import in_organization

BASE = "/api/v1/billing"
PAYMENTS = f"{BASE}/payments/"


@pytest.fixture
def client(api: Any, shop: Any) -> Any:
    """A client with every scope of the test environment."""
    return api()


@pytest.fixture
def post(client: Any, shop: Any) -> Any:
    """Make a payment by the API, changed as asked."""

    def run(key: str = "", **changes: Any) -> Any:
        body = {
            "integration": str(shop.id), "amount_minor": 1990, "currency": "BRL", "method": "pix",
            "payer": {"email": "payer@example.com"}, **changes,
        }  # fmt: skip
        headers = {"Idempotency-Key": key} if key else {}
        return client.post(PAYMENTS, body, format="json", headers=headers)

    return run


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
