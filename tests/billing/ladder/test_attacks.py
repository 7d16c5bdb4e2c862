"""Claims that must never be believed: none of them marks a payment as paid, and each leaves its evidence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.contract import PaymentState, PaymentStatus
from billing.models import Evidence, Origin, Payment, Rung, Source
from billing.services.applying import apply_state
from dispatch.models import OutboxEntry
from tests.billing.ladder.conftest import ACCOUNT

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ASKED = 9_990


def claim(**other: Any) -> PaymentState:
    """Return a claim that all was paid, but for what a test changes."""
    said: dict[str, Any] = {
        "external_id": "pi_test_attack", "vendor_status": "succeeded", "vendor_at": NOW,
        "status": PaymentStatus.SUCCEEDED, "amount_minor": ASKED, "currency": "BRL", "amount_received_minor": ASKED,
        "account": ACCOUNT, "environment": "test",
    }  # fmt: skip
    return PaymentState(**(said | other))


@pytest.fixture
def payment(integration: Any) -> Payment:
    """A payment of ours that waits for its payer."""
    return Payment.objects.create(
        integration=integration, origin=Origin.API, status=PaymentStatus.REQUIRES_ACTION, amount_minor=ASKED,
        currency="BRL", external_id="pi_test_attack", vendor_at=NOW - timedelta(seconds=9),
    )  # fmt: skip


def last_rung() -> tuple[str, bool]:
    """Return the rung on which the last claim ended, and whether it was believed."""
    evidence = Evidence.objects.latest("at")
    return evidence.rungs[-1]["rung"], evidence.is_believed


def test_an_honest_claim_is_believed(integration: Any, payment: Payment) -> None:
    apply_state(integration, claim(), source=Source.WEBHOOK, is_signed=True)

    payment.refresh_from_db()
    assert payment.status == PaymentStatus.SUCCEEDED
    assert [step["rung"] for step in Evidence.objects.get().rungs] == Rung.values
    assert last_rung() == (Rung.AMOUNT, True)


@pytest.mark.parametrize(
    ("forged", "signed", "rung"),
    [
        ({}, False, Rung.SIGNATURE),
        ({"account": "acct_test_of_somebody_else"}, True, Rung.ACCOUNT),
        ({"environment": "live"}, True, Rung.ACCOUNT),
        ({"amount_received_minor": 100}, True, Rung.AMOUNT),
        ({"amount_received_minor": ASKED + 1}, True, Rung.AMOUNT),
        ({"amount_received_minor": 100, "amount_minor": 100}, True, Rung.AMOUNT),
        ({"currency": "USD"}, True, Rung.AMOUNT),
    ],
)
def test_a_forged_claim_is_never_paid(
    integration: Any, payment: Payment, forged: dict[str, Any], signed: bool, rung: str
) -> None:
    apply_state(integration, claim(**forged), source=Source.WEBHOOK, is_signed=signed)

    payment.refresh_from_db()
    assert payment.status in {PaymentStatus.REQUIRES_ACTION, PaymentStatus.PROCESSING}
    assert payment.paid_at is None
    assert last_rung() == (rung, False)


def test_a_wrong_amount_is_shown_as_such(integration: Any, payment: Payment) -> None:
    apply_state(integration, claim(amount_received_minor=100), source=Source.WEBHOOK, is_signed=True)

    payment.refresh_from_db()
    assert (payment.warning, payment.amount_received_minor) == ("amount_mismatch", 100)
    assert payment.error["message"] == "99.90 BRL was asked, 1.00 BRL came"


def test_a_signature_that_does_not_cover_the_body_is_not_enough(
    integration: Any, payment: Payment, monkeypatch: Any
) -> None:
    from dataclasses import replace

    provider = integration.provider_class
    half_signed = replace(provider.spec, webhook=replace(provider.spec.webhook, signs_body=False))
    monkeypatch.setattr(provider, "spec", half_signed)

    apply_state(integration, claim(), source=Source.WEBHOOK, is_signed=True)
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.REQUIRES_ACTION
    assert last_rung() == (Rung.CONFIRMED, False)

    apply_state(integration, claim(), source=Source.WEBHOOK, is_signed=True, is_fetched=True)
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.SUCCEEDED


def test_an_old_claim_that_comes_again_changes_nothing(integration: Any, payment: Payment) -> None:
    apply_state(integration, claim(), source=Source.WEBHOOK, is_signed=True)
    apply_state(
        integration,
        claim(vendor_at=NOW + timedelta(seconds=5), amount_refunded_minor=ASKED),
        source=Source.WEBHOOK,
        is_signed=True,
    )

    apply_state(integration, claim(), source=Source.WEBHOOK, is_signed=True)

    payment.refresh_from_db()
    assert payment.status == PaymentStatus.REFUNDED
    assert Evidence.objects.latest("at").rungs[-1]["note"] == "older than what is known"


def test_money_that_came_is_not_taken_away_by_a_word(integration: Any, payment: Payment) -> None:
    apply_state(integration, claim(), source=Source.WEBHOOK, is_signed=True)
    later = claim(status=PaymentStatus.PROCESSING, vendor_at=NOW + timedelta(minutes=1), amount_received_minor=0)

    apply_state(integration, later, source=Source.WEBHOOK, is_signed=True)

    payment.refresh_from_db()
    assert payment.status == PaymentStatus.SUCCEEDED


def test_a_payment_that_names_ours_takes_its_id(integration: Any) -> None:
    ours = Payment.objects.create(integration=integration, amount_minor=ASKED, currency="BRL")

    apply_state(integration, claim(reference=str(ours.pk)), source=Source.WEBHOOK, is_signed=True)

    ours.refresh_from_db()
    assert (ours.external_id, ours.status) == ("pi_test_attack", PaymentStatus.SUCCEEDED)


def test_another_payment_that_names_ours_is_not_ours(integration: Any, payment: Payment) -> None:
    other = claim(external_id="pi_test_other", reference=str(payment.pk))

    apply_state(integration, other, source=Source.WEBHOOK, is_signed=True)

    payment.refresh_from_db()
    assert payment.status == PaymentStatus.REQUIRES_ACTION
    assert Payment.objects.get(external_id="pi_test_other").origin == Origin.VENDOR


def test_a_refused_claim_asks_nobody(integration: Any, payment: Payment) -> None:
    apply_state(integration, claim(environment="live"), source=Source.WEBHOOK, is_signed=True)

    assert not OutboxEntry.objects.filter(link_id=integration.id).exists()
