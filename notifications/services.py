"""Telling people of the entered organization, and the platform's staff."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.mail import send_mail

from core import clock
from notifications.models import Notification
from tenants.context import release_connection, require_organization

log = structlog.get_logger(__name__)

STAFF_AGAIN_AFTER = timedelta(hours=24)
"""What still is wrong a day later is told again; every hour it would only teach people to look away."""


def notify(*, kind: str, text: str, target: tuple[str, object] | None = None, **facts: Any) -> Notification:
    """
    Leave a note in the organization's admin, in the caller's transaction.

    :param facts: other columns of the note, such as `title` and `next_action`
    """
    target_kind, target_id = target or ("", "")
    return Notification.objects.create(
        organization_schema=require_organization(),
        kind=kind,
        text=text,
        target_kind=target_kind,
        target_id=str(target_id),
        **facts,
    )


def close_notes(issue_ids: Collection[UUID]) -> int:
    """Note that what was told is over: nobody is mailed about it any more. Return how many notes that were."""
    if not issue_ids:
        return 0
    open_notes = Notification.objects.filter(issue_id__in=issue_ids, closed_at=None)
    return open_notes.update(closed_at=clock.now())


def reopen_notes(issue_id: UUID) -> list[Notification]:
    """Note that what was over is back, and return the notes that told of it."""
    Notification.objects.filter(issue_id=issue_id).update(closed_at=None)
    return list(Notification.objects.filter(issue_id=issue_id).order_by("created_at"))


def unread_count() -> int:
    """Count the notes of the entered organization that nobody read and that are not over."""
    schema = require_organization()
    return Notification.objects.filter(organization_schema=schema, read_at=None, closed_at=None).count()


def mark_read(ids: Collection[UUID] | None = None) -> int:
    """Mark notes of the entered organization as read, all of them unless named; return how many were unread."""
    unread = Notification.objects.filter(organization_schema=require_organization(), read_at=None)
    if ids is not None:
        unread = unread.filter(pk__in=ids)
    return unread.update(read_at=clock.now())


def notify_staff(*, kind: str, text: str, target: tuple[str, object] | None = None) -> Notification | None:
    """
    Tell the platform's superusers by a note and by mail; None when they were told the same a short time ago.

    Runs in public and commits by itself. A mail that cannot be sent is logged: the note stays.
    """
    target_kind, target_id = target or ("", "")
    told = Notification.objects.filter(
        organization_schema=None, kind=kind, target_id=str(target_id), created_at__gt=clock.now() - STAFF_AGAIN_AFTER
    )
    if told.exists():
        return None
    note = Notification.objects.create(kind=kind, text=text, target_kind=target_kind, target_id=str(target_id))
    staff = get_user_model().objects.filter(is_active=True, is_superuser=True)
    addresses = list(staff.order_by("email").values_list("email", flat=True))
    release_connection()
    try:
        send_mail(f"Integrations Registry: {kind}", text, settings.DEFAULT_FROM_EMAIL, addresses)
    except OSError as error:  # SMTP errors are OSErrors, too
        log.warning("staff.not_mailed", kind=kind, error=type(error).__name__)
    return note
