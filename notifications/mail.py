"""
Mail to members: owed in the transaction of its cause, sent by the outbox, at most one mail for what is due together.

A mail is owed per note and member. What is resolved, muted or no longer wanted when its time comes is dropped with the
reason; what may be the vendor's own trouble is held. Sending is `integrations.services.mailing`, kind
"notification.mail".
"""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parseaddr
from uuid import UUID

from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import Q
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override

from accounts.models import User
from core import clock
from core.pace import scaled
from dispatch import outbox
from dispatch.vendors import vendor_state
from notifications import preferences
from notifications.models import MailMode, Notification, OwedMail
from notifications.preferences import Reader
from tenants.context import in_organization, release_connection, require_organization
from tenants.models import Organization

KIND = "notification.mail"

GATHER = timedelta(seconds=scaled(30))
"""What opens within half a minute of the first is one mail: a vendor's key serves several integrations."""

RECONNECT_AFTER = timedelta(seconds=scaled(300))
"""A refused credential may be the vendor's trouble: five minutes show an incident, or that it mended itself."""

HELD_FOR = timedelta(seconds=scaled(1800))
"""While a vendor has an incident its mails are looked at again this often."""

AGAIN_AFTER = timedelta(seconds=scaled(900))
GIVEN_UP_AFTER = timedelta(days=3)
"""A mail server that is down is tried every quarter of an hour; after three days the news is old."""

DIGEST_HOUR = 11
"""UTC: eight in the morning in São Paulo, where most members are."""

DIGESTS = 500
"""Members whose daily mail one sweep begins."""

FINAL_FROM = 500
"""SMTP answers from here on do not change by waiting."""


class MailRefused(Exception):
    """The mail server will not take this mail, now or later."""


class MailUndelivered(Exception):
    """The mail server cannot be reached or asks to wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One mail to one member: what it tells, and what of the owed mail it settles."""

    reader: Reader
    notes: tuple[Notification, ...]
    is_digest: bool


def owe(note: Notification, *, wait: timedelta = timedelta()) -> int:
    """
    Owe a mail about a note to every member who wants one, in the caller's transaction; return to how many.

    A member who was mailed about this note before, or is about to be, is left alone.
    """
    known = {row.user_id: row for row in OwedMail.objects.filter(note=note)}
    wanted = [reader for reader in preferences.readers() if reader.mode != MailMode.NEVER]
    owed = 0
    for reader in wanted:
        row = known.get(reader.user.pk)
        if row is None or row.outcome == OwedMail.Outcome.DROPPED:
            _owe_to(reader, note, row, wait)
            owed += 1
    return owed


def take(entry_id: UUID, user_id: UUID) -> Letter | None:
    """Take what is due to one member for one outbox entry; nothing when another entry took it or it is over."""
    with transaction.atomic():
        rows = _due_rows(entry_id, user_id)
        OwedMail.objects.filter(pk__in=[row.pk for row in rows]).update(entry_id=entry_id)
        reader = next(iter(preferences.readers(user_id=user_id)), None)
        if reader is None or reader.mode == MailMode.NEVER:
            _drop(rows, "not_wanted")
            return None
        rows = _without(rows, lambda row: row.note.closed_at is not None, "resolved")
        muted = preferences.muted({row.note.target_id for row in rows if row.note.target_kind == "integration"})
        rows = _without(rows, lambda row: row.note.target_id in muted, "muted")
        rows = _hold_for_vendors(rows)
    if not rows:
        return None
    is_digest = all(row.is_digest for row in rows)
    return Letter(reader=reader, notes=tuple(row.note for row in rows), is_digest=is_digest)


def send(letter: Letter, *, entry_id: UUID, base_url: str, link_of: Callable[[Notification], str]) -> None:
    """
    Send one letter in the reader's language; no connection to the database is held while the server is waited for.

    :raises MailRefused: it will never be taken
    :raises MailUndelivered: it may be taken later
    """
    message = _composed(letter, entry_id=entry_id, base_url=base_url, link_of=link_of)
    release_connection()
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _text in error.recipients.values()]
        raise _undelivered(max(codes, default=0)) from error
    except smtplib.SMTPResponseException as error:
        is_ours = isinstance(error, smtplib.SMTPAuthenticationError)  # the operator mends it, and the mail leaves then
        raise _undelivered(0 if is_ours else error.smtp_code) from error
    except OSError as error:  # SMTP errors are OSErrors, too
        raise MailUndelivered(type(error).__name__) from error


def settle(entry_id: UUID) -> int:
    """Note that the entry's mail left; in the transaction that closes the entry."""
    return OwedMail.objects.filter(entry_id=entry_id, closed_at=None).update(
        outcome=OwedMail.Outcome.MAILED, closed_at=clock.now()
    )


def give_up(entry_id: UUID, *, is_final: bool, reason: str) -> None:
    """Give the entry's mail back for another try later, or end it; in the transaction that closes the entry."""
    rows = list(OwedMail.objects.filter(entry_id=entry_id, closed_at=None))
    too_old = clock.now() - GIVEN_UP_AFTER
    again = [] if is_final else [row for row in rows if row.created_at > too_old]
    _drop([row for row in rows if row not in again], reason)
    _put_off(again, AGAIN_AFTER)


