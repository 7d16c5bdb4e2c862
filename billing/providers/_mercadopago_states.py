"""What MercadoPago's objects say, in the words of the house. Pure; each takes the object and its environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from billing.contract import (
    ActionKind,
    AnyState,
    CheckoutState,
    DisputeState,
    DisputeStatus,
    InvoiceState,
    InvoiceStatus,
    NextAction,
    PaymentState,
    PaymentStatus,
    Problem,
    RefundState,
    SubscriptionState,
)
from billing.providers._mercadopago_json import amount_minor, items, moment, number_text, obj, required, text
from billing.providers._mercadopago_tables import (
    DECLINED,
    DISPUTE_STATUSES,
    INVOICE_STATUSES,
    PAYMENT_DETAILS,
    PAYMENT_STATUSES,
    PROBLEMS,
    REFUND_STATUSES,
    SUBSCRIPTION_STATUSES,
    method_kind,
)
from core import clock
from integrations.contract import UnexpectedResponse

_MONEY_CAME = frozenset(
    {
        PaymentStatus.SUCCEEDED,
        PaymentStatus.PARTIALLY_REFUNDED,
        PaymentStatus.REFUNDED,
        PaymentStatus.CHARGED_BACK,
    }
)

_PAID_AT_ONCE = frozenset({"bank_transfer", "ticket"})
"""Types without installments, in which the payer pays the amount itself and `total_paid_amount` is what came."""

_END_TO_END = 32
"""Characters of a PIX's end-to-end id: E, bank, minute, serial; the vendor writes PIX before it."""


def payment_state(payment: Mapping[str, Any], *, environment: str) -> PaymentState:
    """
    Say what a payment says.

    :raises UnexpectedResponse: no id, an unknown status, or an amount that is no money
    """
    currency = required(payment, "currency_id")
    amount = amount_minor(payment.get("transaction_amount"), currency)
    refunded = _refunded(payment, amount, currency)
    action = _next_action(payment)
    status = _status(payment, is_refunded=bool(refunded), has_rest=(refunded or 0) < amount, has_action=bool(action))
    return PaymentState(
        external_id=required(payment, "id"),
        vendor_status=_words(payment),
        vendor_at=moment(payment.get("date_last_updated")),
        account=text(payment.get("collector_id")),
        reference=text(payment.get("external_reference")),
        environment=environment,
        object=payment,
        status=status,
        amount_minor=amount,
        currency=currency,
        amount_received_minor=_received(payment, amount, currency) if status in _MONEY_CAME else 0,
        amount_refunded_minor=refunded,
        method=method_kind(text(payment.get("payment_type_id")), text(payment.get("payment_method_id"))),
        next_action=action,
        problem=_problem(payment) if status is PaymentStatus.FAILED else None,
        expires_at=moment(payment.get("date_of_expiration")),
        paid_at=moment(payment.get("date_approved")),
        end_to_end_id=_end_to_end_id(payment),
    )


def refund_state(
    refund: Mapping[str, Any], *, payment: str, currency: str, environment: str, account: str = "", reference: str = ""
) -> RefundState:
    """Say what a refund says; :raises UnexpectedResponse: no id or amount, or an unknown status."""
    word = text(refund.get("status"))
    if word not in REFUND_STATUSES:
        raise UnexpectedResponse(f"a refund has the status {word[:40]}")
    status = REFUND_STATUSES[word]
    return RefundState(
        external_id=required(refund, "id"),
        vendor_status=word,
        vendor_at=moment(refund.get("date_last_updated")) or moment(refund.get("date_created")),
        account=account,
        reference=reference,
        environment=environment,
        object=refund,
        status=status,
        payment=payment,
        amount_minor=amount_minor(refund.get("amount"), currency),
        currency=currency,
        problem=Problem(code=word, reason="refund_refused", message="MercadoPago refused the refund.")
        if status.value == "failed"
        else None,
    )


def payment_states(payment: Mapping[str, Any], *, environment: str) -> Sequence[AnyState]:
    """Say what a payment and the refunds in it say."""
    state = payment_state(payment, environment=environment)
    refunds = [
        refund_state(
            refund,
            payment=state.external_id,
            currency=state.currency,
            environment=environment,
            account=state.account,
        )
        for refund in items(payment.get("refunds"))
    ]
    return [state, *refunds]


