"""
The values of the payments category that webhooks carry. Pure Python; the verbs come with the payments themselves.

`InboundEvent.type` is one of `EventType`; its data is a `PaymentEventData`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypedDict


class EventType(StrEnum):
    """What changed. Handlers read the object again before money moves: webhooks overtake each other."""

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

    `object` is empty and `object_id` alone known where the vendor sends thin events.
    """

    vendor_type: str
    object_type: str
    object_id: str
    object: dict[str, Any]
    environment: str
    api_version: str
