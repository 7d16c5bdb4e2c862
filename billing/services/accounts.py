"""Accounts under the platform (Stripe Connect): where their owners complete them."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from audit.services import Actor, record
from billing.contract import OpensAccounts
from billing.services import rules
from billing.services.outcomes import idempotency_key
from billing.services.readiness import calling, class_with
from core.ids import new_id
from integrations.models import Integration
from integrations.services.credentials import audit_target
from tenants.context import release_connection


def create_account_link(
    integration: Integration, *, refresh_url: str, return_url: str, caller_key: str = "", actor: Actor
) -> tuple[str, datetime]:
    """
    Return a single-use address where the owner completes the integration's own account, and when it ends.

    The account is the one that our own flow connected: none can be named here.

    :raises ValidationFailed: an address cannot be used, or this provider has no such accounts
    :raises ProviderError: what the vendor made of it
    """
    class_with(integration, OpensAccounts)
    addresses = {"refresh_url": refresh_url, "return_url": return_url}
    rules.refuse_if(
        [
            *((name, "Give an address.") for name, url in addresses.items() if not url),
            *(found for name, url in addresses.items() for found in rules.check_url(url, name=name)),
        ]
    )
    key = idempotency_key(integration, caller_key, use="account_link", fallback=str(new_id()))
    with calling(integration, OpensAccounts, actor=actor) as provider:
        release_connection()
        url, ends_at = provider.create_account_link(refresh_url=refresh_url, return_url=return_url, idempotency_key=key)
    with transaction.atomic():
        record(action="account_link.created", actor=actor, target=audit_target(integration))
    return url, ends_at
