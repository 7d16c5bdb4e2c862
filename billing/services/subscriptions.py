"""Payments that repeat: begun, changed and ended at the vendor, mirrored here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.db import transaction

from audit.services import Actor
from billing.contract import (
    ObjectKind,
    Payer,
    SellsSubscriptions,
    SubscriptionChange,
    SubscriptionRequest,
    SubscriptionState,
    SubscriptionStatus,
)
from billing.models import Customer, Subscription
from billing.models.base import LONGEST_ID
from billing.services import rules
from billing.services.customers import find_customer
from billing.services.mirroring import answered, made_before, mirror
from billing.services.outcomes import Outcome, idempotency_key, outcome_of, request_key, row_id
from billing.services.readiness import calling, class_with, require_usable
from billing.services.reading import read_row_later
from core import clock
from core.errors import Conflict
from core.ids import new_id
from integrations.contract import ProviderError
from integrations.models import Integration
from tenants.context import release_connection

MOST_QUANTITY = 999_999
LONGEST_TRIAL_DAYS = 730
"""Stripe's longest, two years."""

OVER = frozenset({SubscriptionStatus.CANCELED, SubscriptionStatus.INCOMPLETE_EXPIRED})


def create_subscription(
    integration: Integration,
    *,
    price: str,
    customer: str = "",
    payer: Payer | None = None,
    quantity: int = 1,
    trial_days: int = 0,
    return_url: str = "",
    metadata: Mapping[str, str] | None = None,
    caller_key: str = "",
    actor: Actor,
) -> Subscription:
    """
    Begin a subscription and return its row; nothing is charged before the payer confirms.

    :param customer: our id of a customer, or the vendor's
    :raises ValidationFailed: a field cannot be used, or this provider sells no subscriptions
    :raises NotReady: the integration cannot be used
    :raises ProviderError: what the vendor made of it; ask again with the same key
    """
    require_usable(integration)
    class_with(integration, SellsSubscriptions)
    known = find_customer(integration, customer) if customer else None
    payer = payer or Payer()
    rules.refuse_if(
        [
            *_counts(quantity=quantity, trial_days=trial_days, price=price),
            *_who(known, payer),
            *rules.check_url(return_url, name="return_url"),
            *rules.check_metadata(metadata or {}),
        ]
    )
    key = request_key(integration, caller_key, use="subscription")
    row = Subscription(
        id=row_id(key), integration=integration, customer=known, price=price, quantity=quantity,
        metadata=dict(metadata or {}),
    )  # fmt: skip
    if (before := made_before(row, same=("customer_id", "metadata"))) is not None:
        return before
    request = SubscriptionRequest(
        reference=str(row.pk),
        idempotency_key=key or str(row.pk),
        price=price,
        customer=known.external_id if known else "",
        payer=payer,
        quantity=quantity,
        trial_days=trial_days,
        return_url=return_url,
        metadata=row.metadata,
    )
    with calling(integration, SellsSubscriptions, actor=actor) as provider:
        release_connection()
        state = provider.create_subscription(request)
    with transaction.atomic():
        return mirror(row, state, actor=actor, action="subscription.created")


def update_subscription(
    subscription: Subscription,
    *,
    price: str | None = None,
    quantity: int | None = None,
    cancel_at_period_end: bool | None = None,
    metadata: Mapping[str, str] | None = None,
    caller_key: str = "",
    actor: Actor,
) -> Subscription:
    """
    Change a subscription at the vendor; None leaves a part as it is.

    :raises Conflict: it is over, or not known at the vendor yet
    :raises ProviderError: what the vendor made of it
    """
    rules.refuse_if([*_counts(quantity=quantity, price=price), *rules.check_metadata(metadata or {})])
    key = idempotency_key(subscription.integration, caller_key, use="subscription.change", fallback=str(new_id()))
    change = SubscriptionChange(
        idempotency_key=key,
        price=price,
        quantity=quantity,
        cancel_at_period_end=cancel_at_period_end,
        metadata=metadata,
    )
    changed = _ask(
        subscription,
        lambda provider: provider.update_subscription(subscription.external_id, change),
        action="subscription.changed",
        actor=actor,
    )
    if metadata is not None:
        changed.metadata = {**changed.metadata, **metadata}
        changed.save(update_fields=["metadata", "updated_at"])
    return changed


def cancel_subscription(subscription: Subscription, *, actor: Actor) -> Subscription:
    """
    End a subscription now.

    :raises Conflict: it is over, or not known at the vendor yet
    :raises ProviderError: what the vendor made of it
    """
    key = str(new_id())
    return _ask(
        subscription,
        lambda provider: provider.cancel_subscription(subscription.external_id, idempotency_key=key),
        action="subscription.canceled",
        actor=actor,
    )


def _ask(
    subscription: Subscription,
    verb: Callable[[SellsSubscriptions], SubscriptionState],
    *,
    action: str,
    actor: Actor,
) -> Subscription:
    """Ask for a change; where the answer is lost, the subscription is read instead."""
    if subscription.status in OVER:
        raise Conflict(f"This subscription is {subscription.status}: begin a new one.")
    if not subscription.external_id:
        raise Conflict("The provider has not confirmed this subscription yet. Ask again shortly.")
    try:
        with calling(subscription.integration, SellsSubscriptions, actor=actor) as provider:
            release_connection()
            state = verb(provider)
    except ProviderError as error:
        if outcome_of(error) is Outcome.UNKNOWN:
            read_row_later(subscription, ObjectKind.SUBSCRIPTION, due_at=clock.now())
        raise
    with transaction.atomic():
        return answered(subscription, state, actor=actor, action=action)


def _who(customer: Customer | None, payer: Payer) -> rules.Refusals:
    if customer is None and not payer.email:
        yield "customer", "Give a customer, or a payer with an e-mail address."
    elif payer.email:
        yield from rules.check_email(payer.email, name="payer.email")


def _counts(*, quantity: Any = None, trial_days: Any = None, price: str | None = None) -> rules.Refusals:
    if quantity is not None and not 1 <= quantity <= MOST_QUANTITY:
        yield "quantity", f"Use a number from 1 to {MOST_QUANTITY}."
    if trial_days is not None and not 0 <= trial_days <= LONGEST_TRIAL_DAYS:
        yield "trial_days", f"Use a number from 0 to {LONGEST_TRIAL_DAYS}."
    if price is not None and not 1 <= len(price) <= LONGEST_ID:
        yield "price", "Give the provider's id of a price; GET /billing/prices/ lists them."
