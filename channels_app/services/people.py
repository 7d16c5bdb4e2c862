"""
Contacts: found by the channel's user id or by phone, made once, merged when both turn out to be one person.

Locks are taken in one order everywhere: contacts by id, then conversations by id, then messages.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Q

from channels_app.contract import ContactChangeData, ContactData, PreferenceData
from channels_app.models import Contact, Conversation, Message
from channels_app.services import together
from core import clock
from integrations.models import Integration

_TEXTS = ("username", "name")
_LEARNED = ("bsuid", "phone", "seen_at", *_TEXTS)


def find_or_make(integration: Integration, person: ContactData, *, at: datetime | None = None) -> Contact | None:
    """
    Return the locked contact that a channel's description means; None when it names nobody.

    A description with both ids joins what was known under each of them. A later-dated fact wins over an earlier.

    :param at: when the channel said so; None for what we ourselves say, which overrides nothing
    """
    bsuid, phone = _ids(person)
    if not bsuid and not phone:
        return None
    ours = together.current()
    if ours and at is not None and (plain := ours.contact(bsuid=bsuid, phone=phone)):
        _learn(plain, bsuid=bsuid, phone=phone, at=at)
        _learn_texts(plain, person, at=at)
        ours.change_contact(plain)
        return plain
    found = _locked(integration, bsuid=bsuid, phone=phone)
    if not found:
        Contact.objects.bulk_create([Contact(integration=integration, bsuid=bsuid, phone=phone)], ignore_conflicts=True)
        found = _locked(integration, bsuid=bsuid, phone=phone)
    contact = _one_of(found, bsuid=bsuid, phone=phone)
    known = {name: getattr(contact, name) for name in _LEARNED}
    _learn(contact, bsuid=bsuid, phone=phone, at=at)
    _learn_texts(contact, person, at=at)
    if news := [name for name in _LEARNED if getattr(contact, name) != known[name]]:
        contact.save(update_fields=[*news, "updated_at"])
    return contact


def move(integration: Integration, change: ContactChangeData, *, at: datetime) -> Contact | None:
    """
    Give a contact the ids that a person has now; None when we know neither the old nor the new ones.

    The new phone may have been somebody else's before: a contact known before the change, under another user id or
    none, only loses the number.
    """
    old = _known(integration, change["previous"])
    new = _known(integration, change["current"], but=old)
    bsuid, phone = _ids(change["current"])
    if old is None:
        return find_or_make(integration, change["current"], at=at) if new else None
    for other in _locked(integration, bsuid=bsuid, phone=phone):
        if other.pk == old.pk:
            continue
        if _is_same_person(other, bsuid=bsuid, at=at):
            old = merge(old, other)
        else:
            other.phone = ""
            other.save()
    former_bsuid, former_phone = _ids(change["previous"])
    if bsuid and old.bsuid == former_bsuid:
        old.bsuid = bsuid  # the very id that ended, however much was heard since
    if phone and old.phone == former_phone:
        _take_phone(old, phone)
    _learn(old, bsuid=bsuid, phone=phone, at=at)
    _learn_texts(old, change["current"], at=at)
    old.save()
    return old


def note_preference(integration: Integration, wish: PreferenceData, *, at: datetime) -> Contact | None:
    """Remember whether a person wants marketing; the later wish wins."""
    contact = find_or_make(integration, wish["contact"], at=at)
    if contact is None or (contact.marketing_changed_at and contact.marketing_changed_at > at):
        return contact
    contact.marketing_stopped = not wish["allowed"]
    contact.marketing_changed_at = at
    contact.save(update_fields=["marketing_stopped", "marketing_changed_at", "updated_at"])
    return contact


def note_answer(contact: Contact, *, phone: str | None, bsuid: str | None) -> Contact:
    """Learn the ids that the channel answered to a send: it may write a phone in another way than we did."""
    data = ContactData(
        external_id=bsuid or phone or "", bsuid=bsuid, parent_bsuid=None, phone=phone, username=None, name=None
    )
    known_bsuid, known_phone = _ids(data)
    if (not known_bsuid or known_bsuid == contact.bsuid) and (not known_phone or known_phone == contact.phone):
        return contact
    others = [row for row in _locked(contact.integration, bsuid=known_bsuid, phone=known_phone) if row.pk != contact.pk]
    fresh = Contact.objects.select_for_update(no_key=True).get(pk=contact.pk)
    for other in others:
        fresh = merge(fresh, other)
    _learn(fresh, bsuid=known_bsuid, phone=known_phone, at=clock.now())
    fresh.save()
    return fresh


def merge(one: Contact, other: Contact) -> Contact:
    """
    Join two locked contacts that are one person; return the older row, which keeps its id.

    Conversations and messages move with it; the other row is deleted.
    """
    kept, gone = sorted((one, other), key=lambda row: row.pk)
    _join_conversations(kept, gone)
    Message.objects.filter(contact=gone).update(contact=kept)
    ids = {name: getattr(kept, name) or getattr(gone, name) for name in ("bsuid", "phone", *_TEXTS)}
    wishes = max((kept, gone), key=lambda row: (row.marketing_changed_at is not None, row.marketing_changed_at))
    seen = [row.seen_at for row in (kept, gone) if row.seen_at]
    gone.delete()  # before its ids are taken over: they are unique
    for name, value in ids.items():
        setattr(kept, name, value)
    kept.marketing_stopped, kept.marketing_changed_at = wishes.marketing_stopped, wishes.marketing_changed_at
    kept.seen_at = max(seen) if seen else None
    kept.save()
    return kept


def conversation_with(integration: Integration, contact: Contact | None, *, group_id: str = "") -> Conversation:
    """Return the locked conversation with a contact or in a group, made when there is none."""
    ours = together.current()
    if ours and contact is not None and not group_id and (known := ours.conversation(contact)):
        return known
    wanted: dict[str, Any] = {"group_id": group_id} if group_id else {"contact": contact, "group_id": ""}
    rows = Conversation.objects.select_for_update(no_key=True).filter(integration=integration, **wanted)
    existing = rows.order_by("id").first()
    if existing is None:
        Conversation.objects.bulk_create(
            [Conversation(integration=integration, contact=None if group_id else contact, group_id=group_id)],
            ignore_conflicts=True,
        )
        existing = rows.order_by("id")[0]
    return existing


def _ids(person: ContactData) -> tuple[str, str]:
    """Return (user id, phone); an id of no known form serves as the user id."""
    phone = person["phone"] or ""
    other = person["external_id"] if person["external_id"] != phone else ""
    return person["bsuid"] or other, phone


def _locked(integration: Integration, *, bsuid: str, phone: str) -> list[Contact]:
    wanted = Q()
    for condition in (Q(bsuid=bsuid) if bsuid else None, Q(phone=phone) if phone else None):
        wanted = wanted | condition if condition else wanted
    if not wanted:
        return []
    rows = Contact.objects.select_for_update(no_key=True).filter(wanted, integration=integration)
    return list(rows.order_by("id"))


def _known(integration: Integration, person: ContactData, *, but: Contact | None = None) -> Contact | None:
    """Return the contact that these ids lead to, the user id before the phone."""
    bsuid, phone = _ids(person)
    rows = [row for row in _locked(integration, bsuid=bsuid, phone=phone) if not but or row.pk != but.pk]
    return next((row for row in rows if bsuid and row.bsuid == bsuid), rows[0] if rows else None)


def _one_of(found: list[Contact], *, bsuid: str, phone: str) -> Contact:
    """Decide whom several rows mean: the one with the user id; a row that knows only the phone is the same person."""
    named = next((row for row in found if bsuid and row.bsuid == bsuid), None)
    if named is None:
        return found[0] if not bsuid or not found[0].bsuid else _new_owner(found[0], bsuid=bsuid)
    for other in found:
        if other.pk != named.pk and not other.bsuid:
            named = merge(named, other)
    return named


def _new_owner(former: Contact, *, bsuid: str) -> Contact:
    """Another user id wrote from a known phone: the number has a new owner, who is not to see the former's chat."""
    Contact.objects.bulk_create([Contact(integration=former.integration, bsuid=bsuid)], ignore_conflicts=True)
    return _locked(former.integration, bsuid=bsuid, phone="")[0]


