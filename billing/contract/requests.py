"""What is asked of a vendor. Checked by `billing.services` before a provider sees it; amounts in minor units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from core.secret import Secret


class Method(StrEnum):
    """
    Ways to pay, by kind. `automatic` lets the vendor's own page or script offer what the account accepts.

    Which of them an integration takes is the provider's `methods`.
    """

    AUTOMATIC = "automatic"
    CARD = "card"
    PIX = "pix"
    BOLETO = "boleto"
    ACCOUNT_MONEY = "account_money"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a payer lives; boleto wants it."""

    postal_code: str
    street: str
    number: str
    neighborhood: str
    city: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """Who pays. `tax_id` is a CPF, CNPJ or the document of another country, without punctuation."""

    email: str = ""
    name: str = ""
    tax_id: str = ""
    phone: str = ""
    address: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardToken:
    """A card as the vendor's script in the payer's browser made it: single use, never a number."""

    token: Secret = field(repr=False)
    brand: str = ""
    issuer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRequest:
    """
    One payment to make.

    :param reference: our id of the payment; the vendor carries it, so that events and searches find it again
    :param idempotency_key: the same in every repetition of this request
    :param expires_at: when an unpaid PIX or boleto ends
    :param notification_url: where the vendor tells of this payment, for vendors that are told by payment
    """

    reference: str
    idempotency_key: str
    amount_minor: int
    currency: str
    method: Method
    description: str = ""
    customer: str = ""
    payer: Payer = field(default_factory=Payer)
    card: CardToken | None = None
    installments: int = 1
    expires_at: datetime | None = None
    return_url: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    notification_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequest:
    """Part or all of a payment to give back. `payment` is the vendor's id, `end_to_end_id` that of its PIX."""

    reference: str
    idempotency_key: str
    payment: str
    amount_minor: int
    currency: str
    is_full: bool
    reason: str = ""
    end_to_end_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerRequest:
    """A customer to keep at the vendor."""

    reference: str
    idempotency_key: str
    email: str
    name: str = ""
    phone: str = ""
    tax_id: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRequest:
    """A subscription to begin: by a price of the vendor, or by an amount and an interval where prices are unknown."""

    reference: str
    idempotency_key: str
    price: str
    customer: str = ""
    payer: Payer = field(default_factory=Payer)
    quantity: int = 1
    trial_days: int = 0
    return_url: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionChange:
    """What to change of a subscription; None leaves it as it is."""

    idempotency_key: str
    price: str | None = None
    quantity: int | None = None
    cancel_at_period_end: bool | None = None
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineItem:
    """What is bought: a price of the vendor, or a name with an amount."""

    quantity: int
    price: str = ""
    name: str = ""
    amount_minor: int = 0
    currency: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutRequest:
    """A hosted page to pay on. `mode` is "payment" or "subscription"."""

    reference: str
    idempotency_key: str
    mode: str
    line_items: tuple[LineItem, ...]
    success_url: str
    cancel_url: str
    customer: str = ""
    payer: Payer = field(default_factory=Payer)
    metadata: Mapping[str, str] = field(default_factory=dict)
    notification_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticCodeRequest:
    """A static BR Code to make from a key; nothing is asked of anybody."""

    amount_minor: int | None = None
    txid: str = ""
    description: str = ""
