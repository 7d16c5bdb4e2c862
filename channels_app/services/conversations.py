"""Showing a person that they were read, and that an answer is on its way."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction

from audit.services import Actor, Target, record
from channels_app.contract import SendsMessages
from channels_app.models import Conversation, Direction, Message, MessageStatus
from channels_app.services.readiness import class_with, refuse, require_usable
from core import clock
from dispatch import outbox

READ = "message.read"
TYPING = "message.typing"

TYPING_LASTS = timedelta(seconds=25)
"""A typing sign that comes later than it would have lasted is worth nothing (WhatsApp card)."""


def mark_read(conversation: Conversation, *, actor: Actor) -> Conversation:
    """
    Mark what the person wrote as read, here now and at the channel by a worker; repeating it changes nothing.

    :raises NotReady: the integration is disabled or disconnected
    """
    integration = conversation.integration
    require_usable(integration, parks=True)
    class_with(integration, SendsMessages)
    with transaction.atomic():
        locked = Conversation.objects.select_for_update(no_key=True).get(pk=conversation.pk)
        last = _last_inbound(locked)
        waiting = locked.messages.filter(direction=Direction.INBOUND, status=MessageStatus.DELIVERED)
        read = waiting.update(status=MessageStatus.READ, read_at=clock.now())
        locked.unread_count = 0
        locked.save(update_fields=["unread_count"])
        if read and last is not None:
            outbox.add(READ, link_id=integration.id, object_id=str(last.id), object_key=f"read:{locked.id}")
            record(action="conversation.read", actor=actor, target=_target(locked))
    return locked


def send_typing(conversation: Conversation, *, actor: Actor) -> None:
    """
    Show the person that an answer is being written; the channel marks their message as read by it.

    :raises ValidationFailed: they never wrote
    :raises NotReady: the integration is not active
    """
    integration = conversation.integration
    require_usable(integration)
    class_with(integration, SendsMessages)
    last = _last_inbound(conversation)
    if last is None:
        refuse("conversation", "This person has not written yet, so there is nothing to answer.")
        return
    with transaction.atomic():
        outbox.add(TYPING, link_id=integration.id, object_id=str(last.id), expires_at=clock.now() + TYPING_LASTS)
        record(action="conversation.typing_shown", actor=actor, target=_target(conversation))


def _last_inbound(conversation: Conversation) -> Message | None:
    rows = conversation.messages.filter(direction=Direction.INBOUND).exclude(external_id="")
    return rows.order_by("-occurred_at", "-id").first()


def _target(conversation: Conversation) -> Target:
    return Target(kind="conversation", id=str(conversation.id))