def begin_digests() -> int:
    """Begin the daily mails that are due, over all organizations; runs in public. Returns how many."""
    with transaction.atomic():
        due = OwedMail.objects.filter(is_digest=True, entry_id=None, closed_at=None, due_at__lte=clock.now())
        rows = list(due.select_for_update(skip_locked=True).order_by("due_at")[:DIGESTS])
        by_member: dict[tuple[str, UUID], list[UUID]] = {}
        for row in rows:
            by_member.setdefault((row.organization_schema, row.user_id), []).append(row.pk)
        for (schema, user_id), ids in by_member.items():
            with in_organization(schema):
                entry = _entry(user_id, clock.now())
            OwedMail.objects.filter(pk__in=ids).update(entry_id=entry)
    return len(by_member)


def _owe_to(reader: Reader, note: Notification, row: OwedMail | None, wait: timedelta) -> None:
    is_digest = reader.mode == MailMode.DAILY
    now = clock.now()
    row = row or OwedMail(organization_schema=require_organization(), note=note, user_id=reader.user.pk)
    row.is_digest, row.due_at, row.entry_id = is_digest, _digest_at(now + wait) if is_digest else now + wait, None
    row.outcome, row.reason, row.closed_at = OwedMail.Outcome.WAITING, "", None
    row.save()
    if not is_digest:
        _entry(reader.user.pk, row.due_at + GATHER)


def _entry(user_id: UUID, due_at: datetime) -> UUID:
    entry = outbox.add(KIND, link_id=None, object_id=str(user_id), due_at=due_at)
    return UUID(str(entry.pk))


def _digest_at(after: datetime) -> datetime:
    today = after.replace(hour=DIGEST_HOUR, minute=0, second=0, microsecond=0)
    return today if today > after else today + timedelta(days=1)


def _due_rows(entry_id: UUID, user_id: UUID) -> list[OwedMail]:
    mine = OwedMail.objects.filter(organization_schema=require_organization(), user_id=user_id, closed_at=None)
    due = mine.filter(Q(entry_id=entry_id) | Q(entry_id=None, due_at__lte=clock.now()))
    return list(due.select_for_update(skip_locked=True, of=("self",)).select_related("note").order_by("created_at"))


def _without(rows: Sequence[OwedMail], is_over: Callable[[OwedMail], bool], reason: str) -> list[OwedMail]:
    _drop([row for row in rows if is_over(row)], reason)
    return [row for row in rows if not is_over(row)]


def _hold_for_vendors(rows: Sequence[OwedMail]) -> list[OwedMail]:
    """Hold what is about a vendor with an incident: most of it is resolved with the incident."""
    troubled = {name for name in {row.note.provider for row in rows} if name and vendor_state(name).has_incident}
    _put_off([row for row in rows if row.note.provider in troubled], HELD_FOR)
    return [row for row in rows if row.note.provider not in troubled]


def _drop(rows: Iterable[OwedMail], reason: str) -> None:
    OwedMail.objects.filter(pk__in=[row.pk for row in rows]).update(
        outcome=OwedMail.Outcome.DROPPED, reason=reason, closed_at=clock.now()
    )


def _put_off(rows: Sequence[OwedMail], wait: timedelta) -> None:
    due_at = clock.now() + wait
    OwedMail.objects.filter(pk__in=[row.pk for row in rows]).update(entry_id=None, due_at=due_at)
    for user_id in sorted({row.user_id for row in rows}):
        _entry(user_id, due_at)


def _composed(
    letter: Letter, *, entry_id: UUID, base_url: str, link_of: Callable[[Notification], str]
) -> EmailMultiAlternatives:
    user: User = letter.reader.user
    organization = Organization.objects.get(schema_name=require_organization())
    with override(user.locale):
        context = {
            "organization": organization,
            "reader": letter.reader,
            "is_digest": letter.is_digest,
            "items": [{"note": note, "link": link_of(note)} for note in letter.notes],
            "settings_url": f"{base_url}/admin/notifications/mailpreference/",
        }
        subject = _subject(letter, organization)
        text, html = (render_to_string(f"mail/notes.{kind}", context) for kind in ("txt", "html"))
    message = EmailMultiAlternatives(subject, text, to=[user.email])
    # The entry's id: a mail that was taken just before a crash is sent again and told apart by nobody but machines.
    message.extra_headers = {
        "Message-ID": _message_id(entry_id, message.from_email),
        "Auto-Submitted": "auto-generated",
    }
    message.attach_alternative(html, "text/html")
    return message


def _message_id(entry_id: UUID, sender: str) -> str:
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    return f"<{entry_id}@{domain}>"


def _subject(letter: Letter, organization: Organization) -> str:
    """Say the one thing, or how many there are; one line, for a name is what somebody typed."""
    count = len(letter.notes)
    if count == 1:
        said = f"{letter.notes[0].title}: {letter.notes[0].said}".strip(": ")
    elif letter.is_digest:
        said = _("Daily summary: %(count)d notes") % {"count": count}
    else:
        said = ngettext("%(count)d integration needs you", "%(count)d integrations need you", count) % {"count": count}
    return " ".join(f"[{organization.name}] {said}".split())[:200]


def _undelivered(code: int) -> Exception:
    return MailRefused(str(code)) if code >= FINAL_FROM else MailUndelivered(str(code))
