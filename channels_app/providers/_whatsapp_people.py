"""Who is meant in a WhatsApp webhook: phone numbers, business-scoped user ids, or both, wherever Meta put them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from channels_app.contract import ContactData
from channels_app.providers._meta_json import items, obj, text

BSUID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,120}")
"""A business-scoped user id: country, perhaps ENT, and up to 120 characters, such as US.13491208655302741918."""

_PHONE = re.compile(r"\+?([0-9]{5,15})")
_NAME_LENGTH = 200
_USERNAME_LENGTH = 120
_ID_LENGTH = 128


def phone(value: Any) -> str | None:
    """Read a phone number as E.164; what is none gives None."""
    match = _PHONE.fullmatch(re.sub(r"[ ().-]", "", text(value)))
    return f"+{match[1]}" if match else None


def bsuid(value: Any) -> str | None:
    """Read a business-scoped user id; what is none gives None."""
    match = BSUID.fullmatch(text(value))
    return match[0] if match else None


class People:
    """The `contacts[]` of one change, found by phone or user id."""

    def __init__(self, value: Mapping[str, Any]) -> None:
        self._all = [contact for contact in items(value.get("contacts")) if isinstance(contact, dict)]

    def find(self, *, wa_id: Any = None, user_id: Any = None, parent_id: Any = None) -> ContactData:
        """
        Describe a person by the ids that a message or status names, completed from `contacts[]`.

        Without any id the only contact of the change is meant; a `wa_id` may hold a user id.
        """
        named_bsuid = bsuid(user_id) or bsuid(wa_id)
        named_phone = phone(wa_id)
        card = self._card({named_bsuid, named_phone, text(wa_id), text(user_id)} - {None, ""})
        return describe(
            wa_id=named_phone or card.get("wa_id") or wa_id,
            user_id=named_bsuid or card.get("user_id"),
            parent_id=parent_id or card.get("parent_user_id"),
            profile=obj(card.get("profile")),
        )

    def _card(self, named: set[str | None]) -> Mapping[str, Any]:
        for contact in self._all:
            ids = {text(contact.get("user_id")), text(contact.get("wa_id")), phone(contact.get("wa_id"))}
            if ids & named:
                return contact
        return self._all[0] if len(self._all) == 1 and not named else {}


def describe(
    *, wa_id: Any = None, user_id: Any = None, parent_id: Any = None, profile: Mapping[str, Any] | None = None
) -> ContactData:
    """Describe a person by ids; an id of neither form is kept as `external_id` alone."""
    profile = profile or {}
    known_bsuid = bsuid(user_id) or bsuid(wa_id)
    known_phone = phone(wa_id)
    return ContactData(
        external_id=known_bsuid or known_phone or text(wa_id)[:_ID_LENGTH],
        bsuid=known_bsuid,
        parent_bsuid=bsuid(parent_id),
        phone=known_phone,
        username=text(profile.get("username")).removeprefix("@")[:_USERNAME_LENGTH] or None,
        name=text(profile.get("name"))[:_NAME_LENGTH] or None,
    )
