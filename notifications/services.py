"""Telling people of the entered organization."""

from __future__ import annotations

from notifications.models import Notification
from tenants.context import require_organization


def notify(*, kind: str, text: str, target: tuple[str, object] | None = None) -> Notification:
    """Leave a note in the organization's admin, in the caller's transaction."""
    target_kind, target_id = target or ("", "")
    return Notification.objects.create(
        organization_schema=require_organization(),
        kind=kind,
        text=text,
        target_kind=target_kind,
        target_id=str(target_id),
    )