def subscription_state(preapproval: Mapping[str, Any], *, environment: str) -> SubscriptionState:
    """Say what a preapproval says; :raises UnexpectedResponse: no id, an unknown status, or no money."""
    terms = obj(preapproval.get("auto_recurring"))
    word, currency = text(preapproval.get("status")), text(terms.get("currency_id"))
    if word not in SUBSCRIPTION_STATUSES:
        raise UnexpectedResponse(f"a preapproval has the status {word[:40]}")
    has_amount = bool(number_text(terms.get("transaction_amount")))
    return SubscriptionState(
        external_id=required(preapproval, "id"),
        vendor_status=word,
        vendor_at=moment(preapproval.get("last_modified")),
        account=text(preapproval.get("collector_id")),
        reference=text(preapproval.get("external_reference")),
        environment=environment,
        object=preapproval,
        status=SUBSCRIPTION_STATUSES[word],
        price=text(preapproval.get("preapproval_plan_id")),
        amount_minor=amount_minor(terms.get("transaction_amount"), currency) if has_amount else None,
        currency=currency,
        current_period_start=moment(obj(preapproval.get("summarized")).get("last_charged_date")),
        current_period_end=moment(preapproval.get("next_payment_date")),
        url=text(preapproval.get("init_point")) if word == "pending" else "",
    )


def subscription_states(preapproval: Mapping[str, Any], *, environment: str) -> Sequence[AnyState]:
    """Say what a preapproval says, as a list."""
    return [subscription_state(preapproval, environment=environment)]


def invoice_states(charge: Mapping[str, Any], *, environment: str) -> Sequence[AnyState]:
    """Say what an authorized payment and the preapproval that was fetched with it say."""
    currency = required(charge, "currency_id")
    amount = amount_minor(charge.get("transaction_amount"), currency)
    payment = obj(charge.get("payment"))
    is_paid = text(payment.get("status")) == "approved"
    preapproval = obj(charge.get("preapproval"))
    invoice = InvoiceState(
        external_id=required(charge, "id"),
        vendor_status=text(charge.get("status")),
        vendor_at=moment(charge.get("last_modified")),
        account=text(preapproval.get("collector_id")),
        reference=text(charge.get("external_reference")),
        environment=environment,
        object=charge,
        status=InvoiceStatus.PAID if is_paid else INVOICE_STATUSES.get(text(charge.get("status")), InvoiceStatus.OPEN),
        amount_due_minor=amount,
        amount_paid_minor=amount if is_paid else 0,
        currency=currency,
        subscription=text(charge.get("preapproval_id")),
        payments=tuple(filter(None, [text(payment.get("id"))])),
        due_at=moment(charge.get("debit_date")),
    )
    return [subscription_state(preapproval, environment=environment), invoice] if preapproval else [invoice]


def dispute_states(chargeback: Mapping[str, Any], *, environment: str) -> Sequence[AnyState]:
    """Say what a chargeback and the payment that was fetched with it say."""
    payment = obj(chargeback.get("payment"))
    currency = text(chargeback.get("currency_id")) or text(chargeback.get("currency"))
    word = text(chargeback.get("status"))
    dispute = DisputeState(
        external_id=required(chargeback, "id"),
        vendor_status=word,
        vendor_at=moment(chargeback.get("last_modified")) or moment(chargeback.get("date_last_updated")),
        account=text(payment.get("collector_id")),
        environment=environment,
        object={name: item for name, item in chargeback.items() if name != "payment"},
        status=DISPUTE_STATUSES.get(word, DisputeStatus.OPEN),
        payment=disputed_payment(chargeback),
        amount_minor=amount_minor(chargeback.get("amount"), currency),
        currency=currency,
        reason=text(chargeback.get("reason")) or text(chargeback.get("reason_id")),
        evidence_due_at=moment(chargeback.get("date_documentation_deadline")),
    )
    return [*(payment_states(payment, environment=environment) if payment else ()), dispute]


def disputed_payment(chargeback: Mapping[str, Any]) -> str:
    """Return the id of the payment that a chargeback is about; some answers list several, of which it is the first."""
    listed = chargeback.get("payments")
    return text(chargeback.get("payment_id")) or text(next(iter(listed if isinstance(listed, list) else []), None))


