"""
Messages as people read them: one bubble each, whatever its type, with ticks, reactions and reasons.

Reactions, edits and deletions are rows of their own and show on the message they are about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from channels_app.contract import MEDIA_TYPES
from channels_app.models import Direction, MediaState, Message, MessageStatus, Template
from channels_app.services.template_rules import PLACEHOLDER, component, objects

HIDDEN_TYPES = ("reaction", "edit", "revoke")
"""Rows that act on another message and are no lines of their own."""

KINDS: Mapping[str, tuple[str, Any]] = {
    "template": ("description", gettext_lazy("Template")),
    "image": ("image", gettext_lazy("Image")),
    "video": ("movie", gettext_lazy("Video")),
    "audio": ("mic", gettext_lazy("Audio")),
    "document": ("draft", gettext_lazy("Document")),
    "sticker": ("sticky_note_2", gettext_lazy("Sticker")),
    "location": ("location_on", gettext_lazy("Location")),
    "contacts": ("contacts", gettext_lazy("Contact card")),
    "interactive": ("touch_app", gettext_lazy("Interactive")),
    "button": ("touch_app", gettext_lazy("Button")),
    "order": ("shopping_cart", gettext_lazy("Order")),
    "system": ("info", gettext_lazy("Notice of the channel")),
    "unsupported": ("help", gettext_lazy("A kind of message the channel does not pass on")),
}
"""Type -> icon and words above the text; plain texts have neither."""

TICKS: Mapping[str, tuple[str, str]] = {
    MessageStatus.QUEUED: ("schedule", ""),
    MessageStatus.SENT: ("check", ""),
    MessageStatus.DELIVERED: ("done_all", ""),
    MessageStatus.READ: ("done_all", "rg-tick-read"),
    MessageStatus.FAILED: ("error", "rg-no"),
    MessageStatus.EXPIRED: ("timer_off", "rg-no"),
}
"""Status of a sent message -> icon and color."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bubble:
    """What the page shows of one message; `new_day` is set on the first message of a day."""

    id: str
    is_out: bool
    type: str
    at: datetime
    new_day: datetime | None
    icon: str = ""
    kind: Any = ""
    text: str = ""
    footer: str = ""
    quote: str = ""
    media: str = ""
    media_name: str = ""
    is_media_waiting: bool = False
    choices: Sequence[str] = ()
    lines: Sequence[str] = ()
    link: str = ""
    tick: tuple[str, str] | None = None
    status: str = ""
    status_label: Any = ""
    reason: str = ""
    remedy: str = ""
    reactions: str = ""
    is_deleted: bool = False
    is_edited: bool = False
    is_echo: bool = False


@dataclass(slots=True)
class _Parts:
    """What a type's content adds to its bubble."""

    text: str = ""
    footer: str = ""
    choices: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    link: str = ""


def bubbles(messages: Sequence[Message]) -> list[Bubble]:
    """Turn messages of one conversation, oldest first, into bubbles; two queries at most."""
    templates = _templates_of(messages)
    quotes = _quotes_of(messages)
    made: list[Bubble] = []
    day = None
    for message in messages:
        is_new = message.occurred_at.date() != day
        day = message.occurred_at.date()
        made.append(_bubble(message, templates=templates, quotes=quotes, is_new_day=is_new))
    return made


def _bubble(
    message: Message, *, templates: Mapping[tuple[str, str], Template], quotes: Mapping[str, str], is_new_day: bool
) -> Bubble:
    is_out = message.direction == Direction.OUTBOUND
    parts = _parts(message, templates)
    icon, kind = KINDS.get(message.type, ("", "" if message.type == "text" else message.type))
    error = message.error or {}
    has_file = message.type in MEDIA_TYPES and not message.is_deleted
    return Bubble(
        id=str(message.pk),
        is_out=is_out,
        type=message.type,
        at=message.occurred_at,
        new_day=message.occurred_at if is_new_day else None,
        icon=icon,
        kind=kind,
        text=parts.text if parts.text != message.content.get("filename") else "",
        footer=parts.footer,
        quote=quotes.get(message.reply_to, ""),
        media=message.type if has_file and message.media_file_id else "",
        media_name=str(message.content.get("filename") or ""),
        is_media_waiting=has_file and message.media_state == MediaState.WAITING,
        choices=parts.choices,
        lines=parts.lines,
        link=parts.link,
        tick=TICKS.get(message.status) if is_out else None,
        status=message.status,
        status_label=message.get_status_display(),
        reason=_(error["message"]) if error.get("message") else "",
        remedy=_(error["next_action"]) if is_out and error.get("next_action") else "",
        reactions=_reactions(message),
        is_deleted=message.is_deleted,
        is_edited=message.edited_at is not None,
        is_echo=message.is_echo,
    )


def _reactions(message: Message) -> str:
    values = [item.get("emoji", "") if isinstance(item, Mapping) else str(item) for item in message.reactions.values()]
    return "".join(value for value in values if value)


