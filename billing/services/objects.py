"""What a vendor says of customers, subscriptions, invoices, payouts and checkout pages, applied to their rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from billing.contract import (
    KIND_OF,
    CheckoutState,
    CustomerState,
    InvoiceState,
    InvoiceStatus,
    PayoutState,
    PayoutStatus,
    SubscriptionState,
    SubscriptionStatus,
)
from billing.models import CheckoutSession, Customer, Invoice, Payout, Source, Subscription, VendorObject
from billing.models.base import LONGEST_ID
from billing.services import client_secrets, payment_states, rows
from billing.services.ladder import Claim, climb, keep, stands
from billing.services.reading import read_later
from billing.services.rows import Age
from core.ids import new_id
from dispatch import outbox

Row = TypeVar("Row", bound=VendorObject)

_RANK: Mapping[str, int] = {
    SubscriptionStatus.INCOMPLETE: 0,
    SubscriptionStatus.TRIALING: 1,
    SubscriptionStatus.ACTIVE: 2,
    SubscriptionStatus.PAST_DUE: 3,
    SubscriptionStatus.UNPAID: 4,
    SubscriptionStatus.PAUSED: 5,
    SubscriptionStatus.INCOMPLETE_EXPIRED: 6,
    SubscriptionStatus.CANCELED: 7,
    InvoiceStatus.DRAFT: 0,
    InvoiceStatus.OPEN: 1,
    InvoiceStatus.UNCOLLECTIBLE: 2,
    InvoiceStatus.VOID: 3,
    InvoiceStatus.PAID: 4,
    PayoutStatus.PENDING: 0,
    PayoutStatus.PAID: 1,
    PayoutStatus.CANCELED: 2,
    PayoutStatus.FAILED: 2,
}
"""Which of two states of the same moment is the later one. The words of different objects never meet in one row."""


def apply_customer(claim: Claim, state: CustomerState, row: Customer | None) -> Customer | None:
    """Apply one state; None when the claim was refused."""
    fields = {"email": state.email, "name": state.name[:200], "phone": state.phone[:40]}
    changed = {name: value for name, value in fields.items() if value}
    return _mirror(claim, Customer, row, {**changed, "is_deleted": state.is_deleted})


def apply_subscription(claim: Claim, state: SubscriptionState, row: Subscription | None) -> Subscription | None:
    """Apply one state and publish what changed; None when the claim was refused."""
    known = row or rows.find(Subscription, claim.integration, state)
    before = known.status if known is not None else ""
    fields: dict[str, Any] = {
        "status": state.status,
        "quantity": state.quantity,
        "cancel_at_period_end": state.cancel_at_period_end,
        "trial_end": state.trial_end,
        "current_period_start": state.current_period_start,
        "current_period_end": state.current_period_end,
    }
    optional: dict[str, Any] = {"amount_minor": state.amount_minor, "currency": state.currency}
    optional.update({"url": state.url[:2000], "price": state.price[:LONGEST_ID]})
    fields.update({name: value for name, value in optional.items() if value})
    if state.customer:
        customers = Customer.objects.filter(integration=claim.integration, external_id=state.customer)
        fields["customer"] = customers.first()
    found = _mirror(claim, Subscription, row, fields)
    if found is not None and state.client_secret is not None and found.status == SubscriptionStatus.INCOMPLETE:
        client_secrets.seal(found, state.client_secret)
        found.save()
    if found is not None and found.status != before:
        environment, details = claim.integration.environment, {"status": found.status}
        outbox.publish("subscription.updated", str(found.pk), environment=environment, details=details)
    return found


def apply_invoice(claim: Claim, state: InvoiceState, row: Invoice | None) -> Invoice | None:
    """Apply one state; None when the claim was refused."""
    fields = {
        "status": state.status,
        "amount_due_minor": state.amount_due_minor,
        "amount_paid_minor": state.amount_paid_minor,
        "currency": state.currency,
        "subscription_external_id": state.subscription[:LONGEST_ID],
        "customer_external_id": state.customer[:LONGEST_ID],
        "payment_external_ids": [name[:LONGEST_ID] for name in state.payments],
        "number": state.number[:100],
        "url": state.url[:2000],
        "due_at": state.due_at,
    }
    return _mirror(claim, Invoice, row, fields)


def apply_payout(claim: Claim, state: PayoutState, row: Payout | None) -> Payout | None:
    """Apply one state; None when the claim was refused."""
    fields = {
        "status": state.status,
        "amount_minor": state.amount_minor,
        "currency": state.currency,
        "arrives_at": state.arrives_at,
    }
    return _mirror(claim, Payout, row, fields)


def apply_checkout(claim: Claim, state: CheckoutState, row: CheckoutSession | None) -> CheckoutSession | None:
    """Apply one state; None when the claim was refused. Nobody has paid because a page says so."""
    payment = payment_states.find_by_any_id(claim.integration, state.payment)
    if payment is None and state.payment and claim.source != Source.QUERY:
        read_later(claim.integration, KIND_OF[payment_states.PaymentState], state.payment)
    fields: dict[str, Any] = {"mode": state.mode, "is_open": state.is_open, "expires_at": state.expires_at}
    optional = {"url": state.url[:2000], "payment": payment, "subscription_external_id": state.subscription}
    fields.update({name: value for name, value in optional.items() if value})
    return _mirror(claim, CheckoutSession, row, fields)


def _mirror(claim: Claim, model: type[Row], row: Row | None, fields: Mapping[str, Any]) -> Row | None:
    """Write fields of a newer state into its row; None when the claim was refused."""
    steps, state = climb(claim), claim.state
    if not stands(steps):
        keep(claim, steps, payment=None)
        return None
    found = rows.locked(row) if row is not None else rows.find(model, claim.integration, state)
    if found is None:
        fresh = model(id=new_id(), integration=claim.integration, external_id=state.external_id[:LONGEST_ID], **fields)
        found = rows.made(fresh)
    age = rows.age(state, found)
    if age is Age.OLDER or (age is Age.SAME_MOMENT and _is_behind(claim, found, fields)):
        return found
    for name, value in fields.items():
        setattr(found, name, value)
    rows.mark(found, state)
    found.save()
    return found


def _is_behind(claim: Claim, row: VendorObject, fields: Mapping[str, Any]) -> bool:
    """Of two unlike states of the same moment the higher one stays, else the last; the vendor says which it was."""
    ours, theirs = getattr(row, "status", ""), fields.get("status", "")
    if any(getattr(row, name) != value for name, value in fields.items()):
        rows.ask_which(claim)
    return _RANK.get(theirs, 0) < _RANK.get(ours, 0)
