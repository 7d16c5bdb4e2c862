"""
Message rows from what a channel tells: received, or sent from the account's own phone.

Reactions, edits and deletions are rows of their own, so that one that overtakes its message is not lost: it is
applied when the message appears.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from channels_app.contract import MessageData
from channels_app.models import Conversation, Direction, MediaState, Message, MessageStatus
from channels_app.services import people, statuses, together
from core import clock
from dispatch import outbox
from integrations.models import Integration
from tenants.base import insert_new

DOWNLOAD = "media.download"

MEDIA_LIVES = timedelta(days=7)
"""How long an incoming file can be fetched (WhatsApp card); after that the work expires."""

US = "us"
"""Who reacted, when it was the organization itself."""

_FACTS_OF_A_FILE = ("id", "mime_type", "sha256", "filename", "caption", "voice", "animated")


def record_inbound(integration: Integration, data: MessageData, *, at: datetime) -> Message | None:
    """Write a message that a person sent; None when it is known already."""
    contact = people.find_or_make(integration, data["contact"], at=at)
    if contact is not None and contact.blocked_reason:
        contact.blocked_reason = ""  # they can be reached: they write
        contact.save(update_fields=["blocked_reason", "updated_at"])
    conversation = people.conversation_with(integration, contact, group_id=data["group_id"] or "")
    message = Message(
        integration=integration,
        conversation=conversation,
        contact=contact,
        direction=Direction.INBOUND,
        status=MessageStatus.DELIVERED,
        delivered_at=at,
    )
    return _record(message, data, at=at)


def record_echo(integration: Integration, data: MessageData, *, at: datetime) -> Message | None:
    """Write a message that was sent from the account's own phone; None when it is known already."""
    contact = people.find_or_make(integration, data["contact"])
    conversation = people.conversation_with(integration, contact, group_id=data["group_id"] or "")
    message = Message(
        integration=integration,
        conversation=conversation,
        contact=contact,
        direction=Direction.OUTBOUND,
        status=MessageStatus.SENT,
        sent_at=at,
        is_echo=True,
    )
    return _record(message, data, at=at)


def apply_to_target(message: Message) -> None:
    """Let a reaction, edit or deletion act on its message, if that is there."""
    act = _ACTS.get(message.type)
    if act is None or not message.reply_to:
        return
    target = (
        Message.objects.select_for_update()
        .filter(integration_id=message.integration_id, external_id=message.reply_to)
        .filter(conversation_id=message.conversation_id)
        .first()
    )
    if target is not None and act(target, message):
        target.save()


def _record(message: Message, data: MessageData, *, at: datetime) -> Message | None:
    _fill(message, data, at=at)
    if message.direction == Direction.OUTBOUND:
        statuses.lock_external_id(message.external_id)  # statuses that name it may come at this moment
    if not insert_new([message]):
        return None
    _note_in_conversation(message)
    _catch_up(message)
    if data["media"]:
        outbox.add(
            DOWNLOAD,
            link_id=message.integration_id,
            object_id=str(message.id),
            object_key=f"media:{message.id}",
            expires_at=clock.now() + MEDIA_LIVES,
        )
    return message


def _fill(message: Message, data: MessageData, *, at: datetime) -> None:
    content = dict(data["content"])
    if data["media"]:
        file: Mapping[str, Any] = data["media"]
        content |= {name: file[name] for name in _FACTS_OF_A_FILE if file[name] not in (None, "")}
        message.media_state = MediaState.WAITING
    if data["referral"]:
        content["referral"] = dict(data["referral"])
    reply = data["reply_to"]
    if reply and (reply["forwarded"] or reply["product"]):
        content["context"] = {"forwarded": reply["forwarded"], "product": reply["product"]}
    message.type = data["type"][:30]
    message.text = data["text"]
    message.content = content
    message.external_id = data["external_id"]
    message.reply_to = str(content.get("target") or (reply["external_id"] if reply else ""))[:300]
    message.error = statuses.error_of(data["errors"][0]) if data["errors"] else None
    message.occurred_at = at


def _note_in_conversation(message: Message) -> None:
    conversation: Conversation = message.conversation
    is_inbound = message.direction == Direction.INBOUND
    if message.type not in SILENT:
        conversation.note(message.text or message.type, at=message.occurred_at, is_inbound=is_inbound)
    elif is_inbound and message.type != "system":
        conversation.note_inbound(message.occurred_at)
    ours = together.current()
    if ours is None or not ours.change_conversation(conversation):
        conversation.save(update_fields=["last_message_at", "last_text", "last_inbound_at", "unread_count"])


def _catch_up(message: Message) -> None:
    """Apply what arrived before this message, and this message to what it is about."""
    ours = together.current()
    if ours and message.type not in _ACTS and not ours.is_acted_upon(message.external_id):
        return
    if message.direction == Direction.OUTBOUND:
        statuses.note_earlier_statuses(message)
    apply_to_target(message)
    earlier = Message.objects.filter(
        integration_id=message.integration_id, reply_to=message.external_id, type__in=list(_ACTS)
    )
    for act in earlier.order_by("occurred_at"):
        apply_to_target(act)


def _react(target: Message, reaction: Message) -> bool:
    """Keep the latest reaction of each person; an empty emoji takes it back."""
    who = US if reaction.direction == Direction.OUTBOUND else str(reaction.contact_id)
    at = clock.iso(reaction.occurred_at) or ""
    if target.reactions.get(who, {}).get("at", "") > at:
        return False
    target.reactions[who] = {"emoji": reaction.content.get("emoji", ""), "at": at}
    return True


def _edit(target: Message, edit: Message) -> bool:
    if not _is_own(target, edit) or (target.edited_at and target.edited_at > edit.occurred_at):
        return False
    target.text, target.edited_at = edit.text, edit.occurred_at
    target.content = {**target.content, **(edit.content.get("content") or {})}
    return True


def _revoke(target: Message, revocation: Message) -> bool:
    if not _is_own(target, revocation):
        return False
    target.is_deleted = True
    return True


def _is_own(target: Message, act: Message) -> bool:
    """A person may change what they wrote, and nothing else."""
    return target.direction == act.direction and target.contact_id == act.contact_id


_ACTS: Mapping[str, Callable[[Message, Message], bool]] = {"reaction": _react, "edit": _edit, "revoke": _revoke}

ACTS = tuple(_ACTS)
"""Types that act on another message."""

SILENT = frozenset({*_ACTS, "system"})
"""Types that are no lines of their own in a conversation."""
