"""
What the webhooks of the payments category carry. Pure Python.

`InboundEvent.type` is one of `EventType`; its data is a `PaymentEventData`. What it says of the vendor's objects comes
out of the provider's `read_states`, at the moment when it is applied: the event itself keeps the vendor's own words.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, TypedDict

from billing.contract.states import AnyState
from integrations.contract import InboundEvent


class EventType(StrEnum):
    """What changed."""

    PAYMENT_UPDATED = "payment.updated"
    REFUND_UPDATED = "refund.updated"
    SUBSCRIPTION_UPDATED = "subscription.updated"
    INVOICE_UPDATED = "invoice.updated"
    CHECKOUT_UPDATED = "checkout.updated"
    CUSTOMER_UPDATED = "customer.updated"
    DISPUTE_OPENED = "dispute.opened"
    DISPUTE_UPDATED = "dispute.updated"
    DISPUTE_CLOSED = "dispute.closed"
    PAYOUT_UPDATED = "payout.updated"
    ACCOUNT_UPDATED = "account.updated"
    ACCOUNT_DISCONNECTED = "account.disconnected"
    UNKNOWN = "unknown"


class PaymentEventData(TypedDict):
    """
    One change at the vendor. `vendor_type` is the vendor's own word, `object` its object as the webhook showed it.

    `object` is empty and `object_id` alone known where the vendor sends thin events; `fetch` fills it. `is_fetched`
    says that the object was read from the vendor's API with the integration's own credential, not taken from the body.
    """

    vendor_type: str
    object_type: str
    object_id: str
    object: dict[str, Any]
    environment: str
    api_version: str
    is_fetched: bool


class ReadsPaymentEvents(ABC):
    """Events of this vendor can be applied to payments."""

    @classmethod
    @abstractmethod
    def read_states(cls, event: InboundEvent) -> Sequence[AnyState]:
        """
        Return what an event's object, and objects inside it, say; pure; empty when it is nothing that is kept.

        :raises UnexpectedResponse: the object is not of the documented shape
        """
