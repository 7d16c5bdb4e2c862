"""Customers, subscriptions, prices and hosted pages at Stripe, and reading any object as it is now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from billing.contract import (
    AnyState,
    CheckoutRequest,
    CheckoutState,
    CustomerRequest,
    CustomerState,
    ObjectKind,
    Price,
    SubscriptionChange,
    SubscriptionRequest,
    SubscriptionState,
)
from billing.providers import _stripe_payments as payments
from billing.providers._stripe_answers import Answer
from billing.providers._stripe_api import StripeApi, known_id
from billing.providers._stripe_billing_states import read_checkout, read_customer, read_price, read_subscription
from billing.providers._stripe_events import INVOICE_PAYMENT, KIND_OF_OBJECT, account_of, read_object
from billing.providers._stripe_json import required, rows, text, without_secrets
from billing.providers._stripe_requests import checkout_params, customer_params, subscription_params
from billing.providers._stripe_rules import check_checkout, check_metadata, refused
from integrations.contract import InboundEvent, NotFound, RequestRejected, UnexpectedResponse

if TYPE_CHECKING:
    from stripe import RequestOptions, StripeClient
    from stripe.params import SubscriptionUpdateParams, SubscriptionUpdateParamsItem

Read = Callable[["StripeClient", str, "RequestOptions"], object]

_READS: Mapping[ObjectKind, Read] = {
    ObjectKind.REFUND: lambda client, name, options: client.v1.refunds.retrieve(name, None, options),
    ObjectKind.DISPUTE: lambda client, name, options: client.v1.disputes.retrieve(name, None, options),
    ObjectKind.CUSTOMER: lambda client, name, options: client.v1.customers.retrieve(name, None, options),
    ObjectKind.SUBSCRIPTION: lambda client, name, options: client.v1.subscriptions.retrieve(name, None, options),
    ObjectKind.CHECKOUT: lambda client, name, options: client.v1.checkout.sessions.retrieve(name, None, options),
    ObjectKind.PAYOUT: lambda client, name, options: client.v1.payouts.retrieve(name, None, options),
    ObjectKind.INVOICE: lambda client, name, options: client.v1.invoices.retrieve(name, None, options),
}
"""Kind -> how one is read; payments have a way of their own, and invoices their payments beside them."""


def fetch_object(api: StripeApi, kind: ObjectKind, external_id: str) -> AnyState:
    """
    Read one object as it is now.

    :raises NotFound: this account has none
    :raises UnexpectedResponse: the answer is no object of that kind
    """
    answer = read(api, kind, external_id)
    states = read_object(payments.said(api, _as_kind(answer, kind)))
    if not states:
        raise UnexpectedResponse(f"the answer is no {kind.value}")
    return states[0]


def fetch_event(api: StripeApi, event: InboundEvent) -> InboundEvent:
    """
    Read the object of a thin event, or the invoice that an invoice payment is of.

    The event then is of the moment of the reading. An object that is gone leaves it empty: there is nothing to apply.

    :raises RequestRejected: the event is of another account than ours
    """
    theirs, ours = account_of(event), api.integration.account_external_id
    if theirs and ours and theirs != ours:
        raise RequestRejected("the event names another account", reason="foreign_account")
    kind, external_id = _about(event)
    try:
        answer = read(api, kind, external_id)
    except NotFound:
        return replace(event, thin=False)
    thing = without_secrets(dict(answer.body))
    data = {**event.data, "object": thing, "is_fetched": True}
    return replace(event, thin=False, data=data, occurred_at=answer.at)


def read(api: StripeApi, kind: ObjectKind, external_id: str) -> Answer:
    """Read the JSON of one object."""
    if kind is ObjectKind.PAYMENT:
        return payments.read(api, external_id)
    name, ask = known_id(external_id), _READS[kind]
    answer = api.call("fetch_object", lambda client, options: ask(client, name, options))
    return _with_payments(api, answer) if kind is ObjectKind.INVOICE else answer


def create_customer(api: StripeApi, request: CustomerRequest) -> CustomerState:
    """Make one customer."""
    check_metadata(request.metadata)
    params = customer_params(request)
    answer = api.call(
        "create_customer",
        lambda client, options: client.v1.customers.create(params, options),
        idempotency_key=request.idempotency_key,
    )
    return read_customer(payments.said(api, answer))


def list_prices(api: StripeApi) -> Sequence[Price]:
    """List the active prices, each by its product's name."""
    listed = api.pages(
        "list_prices",
        lambda client, params, options: client.v1.prices.list(params, options),
        {"active": True, "expand": ["data.product"]},
    )
    return [read_price(price) for _answer, price in listed]


