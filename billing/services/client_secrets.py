"""What opens a payment in the payer's browser: sealed at rest, shown to whoever may take payments, never in a list."""

from __future__ import annotations

import vault.services as vault
from billing.models import Payment, Subscription
from core.secret import Secret
from tenants.context import require_organization
from vault.services import SealContext


def seal(row: Payment | Subscription, secret: Secret) -> None:
    """Put the secret into its row, sealed for that place; the caller saves."""
    row.sealed_client_secret = vault.seal(secret.reveal().encode(), _context(row))


def opened(row: Payment | Subscription) -> Secret | None:
    """Return the secret of a row; None when there is none."""
    if not row.sealed_client_secret:
        return None
    return Secret(vault.open_bytes(row.sealed_client_secret, _context(row)).decode())


def _context(row: Payment | Subscription) -> SealContext:
    return SealContext(
        organization_schema=require_organization(), owner=str(row.pk), version=0,
        field=f"{row._meta.label_lower}.client_secret",
    )  # fmt: skip
