"""Sending owed mail as outbox work: a mail server that is down delays a mail and nothing else."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import get_script_prefix, reverse

from core import fault_points
from dispatch.models import OutboxEntry
from integrations.contract import ProviderError, RequestRejected, Unavailable
from integrations.models import Integration
from integrations.services.people import people_url
from notifications import mail
from notifications.models import Notification
from tenants.context import require_organization
from tenants.models import Organization


class SendMail:
    """One member's mail: everything that is due to this member now."""

    def call(self, entry: OutboxEntry, integration: Integration | None) -> bool:
        """
        Take what is due and send it; return whether there was anything left to say.

        :raises Unavailable: the mail server cannot be reached or asks to wait
        :raises RequestRejected: the mail server will never take this mail
        """
        letter = mail.take(entry.id, UUID(entry.object_id))
        if letter is None:
            return False
        base_url = organization_url()
        fault_points.reach("mail.before_send")
        try:
            mail.send(letter, entry_id=entry.id, base_url=base_url, link_of=lambda note: link_of(note, base_url))
        except mail.MailRefused as error:
            raise RequestRejected(f"the mail server refused: {error}") from error
        except mail.MailUndelivered as error:
            raise Unavailable(f"the mail server did not take it: {error}") from error
        fault_points.reach("mail.sent")
        return True

    def settle(self, entry: OutboxEntry, integration: Integration | None, result: bool) -> None:
        """Note that it left."""
        mail.settle(entry.id)

    def give_up(self, entry: OutboxEntry, integration: Integration | None, error: ProviderError) -> None:
        """Owe it again for later, unless the server will never take it."""
        mail.give_up(entry.id, is_final=not isinstance(error, Unavailable), reason=error.name)


def organization_url() -> str:
    """Return where the entered organization's pages are, of the settings and never of a request."""
    slug = Organization.objects.values_list("slug", flat=True).get(schema_name=require_organization())
    return f"{people_url()}/o/{slug}"


def link_of(note: Notification, base_url: str) -> str:
    """Return the page where a note's matter is mended: no secret and no token is in it."""
    if not note.page:
        return f"{base_url}{admin_path('index')}"
    return f"{base_url}{admin_path(note.page, note.target_id)}"


def admin_path(view: str, *args: Any) -> str:
    """Return an address of the organization's site, as it is below the organization's own prefix."""
    path = reverse(f"admin:{view}", args=args, urlconf=settings.ORGANIZATION_URLCONF, current_app="organization")
    return "/" + path.removeprefix(get_script_prefix())


SEND_MAIL = SendMail()
