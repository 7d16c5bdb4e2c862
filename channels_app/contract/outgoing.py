"""What goes out and what the vendor answers: frozen dataclasses, in normalized words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class MessageType(StrEnum):
    """What may be sent; the names of the public contract. What comes in may have further types."""

    TEXT = "text"
    TEMPLATE = "template"
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    DOCUMENT = "document"
    STICKER = "sticker"
    LOCATION = "location"
    CONTACTS = "contacts"
    INTERACTIVE = "interactive"
    REACTION = "reaction"


MEDIA_TYPES = frozenset(
    {MessageType.IMAGE, MessageType.VIDEO, MessageType.AUDIO, MessageType.DOCUMENT, MessageType.STICKER}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text; `preview_url` asks for a preview of its first link."""

    body: str
    preview_url: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """An approved template with its parameters, in the vendor's component form."""

    name: str
    language: str
    components: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A file by its id at the vendor or by a link that the vendor fetches; exactly one of them."""

    id: str = ""
    link: str = ""
    caption: str = ""
    filename: str = ""
    voice: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A point on the map, in degrees."""

    latitude: float
    longitude: float
    name: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contacts:
    """Contact cards, in the vendor's form."""

    contacts: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interactive:
    """A text with something to tap; `kind` is button, list, cta_url, flow, product, ... and decides `action`."""

    kind: str
    text: str = ""
    action: Mapping[str, Any] = field(default_factory=dict)
    header: Mapping[str, Any] | None = None
    footer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """An emoji on a message; an empty one takes it back."""

    message_id: str
    emoji: str = ""


Content = Text | Template | Media | Location | Contacts | Interactive | Reaction


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """
    A message to send. `id` is ours and comes back in the statuses.

    `to` is a phone number, a vendor's user id or a group id; `reply_to` the vendor's id of the message answered.
    """

    id: str
    to: str
    type: MessageType
    content: Content
    reply_to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMessage:
    """What the vendor answered: accepted, not delivered; the statuses tell the rest."""

    external_id: str
    phone: str | None = None
    bsuid: str | None = None
    vendor_status: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaContent:
    """A downloaded file, its size and digest verified."""

    content: bytes = field(repr=False)
    mime_type: str
    sha256: str

    @property
    def size_bytes(self) -> int:
        """Length of the content."""
        return len(self.content)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateInfo:
    """A template as the vendor keeps it; `status` and `category` in lower case."""

    external_id: str
    name: str
    language: str
    status: str
    category: str
    components: tuple[Mapping[str, Any], ...] = ()
    quality: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateDraft:
    """A template to submit for approval."""

    name: str
    language: str
    category: str
    components: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessProfile:
    """What people see of the business; None leaves a field as it is."""

    about: str | None = None
    address: str | None = None
    description: str | None = None
    email: str | None = None
    websites: tuple[str, ...] | None = None
    vertical: str | None = None
    picture_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReport:
    """How the account stands. `can_send` is available, limited or blocked; `problems` the vendor's own words."""

    label: str
    display_phone_number: str
    status: str
    quality: str
    tier: str
    throughput: str
    name_status: str
    can_send: str
    problems: tuple[str, ...] = ()
