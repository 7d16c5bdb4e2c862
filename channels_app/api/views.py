"""The base of the views of channels: what a key may see of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime

from channels_app.models import Contact, Conversation, Message, Template
from core.errors import ValidationFailed
from integrations.api.views import RegistryView, get_or_404


class ChannelView(RegistryView):
    """One address under /channels/. Rows of the other environment do not exist for a key."""

    scope = "messages"

    def messages(self) -> QuerySet[Message]:
        """Return the messages that this key may see."""
        return self._own(Message.objects.select_related("contact"))

    def conversations(self) -> QuerySet[Conversation]:
        """Return the conversations that this key may see."""
        return self._own(Conversation.objects.select_related("contact", "integration"))

    def contacts(self) -> QuerySet[Contact]:
        """Return the contacts that this key may see."""
        return self._own(Contact.objects.all())

    def templates(self) -> QuerySet[Template]:
        """Return the templates that this key may see."""
        return self._own(Template.objects.select_related("integration"))

    def get_conversation(self, conversation_id: str) -> Conversation:
        """
        Find a conversation that this key may see.

        :raises NotFoundHere: unknown, malformed or somebody else's
        """
        return cast(Conversation, get_or_404(self.conversations(), conversation_id))

    def filtered(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """
        Narrow a list by the query's filters; ids of objects that this key may not see are 404.

        :raises ValidationFailed: a value is malformed
        """
        for name, value in self.query.items():
            rows = rows.filter(**self._condition(name, value))
        return rows

    def _condition(self, name: str, value: str) -> dict[str, Any]:
        if name == "integration":
            return {"integration": self.get_integration(value)}
        if name == "contact":
            return {"contact": get_or_404(self.contacts(), value)}
        if name == "conversation":
            return {"conversation": self.get_conversation(value)}
        if name == "since":
            return {"created_at__gte": _moment(value)}
        return {name: value}

    def _own(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(integration__environment=self.environment)


def one_of(name: str, value: str, allowed: frozenset[str]) -> None:
    """
    Check a filter of a closed set.

    :raises ValidationFailed: naming what may stand there
    """
    if value and value not in allowed:
        known = f"Use one of: {', '.join(sorted(allowed))}."
        raise ValidationFailed("A filter has an unknown value.", errors={name: [known]})


_FIRST, _LAST = 1970, 9998
"""Years of a filter: at the ends of the calendar a zone's offset leads out of what the database can say."""


def _moment(value: str) -> datetime:
    """Read a time of the query, where a plus may have become a space."""
    try:
        found = parse_datetime(value.replace(" ", "+") if "T" in value else value)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or not _FIRST <= found.year <= _LAST:
        raise ValidationFailed(
            "A filter has an unknown value.", errors={"since": ["Use a time such as 2026-11-02T15:04:05Z."]}
        )
    return found
