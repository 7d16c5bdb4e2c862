"""What people do with work that waits: cancel it, or let it be tried now. Both leave an audit entry."""

from __future__ import annotations

from django.db import transaction

from audit.services import Actor, Target, record
from core import clock
from core.errors import Conflict
from dispatch.models import OutboxEntry, OutboxStatus
from dispatch.waker import wake
from integrations import registry
from integrations.contract import ProviderError
from integrations.contract.errors import Who
from integrations.models import Integration

CANCELABLE = frozenset({OutboxStatus.WAITING, OutboxStatus.PARKED})


class Canceled(ProviderError):
    """Somebody canceled the work before it was done."""

    api_code = "integration_not_ready"
    who = Who.CALLER
    message = "The work was canceled before it was done."
    next_action = "Nothing to do; send it again if it was canceled by mistake."


class NotWaiting(Conflict):
    """The work is being done now, or has ended."""


@transaction.atomic
def cancel(entry: OutboxEntry, *, actor: Actor) -> OutboxEntry:
    """
    Cancel work that waits or is parked; its handler is told, as of any other failure.

    :raises NotWaiting: it is being worked on, or has ended
    """
    # The integration first, which the handler may lock: a reconnect holds it while it releases what is parked.
    Integration.objects.select_for_update().filter(pk__in=[entry.link_id]).first()
    fresh = _locked(entry)
    if fresh.status not in CANCELABLE:
        raise NotWaiting(_REFUSALS.get(fresh.status, "This work has ended; there is nothing to cancel."))
    error = Canceled()
    fresh.status, fresh.done_at = OutboxStatus.CANCELED, clock.now()
    fresh.error_class, fresh.error_text = error.name, error.message
    fresh.save(update_fields=["status", "done_at", "error_class", "error_text"])
    integration = Integration.objects.filter(pk__in=[fresh.link_id]).first()
    registry.outbox_handler(fresh.kind).give_up(fresh, integration, error)
    _record("outbox_entry.canceled", fresh, actor)
    return fresh


@transaction.atomic
def try_now(entry: OutboxEntry, *, actor: Actor) -> OutboxEntry:
    """
    Let waiting work be tried without further wait; limits and an open breaker still hold it.

    :raises NotWaiting: it is parked, is being worked on, or has ended
    """
    fresh = _locked(entry)
    if fresh.status != OutboxStatus.WAITING:
        raise NotWaiting(_TRY_REFUSALS.get(fresh.status, "This work has ended; there is nothing to try."))
    fresh.next_attempt_at, fresh.not_before = clock.now(), None
    fresh.save(update_fields=["next_attempt_at", "not_before"])
    _record("outbox_entry.hastened", fresh, actor)
    transaction.on_commit(lambda: wake("outbound"))
    return fresh


_REFUSALS: dict[str, str] = {
    OutboxStatus.WORKING: "This work is being done now; look again in a moment.",
}

_TRY_REFUSALS: dict[str, str] = {
    **_REFUSALS,
    OutboxStatus.PARKED: "This work waits for its integration: reconnect or enable it, and the work goes on by itself.",
}


def _locked(entry: OutboxEntry) -> OutboxEntry:
    return OutboxEntry.objects.select_for_update().get(pk=entry.pk)


def _record(action: str, entry: OutboxEntry, actor: Actor) -> None:
    record(
        action=action,
        actor=actor,
        target=Target(kind="outbox_entry", id=str(entry.id), label=entry.kind),
        details={"integration": str(entry.link_id or ""), "object": entry.object_id},
    )
