"""What is unlike between a payment at the vendor and its row here, by zero tolerance. Values alone, no queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from billing.contract import PaymentState, PaymentStatus
from billing.models import Payment
from billing.services.ladder import MONEY_IN
from billing.services.payment_states import OPEN

Facts = Mapping[str, Any]
"""{status, amount_minor, amount_received_minor, amount_refunded_minor, currency}; what went back is null if unknown."""


class Kind(StrEnum):
    """What is unlike; of several the gravest, in this order."""

    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    CURRENCY = "currency"
    AMOUNT = "amount"
    STATUS = "status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One payment that was unlike at the first look; `external_id` is ours where the vendor never named it."""

    external_id: str
    kind: Kind
    vendor: Facts | None
    ours: Facts | None
    repaired: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return {external_id, kind, vendor, ours, repaired}, as the rows of days keep it."""
        return {
            "external_id": self.external_id,
            "kind": self.kind.value,
            "vendor": self.vendor and dict(self.vendor),
            "ours": self.ours and dict(self.ours),
            "repaired": self.repaired,
        }


def unlike(state: PaymentState, row: Payment | None, *, is_lost: bool) -> Kind | None:
    """
    Return what is unlike, None when all is equal.

    :param is_lost: a bank took the money back, which the payment's own object need not say
    """
    if row is None:
        return Kind.MISSING_HERE
    if state.currency != row.currency:
        return Kind.CURRENCY
    if _is_other_amount(state, row):
        return Kind.AMOUNT
    return None if row.status == _wanted(state, row, is_lost=is_lost) else Kind.STATUS


def facts_of_state(state: PaymentState) -> Facts:
    """Return what the vendor says."""
    return {
        "status": state.status.value,
        "amount_minor": state.amount_minor,
        "amount_received_minor": state.amount_received_minor,
        "amount_refunded_minor": state.amount_refunded_minor,
        "currency": state.currency,
    }


def facts_of_row(row: Payment) -> Facts:
    """Return what the row says."""
    return {
        "status": str(row.status),
        "amount_minor": row.amount_minor,
        "amount_received_minor": row.amount_received_minor,
        "amount_refunded_minor": row.amount_refunded_minor,
        "currency": row.currency,
    }


def _is_other_amount(state: PaymentState, row: Payment) -> bool:
    """Money that came must be what was asked; what is only asked for must be the same at both, while it can be paid."""
    if state.status in OPEN:
        return state.amount_minor != row.amount_minor and row.status in OPEN
    if state.status not in MONEY_IN:
        return False
    if state.amount_received_minor != row.amount_minor:
        return True
    if row.status not in MONEY_IN:
        return False  # its status says that: no webhook told that it was paid
    refunded = row.amount_refunded_minor if state.amount_refunded_minor is None else state.amount_refunded_minor
    return row.amount_received_minor != state.amount_received_minor or row.amount_refunded_minor != refunded


def _wanted(state: PaymentState, row: Payment, *, is_lost: bool) -> str:
    """Return the status that the row should have: the vendor's, where money came by what became of it."""
    if state.status not in MONEY_IN:
        return state.status
    if is_lost or state.status is PaymentStatus.CHARGED_BACK:
        return PaymentStatus.CHARGED_BACK
    refunded = row.amount_refunded_minor if state.amount_refunded_minor is None else state.amount_refunded_minor
    if refunded >= row.amount_minor or (state.status is PaymentStatus.REFUNDED and not refunded):
        return PaymentStatus.REFUNDED
    return PaymentStatus.PARTIALLY_REFUNDED if refunded else PaymentStatus.SUCCEEDED