def _learn(contact: Contact, *, bsuid: str, phone: str, at: datetime | None) -> None:
    """Take ids over, in memory; the phone is taken from whoever had it."""
    is_news = at is not None and (contact.seen_at is None or at >= contact.seen_at)
    if bsuid and (not contact.bsuid or is_news):
        contact.bsuid = bsuid
    if phone and (not contact.phone or is_news):
        _take_phone(contact, phone)
    if is_news:
        contact.seen_at = at


def _take_phone(contact: Contact, phone: str) -> None:
    if contact.phone != phone:
        others = Contact.objects.filter(integration_id=contact.integration_id, phone=phone)
        others.exclude(pk=contact.pk).update(phone="")
        contact.phone = phone


def _learn_texts(contact: Contact, person: ContactData, *, at: datetime | None) -> None:
    is_news = at is not None and (contact.seen_at is None or at >= contact.seen_at)
    for name in _TEXTS:
        value = person[name]  # type: ignore[literal-required]
        if value and (is_news or not getattr(contact, name)):
            setattr(contact, name, value)


def _is_same_person(other: Contact, *, bsuid: str, at: datetime) -> bool:
    if other.bsuid:
        return other.bsuid == bsuid
    return other.created_at >= at


def _join_conversations(kept: Contact, gone: Contact) -> None:
    rows = Conversation.objects.select_for_update().filter(contact__in=[kept, gone], group_id="").order_by("id")
    of = {row.contact_id: row for row in rows}
    if gone.pk not in of:
        return
    moving = of[gone.pk]
    if kept.pk not in of:
        moving.contact = kept
        moving.save(update_fields=["contact"])
        return
    target = of[kept.pk]
    Message.objects.filter(conversation=moving).update(conversation=target)
    target.take_over(moving)
    target.save()
    moving.delete()
