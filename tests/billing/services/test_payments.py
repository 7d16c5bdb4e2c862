"""Making payments: what is refused before any call, and what each outcome of the call leaves behind."""

from __future__ import annotations

from typing import Any

import pytest

from billing import services
from billing.contract import CardToken, Payer
from billing.models import Evidence, Payment
from core.secret import Secret

PAYER = Payer(email="payer@example.com")
PIX = {"amount_minor": 1990, "currency": "BRL", "method": "pix", "payer": PAYER}


@pytest.fixture
def pay(shop: Any, actor: Any) -> Any:
    """Make a payment, changed as asked."""

    def run(**changes: Any) -> Payment:
        return services.create_payment(shop, **{**PIX, **changes}, actor=actor)

    return run


def card(token: str = "tok_test_visa") -> dict[str, Any]:
    """Return what makes a payment one by card."""
    return {"method": "card", "card": CardToken(token=Secret(token))}


class TestCreatePayment:
    def test_a_pix_waits_for_its_payer(self, pay: Any, till: Any) -> None:
        payment = pay(expires_in_s=3600)

        assert payment.status == "pending"
        assert payment.external_id == "pay_1"
        assert payment.intended_at is None
        assert payment.next_action["kind"] == "pix_qr"
        assert payment.next_action["pix"]["qr_code"] == "000201till"
        assert till.objects["pay_1"]["reference"] == str(payment.pk)

    def test_a_card_is_paid_with_evidence(self, pay: Any) -> None:
        payment = pay(**card())

        assert payment.status == "succeeded"
        assert payment.amount_received_minor == 1990
        assert Evidence.objects.get(payment=payment).source == "answer"

    def test_a_declined_card_is_an_answer(self, pay: Any) -> None:
        payment = pay(**card("tok_test_declined"))

        assert payment.status == "failed"
        assert payment.error["reason"] == "payment_declined"
