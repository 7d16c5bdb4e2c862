"""Short ways to ask for money."""

from __future__ import annotations

from typing import Any

import pytest

from billing import services
from billing.contract import CardToken, Payer
from billing.models import Payment
from core.secret import Secret

PAYER = Payer(email="payer@example.com")
PIX = {"amount_minor": 1990, "currency": "BRL", "method": "pix", "payer": PAYER}


@pytest.fixture
def pay(shop: Any, actor: Any) -> Any:
    """Make a payment, changed as asked."""

    def run(**changes: Any) -> Payment:
        return services.create_payment(shop, **{**PIX, **changes}, actor=actor)

    return run


@pytest.fixture
def paid(pay: Any) -> Payment:
    """A payment of 19.90 that was paid by card."""
    return pay(**card())


def card(token: str = "tok_test_visa") -> dict[str, Any]:
    """Return what makes a payment one by card."""
    return {"method": "card", "card": CardToken(token=Secret(token))}
