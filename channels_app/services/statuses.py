"""
How far a message has come, told in any order.

A status may arrive before the answer of its send, before the message it belongs to, or twice. It is matched by our
own id, which travelled with the message, else by the vendor's id; without a match it stays an Event until its
message appears. An advisory lock on the vendor's id keeps the two from missing each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import connection, transaction

from channels_app.contract import ErrorData, EventType, StatusData
from channels_app.models import Direction, Message, MessageStatus
from channels_app.services import standing
from core import clock
from dispatch import outbox
from dispatch.models import OutboxEntry, OutboxStatus
from dispatch.waker import wake
from integrations.contract import ProviderError
from integrations.contract import errors as provider_errors
from integrations.models import Event, Integration
from tenants.context import require_organization

log = structlog.get_logger(__name__)

SEND = "message.send"
"""The outside work that sends one message."""

UNREACHABLE = "recipient_unreachable"
"""The reason of errors after which this person is not written to again, until they write."""

SKEW = timedelta(minutes=10)
"""How far a vendor's clock may be from ours: no status arrives earlier than this before its message was made."""

STATUS_PUBLISHED = "message.status_changed"


def order_key(conversation_id: object) -> str:
    """Return what keeps the sends of one conversation in their order."""
    return f"conversation:{conversation_id}"


def note_status(integration: Integration, status: StatusData, *, at: datetime) -> Message | None:
    """Apply a status to its message; None when there is no such message yet."""
    message = _of_callback(integration, status["callback_data"])
    if message is None:
        lock_external_id(status["external_id"])
        message = _of_external_id(integration, status["external_id"])
    if message is None:
        return None
    if not message.external_id:
        adopt(message, status["external_id"])
        _hasten(message)
    _apply(message, status, at=at)
    return message


def note_earlier_statuses(message: Message) -> None:
    """Apply the statuses that came before their message was known by its vendor's id; the message is locked."""
    events = Event.objects.filter(
        integration_id=message.integration_id,
        type=EventType.MESSAGE_STATUS_CHANGED,
        external_id=message.external_id,
        received_at__gte=message.occurred_at - SKEW,  # lets the index on the time of arrival do the work
    )
    for event in events.exclude(data={}).order_by("occurred_at", "received_at"):  # empty: erased
        _apply(message, event.data, at=event.occurred_at or event.received_at)


def adopt(message: Message, external_id: str) -> None:
    """
    Give a locked message of ours its vendor's id and save it.

    The phone's echo of the same message may have come first: its row goes, its facts stay. Any other message that
    has this id keeps it: a vendor that gives one id twice must not cost us a message.
    """
    holder = Message.objects.select_for_update().filter(
        integration_id=message.integration_id, external_id=external_id
    ).exclude(pk=message.pk).first()  # fmt: skip
    if holder is not None and not holder.is_echo:
        log.error("message.vendor_id_taken", message=str(message.id), holder=str(holder.id))
        message.save()
        return
    if holder is not None:
        message.reactions = {**holder.reactions, **message.reactions}
        message.move_to(holder.status, at=holder.occurred_at)
        holder.delete()
    message.external_id = external_id
    message.save()


def mark_failed(
    message: Message, error: Mapping[str, Any], *, at: datetime, status: str = MessageStatus.FAILED
) -> bool:
    """Fail or expire a locked message with the error in the API's form; return whether it moved."""
    if not message.move_to(status, at=at):
        return False
    message.error = dict(error)
    message.save()
    if error.get("reason") == UNREACHABLE and message.contact is not None:
        message.contact.blocked_reason = UNREACHABLE
        message.contact.save(update_fields=["blocked_reason", "updated_at"])
    publish_status(message)
    return True


def publish_status(message: Message) -> None:
    """Tell listeners that a message of ours moved."""
    outbox.publish(
        STATUS_PUBLISHED,
        str(message.id),
        environment=message.integration.environment,
        details={"status": message.status},
    )


def lock_external_id(external_id: str) -> None:
    """Let one transaction at a time deal with a vendor's message id."""
    key = f"{require_organization()}:message:{external_id}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])


def error_of(error: ErrorData) -> dict[str, Any]:
    """Put an error that came by webhook into the API's form."""
    kind = _kind(error["error"])
    return {
        "code": kind.api_code,
        "message": error["detail"] or error["title"] or kind.message,
        "next_action": error["remedy"] or kind.if_given_up or kind.next_action,
        "vendor_code": error["code"],
        "reason": error["reason"],
    }


def error_of_exception(error: ProviderError, *, reason: str = "") -> dict[str, Any]:
    """Put an error that was raised into the API's form."""
    return {
        "code": error.api_code,
        "message": error.vendor_detail or error.message,
        "next_action": error.advice,
        "vendor_code": error.vendor_code,
        "reason": reason or error.reason,
    }


def _hasten(message: Message) -> None:
    """A send whose outcome was unknown need not wait longer; what stands behind it in the conversation goes on."""
    waiting = OutboxEntry.objects.filter(
        link_id=message.integration_id,
        object_key=order_key(message.conversation_id),
        object_id=str(message.id),
        kind=SEND,
        status=OutboxStatus.WAITING,
    )
    if waiting.update(next_attempt_at=clock.now()):
        transaction.on_commit(lambda: wake("outbound"))


def _apply(message: Message, status: Mapping[str, Any], *, at: datetime) -> None:
    if message.direction != Direction.OUTBOUND:
        return
    if status["pricing"]:
        message.pricing = dict(status["pricing"])
    errors: Sequence[ErrorData] = status["errors"]
    if status["status"] == MessageStatus.FAILED:
        _fail(message, errors, at=at)
        return
    moved = message.move_to(status["status"], at=at)
    message.save()
    if moved:
        publish_status(message)


def _fail(message: Message, errors: Sequence[ErrorData], *, at: datetime) -> None:
    told = errors[0] if errors else _UNTOLD
    if mark_failed(message, error_of(told), at=at):
        standing.note_error(message.integration, told)
    else:
        message.save()


_UNTOLD = ErrorData(
    code="", title="", detail="", error="RequestRejected", reason="", remedy="", retryable=False, retry_after_s=None
)
"""The vendor said failed and not why."""


def _kind(name: str) -> type[ProviderError]:
    kind = getattr(provider_errors, name, None)
    return kind if isinstance(kind, type) and issubclass(kind, ProviderError) else ProviderError


def _of_callback(integration: Integration, callback_data: str) -> Message | None:
    try:
        ours = UUID(callback_data)
    except ValueError:
        return None
    return _lockable(integration).filter(pk=ours, direction=Direction.OUTBOUND).first()


def _of_external_id(integration: Integration, external_id: str) -> Message | None:
    return _lockable(integration).filter(external_id=external_id).first() if external_id else None


def _lockable(integration: Integration) -> Any:
    return Message.objects.select_for_update(of=("self",)).filter(integration=integration).select_related("contact")


def stamp(at: datetime | None) -> datetime:
    """Return a vendor's time, ours when there is none or when it lies in the future."""
    now = clock.now()
    return min(at, now) if at else now
