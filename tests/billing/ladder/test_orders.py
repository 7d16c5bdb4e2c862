"""Whatever order a vendor's claims come in, and however often: the row ends as the vendor says."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.contract import (
    AnyState,
    DisputeState,
    DisputeStatus,
    PaymentState,
    PaymentStatus,
    RefundState,
    RefundStatus,
    SubscriptionState,
    SubscriptionStatus,
)
from billing.models import Dispute, Payment, Refund, Source, Subscription
from billing.services.applying import apply_state
from billing.services.reading import READ
from dispatch.models import OutboxEntry
from integrations.models import Integration

BEGAN = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AMOUNT = 9_990
PART = 2_500
PAYMENT, REFUND, DISPUTE = "pi_test_order", "re_test_order", "dp_test_order"
SEEDS = range(12)


def at(second: int) -> datetime:
    """Return a moment as vendors stamp it: whole seconds."""
    return BEGAN + timedelta(seconds=second)


def paid(second: int, status: PaymentStatus, *, refunded: int | None = None) -> PaymentState:
    """Return what the vendor says of the payment at a second."""
    came = AMOUNT if status in {PaymentStatus.SUCCEEDED, PaymentStatus.REFUNDED} else 0
    return PaymentState(
        external_id=PAYMENT, vendor_status=status.value, vendor_at=at(second), status=status, amount_minor=AMOUNT,
        currency="BRL", amount_received_minor=came, amount_refunded_minor=refunded, aliases=("ch_test_order",),
    )  # fmt: skip


def refunded(second: int, status: RefundStatus) -> RefundState:
    """Return what the vendor says of the refund at a second."""
    return RefundState(
        external_id=REFUND, vendor_status=status.value, vendor_at=at(second), status=status, payment="ch_test_order",
        amount_minor=PART, currency="BRL",
    )  # fmt: skip


def disputed(second: int, status: DisputeStatus) -> DisputeState:
    """Return what the vendor says of the dispute at a second."""
    return DisputeState(
        external_id=DISPUTE, vendor_status=status.value, vendor_at=at(second), status=status, payment="ch_test_order",
        amount_minor=AMOUNT, currency="BRL",
    )  # fmt: skip


LIVES: dict[str, tuple[list[AnyState], PaymentStatus, int]] = {
    "paid": (
        [paid(0, PaymentStatus.REQUIRES_ACTION), paid(4, PaymentStatus.PROCESSING), paid(5, PaymentStatus.SUCCEEDED)],
        PaymentStatus.SUCCEEDED,
        0,
    ),
    "paid within one second": (
        [paid(0, PaymentStatus.REQUIRES_ACTION), paid(0, PaymentStatus.PROCESSING), paid(0, PaymentStatus.SUCCEEDED)],
        PaymentStatus.SUCCEEDED,
        0,
    ),
    "declined, then paid": (
        [paid(0, PaymentStatus.REQUIRES_ACTION), paid(3, PaymentStatus.FAILED), paid(9, PaymentStatus.SUCCEEDED)],
        PaymentStatus.SUCCEEDED,
        0,
    ),
    "partly given back": (
        [paid(0, PaymentStatus.REQUIRES_ACTION), paid(5, PaymentStatus.SUCCEEDED), refunded(8, RefundStatus.PENDING),
         refunded(9, RefundStatus.SUCCEEDED), paid(9, PaymentStatus.SUCCEEDED, refunded=PART)],
        PaymentStatus.PARTIALLY_REFUNDED,
        PART,
    ),
    "a refund that failed": (
        [paid(5, PaymentStatus.SUCCEEDED), refunded(8, RefundStatus.SUCCEEDED),
         paid(8, PaymentStatus.SUCCEEDED, refunded=PART), refunded(20, RefundStatus.FAILED)],
        PaymentStatus.SUCCEEDED,
        0,
    ),
    "a lost dispute": (
        [paid(5, PaymentStatus.SUCCEEDED), disputed(50, DisputeStatus.OPEN), disputed(60, DisputeStatus.UNDER_REVIEW),
         disputed(90, DisputeStatus.LOST)],
        PaymentStatus.CHARGED_BACK,
        0,
    ),
    "canceled": (
        [paid(0, PaymentStatus.REQUIRES_ACTION), paid(7, PaymentStatus.CANCELED)],
        PaymentStatus.CANCELED,
        0,
    ),
}  # fmt: skip


def shuffled(life: Sequence[AnyState], seed: int) -> list[AnyState]:
    """Repeat claims and put all in another order, the same for a seed."""
    chance = random.Random(seed)
    claims = [*life, *chance.choices(list(life), k=len(life))]
    chance.shuffle(claims)
    return claims


def deliver(integration: Integration, claims: Sequence[AnyState]) -> None:
    """Apply claims as signed webhooks bring them."""
    for claim in claims:
        apply_state(integration, claim, source=Source.WEBHOOK, is_signed=True)


def answer(integration: Integration, truth: Sequence[AnyState]) -> int:
    """Answer what was asked of the vendor meanwhile, with what is true now; return how often it was asked."""
    asked = list(OutboxEntry.objects.filter(kind=READ, link_id=integration.id))
    wanted = {entry.details["external_id"] for entry in asked}
    OutboxEntry.objects.filter(pk__in=[entry.pk for entry in asked]).delete()
    for state in truth:
        if state.external_id in wanted or any(name in wanted for name in getattr(state, "aliases", ())):
            fresh = replace(state, vendor_at=at(1000))
            apply_state(integration, fresh, source=Source.QUERY, is_fetched=True)
    return len(asked)


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_payment_ends_as_the_vendor_says(integration: Any, life: str, seed: int) -> None:
    claims, status, refunded_minor = LIVES[life]
    truth = replace(
        next(claim for claim in reversed(claims) if isinstance(claim, PaymentState)),
        amount_refunded_minor=refunded_minor,
    )
    others = {type(claim): claim for claim in claims if not isinstance(claim, PaymentState)}

    deliver(integration, shuffled(claims, seed))
    rounds = 0
    while answer(integration, [truth, *others.values()]):
        rounds += 1
        assert rounds < 5, "the vendor is asked again and again"

    payment = Payment.objects.get()
    assert (payment.status, payment.amount_refunded_minor) == (status, refunded_minor)
    assert payment.amount_received_minor == truth.amount_received_minor
    for claim in others.values():
        model = {RefundState: Refund, DisputeState: Dispute}[type(claim)]
        assert model.objects.get().status == claim.status


def test_the_same_claim_a_hundred_times_is_one_effect(integration: Any) -> None:
    deliver(integration, [paid(5, PaymentStatus.SUCCEEDED)] * 100)

    assert Payment.objects.get().status == PaymentStatus.SUCCEEDED
    assert Payment.objects.get().evidence.exclude(moved_to="").count() == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_subscription_ends_as_the_vendor_says(integration: Any, seed: int) -> None:
    words = ("incomplete", "active", "past_due", "active", "canceled")
    life = [
        SubscriptionState(
            external_id="sub_test_order", vendor_status=word, vendor_at=at(second), status=SubscriptionStatus(word)
        )
        for second, word in enumerate(words)
    ]

    deliver(integration, shuffled(life, seed))
    answer(integration, life[-1:])

    assert Subscription.objects.get().status == SubscriptionStatus.CANCELED
