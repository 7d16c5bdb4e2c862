"""Pages of the vendor's: to pay on, and where a customer mends their own subscriptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import transaction

from audit.services import Actor, Target, record
from billing.contract import CheckoutRequest, HostsCheckout, HostsPortal, LineItem, Payer, TakesPayments
from billing.models import CheckoutSession
from billing.services import rules
from billing.services.customers import find_customer
from billing.services.mirroring import made_before, mirror
from billing.services.outcomes import request_key, row_id
from billing.services.readiness import calling, class_with, require_usable
from core.ids import new_id
from integrations.models import Integration
from tenants.context import release_connection

MODES = ("payment", "subscription")
MOST_LINES = 100
MOST_QUANTITY = 999_999
LONGEST_LINE = 250


def create_checkout(
    integration: Integration,
    *,
    mode: str,
    line_items: Sequence[LineItem],
    success_url: str,
    cancel_url: str,
    customer: str = "",
    payer: Payer | None = None,
    metadata: Mapping[str, str] | None = None,
    caller_key: str = "",
    actor: Actor,
) -> CheckoutSession:
    """
    Make a page to pay on and return its row; the payment appears when somebody pays there.

    :raises ValidationFailed: a field cannot be used, or this provider has no such page
    :raises NotReady: the integration cannot be used
    :raises ProviderError: what the vendor made of it; ask again with the same key
    """
    require_usable(integration)
    provider_class = class_with(integration, HostsCheckout)
    known = find_customer(integration, customer) if customer else None
    addresses = {"success_url": success_url, "cancel_url": cancel_url}
    rules.refuse_if(
        [
            *_lines(line_items, mode=mode, provider=provider_class),
            *((name, "Give an address.") for name, url in addresses.items() if not url),
            *(found for name, url in addresses.items() for found in rules.check_url(url, name=name)),
            *rules.check_metadata(metadata or {}),
        ]
    )
    key = request_key(integration, caller_key, use="checkout")
    row = CheckoutSession(id=row_id(key), integration=integration, mode=mode, metadata=dict(metadata or {}))
    if (before := made_before(row, same=("mode", "metadata"))) is not None:
        return before
    is_told = issubclass(provider_class, TakesPayments) and provider_class.needs_notification_url
    request = CheckoutRequest(
        reference=str(row.pk),
        idempotency_key=key or str(row.pk),
        mode=mode,
        line_items=tuple(line_items),
        success_url=success_url,
        cancel_url=cancel_url,
        customer=known.external_id if known else "",
        payer=payer or Payer(),
        metadata=row.metadata,
        notification_url=integration.webhook_url if is_told else "",
    )
    with calling(integration, HostsCheckout, actor=actor) as provider:
        release_connection()
        state = provider.create_checkout(request)
    with transaction.atomic():
        return mirror(row, state, actor=actor, action="checkout.created")


def create_portal(integration: Integration, *, customer: str, return_url: str, actor: Actor) -> str:
    """
    Return the address of a customer's own page; it lives shortly and is made anew for each visit.

    :raises ValidationFailed: a field cannot be used, or this provider has no such page
    :raises ProviderError: what the vendor made of it
    """
    require_usable(integration)
    class_with(integration, HostsPortal)
    known = find_customer(integration, customer)
    rules.refuse_if(
        [("return_url", "Give an address.")] if not return_url else [*rules.check_url(return_url, name="return_url")]
    )
    with calling(integration, HostsPortal, actor=actor) as provider:
        release_connection()
        url = provider.create_portal(customer=known.external_id, return_url=return_url, idempotency_key=str(new_id()))
    with transaction.atomic():
        record(
            action="portal.opened",
            actor=actor,
            target=Target(kind="customer", id=str(known.pk)),
            details={"integration": str(integration.pk)},
        )
    return url


def _lines(lines: Sequence[LineItem], *, mode: str, provider: type) -> rules.Refusals:
    if mode not in MODES:
        yield "mode", f"Use one of: {', '.join(MODES)}."
    if not 1 <= len(lines) <= MOST_LINES:
        yield "line_items", f"Give 1 to {MOST_LINES} lines."
    for index, line in enumerate(lines):
        for name, text in _line(line, mode=mode, provider=provider):
            yield f"line_items.{index}.{name}", text
    if len({line.currency for line in lines if not line.price}) > 1:
        yield "line_items", "Use one currency for all lines."


def _line(line: LineItem, *, mode: str, provider: type) -> rules.Refusals:
    if not 1 <= line.quantity <= MOST_QUANTITY:
        yield "quantity", f"Use a number from 1 to {MOST_QUANTITY}."
    if line.price:
        if line.name or line.amount_minor or line.currency:
            yield "price", "Give a price, or a name with amount and currency, not both."
        return
    if mode == "subscription":
        yield "price", "A subscription needs the provider's id of a price."
        return
    if not 1 <= len(line.name) <= LONGEST_LINE:
        yield "name", f"Give a name of 1 to {LONGEST_LINE} characters, or a price."
    yield from rules.check_amount(line.amount_minor)
    yield from rules.check_currency(line.currency, provider)