def _quotes_of(messages: Sequence[Message]) -> dict[str, str]:
    """Return the beginnings of the messages that others answer, by the vendor's id."""
    wanted = {message.reply_to for message in messages if message.reply_to}
    if not wanted:
        return {}
    rows = Message.objects.filter(conversation_id=messages[0].conversation_id, external_id__in=wanted)
    return {
        row.external_id: _("deleted")
        if row.is_deleted
        else (row.text or str(KINDS.get(row.type, ("", row.type))[1]))[:120]
        for row in rows.only("external_id", "text", "type", "is_deleted")
    }


def _templates_of(messages: Sequence[Message]) -> dict[tuple[str, str], Template]:
    names = {str(message.content.get("name", "")) for message in messages if message.type == "template"}
    if not names:
        return {}
    rows = Template.objects.filter(integration_id=messages[0].integration_id, name__in=names)
    return {(row.name, row.language): row for row in rows}


def _parts(message: Message, templates: Mapping[tuple[str, str], Template]) -> _Parts:
    if message.is_deleted:
        return _Parts()
    if message.type == "template":
        return _template(message, templates)
    reader = _READERS.get(message.type)
    return reader(message) if reader else _Parts(text=message.text or str(message.content.get("body", "")))


def _template(message: Message, templates: Mapping[tuple[str, str], Template]) -> _Parts:
    """Fill the approved text with what was sent; without the row only the name is known."""
    content = message.content
    row = templates.get((str(content.get("name", "")), _language(content)))
    if row is None:
        return _Parts(text=f"[{content.get('name', '')}]")
    sent = content.get("components") or []
    header = _filled(component(row.components, "HEADER").get("text", ""), component(sent, "HEADER"))
    body = _filled(component(row.components, "BODY").get("text", ""), component(sent, "BODY"))
    buttons = component(row.components, "BUTTONS").get("buttons")
    return _Parts(
        text="\n".join(part for part in (header, body) if part),
        footer=str(component(row.components, "FOOTER").get("text", "")),
        choices=[str(button.get("text", "")) for button in objects(buttons)],
    )


def _language(content: Mapping[str, Any]) -> str:
    language = content.get("language", "")
    return str(language.get("code", "")) if isinstance(language, Mapping) else str(language)


def _filled(text: Any, sent: Mapping[str, Any]) -> str:
    values: dict[str, str] = {}
    for number, parameter in enumerate(objects(sent.get("parameters")), start=1):
        name = str(parameter.get("parameter_name") or number)
        values[name] = str(parameter.get("text", ""))
    return PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), str(text))


def _interactive(message: Message) -> _Parts:
    content = message.content
    if "title" in content:  # what a person tapped
        return _Parts(text=str(content["title"]), lines=[str(content.get("description") or "")])
    action = _object(content.get("action"))
    buttons = [str((_object(item.get("reply")) or item).get("title", "")) for item in objects(action.get("buttons"))]
    sections = objects(action.get("sections"))
    rows = [str(row.get("title", "")) for section in sections for row in objects(section.get("rows"))]
    parameters = _object(action.get("parameters"))
    other = [str(value) for value in (parameters.get("display_text"), parameters.get("flow_cta")) if value]
    return _Parts(text=message.text or _worded(content.get("body")), footer=_worded(content.get("footer")),
                  choices=[*buttons, *rows, *other])  # fmt: skip


def _worded(value: Any) -> str:
    return str(value.get("text", "")) if isinstance(value, Mapping) else str(value or "")


def _location(message: Message) -> _Parts:
    content = message.content
    latitude, longitude = content.get("latitude"), content.get("longitude")
    lines = [str(content.get("name") or ""), str(content.get("address") or ""), f"{latitude}, {longitude}"]
    return _Parts(lines=[line for line in dict.fromkeys(lines) if line], link=f"geo:{latitude},{longitude}")


def _contacts(message: Message) -> _Parts:
    lines = []
    for card in objects(message.content.get("contacts")):
        name = _object(card.get("name")).get("formatted_name", "")
        phones = ", ".join(str(phone.get("phone", "")) for phone in objects(card.get("phones")))
        lines.append(" · ".join(part for part in (str(name), phones) if part))
    return _Parts(lines=lines)


def _order(message: Message) -> _Parts:
    items = objects(message.content.get("items") or message.content.get("product_items"))
    lines = [f"{item.get('quantity', 1)} x {item.get('product_retailer_id', item.get('id', ''))}" for item in items]
    return _Parts(text=message.text, lines=lines)


def _object(value: Any) -> Mapping[str, Any]:
    """Take an object: what vendors and callers send is theirs, and one odd message must not close a conversation."""
    return value if isinstance(value, Mapping) else {}


_READERS: Mapping[str, Callable[[Message], _Parts]] = {
    "interactive": _interactive,
    "location": _location,
    "contacts": _contacts,
    "order": _order,
}
