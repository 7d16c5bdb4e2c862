"""
Several messages in one transaction: their contacts and conversations are locked in one statement each, and written
back in one each. What is not plain (new people, new numbers, merges, reactions) takes the ordinary way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import connection
from django.db.models import Q

from channels_app.contract import MessageData
from channels_app.models import Contact, Conversation, Message
from core import clock
from integrations.models import Integration

_WRITE_CONTACTS = """
    UPDATE channels_app_contact c SET seen_at = s.seen_at, name = s.name, username = s.username, updated_at = %s
    FROM unnest(%s::uuid[], %s::timestamptz[], %s::text[], %s::text[]) AS s (id, seen_at, name, username)
    WHERE c.id = s.id
"""
_WRITE_CONVERSATIONS = """
    UPDATE channels_app_conversation c SET
        last_message_at = s.last_message_at, last_inbound_at = s.last_inbound_at, last_text = s.last_text,
        unread_count = s.unread_count
    FROM unnest(%s::uuid[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::integer[])
        AS s (id, last_message_at, last_inbound_at, last_text, unread_count)
    WHERE c.id = s.id
"""


class Together:
    """The rows that a few messages are about: locked, changed in memory, written at the end."""

    def __init__(self, integration: Integration, messages: Sequence[MessageData], *, acts: Sequence[str]) -> None:
        people = [message["contact"] for message in messages]
        wanted = Q(bsuid__in={person["bsuid"] for person in people if person["bsuid"]}) | Q(
            phone__in={person["phone"] for person in people if person["phone"]}
        )
        contacts = Contact.objects.select_for_update(no_key=True).filter(wanted, integration=integration)
        self._contacts = list(contacts.order_by("id"))
        conversations = Conversation.objects.select_for_update(no_key=True).filter(
            integration=integration, contact__in=self._contacts, group_id=""
        )
        self._conversations = {row.contact_id: row for row in conversations.order_by("id")}
        acted = Message.objects.filter(
            integration=integration,
            reply_to__in=[message["external_id"] for message in messages],
            type__in=acts,
        )
        self._acted_upon = set(acted.values_list("reply_to", flat=True))
        self._changed_contacts: dict[object, Contact] = {}
        self._changed_conversations: dict[object, Conversation] = {}

    def contact(self, *, bsuid: str, phone: str) -> Contact | None:
        """Return the one contact that both ids mean, where nothing about them is news."""
        found = [row for row in self._contacts if (bsuid and row.bsuid == bsuid) or (phone and row.phone == phone)]
        if len(found) != 1:
            return None
        is_plain = (not bsuid or found[0].bsuid == bsuid) and (not phone or found[0].phone == phone)
        return found[0] if is_plain else None

    def conversation(self, contact: Contact) -> Conversation | None:
        """Return the conversation with a contact."""
        return self._conversations.get(contact.pk)

    def is_acted_upon(self, external_id: str) -> bool:
        """Whether a reaction, edit or deletion came before the message that it is about."""
        return external_id in self._acted_upon

    def change_contact(self, contact: Contact) -> bool:
        """Write a contact's names and times at the end; False where it is not among ours."""
        if any(row is contact for row in self._contacts):
            self._changed_contacts[contact.pk] = contact
            return True
        return False

    def change_conversation(self, conversation: Conversation) -> bool:
        """Write what a conversation's list shows at the end; False where it is not among ours."""
        if self._conversations.get(conversation.contact_id) is conversation:
            self._changed_conversations[conversation.pk] = conversation
            return True
        return False

    def write(self) -> None:
        """Write what was changed."""
        with connection.cursor() as cursor:
            if contacts := list(self._changed_contacts.values()):
                columns = [[getattr(row, name) for row in contacts] for name in ("id", "seen_at", "name", "username")]
                cursor.execute(_WRITE_CONTACTS, [clock.now(), *columns])
            if rows := list(self._changed_conversations.values()):
                names = ("id", "last_message_at", "last_inbound_at", "last_text", "unread_count")
                cursor.execute(_WRITE_CONVERSATIONS, [[getattr(row, name) for row in rows] for name in names])


_current: ContextVar[Together | None] = ContextVar("messages_together", default=None)


def current() -> Together | None:
    """Return what is dealt with together now, if anything is."""
    return _current.get()


@contextmanager
def dealing_with(integration: Integration, messages: Sequence[MessageData], *, acts: Sequence[str]) -> Iterator[None]:
    """Deal with messages together; nothing is written where the block fails."""
    ours = Together(integration, messages, acts=acts)
    token = _current.set(ours)
    try:
        yield
    finally:
        _current.reset(token)
    ours.write()
