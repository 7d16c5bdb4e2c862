"""Asking the vendor later what an object is now: what webhooks leave open, or when a charge's time is over."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from billing.contract import ObjectKind, PaymentStatus
from billing.models import (
    CheckoutSession,
    Customer,
    Dispute,
    Invoice,
    Payment,
    Payout,
    Refund,
    Subscription,
    VendorObject,
)
from core import clock
from core.pace import scaled
from dispatch import outbox
from dispatch.models import OutboxEntry, OutboxStatus
from integrations.models import Integration

READ = "billing.read"
"""The kind of outside work that reads one object and applies what it says."""

LONGEST_NAME = 80
"""What an entry's `object_id` holds; vendors' longer ids stand there as a digest."""

AFTER_EXPIRY = timedelta(seconds=scaled(60))
"""After a charge's time the vendor is asked for its end: clocks differ, and it closes what is over within a minute."""

LOOK_ON_FOR = timedelta(days=5)
"""How long after its time an unpaid charge is looked at: a boleto that was paid on its last day shows days later."""

MODELS: Mapping[ObjectKind, type[VendorObject]] = {
    ObjectKind.CUSTOMER: Customer,
    ObjectKind.PAYMENT: Payment,
    ObjectKind.REFUND: Refund,
    ObjectKind.SUBSCRIPTION: Subscription,
    ObjectKind.INVOICE: Invoice,
    ObjectKind.DISPUTE: Dispute,
    ObjectKind.PAYOUT: Payout,
    ObjectKind.CHECKOUT: CheckoutSession,
}


def read_later(integration: Integration, kind: ObjectKind, external_id: str, *, due_at: datetime | None = None) -> None:
    """
    Have one object of the vendor's read and applied; now, unless told when. Runs in the caller's transaction.

    A question that waits already is enough: it is asked after this, and no later than wanted.
    """
    details = {"kind": kind.value, "external_id": external_id}
    _add(integration, _name(kind, external_id), details=details, due_at=due_at or clock.now())


def read_row_later(row: VendorObject, kind: ObjectKind, *, due_at: datetime) -> None:
    """Have an object read that the vendor may not have named yet; the row tells its id when the time comes."""
    _add(row.integration, _name(kind, str(row.pk)), details={"kind": kind.value, "row": str(row.pk)}, due_at=due_at)


def read_on(payment: Payment) -> None:
    """Have an unpaid charge looked at again until the vendor says how it ended: at its end, then ever more rarely."""
    if payment.status not in _UNPAID or payment.expires_at is None:
        return
    over = clock.now() - payment.expires_at
    if over < AFTER_EXPIRY:
        read_row_later(payment, ObjectKind.PAYMENT, due_at=payment.expires_at + AFTER_EXPIRY)
    elif over < LOOK_ON_FOR:
        due_at = clock.now() + max(over, timedelta(seconds=scaled(3600)))
        read_row_later(payment, ObjectKind.PAYMENT, due_at=due_at)


_UNPAID = frozenset({PaymentStatus.PENDING, PaymentStatus.REQUIRES_ACTION, PaymentStatus.PROCESSING})


def _add(integration: Integration, name: str, *, details: dict[str, Any], due_at: datetime) -> None:
    waiting = OutboxEntry.objects.filter(
        link_id=integration.id, kind=READ, object_id=name, status=OutboxStatus.WAITING, next_attempt_at__lte=due_at
    )
    if not waiting.exists():
        outbox.add(READ, link_id=integration.id, object_id=name, details=details, due_at=due_at)


def _name(kind: ObjectKind, object_id: str) -> str:
    name = f"{kind.value}:{object_id}"
    return name if len(name) <= LONGEST_NAME else f"{kind.value}:{hashlib.sha256(object_id.encode()).hexdigest()}"
