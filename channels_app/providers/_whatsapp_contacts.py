"""Events about a person: changed phone or user id, and wishes about marketing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from channels_app.contract import ContactChangeData, ContactData, EventType, PreferenceData
from channels_app.providers._meta_json import Change, items, obj, text
from channels_app.providers._whatsapp_build import is_key, make_event, make_unreadable
from channels_app.providers._whatsapp_people import People, describe
from integrations.contract import InboundEvent

SYSTEM_CHANGES: Mapping[str, str] = {
    "user_changed_number": "phone",
    "customer_changed_number": "phone",
    "user_changed_user_id": "bsuid",
}
"""`system.type` of a message -> what changed about the person."""

WISHES: Mapping[str, bool] = {"stop": False, "resume": True}
"""`user_preferences[].value` -> whether such messages are allowed."""


def read_system_change(change: Change, message: Mapping[str, Any], people: People) -> InboundEvent:
    """
    A person's phone or user id changed, told as a system message.

    The old user id stands only in the sentence for people, which we do not read: `user_id_update` carries it.
    """
    system = obj(message.get("system"))
    is_named = bool(message.get("from") or message.get("from_user_id"))
    previous = people.find(wa_id=message.get("from"), user_id=message.get("from_user_id")) if is_named else describe()
    current = describe(
        wa_id=system.get("wa_id") or system.get("new_wa_id"),
        user_id=system.get("user_id"),
        parent_id=system.get("parent_user_id"),
    )
    data = ContactChangeData(kind=SYSTEM_CHANGES[text(system.get("type"))], previous=previous, current=current)
    return _make(change, data, key=text(message.get("id")), raw=message)


def read_user_ids(change: Change) -> Iterator[InboundEvent]:
    """Read `user_id_update[]`: old and new business-scoped user id of a person."""
    people = People(change.value)
    for update in items(change.value.get("user_id_update")):
        ids, parents = obj(obj(update).get("user_id")), obj(obj(update).get("parent_user_id"))
        current = text(ids.get("current"))
        if not is_key(current):
            yield make_unreadable(change, update)
            continue
        wa_id, card = update.get("wa_id"), people.find(wa_id=update.get("wa_id"))
        data = ContactChangeData(
            kind="bsuid",
            previous=describe(wa_id=wa_id, user_id=ids.get("previous"), parent_id=parents.get("previous")),
            current=describe(
                wa_id=wa_id,
                user_id=current,
                parent_id=parents.get("current"),
                profile={"name": card["name"], "username": card["username"]},
            ),
        )
        yield _make(change, data, key=f"contact:{current}:{text(update.get('timestamp'))}", raw=update)


def read_preferences(change: Change) -> Iterator[InboundEvent]:
    """Read `user_preferences[]`: a person stops or resumes marketing messages."""
    people = People(change.value)
    for item in items(change.value.get("user_preferences")):
        wish = obj(item)
        contact = people.find(wa_id=wish.get("wa_id"), user_id=wish.get("user_id"))
        if not contact["external_id"] or text(wish.get("value")) not in WISHES:
            yield make_unreadable(change, item)
            continue
        person, word = contact["external_id"], text(wish["value"])
        yield make_event(
            change,
            EventType.CONTACT_PREFERENCE_CHANGED,
            key=f"preference:{person}:{word}:{text(wish.get('timestamp')) or change.digest([wish])}",
            data=PreferenceData(
                contact=contact,
                category=text(wish.get("category")),
                allowed=WISHES[word],
                detail=text(wish.get("detail")),
            ),
            raw=wish,
            object_key=f"contact:{person}",
            time=wish.get("timestamp"),
        )


def _make(change: Change, data: ContactChangeData, *, key: str, raw: Mapping[str, Any]) -> InboundEvent:
    return make_event(
        change,
        EventType.CONTACT_CHANGED,
        key=key,
        data=data,
        raw=raw,
        object_key=f"contact:{_person(data['previous']) or _person(data['current'])}",
        external_id=text(raw.get("id")),
        time=raw.get("timestamp"),
    )


def _person(contact: ContactData) -> str:
    return contact["external_id"]
