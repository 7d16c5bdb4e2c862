"""
Accepting a message: the channel's rules first, then row, outside work and audit in one transaction.

What is refused here was never accepted; what is accepted is sent, or fails with an error that says why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from audit.services import Actor, Target, record
from channels_app.contract import (
    MEDIA_TYPES,
    ContactData,
    Content,
    Interactive,
    Location,
    Media,
    MessageType,
    OutgoingMessage,
    Reaction,
    SendsMessages,
    Text,
    read_content,
)
from channels_app.contract import Template as TemplateContent
from channels_app.models import Contact, Conversation, Direction, MediaState, Message
from channels_app.services import media, messaging_limits, people, template_rules, templates
from channels_app.services.readiness import class_with, refuse, refusing, require_usable
from channels_app.services.records import SILENT
from channels_app.services.statuses import SEND, order_key
from core import clock
from core.errors import ValidationFailed
from core.ids import new_id
from dispatch import outbox
from integrations.models import Integration

_PHONE = re.compile(r"\+?[1-9][0-9]{4,14}")
_SEPARATORS = re.compile(r"[ ().-]")
_LONGEST_ADDRESS = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A message that passed every rule that needs no recipient."""

    integration: Integration
    provider: type[SendsMessages]
    kind: MessageType
    content: Content
    data: Mapping[str, Any]
    template_category: str


def send_message(
    *,
    integration: Integration,
    to: str,
    type: str,
    content: Any,
    reply_to: str = "",
    actor: Actor,
) -> Message:
    """
    Accept a message and return its row, queued; a worker sends it.

    :param to: a phone number with country code, the channel's user id, or the id of a contact or conversation of ours
    :param content: the `<type>: {…}` part of the public contract
    :param reply_to: a message of the same conversation, by our id or the vendor's
    :raises ValidationFailed: a rule of the channel or of the contract forbids it; the text says what to do
    :raises NotReady: the integration is disabled or disconnected
    :raises ProviderError: the template had to be looked up and the vendor could not be asked
    """
    require_usable(integration, parks=True)
    draft = _read(integration, type, content, actor=actor)
    with refusing():
        draft.provider.check_message(_outgoing(draft, to=_address(integration, to)))
    with transaction.atomic():
        contact, conversation = _recipient(integration, to)
        _check_recipient(draft, contact, conversation)
        if _has_open_window(draft.provider, conversation):
            messaging_limits.let_go_on(conversation)
        message = _make(draft, contact, conversation, reply_to=reply_to)
        message.save(force_insert=True)
        if message.type not in SILENT:
            conversation.note(message.text or message.type, at=message.occurred_at, is_inbound=False)
            conversation.save()
        outbox.add(SEND, link_id=integration.id, object_id=str(message.id), object_key=order_key(conversation.id))
        record(
            action="message.accepted",
            actor=actor,
            target=Target(kind="message", id=str(message.id), label=message.type),
            details={"integration": str(integration.id), "conversation": str(conversation.id)},
        )
    return message


def check_still_allowed(message: Message) -> None:
    """
    Ask the channel's rules again for a message that was accepted and has waited since, right before it is sent.

    A message that opens a conversation takes its person's place in the messaging limit.

    :raises ValidationFailed: a rule forbids it now; the text says what to do
    :raises MessagingLimitReached: it must wait, because too many new people were written to in a day
    """
    kind = MessageType(message.type)
    content = read_content(kind, message.content)
    category = ""
    if isinstance(content, TemplateContent):
        category = templates.category_of(message.integration, name=content.name, language=content.language)
    draft = _Draft(
        integration=message.integration,
        provider=class_with(message.integration, SendsMessages),
        kind=kind,
        content=content,
        data=message.content,
        template_category=category,
    )
    _check_recipient(draft, message.contact, message.conversation)
    if _opens_conversation(draft, message.contact, message.conversation):
        messaging_limits.take_place(message, window_s=draft.provider.window_s or 0.0)


