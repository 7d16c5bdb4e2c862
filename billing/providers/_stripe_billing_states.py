"""What customers, subscriptions, invoices, checkout pages and payouts say. Pure; old and new payload shapes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from billing.contract import (
    CheckoutState,
    CustomerState,
    InvoiceState,
    InvoiceStatus,
    PayoutState,
    PayoutStatus,
    Price,
    SubscriptionState,
    SubscriptionStatus,
)
from billing.providers._stripe_json import moment, named, obj, required, rows, text, whole
from billing.providers._stripe_money import from_stripe, read_amount, read_currency
from billing.providers._stripe_payment_states import Said
from core.money import EXPONENTS, MoneyError
from core.secret import Secret
from integrations.contract import UnexpectedResponse

SUBSCRIPTION_STATUS: Mapping[str, SubscriptionStatus] = {item.value: item for item in SubscriptionStatus}
"""Ours are Stripe's words. Source: docs.stripe.com/api/subscriptions/object#subscription_object-status, 2026-11."""

INVOICE_STATUS: Mapping[str, InvoiceStatus] = {item.value: item for item in InvoiceStatus}
"""Ours are Stripe's words. Source: docs.stripe.com/api/invoices/object#invoice_object-status, 2026-11."""

PAYOUT_STATUS: Mapping[str, PayoutStatus] = {
    "pending": PayoutStatus.PENDING,
    "in_transit": PayoutStatus.PENDING,
    "paid": PayoutStatus.PAID,
    "failed": PayoutStatus.FAILED,
    "canceled": PayoutStatus.CANCELED,
}
"""Payout.status -> ours. Source: docs.stripe.com/api/payouts/object#payout_object-status, 2026-11."""

_CONFIRMATIONS: tuple[tuple[str, ...], ...] = (
    ("latest_invoice", "confirmation_secret"),
    ("latest_invoice", "payment_intent"),
    ("pending_setup_intent",),
)
"""Where a subscription's client secret is: since 2025-03-31.basil, before it, and for trials, where nothing is due."""


def read_customer(said: Said) -> CustomerState:
    """Read a customer; a deleted one answers {id, deleted: true} or comes in an event that says so."""
    customer = said.object
    return CustomerState(
        **said.common(""),
        external_id=required(customer, "id"),
        email=text(customer, "email"),
        name=text(customer, "name"),
        phone=text(customer, "phone"),
        is_deleted=customer.get("deleted") is True,
    )


def read_subscription(said: Said) -> SubscriptionState:
    """
    Read a subscription. Periods are on its items since 2025-03-31.basil, before that on itself.

    :raises UnexpectedResponse: the status is not one that we know
    """
    thing = said.object
    word = text(thing, "status")
    if word not in SUBSCRIPTION_STATUS:
        raise UnexpectedResponse(f"Stripe names a status of a subscription that we do not know: {word[:60]}")
    items = rows(thing, "items")
    first = items[0] if items else {}
    currency = text(thing, "currency") or text(_price(first), "currency")
    return SubscriptionState(
        **said.common(word),
        external_id=required(thing, "id"),
        status=SUBSCRIPTION_STATUS[word],
        customer=named(thing, "customer"),
        price=text(_price(first), "id"),
        quantity=whole(first, "quantity") or whole(thing, "quantity") or 1,
        amount_minor=_total(items),
        currency=currency.upper(),
        current_period_start=_period(thing, first, "current_period_start"),
        current_period_end=_period(thing, first, "current_period_end"),
        trial_end=moment(thing.get("trial_end")),
        cancel_at_period_end=thing.get("cancel_at_period_end") is True,
        client_secret=_confirmation(thing),
    )


def read_invoice(said: Said) -> InvoiceState:
    """
    Read an invoice.

    Shape: since 2025-03-31.basil subscription in parent.subscription_details and payments in `payments` where that is
    expanded; before that subscription, payment_intent and charge on itself, `paid` in place of a status.

    :raises UnexpectedResponse: the status or an amount is not one that we know
    """
    invoice = said.object
    word = text(invoice, "status")
    return InvoiceState(
        **said.common(word),
        external_id=required(invoice, "id"),
        status=_invoice_status(invoice, word),
        amount_due_minor=read_amount(invoice, "amount_due"),
        amount_paid_minor=read_amount(invoice, "amount_paid", default=0),
        currency=read_currency(invoice),
        subscription=named(obj(invoice, "parent", "subscription_details"), "subscription")
        or named(invoice, "subscription"),
        customer=named(invoice, "customer"),
        payments=_payments(invoice),
        number=text(invoice, "number"),
        url=text(invoice, "hosted_invoice_url"),
        due_at=moment(invoice.get("due_date")),
    )


