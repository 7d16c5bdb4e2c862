"""From Stripe's events to ours, and from an event's object to what it says. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from billing.contract import AnyState, EventType, ObjectKind, PaymentEventData
from billing.providers._stripe_billing_states import (
    read_checkout,
    read_customer,
    read_invoice,
    read_payout,
    read_subscription,
)
from billing.providers._stripe_json import account_id, moment, obj, rows, text, without_secrets
from billing.providers._stripe_payment_states import Said, read_charge, read_dispute, read_intent, read_refund
from integrations.contract import InboundEvent, UnexpectedResponse

LONGEST_ID = 200
"""Keys are indexed; no id of Stripe is longer than 80 characters."""

EVENT_TYPES: tuple[tuple[str, EventType], ...] = (
    ("account.application.deauthorized", EventType.ACCOUNT_DISCONNECTED),
    ("account.", EventType.ACCOUNT_UPDATED),
    ("charge.dispute.created", EventType.DISPUTE_OPENED),
    ("charge.dispute.closed", EventType.DISPUTE_CLOSED),
    ("charge.dispute.", EventType.DISPUTE_UPDATED),
    ("charge.refund.", EventType.REFUND_UPDATED),
    ("charge.", EventType.PAYMENT_UPDATED),
    ("payment_intent.", EventType.PAYMENT_UPDATED),
    ("refund.", EventType.REFUND_UPDATED),
    ("customer.subscription.", EventType.SUBSCRIPTION_UPDATED),
    ("customer.", EventType.CUSTOMER_UPDATED),
    ("invoice.", EventType.INVOICE_UPDATED),
    ("invoice_payment.", EventType.INVOICE_UPDATED),
    ("checkout.session.", EventType.CHECKOUT_UPDATED),
    ("payout.", EventType.PAYOUT_UPDATED),
)
"""Start of Stripe's event type -> ours; the first that fits. Source: docs.stripe.com/api/events/types, 2026-11."""

KIND_OF_OBJECT: Mapping[str, ObjectKind] = {
    "payment_intent": ObjectKind.PAYMENT,
    "charge": ObjectKind.PAYMENT,
    "refund": ObjectKind.REFUND,
    "dispute": ObjectKind.DISPUTE,
    "customer": ObjectKind.CUSTOMER,
    "subscription": ObjectKind.SUBSCRIPTION,
    "invoice": ObjectKind.INVOICE,
    "checkout.session": ObjectKind.CHECKOUT,
    "payout": ObjectKind.PAYOUT,
}
"""`object` of Stripe's objects, and `related_object.type` of thin events, -> the kind that we keep."""

INVOICE_PAYMENT = "invoice_payment"
"""The link between invoice and payment since 2025-03-31.basil: it says too little alone, so the invoice is read."""

READERS: Mapping[str, Callable[[Said], AnyState]] = {
    "payment_intent": read_intent,
    "charge": read_charge,
    "refund": read_refund,
    "dispute": read_dispute,
    "customer": read_customer,
    "subscription": read_subscription,
    "invoice": read_invoice,
    "checkout.session": read_checkout,
    "payout": read_payout,
}
"""`object` of Stripe's objects -> who reads it."""

_V1 = "v1."
"""What thin events put before the type of an event that exists as a snapshot, too."""


def read_event(vendor_event: Mapping[str, Any]) -> InboundEvent:
    """
    Turn one event, from a webhook or from the list of events, into ours.

    :raises UnexpectedResponse: it has no id or type
    """
    body = without_secrets(vendor_event)
    event_id, vendor_type = text(body, "id"), text(body, "type")
    if not 0 < len(event_id) <= LONGEST_ID or not vendor_type:
        raise UnexpectedResponse("the body has no event id and type")
    account = account_id(text(body, "account") or text(body, "context"))
    data = _data(body, vendor_type)
    return InboundEvent(
        type=_type(vendor_type.removeprefix(_V1) if _is_thin(body) else vendor_type).value,
        key=f"{event_id}:{account}" if account else event_id,
        account_key=f"account:{account}" if account else "",
        occurred_at=moment(body.get("created")),
        data=data,
        raw=body,
        object_key=f"{data['object_type']}:{data['object_id']}" if data["object_id"] else "",
        external_id=event_id,
        thin=_is_to_be_fetched(body, data),
    )


def read_states(event: InboundEvent) -> Sequence[AnyState]:
    """
    Return what an event's object says, and the refunds that old versions put into a charge.

    :raises UnexpectedResponse: the object is not of the documented shape
    """
    thing = event.data.get("object")
    if not isinstance(thing, dict) or not thing:
        return ()
    said = Said(
        object=_marked(thing, text(event.data, "vendor_type")),
        at=event.occurred_at,
        account=event.account_key.removeprefix("account:"),
        environment=text(event.data, "environment"),
    )
    return read_object(said)


def read_object(said: Said) -> Sequence[AnyState]:
    """Return what an object says; nothing for kinds that are not kept."""
    reader = READERS.get(text(said.object, "object"))
    if reader is None:
        return ()
    inside = [said.inner(refund) for refund in rows(said.object, "refunds")]
    return [reader(said), *(read_refund(refund) for refund in inside)]


def account_of(event: InboundEvent) -> str:
    """Return the account that an event names, empty for the account of the endpoint that received it."""
    return event.account_key.removeprefix("account:")


def _marked(thing: dict[str, Any], vendor_type: str) -> dict[str, Any]:
    """The last state of a deleted customer looks like any other: the event's name alone says that it is gone."""
    return {**thing, "deleted": True} if vendor_type.removeprefix(_V1) == "customer.deleted" else thing


def _is_thin(body: Mapping[str, Any]) -> bool:
    return body.get("object") == "v2.core.event"


def _is_to_be_fetched(body: Mapping[str, Any], data: PaymentEventData) -> bool:
    """Tell an event that points to an object of a kind that we keep, without showing it whole."""
    if data["object_type"] == INVOICE_PAYMENT and data["object"]:
        return bool(text(data["object"], "invoice"))
    return _is_thin(body) and data["object_type"] in KIND_OF_OBJECT and bool(data["object_id"])


def _type(vendor_type: str) -> EventType:
    return next((kind for start, kind in EVENT_TYPES if vendor_type.startswith(start)), EventType.UNKNOWN)


def _data(body: Mapping[str, Any], vendor_type: str) -> PaymentEventData:
    thing = dict(obj(body, "data", "object"))
    related = obj(body, "related_object")
    return PaymentEventData(
        vendor_type=vendor_type,
        object_type=text(thing, "object") or text(related, "type"),
        object_id=text(thing, "id")[:LONGEST_ID] or text(related, "id")[:LONGEST_ID],
        object=thing,
        environment="live" if body.get("livemode") is True else "test",
        api_version=text(body, "api_version"),
        is_fetched=False,
    )
