"""Customers, who may be charged again: made at the vendor, mirrored here."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from audit.services import Actor, Target, record
from billing.contract import CustomerRequest, CustomerState, KeepsCustomers
from billing.models import Customer, Source
from billing.services import rules
from billing.services.applying import apply_state
from billing.services.outcomes import idempotency_key
from billing.services.readiness import calling, class_with, refuse, require_usable
from billing.services.rows import as_uuid
from core.ids import new_id
from integrations.models import Integration
from tenants.context import release_connection

LONGEST_NAME, LONGEST_PHONE = 200, 40


def create_customer(
    integration: Integration,
    *,
    email: str,
    name: str = "",
    phone: str = "",
    tax_id: str = "",
    metadata: Mapping[str, str] | None = None,
    caller_key: str = "",
    actor: Actor,
) -> Customer:
    """
    Make a customer at the vendor and return its row.

    :raises ValidationFailed: a field cannot be used, or this provider keeps no customers
    :raises NotReady: the integration cannot be used
    :raises ProviderError: what the vendor made of it; nothing is stored then
    """
    require_usable(integration)
    class_with(integration, KeepsCustomers)
    row = Customer(
        id=new_id(), integration=integration, email=email, name=name, phone=phone, tax_id=tax_id,
        metadata=dict(metadata or {}),
    )  # fmt: skip
    _check(row)
    request = CustomerRequest(
        reference=str(row.pk),
        idempotency_key=idempotency_key(integration, caller_key, use="customer", fallback=str(row.pk)),
        email=email,
        name=name,
        phone=phone,
        tax_id=tax_id,
        metadata=row.metadata,
    )
    with calling(integration, KeepsCustomers, actor=actor) as provider:
        release_connection()
        state = provider.create_customer(request)
    return _store(row, state, actor=actor)


def find_customer(integration: Integration, name: str) -> Customer:
    """
    Find a customer of an integration by our id or the vendor's.

    :raises ValidationFailed: there is none
    """
    rows = Customer.objects.select_related("integration").filter(integration=integration, is_deleted=False)
    ours = as_uuid(name)
    found = rows.filter(pk=ours).first() if ours else rows.filter(external_id=name).exclude(external_id="").first()
    return found or refuse("customer", "There is no such customer at this integration.")


@transaction.atomic
def _store(row: Customer, state: CustomerState, *, actor: Actor) -> Customer:
    """Keep the customer that the vendor made; a repeated request finds the one there is."""
    found = apply_state(row.integration, state, source=Source.ANSWER, is_fetched=True)
    customer = Customer.objects.select_related("integration").get(pk=found.pk if found else row.pk)
    customer.tax_id, customer.metadata = row.tax_id or customer.tax_id, row.metadata or customer.metadata
    customer.email, customer.name = customer.email or row.email, customer.name or row.name
    customer.save()
    record(
        action="customer.created",
        actor=actor,
        target=Target(kind="customer", id=str(customer.pk)),
        details={"integration": str(row.integration_id)},
    )
    return customer


def _check(row: Customer) -> None:
    errors: dict[str, list[str]] = {}
    found = [*rules.check_email(row.email, name="email"), *rules.check_metadata(row.metadata)]
    found += rules.check_length(row.name, LONGEST_NAME, name="name")
    found += rules.check_length(row.phone, LONGEST_PHONE, name="phone")
    found += rules.check_tax_id(row.tax_id, currency="", name="tax_id")
    for name, text in found:
        errors.setdefault(name, []).append(text)
    if errors:
        rules.refuse_all(errors)
