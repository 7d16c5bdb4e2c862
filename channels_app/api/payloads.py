"""What the events of messages say: the message as the API shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from channels_app.api.serializers import MessageSerializer
from channels_app.models import Message
from notifications.endpoints.models import PublishedEvent
from notifications.endpoints.payloads import Payload


def messages(events: Sequence[PublishedEvent]) -> Mapping[UUID, Payload]:
    """
    Compose the payloads of events about a message.

    The status is the one that the event is about: the message may have got another since.
    """
    wanted = Message.objects.select_related("contact", "integration")
    found = {str(message.pk): message for message in wanted.filter(pk__in=[event.object_id for event in events])}
    return {
        event.id: Payload(
            environment=found[event.object_id].integration.environment, data=_message(found[event.object_id], event)
        )
        for event in events
        if event.object_id in found
    }


def _message(message: Message, event: PublishedEvent) -> dict[str, Any]:
    at_the_time = {name: value for name, value in event.details.items() if name == "status"}
    return {**MessageSerializer(message).data, **at_the_time}
