"""A client of the billing API."""

from __future__ import annotations

from typing import Any

import pytest

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
