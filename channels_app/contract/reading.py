"""Read the `<type>: {…}` part of a message as callers write it into the dataclass of its type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from channels_app.contract.outgoing import (
    Contacts,
    Content,
    Interactive,
    Location,
    Media,
    MessageType,
    Reaction,
    Template,
    Text,
)
from integrations.contract import RequestRejected


def read_content(kind: MessageType, data: Any) -> Content:
    """
    Build the content of a message from JSON in the form of the public contract.

    Contacts may stand as a bare list.

    :raises RequestRejected: reason "malformed", `field` as a dotted path such as "template.language"
    """
    if kind is MessageType.CONTACTS and isinstance(data, list | tuple):
        data = {"contacts": data}
    return _READERS[kind](_Reader(data, path=kind.value))


def malformed(field: str, expected: str) -> RequestRejected:
    """Make the refusal of one field."""
    return RequestRejected(
        f"{field}: expected {expected}", field=field, reason="malformed", next_action=f"Give {field} as {expected}."
    )


class _Reader:
    """Takes values out of a JSON object and refuses wrong types by their path."""

    def __init__(self, data: Any, *, path: str) -> None:
        if not isinstance(data, Mapping):
            raise malformed(path, "an object")
        self.data = data
        self.path = path

    def at(self, name: str) -> str:
        """Return a member's path; contacts stand under their own name."""
        return self.path if name == self.path else f"{self.path}.{name}"

    def text(self, name: str, *, required: bool = False) -> str:
        value = self.data.get(name)
        if value is None and not required:
            return ""
        if not isinstance(value, str) or (required and not value.strip()):
            raise malformed(self.at(name), "a text that is not empty" if required else "a text")
        return value

    def flag(self, name: str) -> bool:
        value = self.data.get(name, False)
        if not isinstance(value, bool):
            raise malformed(self.at(name), "true or false")
        return value

    def number(self, name: str) -> float:
        value = self.data.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise malformed(self.at(name), "a number")
        try:
            return float(value)
        except OverflowError:  # JSON's integers have no end
            raise malformed(self.at(name), "a number") from None

    def objects(self, name: str, *, required: bool = False) -> tuple[Mapping[str, Any], ...]:
        value = self.data.get(name)
        if value is None and not required:
            return ()
        is_list = isinstance(value, list | tuple) and all(isinstance(item, Mapping) for item in value)
        if not is_list or (required and not value):
            raise malformed(self.at(name), "a list of objects")
        return tuple(value or ())

    def object(self, name: str) -> Mapping[str, Any] | None:
        value = self.data.get(name)
        if value is not None and not isinstance(value, Mapping):
            raise malformed(self.at(name), "an object")
        return value

    def worded(self, name: str, inner: str) -> str:
        """Take a text that may stand bare or as {inner: text}."""
        value = self.data.get(name)
        if isinstance(value, Mapping):
            return _Reader(value, path=self.at(name)).text(inner, required=True)
        return self.text(name)


def _text(reader: _Reader) -> Text:
    return Text(body=reader.text("body", required=True), preview_url=reader.flag("preview_url"))


def _template(reader: _Reader) -> Template:
    language = reader.worded("language", "code")
    if not language:
        raise malformed("template.language", "a language code such as en or pt_BR")
    return Template(name=reader.text("name", required=True), language=language, components=reader.objects("components"))


def _media(reader: _Reader) -> Media:
    media = Media(
        id=reader.text("id"),
        link=reader.text("link"),
        caption=reader.text("caption"),
        filename=reader.text("filename"),
        voice=reader.flag("voice"),
    )
    if bool(media.id) == bool(media.link):
        raise malformed(f"{reader.path}.id", "either id (of an uploaded file) or link, not both")
    return media


def _location(reader: _Reader) -> Location:
    return Location(
        latitude=reader.number("latitude"),
        longitude=reader.number("longitude"),
        name=reader.text("name"),
        address=reader.text("address"),
    )


def _contacts(reader: _Reader) -> Contacts:
    return Contacts(contacts=reader.objects("contacts", required=True))


def _interactive(reader: _Reader) -> Interactive:
    kind = reader.text("type") or reader.text("kind")
    if not kind:
        raise malformed("interactive.type", "a text such as button or list")
    return Interactive(
        kind=kind,
        text=reader.worded("body", "text"),
        action=reader.object("action") or {},
        header=reader.object("header"),
        footer=reader.worded("footer", "text"),
    )


def _reaction(reader: _Reader) -> Reaction:
    return Reaction(message_id=reader.text("message_id", required=True), emoji=reader.text("emoji"))


_READERS: Mapping[MessageType, Callable[[_Reader], Content]] = {
    MessageType.TEXT: _text,
    MessageType.TEMPLATE: _template,
    MessageType.IMAGE: _media,
    MessageType.VIDEO: _media,
    MessageType.AUDIO: _media,
    MessageType.DOCUMENT: _media,
    MessageType.STICKER: _media,
    MessageType.LOCATION: _location,
    MessageType.CONTACTS: _contacts,
    MessageType.INTERACTIVE: _interactive,
    MessageType.REACTION: _reaction,
}
