"""
Turn one WhatsApp callback into events.

Shape: body["entry"][*]["changes"][*]["value"]; messages, statuses and errors may share one change.
Units: "timestamp" is Unix seconds as a text, `entry[].time` Unix seconds as a number; both UTC, both may be missing.
Source: WhatsApp Cloud API webhook reference, as of 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from channels_app.contract import (
    STATUS_RANKS,
    ContactData,
    ErrorData,
    EventType,
    MessageData,
    MessageErrorData,
    PricingData,
    ReplyData,
    StatusData,
)
from channels_app.providers._meta import classify
from channels_app.providers._meta_json import Change, bounded, items, obj, text, walk
from channels_app.providers._whatsapp_account import ACCOUNT_FIELDS, TEMPLATE_FIELDS, read_account, read_template
from channels_app.providers._whatsapp_build import is_key, make_event, make_unknown, make_unreadable
from channels_app.providers._whatsapp_contacts import (
    SYSTEM_CHANGES,
    read_preferences,
    read_system_change,
    read_user_ids,
)
from channels_app.providers._whatsapp_content import read_content, read_media
from channels_app.providers._whatsapp_people import People, phone
from channels_app.providers._whatsapp_spec import SPEC
from integrations.contract import InboundEvent

OBJECT = "whatsapp_business_account"

PUBLIC_STATUSES: Mapping[str, str] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "played": "read",
    "failed": "failed",
}
"""Vendor status -> status of the public contract."""

Events = Iterator[InboundEvent]


def account_key(name: str, entry: Mapping[str, Any], value: Mapping[str, Any]) -> str:
    """
    Say whose a change is: the phone number that it names, else the WhatsApp Business Account.

    PARTNER_* events arrive under the partner's business: `waba_info` names the account. Objects of Meta that are
    not WhatsApp's are named by their own word; no integration claims them.
    """
    if name == OBJECT:
        number = text(obj(value.get("metadata")).get("phone_number_id"))
        if number:
            return bounded(f"phone_number:{number}")
        account = text(obj(value.get("waba_info")).get("waba_id")) or text(entry.get("id"))
        return bounded(f"waba:{account}") if account else ""
    owner = text(entry.get("uid")) or text(entry.get("id"))
    kind = "user" if name == "permissions" else name
    return bounded(f"{kind}:{owner}") if kind and owner else ""


def read_events(tree: Mapping[str, Any], *, body: bytes) -> list[InboundEvent]:
    """Read all events of a guarded body, in the vendor's order; a key that comes twice is one event."""
    events: dict[tuple[str, str], InboundEvent] = {}
    for change in walk(tree, body=body, account_key=account_key):
        reader = _READERS.get(change.field, _nothing) if change.object == OBJECT else _nothing
        for event in list(reader(change)) or [make_unknown(change)]:
            events.setdefault((event.account_key, event.key), event)
    return list(events.values())


def _nothing(change: Change) -> Events:
    """Read nothing: the change becomes one unknown event."""
    return iter(())


def _messages(change: Change) -> Events:
    people = People(change.value)
    for message in items(change.value.get("messages")):
        yield _message(change, message, people)
    for status in items(change.value.get("statuses")):
        yield _status(change, status, people)
    for position, error in enumerate(items(change.value.get("errors"))):
        yield _error(change, obj(error), position=position)


def _message(change: Change, message: Any, people: People) -> InboundEvent:
    external_id = text(obj(message).get("id"))
    if not is_key(external_id):
        return make_unreadable(change, message)
    system = obj(message.get("system"))
    if message.get("type") == "system" and system.get("type") in SYSTEM_CHANGES:
        return read_system_change(change, message, people)
    contact = people.find(
        wa_id=message.get("from"), user_id=message.get("from_user_id"), parent_id=message.get("from_parent_user_id")
    )
    data = _message_data(message, contact, direction="inbound")
    return make_event(
        change,
        EventType.MESSAGE_RECEIVED,
        key=external_id,
        data=data,
        raw=message,
        object_key=_conversation_key(data, external_id),
        external_id=external_id,
        time=message.get("timestamp"),
    )


def _echoes(change: Change) -> Events:
    people = People(change.value)
    for message in items(change.value.get("message_echoes")):
        external_id = text(obj(message).get("id"))
        if not is_key(external_id):
            yield make_unreadable(change, message)
            continue
        contact = people.find(wa_id=message.get("to"), user_id=message.get("to_user_id"))
        data = _message_data(message, contact, direction="outbound")
        yield make_event(
            change,
            EventType.MESSAGE_ECHOED,
            key=f"echo:{external_id}",
            data=data,
            raw=message,
            object_key=_conversation_key(data, external_id),
            external_id=external_id,
            time=message.get("timestamp"),
        )


def _message_data(message: Mapping[str, Any], contact: ContactData, *, direction: str) -> MessageData:
    kind, words, content = read_content(message)
    if text(message.get("origin")).startswith("contact_request") and not contact["phone"]:
        contact = _with_shared_phone(contact, content)
    return MessageData(
        external_id=text(message.get("id")),
        direction=direction,
        type=kind,
        text=words,
        content=content,
        contact=contact,
        reply_to=_reply(message),
        media=read_media(message),
        group_id=text(message.get("group_id")) or None,
        referral=obj(message.get("referral")) or None,
        errors=_errors(message),
    )


