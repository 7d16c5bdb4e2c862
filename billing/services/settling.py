"""Finding out what became of a payment whose answer was lost: the vendor is asked, never asked to pay again."""

from __future__ import annotations

from datetime import timedelta

from billing.models import Payment
from core import clock
from core.pace import scaled
from dispatch import outbox
from dispatch.models import OutboxEntry, OutboxStatus

SETTLE = "payment.settle"

LOOKS_S = (60.0, 120.0, 300.0, 600.0, 1800.0)
"""
Waits before each look, in seconds. A vendor's search lags by seconds, some requests finish minutes after they were cut
off; after three quarters of an hour a payment that no look found does not exist.
"""

CLOCKS_DIFFER = timedelta(minutes=10)
"""How much before our time of the intent the vendor's clock may have made the payment."""

LOOK_FOR = timedelta(days=7)
"""How long a vendor is asked that cannot be asked; the reconciliation compares the days behind it."""

_LAST = len(LOOKS_S) - 1


def is_last(entry: OutboxEntry) -> bool:
    """Whether the vendor surely would know the payment by this look."""
    return int(entry.details.get("look", 0)) >= _LAST


def look_again(payment: Payment, entry: OutboxEntry, *, counts: bool = True) -> None:
    """
    Have another look after this one, while the payment is young enough.

    :param counts: the vendor was asked; a look that reached nobody proves nothing
    """
    look = int(entry.details.get("look", 0))
    if payment.intended_at is None or clock.now() - payment.intended_at > LOOK_FOR:
        return
    settle_later(payment, look=look + 1 if counts else look, wait_s=None if counts else LOOKS_S[-1])


def settle_later(payment: Payment, *, look: int = 0, wait_s: float | None = None) -> None:
    """Have a look at a payment in work, in the transaction of its intent; one look that waits is enough."""
    waiting = OutboxEntry.objects.filter(
        link_id=payment.integration_id, kind=SETTLE, object_id=str(payment.pk), status=OutboxStatus.WAITING
    )
    if waiting.exists():
        return
    due_at = clock.now() + timedelta(seconds=scaled(LOOKS_S[min(look, _LAST)] if wait_s is None else wait_s))
    details = {"look": look}
    outbox.add(SETTLE, link_id=payment.integration_id, object_id=str(payment.pk), details=details, due_at=due_at)