def _opens_conversation(draft: _Draft, contact: Contact | None, conversation: Conversation) -> bool:
    return contact is not None and not _has_open_window(draft.provider, conversation)


def read_type(name: str) -> MessageType:
    """
    Read the type of a message.

    :raises ValidationFailed: it is none of the contract's
    """
    try:
        return MessageType(name)
    except ValueError:
        known = ", ".join(kind.value for kind in MessageType)
        raise ValidationFailed(
            "There is no such type of message.", errors={"type": [f"Use one of: {known}."]}
        ) from None


def _read(integration: Integration, kind_name: str, data: Any, *, actor: Actor) -> _Draft:
    provider = class_with(integration, SendsMessages)
    kind = read_type(kind_name)
    with refusing():
        content = read_content(kind, data)
    if isinstance(content, Media) and kind in MEDIA_TYPES:
        media.check_reference(integration, kind, content)
    template = None
    if isinstance(content, TemplateContent):
        template = templates.approved(integration, name=content.name, language=content.language, actor=actor)
        if template is not None:
            template_rules.check_parameters(template, content)
    return _Draft(
        integration=integration,
        provider=provider,
        kind=kind,
        content=content,
        data={"contacts": list(data)} if isinstance(data, list | tuple) else dict(data),
        template_category=template.category if template else "",
    )


def _outgoing(draft: _Draft, *, to: str) -> OutgoingMessage:
    return OutgoingMessage(id=str(new_id()), to=to, type=draft.kind, content=draft.content)


def _address(integration: Integration, to: str) -> str:
    """Return the address as the channel takes it, without making a contact yet."""
    found = _known(integration, to)
    if isinstance(found, Conversation):
        return found.group_id or address_of(found.contact)
    return address_of(found) if found else normalized(to)


def _recipient(integration: Integration, to: str) -> tuple[Contact | None, Conversation]:
    """Return contact and conversation, locked, made when this is the first message to somebody."""
    found = _known(integration, to)
    if isinstance(found, Conversation) and found.group_id:
        return None, people.conversation_with(integration, None, group_id=found.group_id)
    known = found.contact if isinstance(found, Conversation) else found
    if known is not None:
        contact = Contact.objects.select_for_update(no_key=True).get(pk=known.pk)
        return contact, people.conversation_with(integration, contact)
    address = normalized(to)
    is_phone = address.startswith("+")
    person = ContactData(
        external_id=address,
        bsuid=None if is_phone else address,
        parent_bsuid=None,
        phone=address if is_phone else None,
        username=None,
        name=None,
    )
    made = people.find_or_make(integration, person)
    return made, people.conversation_with(integration, made)


def _known(integration: Integration, to: str) -> Contact | Conversation | None:
    """
    Return the contact or conversation of ours that an id names; None where it is no id of ours.

    :raises ValidationFailed: it looks like one and leads nowhere
    """
    try:
        wanted = UUID(to)
    except ValueError:
        return None
    contact = Contact.objects.filter(integration=integration, pk=wanted).first()
    conversation = None if contact else Conversation.objects.filter(integration=integration, pk=wanted).first()
    return contact or conversation or refuse("to", "There is no contact with this id at this integration.")


def normalized(to: str) -> str:
    """
    Write a phone number as E.164; what is none is taken for the channel's own id.

    :raises ValidationFailed: it is empty or endless
    """
    stripped = _SEPARATORS.sub("", to)
    if _PHONE.fullmatch(stripped):
        return f"+{stripped.removeprefix('+')}"
    if not to.strip() or len(to) > _LONGEST_ADDRESS:
        refuse("to", "Give a phone number with country code, such as +15550100101, or a contact's id.")
    return to.strip()


def address_of(contact: Contact | None) -> str:
    """Return what a channel reaches a contact by: the phone before the user id (the card: if both, the phone wins)."""
    address = (contact.phone or contact.bsuid) if contact else ""
    return address or str(refuse("to", "This contact has neither a phone number nor a user id."))


