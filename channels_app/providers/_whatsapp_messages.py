"""Check an outgoing message against WhatsApp's limits and write it in WhatsApp's form."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from channels_app.contract import (
    BusinessProfile,
    Contacts,
    Content,
    Interactive,
    Location,
    Media,
    MessageType,
    OutgoingMessage,
    Reaction,
    Template,
    Text,
    malformed,
)
from channels_app.providers._meta_json import items, obj, text
from channels_app.providers._whatsapp_people import bsuid, phone
from integrations.contract import RequestRejected

TEXT_LENGTH = 4096
CAPTION_LENGTH = 1024
BODY_LENGTH = 1024
SHORT_LENGTH = 60
"""Header texts and footers of interactive messages."""

BUTTONS = 3
BUTTON_LENGTH = 20
ROWS = 10
CALLBACK_LENGTH = 512
"""`biz_opaque_callback_data`: our message id, which comes back in the statuses."""

ABOUT_LENGTH = 139
WEBSITES = 2
WEBSITE_LENGTH = 256

WITHOUT_CAPTION = frozenset({MessageType.AUDIO, MessageType.STICKER})

INTERACTIVE_KINDS = frozenset(
    {
        "address_message",
        "button",
        "call_permission_request",
        "carousel",
        "catalog_message",
        "contact_request",
        "cta_url",
        "flow",
        "list",
        "location_request_message",
        "product",
        "product_list",
    }
)

WITHOUT_TEXT = frozenset({"product", "carousel"})

_GROUP = re.compile(r"[A-Za-z0-9.-]{5,100}@g\.us")
_TEMPLATE_NAME = re.compile("[a-z0-9_]{1,512}")
_LANGUAGE = re.compile("[a-z]{2,3}(_[A-Za-z]{2,4})?")
_LINK = re.compile(r"https?://\S{1,2000}", re.IGNORECASE)


def check_message(message: OutgoingMessage) -> None:
    """
    Refuse what WhatsApp would refuse, before anything is sent.

    :raises RequestRejected: with field, reason and what to do
    """
    recipient(message.to)
    if len(message.id) > CALLBACK_LENGTH:
        raise too_long("id", CALLBACK_LENGTH)
    kind, check, _ = _TYPES[message.type]
    if not isinstance(message.content, kind):
        raise malformed(message.type.value, f"the content of a message of type {message.type.value}")
    check(message.type, message.content)


def write_message(message: OutgoingMessage) -> dict[str, Any]:
    """Write the body of `POST /{phone_number_id}/messages`."""
    check_message(message)
    _, _, write = _TYPES[message.type]
    body: dict[str, Any] = {
        "messaging_product": "whatsapp",
        **recipient(message.to),
        "type": message.type.value,
        message.type.value: write(message.content),
        "biz_opaque_callback_data": message.id,
    }
    if message.reply_to:
        body["context"] = {"message_id": message.reply_to}
    return body


def recipient(to: str) -> dict[str, str]:
    """
    Name the recipient: a phone number or a group in `to`, a business-scoped user id in `recipient`.

    :raises RequestRejected: it is none of them
    """
    if _GROUP.fullmatch(to):
        return {"recipient_type": "group", "to": to}
    if number := phone(to):
        return {"recipient_type": "individual", "to": number}
    if user := bsuid(to):
        return {"recipient_type": "individual", "recipient": user}
    raise malformed("to", "a phone number with country code (+15550100101), a WhatsApp user id or a group id")


def check_profile(profile: BusinessProfile) -> None:
    """
    Refuse a profile that WhatsApp would refuse.

    :raises RequestRejected: with field, reason and what to do
    """
    if profile.about is not None and not 0 < len(profile.about) <= ABOUT_LENGTH:
        raise malformed("about", f"a text of 1 to {ABOUT_LENGTH} characters")
    sites = profile.websites or ()
    if len(sites) > WEBSITES:
        raise malformed("websites", f"a list of at most {WEBSITES} addresses")
    for site in sites:
        _limit(site, WEBSITE_LENGTH, field="websites")


def too_long(field: str, length: int) -> RequestRejected:
    """Make the refusal of a text that is too long."""
    return RequestRejected(
        f"{field}: longer than {length}",
        field=field,
        reason="too_long",
        next_action=f"Shorten {field} to {length} characters.",
    )


def _limit(value: str, length: int, *, field: str) -> None:
    if len(value) > length:
        raise too_long(field, length)


def _check_text(kind: MessageType, content: Content) -> None:
    body = cast(Text, content).body
    if not body.strip():
        raise malformed("text.body", "a text that is not empty")
    _limit(body, TEXT_LENGTH, field="text.body")


def _check_template(kind: MessageType, content: Content) -> None:
    template = cast(Template, content)
    if not _TEMPLATE_NAME.fullmatch(template.name):
        raise malformed("template.name", "lower-case letters, digits and underscores")
    if not _LANGUAGE.fullmatch(template.language):
        raise malformed("template.language", "a language code such as en or pt_BR")


def _check_media(kind: MessageType, content: Content) -> None:
    media = cast(Media, content)
    if bool(media.id) == bool(media.link):
        raise malformed(f"{kind.value}.id", "either id (of an uploaded file) or link, not both")
    if media.link and not _LINK.fullmatch(media.link):
        raise malformed(f"{kind.value}.link", "an address that starts with https://")
    if media.caption and kind in WITHOUT_CAPTION:
        raise malformed(f"{kind.value}.caption", "nothing: this type has no caption")
    _limit(media.caption, CAPTION_LENGTH, field=f"{kind.value}.caption")


def _check_location(kind: MessageType, content: Content) -> None:
    place = cast(Location, content)
    if not -90 <= place.latitude <= 90:  # noqa: PLR2004  degrees
        raise malformed("location.latitude", "degrees between -90 and 90")
    if not -180 <= place.longitude <= 180:  # noqa: PLR2004  degrees
        raise malformed("location.longitude", "degrees between -180 and 180")


def _check_contacts(kind: MessageType, content: Content) -> None:
    cards = cast(Contacts, content).contacts
    if not cards:
        raise malformed("contacts", "a list with one contact card at least")
    for position, card in enumerate(cards):
        if not text(obj(card.get("name")).get("formatted_name")):
            raise malformed(f"contacts.{position}.name.formatted_name", "the name to show")


def _check_reaction(kind: MessageType, content: Content) -> None:
    if not cast(Reaction, content).message_id:
        raise malformed("reaction.message_id", "the id of the message to react to")


def _check_interactive(kind: MessageType, content: Content) -> None:
    message = cast(Interactive, content)
    if message.kind not in INTERACTIVE_KINDS:
        raise malformed("interactive.type", f"one of {', '.join(sorted(INTERACTIVE_KINDS))}")
    if not message.text.strip() and message.kind not in WITHOUT_TEXT:
        raise malformed("interactive.body.text", "a text that is not empty")
    _limit(message.text, BODY_LENGTH, field="interactive.body.text")
    _limit(message.footer, SHORT_LENGTH, field="interactive.footer.text")
    _limit(text(obj(message.header).get("text")), SHORT_LENGTH, field="interactive.header.text")
    _ACTION_CHECKS.get(message.kind, _check_nothing)(message.action)


def _check_buttons(action: Mapping[str, Any]) -> None:
    buttons = items(action.get("buttons"))
    if not 0 < len(buttons) <= BUTTONS:
        raise malformed("interactive.action.buttons", f"a list of 1 to {BUTTONS} buttons")
    for position, button in enumerate(buttons):
        field = f"interactive.action.buttons.{position}.reply"
        reply = obj(obj(button).get("reply"))
        if not text(reply.get("id")) or not text(reply.get("title")):
            raise malformed(field, "an object with id and title")
        _limit(text(reply.get("title")), BUTTON_LENGTH, field=f"{field}.title")


def _check_list(action: Mapping[str, Any]) -> None:
    if not text(action.get("button")):
        raise malformed("interactive.action.button", "the text of the button that opens the list")
    _limit(text(action.get("button")), BUTTON_LENGTH, field="interactive.action.button")
    rows = [obj(row) for section in items(action.get("sections")) for row in items(obj(section).get("rows"))]
    if not 0 < len(rows) <= ROWS:
        raise malformed("interactive.action.sections", f"sections with 1 to {ROWS} rows together")
    if not all(text(row.get("id")) and text(row.get("title")) for row in rows):
        raise malformed("interactive.action.sections", "rows with id and title")


def _check_link_button(action: Mapping[str, Any]) -> None:
    parameters = obj(action.get("parameters"))
    if not text(parameters.get("display_text")) or not _LINK.fullmatch(text(parameters.get("url"))):
        raise malformed("interactive.action.parameters", "an object with display_text and url (https://…)")


def _check_flow(action: Mapping[str, Any]) -> None:
    parameters = obj(action.get("parameters"))
    if not text(parameters.get("flow_id")) and not text(parameters.get("flow_name")):
        raise malformed("interactive.action.parameters", "an object with flow_id or flow_name")


def _check_nothing(action: Mapping[str, Any]) -> None:
    """The remaining kinds have no limit on the card; the vendor checks them."""


_ACTION_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
    "button": _check_buttons,
    "list": _check_list,
    "cta_url": _check_link_button,
    "flow": _check_flow,
}

_DEFAULT_ACTIONS: Mapping[str, Mapping[str, Any]] = {"location_request_message": {"name": "send_location"}}


def _filled(**members: Any) -> dict[str, Any]:
    """Leave out what is empty; numbers and false stay."""
    return {name: value for name, value in members.items() if value not in ("", None, (), [])}


def _write_text(content: Content) -> dict[str, Any]:
    message = cast(Text, content)
    return {"body": message.body, "preview_url": message.preview_url}


def _write_template(content: Content) -> dict[str, Any]:
    template = cast(Template, content)
    return _filled(
        name=template.name,
        language={"code": template.language},
        components=[dict(item) for item in template.components],
    )


def _write_media(content: Content) -> dict[str, Any]:
    media = cast(Media, content)
    voice = True if media.voice else None
    return _filled(id=media.id, link=media.link, caption=media.caption, filename=media.filename, voice=voice)


def _write_location(content: Content) -> dict[str, Any]:
    place = cast(Location, content)
    return _filled(latitude=place.latitude, longitude=place.longitude, name=place.name, address=place.address)


def _write_contacts(content: Content) -> list[dict[str, Any]]:
    return [dict(card) for card in cast(Contacts, content).contacts]


def _write_interactive(content: Content) -> dict[str, Any]:
    message = cast(Interactive, content)
    return _filled(
        type=message.kind,
        header=dict(message.header) if message.header else None,
        body={"text": message.text} if message.text else None,
        footer={"text": message.footer} if message.footer else None,
        action=dict(message.action or _DEFAULT_ACTIONS.get(message.kind, {})),
    )


def _write_reaction(content: Content) -> dict[str, Any]:
    reaction = cast(Reaction, content)
    return {"message_id": reaction.message_id, "emoji": reaction.emoji}


_Check = Callable[[MessageType, Content], None]
_Write = Callable[[Content], Any]
_MEDIA: tuple[type, _Check, _Write] = (Media, _check_media, _write_media)

_TYPES: Mapping[MessageType, tuple[type, _Check, _Write]] = {
    MessageType.TEXT: (Text, _check_text, _write_text),
    MessageType.TEMPLATE: (Template, _check_template, _write_template),
    MessageType.IMAGE: _MEDIA,
    MessageType.VIDEO: _MEDIA,
    MessageType.AUDIO: _MEDIA,
    MessageType.DOCUMENT: _MEDIA,
    MessageType.STICKER: _MEDIA,
    MessageType.LOCATION: (Location, _check_location, _write_location),
    MessageType.CONTACTS: (Contacts, _check_contacts, _write_contacts),
    MessageType.INTERACTIVE: (Interactive, _check_interactive, _write_interactive),
    MessageType.REACTION: (Reaction, _check_reaction, _write_reaction),
}
"""Type -> (class of its content, check, writer)."""
