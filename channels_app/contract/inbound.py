"""
The shapes of `InboundEvent.data` in the communication category, by `EventType`. All of it is JSON.

Ids of messages, media and templates are the vendor's; phone numbers are E.164 with "+"; times are ISO 8601.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, TypedDict


class EventType(StrEnum):
    """`InboundEvent.type` of this category; the shape of its data in parentheses."""

    MESSAGE_RECEIVED = "message.received"  # MessageData
    MESSAGE_ECHOED = "message.echoed"  # MessageData: sent from the account's own phone app, not by us
    MESSAGE_STATUS_CHANGED = "message.status_changed"  # StatusData
    MESSAGE_ERROR = "message.error"  # MessageErrorData: an error that names no message
    TEMPLATE_CHANGED = "template.changed"  # TemplateData
    ACCOUNT_CHANGED = "account.changed"  # AccountData
    CONTACT_CHANGED = "contact.changed"  # ContactChangeData
    CONTACT_PREFERENCE_CHANGED = "contact.preference_changed"  # PreferenceData
    UNKNOWN = "unknown"  # UnknownData


class Effect(StrEnum):
    """What an account event means for the integration."""

    NONE = "none"
    DEGRADED = "degraded"
    RESTRICTED = "restricted"
    DISCONNECTED = "disconnected"
    RESTORED = "restored"


STATUS_RANKS: Mapping[str, int] = {"sent": 10, "failed": 15, "delivered": 20, "read": 30, "played": 40}
"""
How far a message has come; a stored status only moves to a higher rank.

"failed" stands below "delivered": a delivery reported later proves the failure wrong, a failure reported
after a delivery changes nothing.
"""


class ContactData(TypedDict):
    """
    Who wrote or was written to. `external_id` is the best key there is: the vendor's user id, else the phone.

    It is empty when the vendor named nobody. `phone` may be None: people may hide it behind a username.
    """

    external_id: str
    bsuid: str | None
    parent_bsuid: str | None
    phone: str | None
    username: str | None
    name: str | None


class ReplyData(TypedDict):
    """The message that this one answers or acts on."""

    external_id: str
    forwarded: bool
    product: Mapping[str, Any] | None


class MediaData(TypedDict):
    """A file at the vendor. `sha256` is base64 or hexadecimal, as the vendor wrote it; `url` ends within minutes."""

    id: str
    mime_type: str
    sha256: str
    filename: str | None
    caption: str | None
    url: str | None
    voice: bool
    animated: bool


class ErrorData(TypedDict):
    """One error of a message, already classified: `error` is the class's name in `integrations.contract.errors`."""

    code: str
    title: str
    detail: str
    error: str
    reason: str
    remedy: str
    retryable: bool
    retry_after_s: float | None


class MessageData(TypedDict):
    """
    One message, in or out. `text` is what a list shows; `content` holds the rest by `type`:

    text {body} · image, video, audio, document, sticker {} (see `media`) · location {latitude, longitude, name,
    address, url} · contacts {contacts: [...], origin} · button {text, payload} · interactive {kind, id, title,
    description, response} · reaction {emoji, target} (empty emoji: removed) · order {catalog_id, text, items} ·
    system {kind, text} · edit, revoke {target, ...} · unsupported {kind}.
    """

    external_id: str
    direction: str
    type: str
    text: str
    content: Mapping[str, Any]
    contact: ContactData
    reply_to: ReplyData | None
    media: MediaData | None
    group_id: str | None
    referral: Mapping[str, Any] | None
    errors: Sequence[ErrorData]


class PricingData(TypedDict):
    """What the vendor charges for: model, kind and category, in lower case."""

    model: str
    kind: str
    category: str


class StatusData(TypedDict):
    """
    How far a sent message has come. `status` is a word of the public contract, `vendor_status` the vendor's.

    `callback_data` is our message id, given to the vendor when it was sent.
    """

    external_id: str
    status: str
    vendor_status: str
    rank: int
    contact: ContactData
    group_id: str | None
    pricing: PricingData | None
    errors: Sequence[ErrorData]
    callback_data: str


class MessageErrorData(TypedDict):
    """An error of the account's messaging that names no message."""

    error: ErrorData
    contact: ContactData | None


class TemplateData(TypedDict):
    """A template changed; `change` says what: status, quality, category or components."""

    external_id: str
    name: str
    language: str
    change: str
    status: str | None
    quality: str | None
    category: str | None
    reason: str
    recommendation: str
    effective_at: str


class AccountData(TypedDict):
    """
    Something happened to the account. `topic` pairs a trouble with the event that ends it.

    `cause` is a sentence for people; `facts` are normalized values such as {"tier": "TIER_2K"}.
    """

    topic: str
    change: str
    effect: str
    cause: str
    account_id: str
    display_phone_number: str | None
    capabilities: Sequence[str]
    until: str | None
    facts: Mapping[str, Any]


class ContactChangeData(TypedDict):
    """A person's ids changed; `previous` holds what the vendor still told of the old ones."""

    kind: str
    previous: ContactData
    current: ContactData


class PreferenceData(TypedDict):
    """A person's wish about a kind of message: `allowed` false means never again."""

    contact: ContactData
    category: str
    allowed: bool
    detail: str


class UnknownData(TypedDict):
    """A verified fact we have no word for: kept, not lost."""

    object: str
    field: str
    value: Any