def read_checkout(said: Said) -> CheckoutState:
    """Read a checkout page. Complete is not paid: what was paid is told by its payment alone."""
    session = said.object
    word = text(session, "status")
    return CheckoutState(
        **said.common(" ".join(filter(None, (word, text(session, "payment_status"))))),
        external_id=required(session, "id"),
        url=text(session, "url"),
        mode=text(session, "mode") or "payment",
        is_open=word == "open",
        payment=named(session, "payment_intent"),
        subscription=named(session, "subscription"),
        customer=named(session, "customer"),
        expires_at=moment(session.get("expires_at")),
    )


def read_payout(said: Said) -> PayoutState:
    """
    Read a payout.

    :raises UnexpectedResponse: the status or the amount is not one that we know
    """
    payout = said.object
    word = text(payout, "status")
    if word not in PAYOUT_STATUS:
        raise UnexpectedResponse(f"Stripe names a status of a payout that we do not know: {word[:60]}")
    return PayoutState(
        **said.common(word),
        external_id=required(payout, "id"),
        status=PAYOUT_STATUS[word],
        amount_minor=read_amount(payout, "amount"),
        currency=read_currency(payout),
        arrives_at=moment(payout.get("arrival_date")),
    )


def read_price(price: Mapping[str, Any]) -> Price:
    """
    Read a price; tiers and prices below the smallest unit have no amount.

    :raises UnexpectedResponse: it has no id or currency
    """
    recurring, product = obj(price, "recurring"), obj(price, "product")
    amount = read_amount(price, "unit_amount") if whole(price, "unit_amount") is not None else None
    return Price(
        external_id=required(price, "id"),
        label=text(price, "nickname") or text(product, "name") or text(price, "lookup_key") or text(price, "id"),
        amount_minor=amount,
        currency=read_currency(price),
        interval=text(recurring, "interval"),
        interval_count=whole(recurring, "interval_count") or 1,
        is_active=price.get("active") is not False,
    )


def _price(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an item's price; before 2020-08-27 there were plans alone."""
    return obj(item, "price") or obj(item, "plan")


def _total(items: list[Mapping[str, Any]] | Any) -> int | None:
    """Add up what the items cost in a period; None when one of them has no plain price."""
    amounts = [_amount(item) for item in items]
    return None if not amounts or None in amounts else sum(amount for amount in amounts if amount is not None)


def _amount(item: Mapping[str, Any]) -> int | None:
    """Return what one item costs: by `unit_amount`, in plans `amount`, times its quantity."""
    price = _price(item)
    unit = whole(price, "unit_amount")
    unit = whole(price, "amount") if unit is None else unit
    quantity = whole(item, "quantity")
    currency = text(price, "currency").upper()
    if unit is None or currency not in EXPONENTS or _is_fractional(price):
        return None
    try:
        return from_stripe(unit, currency) * (1 if quantity is None else quantity)
    except MoneyError:
        return None


def _is_fractional(price: Mapping[str, Any]) -> bool:
    """Tell a price below the smallest unit by its exact text."""
    exact = text(price, "unit_amount_decimal") or text(price, "amount_decimal")
    try:
        return bool(exact) and Decimal(exact) % 1 != 0
    except InvalidOperation:
        return True


def _period(thing: Mapping[str, Any], item: Mapping[str, Any], name: str) -> Any:
    return moment(item.get(name)) or moment(thing.get(name))


def _confirmation(thing: Mapping[str, Any]) -> Secret | None:
    secrets = (text(obj(thing, *path), "client_secret") for path in _CONFIRMATIONS)
    found = next(filter(None, secrets), "")
    return Secret(found) if found else None


def _invoice_status(invoice: Mapping[str, Any], word: str) -> InvoiceStatus:
    if word in INVOICE_STATUS:
        return INVOICE_STATUS[word]
    if word or not isinstance(invoice.get("paid"), bool):
        raise UnexpectedResponse(f"Stripe names a status of an invoice that we do not know: {word[:60]}")
    return InvoiceStatus.PAID if invoice["paid"] else InvoiceStatus.OPEN


def _payments(invoice: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the ids of the intents, or charges, that pay an invoice."""
    paid_by = [obj(row, "payment") for row in rows(invoice, "payments")]
    ids = [named(payment, "payment_intent") or named(payment, "charge") for payment in paid_by]
    ids += [named(invoice, "payment_intent") or named(invoice, "charge")]
    return tuple(dict.fromkeys(found for found in ids if found))
