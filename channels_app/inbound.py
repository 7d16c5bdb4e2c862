"""
From a channel's events to rows. Runs inside the delivery's transaction, once per event; any order gives the same rows.

An error raised here rolls the whole delivery back, and it is tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any, cast

from channels_app import usage
from channels_app.contract import EventType, MessageData, TemplateData
from channels_app.models import Template
from channels_app.services import people, records, standing, statuses
from channels_app.services.together import dealing_with
from dispatch import outbox
from integrations.contract import InboundEvent
from integrations.models import Event, Integration

Handler = Callable[[Integration, Any, datetime], None]


def handle(integration: Integration, event_row: Event, event: InboundEvent) -> None:
    """Write what one event of a communication integration says; a type without a handler stays an Event only."""
    handler = _HANDLERS.get(event.type)
    if handler is not None:
        handler(integration, event.data, statuses.stamp(event.occurred_at or event_row.received_at))


def together(integration: Integration, events: Sequence[InboundEvent]) -> AbstractContextManager[None]:
    """Deal with what is one thing many times, messages of people, at the price of one; what is mixed, as always."""
    if len(events) < 2 or any(not _is_plain(event) for event in events):  # noqa: PLR2004 - several at once
        return nullcontext()
    messages = [cast(MessageData, event.data) for event in events]
    return dealing_with(integration, messages, acts=records.ACTS)


def _is_plain(event: InboundEvent) -> bool:
    return event.type == EventType.MESSAGE_RECEIVED and event.data["type"] not in records.SILENT


def _received(integration: Integration, data: Any, at: datetime) -> None:
    message = records.record_inbound(integration, data, at=at)
    if message is not None:
        usage.count(integration, usage.MESSAGES_IN)
        outbox.publish(
            "message.received",
            str(message.id),
            environment=integration.environment,
            details={"type": message.type},
        )


def _echoed(integration: Integration, data: Any, at: datetime) -> None:
    records.record_echo(integration, data, at=at)


def _status_changed(integration: Integration, data: Any, at: datetime) -> None:
    statuses.note_status(integration, data, at=at)


def _failed(integration: Integration, data: Any, at: datetime) -> None:
    standing.note_error(integration, data["error"])


def _template_changed(integration: Integration, data: TemplateData, at: datetime) -> None:
    template = _template(integration, data)
    if template is None or (template.changed_at and template.changed_at > at):
        return
    for name in ("status", "quality", "category"):
        if value := data[name]:
            setattr(template, name, _fitting(name, value))
    if data["change"] == "status":
        template.reason = data["reason"] or data["recommendation"]
    template.external_id = _fitting("external_id", data["external_id"]) or template.external_id
    template.changed_at = at
    template.save()


def _template(integration: Integration, data: TemplateData) -> Template | None:
    """Return the locked row of a template, made where the news is the first we hear of it."""
    if data["name"] and data["language"]:
        wanted = {"name": _fitting("name", data["name"]), "language": _fitting("language", data["language"])}
        Template.objects.bulk_create([Template(integration=integration, **wanted)], ignore_conflicts=True)
    else:
        wanted = {"external_id": data["external_id"]}
    return Template.objects.select_for_update().filter(integration=integration, **wanted).first()


def _fitting(name: str, value: str) -> str:
    """Cut a vendor's text to its column: one that is too long must not keep back what came with it."""
    return value[: getattr(Template._meta.get_field(name), "max_length", None)]


def _account_changed(integration: Integration, data: Any, at: datetime) -> None:
    standing.note_account(integration, data, at=at)


def _contact_changed(integration: Integration, data: Any, at: datetime) -> None:
    people.move(integration, data, at=at)


def _preference_changed(integration: Integration, data: Any, at: datetime) -> None:
    people.note_preference(integration, data, at=at)


_HANDLERS: Mapping[str, Handler] = {
    EventType.MESSAGE_RECEIVED: _received,
    EventType.MESSAGE_ECHOED: _echoed,
    EventType.MESSAGE_STATUS_CHANGED: _status_changed,
    EventType.MESSAGE_ERROR: _failed,
    EventType.TEMPLATE_CHANGED: _template_changed,
    EventType.ACCOUNT_CHANGED: _account_changed,
    EventType.CONTACT_CHANGED: _contact_changed,
    EventType.CONTACT_PREFERENCE_CHANGED: _preference_changed,
}