def order_states(order: Mapping[str, Any], *, environment: str) -> Sequence[AnyState]:
    """Say what a merchant order says of the page it came from: once a payment in it is approved, that is closed."""
    paid = next((row for row in items(order.get("payments")) if text(row.get("status")) == "approved"), None)
    preference = text(order.get("preference_id"))
    if paid is None or not preference:
        return []
    state = CheckoutState(
        external_id=preference,
        vendor_status=text(order.get("order_status")) or text(order.get("status")),
        vendor_at=moment(order.get("last_updated")),
        account=text(obj(order.get("collector")).get("id")),
        reference=text(order.get("external_reference")),
        environment=environment,
        object=order,
        url="",
        is_open=False,
        payment=text(paid.get("id")),
    )
    return [state]


def checkout_state(preference: Mapping[str, Any], *, environment: str) -> CheckoutState:
    """Say what a preference says; :raises UnexpectedResponse: no id or no address."""
    expires_at = moment(preference.get("expiration_date_to")) if preference.get("expires") is True else None
    return CheckoutState(
        external_id=required(preference, "id"),
        vendor_status="",
        vendor_at=moment(preference.get("last_updated")) or moment(preference.get("date_created")),
        account=text(preference.get("collector_id")),
        reference=text(preference.get("external_reference")),
        environment=environment,
        object=preference,
        url=required(preference, "init_point"),
        is_open=expires_at is None or expires_at > clock.now(),
        expires_at=expires_at,
    )


def _status(payment: Mapping[str, Any], *, is_refunded: bool, has_rest: bool, has_action: bool) -> PaymentStatus:
    word, detail = text(payment.get("status")), text(payment.get("status_detail"))
    status = PAYMENT_DETAILS.get((word, detail)) or PAYMENT_STATUSES.get(word)
    if status is None:
        raise UnexpectedResponse(f"a payment has the status {word[:40]}")
    if status is PaymentStatus.SUCCEEDED and is_refunded:
        return PaymentStatus.PARTIALLY_REFUNDED if has_rest else PaymentStatus.REFUNDED
    return PaymentStatus.REQUIRES_ACTION if status is PaymentStatus.PENDING and has_action else status


def _refunded(payment: Mapping[str, Any], amount: int, currency: str) -> int | None:
    """What went back; all of a refunded payment, None where the object does not tell."""
    value = payment.get("transaction_amount_refunded")
    told = amount_minor(value, currency) if number_text(value) else None
    return told or (amount if text(payment.get("status")) == "refunded" else told)


def _received(payment: Mapping[str, Any], amount: int, currency: str) -> int:
    """
    What the payer paid of the amount, without the interest of installments, which is not the seller's.

    A discount that MercadoPago pays (`coupon_amount`) comes to the seller, too.
    """
    total = obj(payment.get("transaction_details")).get("total_paid_amount")
    paid = amount_minor(total, currency) if number_text(total) else 0
    if text(payment.get("payment_type_id")) not in _PAID_AT_ONCE or not paid:
        return amount
    coupon = payment.get("coupon_amount")
    return paid + (amount_minor(coupon, currency) if number_text(coupon) else 0)


def _next_action(payment: Mapping[str, Any]) -> NextAction | None:
    """The code or the boleto to pay, while there is anything to pay."""
    if text(payment.get("status")) != "pending":
        return None
    expires = clock.iso(moment(payment.get("date_of_expiration")))
    code = obj(obj(payment.get("point_of_interaction")).get("transaction_data"))
    if text(code.get("qr_code")):
        names = ("qr_code", "qr_code_base64", "ticket_url")
        shown = {name: text(code.get(name)) or None for name in names}
        return NextAction(kind=ActionKind.PIX_QR, details={**shown, "expires_at": expires})
    details = obj(payment.get("transaction_details"))
    url = text(details.get("external_resource_url"))
    barcode = text(obj(payment.get("barcode")).get("content")) or text(obj(details.get("barcode")).get("content"))
    if not url:
        return None
    return NextAction(kind=ActionKind.BOLETO, details={"url": url, "barcode": barcode or None, "expires_at": expires})


def _problem(payment: Mapping[str, Any]) -> Problem:
    code = text(payment.get("status_detail"))
    reason, message = PROBLEMS.get(code, DECLINED)
    return Problem(code=code, reason=reason, message=message)


def _end_to_end_id(payment: Mapping[str, Any]) -> str:
    found = text(obj(payment.get("transaction_details")).get("transaction_id")).removeprefix("PIX")
    return found if found.startswith("E") and len(found) == _END_TO_END else ""


def _words(payment: Mapping[str, Any]) -> str:
    return "/".join(filter(None, (text(payment.get("status")), text(payment.get("status_detail")))))