def create_subscription(api: StripeApi, request: SubscriptionRequest) -> SubscriptionState:
    """Begin a subscription."""
    if not request.customer:
        raise refused("customer", "missing", "Make a customer first: Stripe's subscriptions belong to one.")
    check_metadata(request.metadata)
    params = subscription_params(request)
    answer = api.call(
        "create_subscription",
        lambda client, options: client.v1.subscriptions.create(params, options),
        idempotency_key=request.idempotency_key,
    )
    return read_subscription(payments.said(api, answer))


def update_subscription(api: StripeApi, external_id: str, change: SubscriptionChange) -> SubscriptionState:
    """Change a subscription; price and quantity are those of its only item, which is read first."""
    params: SubscriptionUpdateParams = {}
    if change.cancel_at_period_end is not None:
        params["cancel_at_period_end"] = change.cancel_at_period_end
    if change.metadata is not None:
        check_metadata(change.metadata)
        params["metadata"] = dict(change.metadata)
    if change.price is not None or change.quantity is not None:
        params["items"] = [_changed_item(api, external_id, change)]
    answer = api.call(
        "update_subscription",
        lambda client, options: client.v1.subscriptions.update(known_id(external_id), params, options),
        idempotency_key=change.idempotency_key,
    )
    return read_subscription(payments.said(api, answer))


def cancel_subscription(api: StripeApi, external_id: str, *, idempotency_key: str) -> SubscriptionState:
    """End a subscription now."""
    answer = api.call(
        "cancel_subscription",
        lambda client, options: client.v1.subscriptions.cancel(known_id(external_id), None, options),
        idempotency_key=idempotency_key,
    )
    return read_subscription(payments.said(api, answer))


def create_checkout(api: StripeApi, request: CheckoutRequest) -> CheckoutState:
    """Make a page to pay on."""
    check_checkout(request)
    params = checkout_params(request)
    answer = api.call(
        "create_checkout",
        lambda client, options: client.v1.checkout.sessions.create(params, options),
        idempotency_key=request.idempotency_key,
    )
    return read_checkout(payments.said(api, answer))


def create_portal(api: StripeApi, *, customer: str, return_url: str, idempotency_key: str) -> str:
    """Make a page where a customer mends their subscriptions."""
    answer = api.call(
        "create_portal",
        lambda client, options: client.v1.billing_portal.sessions.create(
            {"customer": customer, "return_url": return_url}, options
        ),
        idempotency_key=idempotency_key,
    )
    return required(answer.body, "url")


def _about(event: InboundEvent) -> tuple[ObjectKind, str]:
    if event.data["object_type"] == INVOICE_PAYMENT:
        return ObjectKind.INVOICE, text(event.data["object"], "invoice")
    return KIND_OF_OBJECT[event.data["object_type"]], event.data["object_id"]


def _with_payments(api: StripeApi, answer: Answer) -> Answer:
    """Put the payments of an invoice into it, as `expand` would."""
    invoice = required(answer.body, "id")
    listed = api.call(
        "fetch_object",
        lambda client, options: client.v1.invoice_payments.list({"invoice": invoice, "limit": 100}, options),
    )
    return Answer(body={**answer.body, "payments": dict(listed.body)}, at=answer.at)


def _as_kind(answer: Answer, kind: ObjectKind) -> Answer:
    """A deleted customer answers without `object` in some versions; the path says what it is."""
    if text(answer.body, "object") or kind is not ObjectKind.CUSTOMER:
        return answer
    return Answer(body={**answer.body, "object": "customer"}, at=answer.at)


def _changed_item(api: StripeApi, external_id: str, change: SubscriptionChange) -> SubscriptionUpdateParamsItem:
    items = rows(read(api, ObjectKind.SUBSCRIPTION, external_id).body, "items")
    if len(items) != 1:
        raise refused("price", "unsupported", "Change a subscription of several items in the Stripe dashboard.")
    item: SubscriptionUpdateParamsItem = {"id": required(items[0], "id")}
    if change.price is not None:
        item["price"] = change.price
    if change.quantity is not None:
        item["quantity"] = change.quantity
    return item
