"""Customers, who may be charged again: made at the vendor, mirrored here."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from audit.services import Actor
from billing.contract import CustomerRequest, KeepsCustomers
from billing.models import Customer
from billing.services import rules
from billing.services.mirroring import made_before, mirror
from billing.services.outcomes import request_key, row_id
from billing.services.readiness import calling, class_with, refuse, require_usable
from billing.services.rows import as_uuid
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
    key = request_key(integration, caller_key, use="customer")
    row = Customer(
        id=row_id(key), integration=integration, email=email, name=name, phone=phone, tax_id=tax_id,
        metadata=dict(metadata or {}),
    )  # fmt: skip
    _check(row)
    if (known := made_before(row, same=("email", "metadata"))) is not None:
        return known
    request = CustomerRequest(
        reference=str(row.pk),
        idempotency_key=key or str(row.pk),
        email=email,
        name=name,
        phone=phone,
        tax_id=tax_id,
        metadata=row.metadata,
    )
    with calling(integration, KeepsCustomers, actor=actor) as provider:
        release_connection()
        state = provider.create_customer(request)
    with transaction.atomic():
        return mirror(row, state, actor=actor, action="customer.created")


def find_customer(integration: Integration, name: str) -> Customer:
    """
    Find a customer of an integration by our id or the vendor's.

    :raises ValidationFailed: there is none
    """
    rows = Customer.objects.select_related("integration").filter(integration=integration, is_deleted=False)
    ours = as_uuid(name)
    found = rows.filter(pk=ours).first() if ours else rows.filter(external_id=name).exclude(external_id="").first()
    return found or refuse("customer", "There is no such customer at this integration.")


def _check(row: Customer) -> None:
    rules.refuse_if(
        [
            *rules.check_email(row.email, name="email"),
            *rules.check_length(row.name, LONGEST_NAME, name="name"),
            *rules.check_length(row.phone, LONGEST_PHONE, name="phone"),
            *rules.check_tax_id(row.tax_id, currency="", name="tax_id"),
            *rules.check_metadata(row.metadata),
        ]
    )
