"""The content of an incoming WhatsApp message, by type, in normalized words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from channels_app.contract import MediaData
from channels_app.providers._meta_json import items, obj, text
from integrations.contract import UnexpectedResponse, read_json_object

Content = tuple[str, dict[str, Any]]
"""(text for lists, content)"""

MEDIA = frozenset({"image", "video", "audio", "document", "sticker"})

UNSUPPORTED = frozenset({"unsupported", "unknown"})


def read_content(message: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Return (type, text, content); a type we do not know is kept whole under its own name."""
    kind = text(message.get("type"))
    if kind in UNSUPPORTED or not kind:
        return "unsupported", "", {"kind": text(obj(message.get("unsupported")).get("type"))}
    reader = _READERS.get(kind)
    if reader is None:
        return kind, "", {"value": message.get(kind)}
    words, content = reader(message)
    return kind, words, content


def read_media(message: Mapping[str, Any]) -> MediaData | None:
    """Return the file of a message, or None."""
    kind = text(message.get("type"))
    file = obj(message.get(kind)) if kind in MEDIA else {}
    if not text(file.get("id")):
        return None
    return MediaData(
        id=text(file.get("id")),
        mime_type=text(file.get("mime_type")),
        sha256=text(file.get("sha256")),
        filename=text(file.get("filename")) or None,
        caption=text(file.get("caption")) or None,
        url=text(file.get("url")) or None,
        voice=file.get("voice") is True,
        animated=file.get("animated") is True,
    )


def _text(message: Mapping[str, Any]) -> Content:
    body = text(obj(message.get("text")).get("body"))
    return body, {"body": body}


def _media(message: Mapping[str, Any]) -> Content:
    file = obj(message.get(text(message.get("type"))))
    return text(file.get("caption")) or text(file.get("filename")), {}


def _location(message: Mapping[str, Any]) -> Content:
    place = obj(message.get("location"))
    content = {name: place.get(name) for name in ("latitude", "longitude", "name", "address", "url")}
    return text(place.get("name")) or text(place.get("address")), content


def _contacts(message: Mapping[str, Any]) -> Content:
    cards = [card for card in items(message.get("contacts")) if isinstance(card, dict)]
    names = [text(obj(card.get("name")).get("formatted_name")) for card in cards]
    return ", ".join(name for name in names if name), {"contacts": cards, "origin": text(message.get("origin")) or None}


def _button(message: Mapping[str, Any]) -> Content:
    button = obj(message.get("button"))
    return text(button.get("text")), {"text": text(button.get("text")), "payload": text(button.get("payload"))}


def _interactive(message: Mapping[str, Any]) -> Content:
    interactive = obj(message.get("interactive"))
    kind = text(interactive.get("type"))
    reply = obj(interactive.get(kind))
    content = {
        "kind": {"nfm_reply": "flow_reply"}.get(kind, kind),
        "id": text(reply.get("id")) or text(reply.get("name")),
        "title": text(reply.get("title")),
        "description": text(reply.get("description")),
        "response": _flow_answer(reply.get("response_json")),
    }
    return content["title"] or text(reply.get("body")), content


def _flow_answer(value: Any) -> Any:
    """A flow's answer is JSON inside a text; what is no storable object stays the text it is."""
    try:
        return read_json_object(text(value).encode())
    except UnexpectedResponse:
        return text(value) or None


def _reaction(message: Mapping[str, Any]) -> Content:
    reaction = obj(message.get("reaction"))
    emoji = text(reaction.get("emoji"))
    return emoji, {"emoji": emoji, "target": text(reaction.get("message_id"))}


def _order(message: Mapping[str, Any]) -> Content:
    order = obj(message.get("order"))
    content = {
        "catalog_id": text(order.get("catalog_id")),
        "text": text(order.get("text")),
        "items": [item for item in items(order.get("product_items")) if isinstance(item, dict)],
    }
    return text(order.get("text")), content


def _system(message: Mapping[str, Any]) -> Content:
    system = obj(message.get("system"))
    return text(system.get("body")), {"kind": text(system.get("type")), "text": text(system.get("body"))}


def _edit(message: Mapping[str, Any]) -> Content:
    edit = obj(message.get("edit"))
    inner = obj(edit.get("message"))
    _, words, content = read_content(inner) if inner and text(inner.get("type")) != "edit" else ("", "", {})
    return words, {"target": text(edit.get("original_message_id")), "type": text(inner.get("type")), "content": content}


def _revoke(message: Mapping[str, Any]) -> Content:
    return "", {"target": text(obj(message.get("revoke")).get("original_message_id"))}


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Content]] = {
    "text": _text,
    "image": _media,
    "video": _media,
    "audio": _media,
    "document": _media,
    "sticker": _media,
    "location": _location,
    "contacts": _contacts,
    "button": _button,
    "interactive": _interactive,
    "reaction": _reaction,
    "order": _order,
    "system": _system,
    "edit": _edit,
    "revoke": _revoke,
}
