"""MercadoPago's words and ours. Source: provider card and its reference pages of payments, as of 2026-11."""

from __future__ import annotations

from billing.contract import (
    DisputeStatus,
    InvoiceStatus,
    Method,
    PaymentStatus,
    RefundStatus,
    SubscriptionStatus,
)

PAYMENT_STATUSES = {
    "pending": PaymentStatus.PENDING,
    "approved": PaymentStatus.SUCCEEDED,
    "authorized": PaymentStatus.PROCESSING,
    "in_process": PaymentStatus.PROCESSING,
    "in_mediation": PaymentStatus.SUCCEEDED,
    "rejected": PaymentStatus.FAILED,
    "cancelled": PaymentStatus.CANCELED,
    "refunded": PaymentStatus.REFUNDED,
    "charged_back": PaymentStatus.CHARGED_BACK,
}
"""
`status` of a payment -> ours. in_mediation follows approved alone: the payer's money has come, and a claim about it is
open. How that ends arrives as approved, refunded or charged_back; to call it processing would say that no money came.
"""

PAYMENT_DETAILS = {
    ("cancelled", "expired"): PaymentStatus.EXPIRED,
    ("charged_back", "reimbursed"): PaymentStatus.SUCCEEDED,
}
"""(status, status_detail) -> ours, before the status alone. A reimbursed chargeback was won."""

METHODS = {
    "credit_card": Method.CARD,
    "debit_card": Method.CARD,
    "prepaid_card": Method.CARD,
    "bank_transfer": Method.PIX,
    "ticket": Method.BOLETO,
    "account_money": Method.ACCOUNT_MONEY,
}
"""`payment_type_id` -> our method, where the country has one way of that type; see `method_kind`."""

METHOD_IDS = {Method.PIX: "pix", Method.BOLETO: "bolbradesco"}
"""Our method -> `payment_method_id`. `boleto_bancario` is no id of it, and `pec` is the lottery shop."""

_NAMED = {"bank_transfer": "pix", "ticket": "bolbradesco"}

PROBLEMS = {
    "cc_rejected_insufficient_amount": ("payment_declined", "The card has not enough money or limit."),
    "cc_rejected_bad_filled_card_number": ("card_data_wrong", "The card number is wrong; enter it again."),
    "cc_rejected_bad_filled_date": ("card_data_wrong", "The card's expiry date is wrong; enter it again."),
    "cc_rejected_bad_filled_security_code": ("card_data_wrong", "The security code is wrong; enter it again."),
    "cc_rejected_bad_filled_other": ("card_data_wrong", "Something in the card form is wrong; enter it again."),
    "cc_rejected_call_for_authorize": (
        "customer_action_required",
        "The payer must call the bank and allow this payment, then try again.",
    ),
    "cc_rejected_card_disabled": ("payment_declined", "The card is not active; the payer must call the bank."),
    "cc_rejected_duplicated_payment": ("payment_declined", "The same payment was made a moment ago."),
    "cc_rejected_high_risk": ("payment_declined", "MercadoPago refused the payment as risky: use another way to pay."),
    "cc_rejected_max_attempts": ("payment_declined", "Too many tries with this card: use another card."),
    "cc_rejected_invalid_installments": ("payment_declined", "The card does not take this number of installments."),
    "cc_rejected_blacklist": ("payment_declined", "The card cannot be used here: use another card."),
    "cc_rejected_other_reason": ("payment_declined", "The bank refused the payment: use another card."),
}
"""`status_detail` of a rejected payment -> reason and sentence; others are declined."""

DECLINED = ("payment_declined", "The payment was declined: use another way to pay.")

REFUND_STATUSES = {
    "": RefundStatus.SUCCEEDED,
    "approved": RefundStatus.SUCCEEDED,
    "authorized": RefundStatus.PENDING,
    "in_process": RefundStatus.PENDING,
    "rejected": RefundStatus.FAILED,
    "cancelled": RefundStatus.CANCELED,
}
"""`status` of a refund -> ours; old answers have none."""

SUBSCRIPTION_STATUSES = {
    "pending": SubscriptionStatus.INCOMPLETE,
    "authorized": SubscriptionStatus.ACTIVE,
    "paused": SubscriptionStatus.PAUSED,
    "cancelled": SubscriptionStatus.CANCELED,
    "finished": SubscriptionStatus.CANCELED,
}
"""`status` of a preapproval -> ours."""

INVOICE_STATUSES = {
    "scheduled": InvoiceStatus.OPEN,
    "waiting_for_gateway": InvoiceStatus.OPEN,
    "processed": InvoiceStatus.OPEN,
    "recycling": InvoiceStatus.OPEN,
    "cancelled": InvoiceStatus.VOID,
}
"""`status` of an authorized payment -> ours; it is paid when its payment is approved, whatever this says."""

DISPUTE_STATUSES = {
    "in_review": DisputeStatus.UNDER_REVIEW,
    "documentation_pending": DisputeStatus.OPEN,
    "documentation_required": DisputeStatus.OPEN,
    "covered": DisputeStatus.WON,
    "reimbursed": DisputeStatus.WON,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
    "settled": DisputeStatus.LOST,
}
"""`status` of a chargeback -> ours; words that are not listed are of one that is still open."""

INTERVALS = {"days": "day", "months": "month"}
"""`frequency_type` of a plan -> the interval of a price."""


def method_kind(type_id: str, method_id: str) -> str:
    """Return our method of a vendor's type and id; the type's own word where we have none (Mexico's `oxxo`)."""
    named = _NAMED.get(type_id)
    return METHODS[type_id].value if type_id in METHODS and named in (None, method_id) else type_id