def _check_recipient(draft: _Draft, contact: Contact | None, conversation: Conversation) -> None:
    for rule in _RULES:
        rule(draft, contact, conversation)


def _can_be_reached(draft: _Draft, contact: Contact | None, conversation: Conversation) -> None:
    if contact is not None and contact.blocked_reason:
        refuse(
            "to", "The channel says that this person cannot be reached. Wait until they write, or use another channel."
        )


def _wants_marketing(draft: _Draft, contact: Contact | None, conversation: Conversation) -> None:
    if draft.template_category == templates.MARKETING and contact is not None and contact.marketing_stopped:
        refuse("to", "This person asked for no more marketing. Send a utility template, or wait until they resume it.")


def _may_take_codes(draft: _Draft, contact: Contact | None, conversation: Conversation) -> None:
    if draft.template_category == templates.AUTHENTICATION and contact is not None and not contact.phone:
        refuse(
            "to", "Templates with codes go to phone numbers only, and this person's is not known. Ask them for it, or"
            " send a utility template.",
        )  # fmt: skip


def _window_is_open(draft: _Draft, contact: Contact | None, conversation: Conversation) -> None:
    window_s = draft.provider.window_s or 0.0
    if draft.kind not in draft.provider.types_outside_window and not _has_open_window(draft.provider, conversation):
        refuse(
            "type",
            f"This person has not written in the last {window_s / 3600:.0f} hours, so the channel takes no free"
            " message: send an approved template.",
        )


def _has_open_window(provider: type[SendsMessages], conversation: Conversation) -> bool:
    """Whether the person wrote lately enough for any message; always where the channel has no such window."""
    last = conversation.last_inbound_at
    if provider.window_s is None:
        return True
    return last is not None and (clock.now() - last).total_seconds() <= provider.window_s


_RULES: Sequence[Callable[[_Draft, Contact | None, Conversation], None]] = (
    _can_be_reached,
    _wants_marketing,
    _may_take_codes,
    _window_is_open,
)


def _make(draft: _Draft, contact: Contact | None, conversation: Conversation, *, reply_to: str) -> Message:
    content = dict(draft.data)
    answered = _answered(conversation, reply_to, field="reply_to") if reply_to else ""
    if isinstance(draft.content, Reaction):
        answered = _answered(conversation, draft.content.message_id, field="reaction.message_id")
        content["message_id"] = answered
    now = clock.now()
    file_id = media.own_file_id(draft.content)
    return Message(
        integration=draft.integration,
        conversation=conversation,
        contact=contact,
        direction=Direction.OUTBOUND,
        type=draft.kind.value,
        text=_text_of(draft.content),
        content=content,
        reply_to=answered,
        media_file_id=file_id,
        media_state=MediaState.KEPT if file_id else "",
        created_at=now,
        occurred_at=now,
    )


def _answered(conversation: Conversation, reference: str, *, field: str) -> str:
    """Return the vendor's id of a message of this conversation, named by our id or by the vendor's."""
    rows = Message.objects.filter(conversation=conversation)
    try:
        found = rows.filter(pk=UUID(reference)).first()
    except ValueError:
        found = rows.filter(external_id=reference).first()
    if found is None:
        refuse(field, "There is no such message in this conversation.")
    elif not found.external_id:
        refuse(field, "That message has not been sent yet; answer it once its status is sent.")
    return str(found.external_id) if found else ""


def _text_of(content: Content) -> str:
    reader = _TEXTS.get(type(content))
    return reader(content) if reader else ""


_TEXTS: Mapping[type[Any], Callable[[Any], str]] = {
    Text: lambda content: content.body,
    TemplateContent: lambda content: f"[{content.name}]",
    Media: lambda content: content.caption or content.filename,
    Location: lambda content: content.name or content.address,
    Interactive: lambda content: content.text,
    Reaction: lambda content: content.emoji,
}
"""Type of a content -> what a list shows of it."""
