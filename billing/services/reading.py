"""Asking the vendor later what an object is now: what webhooks leave open, or when a charge's time is over."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from billing.contract import ObjectKind
from billing.models import VendorObject
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


def _add(integration: Integration, name: str, *, details: dict[str, Any], due_at: datetime) -> None:
    waiting = OutboxEntry.objects.filter(
        link_id=integration.id, kind=READ, object_id=name, status=OutboxStatus.WAITING, next_attempt_at__lte=due_at
    )
    if not waiting.exists():
        outbox.add(READ, link_id=integration.id, object_id=name, details=details, due_at=due_at)


def _name(kind: ObjectKind, object_id: str) -> str:
    name = f"{kind.value}:{object_id}"
    return name if len(name) <= LONGEST_NAME else f"{kind.value}:{hashlib.sha256(object_id.encode()).hexdigest()}"
