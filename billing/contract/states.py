"""
What a vendor says of its objects, in the words of the house. Pure values; `billing.services` applies what they say.

Amounts are integers in minor units of an ISO 4217 currency in upper case (`core.money`). `vendor_at` is the vendor's
own time of the state and orders states of one object; None means as of now, for objects that tell no time. `object` is
the vendor's object as it came, without client secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from core.secret import Secret


class ObjectKind(StrEnum):
    """The objects that this category keeps."""

    CUSTOMER = "customer"
    PAYMENT = "payment"
    REFUND = "refund"
    SUBSCRIPTION = "subscription"
    INVOICE = "invoice"
    DISPUTE = "dispute"
    PAYOUT = "payout"
    CHECKOUT = "checkout"


class PaymentStatus(StrEnum):
    """The states of a payment in the public contract."""

    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    REFUNDED = "refunded"
    PARTIALLY_REFUNDED = "partially_refunded"
    EXPIRED = "expired"
    CHARGED_BACK = "charged_back"


class RefundStatus(StrEnum):
    """The states of a refund."""

    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class SubscriptionStatus(StrEnum):
    """The states of a subscription; Stripe's words, which the other vendors' map to."""

    INCOMPLETE = "incomplete"
    INCOMPLETE_EXPIRED = "incomplete_expired"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    PAUSED = "paused"
    CANCELED = "canceled"


class InvoiceStatus(StrEnum):
    """The states of an invoice."""

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    UNCOLLECTIBLE = "uncollectible"
    VOID = "void"


class DisputeStatus(StrEnum):
    """The states of a dispute."""

    OPEN = "open"
    UNDER_REVIEW = "under_review"
    WON = "won"
    LOST = "lost"


class PayoutStatus(StrEnum):
    """The states of a payout."""

    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"
    CANCELED = "canceled"


class ActionKind(StrEnum):
    """What the payer must do next."""

    PIX_QR = "pix_qr"
    REDIRECT = "redirect"
    BOLETO = "boleto"
    CLIENT_SECRET = "client_secret"  # noqa: S105  the name of a kind


@dataclass(frozen=True, slots=True, kw_only=True)
class NextAction:
    """
    What the payer must do next. A client secret is kept apart, for it is sealed at rest.

    `details` by kind: pix_qr {qr_code, qr_code_base64, ticket_url, expires_at}; redirect {url};
    boleto {url, barcode, expires_at}; times are ISO 8601 in UTC, what is unknown is null.
    """

    kind: ActionKind
    details: Mapping[str, Any] = field(default_factory=dict)
    client_secret: Secret | None = field(default=None, repr=False)

    def as_json(self) -> dict[str, Any]:
        """Return {kind, pix | redirect | boleto: details}, as the public contract shows it; no client secret."""
        name = "pix" if self.kind is ActionKind.PIX_QR else self.kind.value
        return {"kind": self.kind.value, **({name: dict(self.details)} if self.details else {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a payment or refund failed: the vendor's code, our reason (`payment_declined`, …), a sentence for people."""

    code: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorState:
    """
    What is common to all states.

    `account` is the account at the vendor that the object belongs to, where the object says so, else "". `reference` is
    our own id of the object where the vendor carries it (metadata, external_reference, txid), else "". `environment` is
    "live" or "test" where the object says so, else "".
    """

    external_id: str
    vendor_status: str
    vendor_at: datetime | None = None
    account: str = ""
    reference: str = ""
    environment: str = ""
    object: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentState(VendorState):
    """
    A payment. `amount_received_minor` is what the payer has paid, 0 until then; `amount_minor` what was asked;
    `amount_refunded_minor` what went back, None where the vendor's object does not tell. A payment given back in part
    or whole may be called `succeeded`: which of them it is follows from the amounts.

    A wrong amount shows as received unlike asked: it is not for a provider to call that succeeded or not.
    `end_to_end_id` is the settled PIX's id. `aliases` are other ids of the vendor that mean this payment (charge,
    order, checkout session), by which events find it.
    """

    status: PaymentStatus
    amount_minor: int
    currency: str
    amount_received_minor: int = 0
    amount_refunded_minor: int | None = None
    method: str = ""
    customer: str = ""
    next_action: NextAction | None = None
    problem: Problem | None = None
    expires_at: datetime | None = None
    paid_at: datetime | None = None
    end_to_end_id: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundState(VendorState):
    """A refund of a payment, which is named by any of its ids at the vendor."""

    status: RefundStatus
    payment: str
    amount_minor: int
    currency: str
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerState(VendorState):
    """A customer of the organization as the vendor keeps them."""

    email: str = ""
    name: str = ""
    phone: str = ""
    is_deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionState(VendorState):
    """A subscription. `customer` and `price` are the vendor's ids."""

    status: SubscriptionStatus
    customer: str = ""
    price: str = ""
    quantity: int = 1
    amount_minor: int | None = None
    currency: str = ""
    current_period_start: datetime | None = None
    current_period_end: datetime | None = None
    trial_end: datetime | None = None
    cancel_at_period_end: bool = False
    client_secret: Secret | None = field(default=None, repr=False)
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceState(VendorState):
    """An invoice. `subscription`, `customer` and `payments` are the vendor's ids."""

    status: InvoiceStatus
    amount_due_minor: int
    amount_paid_minor: int
    currency: str
    subscription: str = ""
    customer: str = ""
    payments: tuple[str, ...] = ()
    number: str = ""
    url: str = ""
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeState(VendorState):
    """A dispute or chargeback of a payment."""

    status: DisputeStatus
    payment: str
    amount_minor: int
    currency: str
    reason: str = ""
    evidence_due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutState(VendorState):
    """Money on its way from the vendor to the organization's bank."""

    status: PayoutStatus
    amount_minor: int
    currency: str
    arrives_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutState(VendorState):
    """A hosted checkout page. `payment` and `subscription` are the vendor's ids once there are any."""

    url: str
    mode: str = "payment"
    is_open: bool = True
    payment: str = ""
    subscription: str = ""
    customer: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A price that subscriptions and checkouts may name. `interval` is day, week, month, year or "" when paid once."""

    external_id: str
    label: str
    amount_minor: int | None
    currency: str
    interval: str = ""
    interval_count: int = 1
    is_active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethod:
    """A way to pay that the account accepts now; `kind` is the `method` of the public contract, `id` the vendor's."""

    id: str
    kind: str
    label: str
    is_active: bool = True
    min_amount_minor: int | None = None
    max_amount_minor: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Installment:
    """One row of the vendor's table of installments; `rate_percent` is exact text."""

    count: int
    amount_minor: int
    total_minor: int
    currency: str
    rate_percent: str
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticCode:
    """A static BR Code: the text to copy and pay. It never says that it was paid."""

    brcode: str


AnyState = (
    PaymentState | RefundState | CustomerState | SubscriptionState | InvoiceState | DisputeState | PayoutState
    | CheckoutState
)  # fmt: skip

KIND_OF: Mapping[type[VendorState], ObjectKind] = {
    CustomerState: ObjectKind.CUSTOMER,
    PaymentState: ObjectKind.PAYMENT,
    RefundState: ObjectKind.REFUND,
    SubscriptionState: ObjectKind.SUBSCRIPTION,
    InvoiceState: ObjectKind.INVOICE,
    DisputeState: ObjectKind.DISPUTE,
    PayoutState: ObjectKind.PAYOUT,
    CheckoutState: ObjectKind.CHECKOUT,
}
