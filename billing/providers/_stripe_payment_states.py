"""What payment intents, charges, refunds and disputes say, in the words of the house. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from billing.contract import (
    ActionKind,
    DisputeState,
    DisputeStatus,
    NextAction,
    PaymentState,
    PaymentStatus,
    Problem,
    RefundState,
    RefundStatus,
)
from billing.providers._stripe_json import iso, moment, named, obj, reference, required, rows, text, without_secrets
from billing.providers._stripe_money import read_amount, read_currency
from core.secret import Secret
from integrations.contract import UnexpectedResponse

INTENT_STATUS: Mapping[str, PaymentStatus] = {
    "requires_payment_method": PaymentStatus.REQUIRES_ACTION,
    "requires_confirmation": PaymentStatus.PENDING,
    "requires_action": PaymentStatus.REQUIRES_ACTION,
    "processing": PaymentStatus.PROCESSING,
    "requires_capture": PaymentStatus.PROCESSING,
    "canceled": PaymentStatus.CANCELED,
    "succeeded": PaymentStatus.SUCCEEDED,
    # Before 2019-02-11.
    "requires_source": PaymentStatus.REQUIRES_ACTION,
    "requires_source_action": PaymentStatus.REQUIRES_ACTION,
}
"""
PaymentIntent.status -> ours. An intent falls back to requires_payment_method when an attempt fails; then its
last_payment_error says so. Source: docs.stripe.com/payments/paymentintents/lifecycle, 2026-11.
"""

CHARGE_STATUS: Mapping[str, PaymentStatus] = {
    "pending": PaymentStatus.PROCESSING,
    "succeeded": PaymentStatus.SUCCEEDED,
    "paid": PaymentStatus.SUCCEEDED,  # before 2015-02-18
    "failed": PaymentStatus.FAILED,
}
"""Charge.status -> ours. Source: docs.stripe.com/api/charges/object#charge_object-status, 2026-11."""

REFUND_STATUS: Mapping[str, RefundStatus] = {
    "pending": RefundStatus.PENDING,
    "requires_action": RefundStatus.REQUIRES_ACTION,
    "succeeded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.CANCELED,
    "": RefundStatus.PENDING,  # versions before 2014 tell none
}
"""Refund.status -> ours. Source: docs.stripe.com/api/refunds/object#refund_object-status, 2026-11."""

DISPUTE_STATUS: Mapping[str, DisputeStatus] = {
    "warning_needs_response": DisputeStatus.OPEN,
    "warning_under_review": DisputeStatus.UNDER_REVIEW,
    "warning_closed": DisputeStatus.WON,
    "needs_response": DisputeStatus.OPEN,
    "under_review": DisputeStatus.UNDER_REVIEW,
    "charge_refunded": DisputeStatus.WON,  # old: ended by a refund; the bank took nothing
    "prevented": DisputeStatus.WON,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
}
"""Dispute.status -> ours. Source: docs.stripe.com/api/disputes/object#dispute_object-status, 2026-11."""

ATTEMPT_EXPIRED = "payment_intent_payment_attempt_expired"
"""The code of an attempt that nobody paid in time: a PIX or boleto that ran out."""

_REASONS: Mapping[str, str] = {ATTEMPT_EXPIRED: "expired", "authentication_required": "customer_action_required"}
"""Code of a failed attempt -> our reason; all others are declined payments."""

_ACTIONS: Mapping[str, tuple[ActionKind, Mapping[str, str]]] = {
    "pix_display_qr_code": (ActionKind.PIX_QR, {"qr_code": "data", "ticket_url": "hosted_instructions_url"}),
    "boleto_display_details": (ActionKind.BOLETO, {"url": "hosted_voucher_url", "barcode": "number"}),
    "redirect_to_url": (ActionKind.REDIRECT, {"url": "url"}),
}
"""PaymentIntent.next_action.type -> kind, and our names for its members."""

