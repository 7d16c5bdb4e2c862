"""What channels hold about a person, given out and erased on request (LGPD art. 18)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from channels_app.models import Contact, Conversation, Message
from core import clock
from integrations.models import Event
from storage.models import StoredFile
from storage.services import delete_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """How much was erased."""

    contacts: int
    messages: int
    files: int
    events: int


class ChannelsPersonalData:
    """Finds a person by phone or by a channel's user id, over all integrations of the entered organization."""

    def export(self, *, phone: str = "", external_id: str = "") -> list[dict[str, Any]]:
        """Return every contact that is this person, with all messages exchanged with them, as JSON."""
        return [_exported(contact) for contact in _find(phone, external_id)]

    @transaction.atomic
    def erase(self, *, phone: str = "", external_id: str = "") -> Erased:
        """
        Erase what identifies the person and what was said; rows stay as counts, without names, texts and files.

        The raw bodies of deliveries are sealed elsewhere and leave with their retention.
        """
        contacts = list(_find(phone, external_id).select_for_update())
        messages = Message.objects.filter(contact__in=contacts)
        files = _erase_files(messages)
        events = _erase_events(contacts, messages)
        count = messages.update(text="", content={}, reactions={}, error=None, media_file_id=None, media_state="")
        Conversation.objects.filter(contact__in=contacts).update(last_text="")
        for contact in contacts:
            contact.bsuid = contact.phone = contact.username = contact.name = ""
            contact.save()
        return Erased(contacts=len(contacts), messages=count, files=files, events=events)


def _find(phone: str, external_id: str) -> QuerySet[Contact]:
    wanted = Q(phone=phone) if phone else Q(pk__in=[])
    return Contact.objects.filter(wanted | Q(bsuid=external_id) if external_id else wanted).order_by("id")


def _exported(contact: Contact) -> dict[str, Any]:
    return {
        "contact": {
            "phone": contact.phone,
            "external_id": contact.bsuid,
            "username": contact.username,
            "name": contact.name,
            "marketing_stopped": contact.marketing_stopped,
            "known_since": clock.iso(contact.created_at),
        },
        "messages": [
            {
                "at": clock.iso(message.occurred_at),
                "direction": message.direction,
                "type": message.type,
                "text": message.text,
                "content": message.content,
            }
            for message in contact.messages.order_by("occurred_at")
        ],
    }


def _erase_files(messages: QuerySet[Message]) -> int:
    """Delete what the person sent; what the organization sent may be sent to others as well."""
    wanted = messages.filter(direction="inbound").exclude(media_file_id=None).values_list("media_file_id", flat=True)
    files = list(StoredFile.objects.filter(pk__in=list(wanted)))
    for file in files:
        delete_file(file)
    return len(files)


def _erase_events(contacts: list[Contact], messages: QuerySet[Message]) -> int:
    """Empty the events behind the messages, and those about the person; their keys stay, so that none comes back."""
    ids = list(messages.exclude(external_id="").values_list("external_id", flat=True))
    people = [f"contact:{key}" for contact in contacts for key in (contact.bsuid, contact.phone) if key]
    integrations = {contact.integration_id for contact in contacts}
    rows = Event.objects.filter(integration__in=integrations).filter(Q(external_id__in=ids) | Q(object__in=people))
    return rows.update(data={}, raw={})


PERSONAL_DATA = ChannelsPersonalData()