def _with_shared_phone(contact: ContactData, content: Mapping[str, Any]) -> ContactData:
    """A person who answered our request for their contact told the phone that their username hides."""
    phones = [phone(obj(entry).get("phone")) for card in items(content.get("contacts")) for entry in _phones(card)]
    shared = next((number for number in phones if number), None)
    merged: ContactData = {**contact, "phone": shared, "external_id": contact["external_id"] or shared or ""}
    return merged


def _phones(card: Any) -> list[Any]:
    return list(items(obj(card).get("phones")))


def _reply(message: Mapping[str, Any]) -> ReplyData | None:
    context = obj(message.get("context"))
    forwarded = context.get("forwarded") is True or context.get("frequently_forwarded") is True
    if not context.get("id") and not forwarded and not context.get("referred_product"):
        return None
    return ReplyData(
        external_id=text(context.get("id")), forwarded=forwarded, product=obj(context.get("referred_product")) or None
    )


def _conversation_key(data: MessageData, external_id: str) -> str:
    if data["group_id"]:
        return f"group:{data['group_id']}"
    person = data["contact"]["external_id"]
    return f"contact:{person}" if person else f"message:{external_id}"


def _status(change: Change, status: Any, people: People) -> InboundEvent:
    external_id, word = text(obj(status).get("id")), text(obj(status).get("status"))
    if not is_key(external_id) or word not in PUBLIC_STATUSES:
        return make_unreadable(change, status)
    in_group = status.get("recipient_type") == "group"
    prefix = "recipient_participant" if in_group else "recipient"
    contact = people.find(
        wa_id=status.get(f"{prefix}_id"),
        user_id=status.get(f"{prefix}_user_id"),
        parent_id=status.get("recipient_participant_parent_user_id" if in_group else "parent_recipient_user_id"),
    )
    data = StatusData(
        external_id=external_id,
        status=PUBLIC_STATUSES[word],
        vendor_status=word,
        rank=STATUS_RANKS[word],
        contact=contact,
        group_id=text(status.get("recipient_id")) or None if in_group else None,
        pricing=_pricing(status),
        errors=_errors(status),
        callback_data=text(status.get("biz_opaque_callback_data")),
    )
    participant = f":{text(status.get('recipient_participant_id')) or contact['external_id']}" if in_group else ""
    return make_event(
        change,
        EventType.MESSAGE_STATUS_CHANGED,
        key=f"{external_id}:{word}{participant}",
        data=data,
        raw=status,
        object_key=f"message:{external_id}",
        external_id=external_id,
        time=status.get("timestamp"),
    )


def _pricing(status: Mapping[str, Any]) -> PricingData | None:
    """What is charged; `billable` is left out, Meta removes it."""
    pricing = obj(status.get("pricing"))
    if not pricing:
        return None
    return PricingData(
        model=text(pricing.get("pricing_model")).lower(),
        kind=text(pricing.get("type")).lower(),
        category=text(pricing.get("category")).lower(),
    )


def _errors(item: Mapping[str, Any]) -> list[ErrorData]:
    return [classify(obj(error), spec=SPEC) for error in items(item.get("errors"))]


def _error(change: Change, error: Mapping[str, Any], *, position: int) -> InboundEvent:
    """An error without a message has no id: the digest of the whole body and its place make the key."""
    people = People(change.value)
    contact = people.find()
    data = MessageErrorData(error=classify(error, spec=SPEC), contact=contact if contact["external_id"] else None)
    key = f"error:{change.digest([change.body_digest, position, error])}"
    return make_event(change, EventType.MESSAGE_ERROR, key=key, data=data, raw=error)


def _template(change: Change) -> Events:
    data = read_template(change)
    if not data["external_id"] and not data["name"]:
        return
    key = f"template:{change.entry_id}:{data['external_id']}:{data['status']}:{text(change.time)}"
    yield make_event(
        change,
        EventType.TEMPLATE_CHANGED,
        key=key if data["change"] == "status" and change.time else f"template:{change.digest()}",
        data=data,
        raw=change.value,
        object_key=f"template:{data['external_id'] or data['name']}",
        external_id=data["external_id"],
        time=change.time,
    )


def _account(change: Change) -> Events:
    yield make_event(
        change,
        EventType.ACCOUNT_CHANGED,
        key=f"account:{change.digest()}",
        data=read_account(change),
        raw=change.value,
        object_key=change.account_key,
        time=change.time,
    )


_READERS: Mapping[str, Callable[[Change], Events]] = {
    "messages": _messages,
    "smb_message_echoes": _echoes,
    "message_echoes": _echoes,
    "user_preferences": read_preferences,
    "user_id_update": read_user_ids,
    **dict.fromkeys(TEMPLATE_FIELDS, _template),
    **dict.fromkeys(ACCOUNT_FIELDS, _account),
}
"""`field` of a change -> its reader; a reader that finds nothing leaves it to `make_unknown`."""