_METHODS = frozenset({"card", "pix", "boleto"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An object of Stripe's, when it said so, and what the event or the key around it tells."""

    object: Mapping[str, Any] = field(repr=False)
    at: datetime | None
    account: str = ""
    environment: str = ""

    def inner(self, thing: Mapping[str, Any]) -> Said:
        """Return what the same message says of an object inside this one."""
        return Said(object=thing, at=self.at, account=self.account, environment=self.environment)

    def common(self, vendor_status: str) -> dict[str, Any]:
        """Return what all states have in common, except the id."""
        live = self.object.get("livemode")
        return {
            "vendor_status": vendor_status,
            "vendor_at": self.at,
            "account": self.account,
            "reference": reference(self.object),
            "environment": ("live" if live else "test") if isinstance(live, bool) else self.environment,
            "object": without_secrets(dict(self.object)),
        }


def read_intent(said: Said) -> PaymentState:
    """
    Read a PaymentIntent, with its latest charge where that is expanded (or, before 2022-11-15, in `charges`).

    What went back is known from the charge alone: without it `amount_refunded_minor` is None.

    :raises UnexpectedResponse: an amount, the currency or the status is not one that we know
    """
    intent = said.object
    word = text(intent, "status")
    charge = _charge_of(intent)
    error = obj(intent, "last_payment_error") if word in _WITHOUT_METHOD else {}
    status = _refined(_status(INTENT_STATUS, word), charge) if not error else _failed(error)
    if word == "canceled" and text(intent, "cancellation_reason") == "expired":
        status = PaymentStatus.EXPIRED
    action = read_action(intent) if status is PaymentStatus.REQUIRES_ACTION else None
    charge_id = named(intent, "latest_charge") or text(charge, "id")
    return PaymentState(
        **said.common(word),
        **_paid_by(charge),
        external_id=required(intent, "id"),
        status=status,
        amount_minor=read_amount(intent, "amount"),
        currency=read_currency(intent),
        amount_received_minor=read_amount(intent, "amount_received", default=0),
        method=_method(intent, charge),
        customer=named(intent, "customer"),
        next_action=action,
        problem=_problem(error),
        expires_at=_expires_at(intent),
        aliases=(charge_id,) if charge_id else (),
    )


def read_charge(said: Said) -> PaymentState:
    """
    Read a charge as what it says of its payment: the intent where it has one, which old charges have not.

    :raises UnexpectedResponse: as `read_intent`
    """
    charge = said.object
    word = text(charge, "status")
    charge_id = required(charge, "id")
    captured = charge.get("captured") is not False
    amount = read_amount(charge, "amount")
    status = _charge_status(charge, word)
    return PaymentState(
        **said.common(word),
        **_paid_by(charge),
        external_id=named(charge, "payment_intent") or charge_id,
        status=status,
        amount_minor=amount,
        currency=read_currency(charge),
        amount_received_minor=read_amount(charge, "amount_captured", default=amount)
        if captured and word != "failed" and status is not PaymentStatus.PROCESSING
        else 0,
        method=_method({}, charge),
        customer=named(charge, "customer"),
        problem=_charge_problem(charge),
        aliases=(charge_id,),
    )


def read_refund(said: Said) -> RefundState:
    """
    Read a refund; its payment is the intent where it has one, else the charge.

    :raises UnexpectedResponse: as `read_intent`, or it names no payment
    """
    refund = said.object
    word = text(refund, "status")
    failure = text(refund, "failure_reason")
    payment = named(refund, "payment_intent") or named(refund, "charge")
    if not payment:
        raise UnexpectedResponse("a refund names no payment")
    return RefundState(
        **said.common(word),
        external_id=required(refund, "id"),
        status=_status(REFUND_STATUS, word),
        payment=payment,
        amount_minor=read_amount(refund, "amount"),
        currency=read_currency(refund),
        problem=Problem(code=failure, reason="refund_failed", message=failure.replace("_", " ")) if failure else None,
    )


def read_dispute(said: Said) -> DisputeState:
    """
    Read a dispute; its payment is the intent where it has one, else the charge.

    :raises UnexpectedResponse: as `read_intent`, or it names no payment
    """
    dispute = said.object
    word = text(dispute, "status")
    payment = named(dispute, "payment_intent") or named(dispute, "charge")
    if not payment:
        raise UnexpectedResponse("a dispute names no payment")
    return DisputeState(
        **said.common(word),
        external_id=required(dispute, "id"),
        status=_status(DISPUTE_STATUS, word),
        payment=payment,
        amount_minor=read_amount(dispute, "amount"),
        currency=read_currency(dispute),
        reason=text(dispute, "reason"),
        evidence_due_at=moment(obj(dispute, "evidence_details").get("due_by")),
    )


def read_action(intent: Mapping[str, Any]) -> NextAction | None:
    """Return what the payer must do next; None where that needs a client secret, which webhooks do not carry on."""
    action = obj(intent, "next_action")
    word = text(action, "type")
    if word in _ACTIONS:
        kind, names = _ACTIONS[word]
        shown = obj(action, word)
        details: dict[str, Any] = {ours: text(shown, theirs) or None for ours, theirs in names.items()}
        if kind is ActionKind.PIX_QR:
            details["qr_code_base64"] = None
        if kind is not ActionKind.REDIRECT:
            details["expires_at"] = iso(moment(shown.get("expires_at")))
        return NextAction(kind=kind, details=details)
    secret = text(intent, "client_secret")
    return NextAction(kind=ActionKind.CLIENT_SECRET, client_secret=Secret(secret)) if secret else None


_WITHOUT_METHOD = frozenset({"requires_payment_method", "requires_source"})


def _status(table: Mapping[str, Any], word: str) -> Any:
    try:
        return table[word]
    except KeyError:
        raise UnexpectedResponse(f"Stripe names a status that we do not know: {word[:60]}") from None


def _failed(error: Mapping[str, Any]) -> PaymentStatus:
    return PaymentStatus.EXPIRED if text(error, "code") == ATTEMPT_EXPIRED else PaymentStatus.FAILED


def _refined(status: PaymentStatus, charge: Mapping[str, Any]) -> PaymentStatus:
    """Tell a paid payment from one that was given back."""
    if status is not PaymentStatus.SUCCEEDED:
        return status
    if charge.get("refunded") is True:
        return PaymentStatus.REFUNDED
    return PaymentStatus.PARTIALLY_REFUNDED if charge.get("amount_refunded") else status


def _charge_status(charge: Mapping[str, Any], word: str) -> PaymentStatus:
    """Read a charge's status; one that was only authorized has brought no money, and given up it is canceled."""
    status = _status(CHARGE_STATUS, word)
    if status is PaymentStatus.SUCCEEDED and charge.get("captured") is False:
        return PaymentStatus.CANCELED if charge.get("refunded") is True else PaymentStatus.PROCESSING
    if text(charge, "failure_code") == ATTEMPT_EXPIRED:
        return PaymentStatus.EXPIRED
    return _refined(status, charge)


def _charge_of(intent: Mapping[str, Any]) -> Mapping[str, Any]:
    found = obj(intent, "latest_charge")
    return found or next(iter(rows(intent, "charges")), {})


def _paid_by(charge: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a paid charge adds: what went back, when it was paid, and the id of a settled PIX."""
    if not charge or text(charge, "status") not in {"succeeded", "paid"} or charge.get("captured") is False:
        return {}
    return {
        "amount_refunded_minor": read_amount(charge, "amount_refunded", default=0),
        "paid_at": moment(charge.get("created")),
        "end_to_end_id": text(obj(charge, "payment_method_details", "pix"), "bank_transaction_id"),
    }


def _method(intent: Mapping[str, Any], charge: Mapping[str, Any]) -> str:
    """Return the way to pay: the charge's, else the only one that the intent allows."""
    used = text(obj(charge, "payment_method_details"), "type")
    allowed = intent.get("payment_method_types")
    if used or not isinstance(allowed, list) or len(allowed) != 1:
        return used
    return str(allowed[0]) if allowed[0] in _METHODS else ""


def _expires_at(intent: Mapping[str, Any]) -> datetime | None:
    action = obj(intent, "next_action")
    return moment(obj(action, text(action, "type")).get("expires_at"))


def _problem(error: Mapping[str, Any]) -> Problem | None:
    if not error:
        return None
    code = text(error, "code")
    return Problem(
        code=text(error, "decline_code") or code,
        reason=_REASONS.get(code, "payment_declined"),
        message=text(error, "message"),
    )


def _charge_problem(charge: Mapping[str, Any]) -> Problem | None:
    code = text(charge, "failure_code")
    if not code:
        return None
    return Problem(
        code=text(obj(charge, "outcome"), "reason") or code,
        reason=_REASONS.get(code, "payment_declined"),
        message=text(charge, "failure_message"),
    )
