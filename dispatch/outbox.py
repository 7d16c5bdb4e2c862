"""Adding work to do outside, and publishing facts. Both commit with their cause."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from core import clock
from core.errors import ValidationFailed
from dispatch.models import Link, OutboxEntry
from dispatch.waker import wake
from tenants.context import require_organization

PUBLISH = "event.publish"


def add(
    kind: str,
    *,
    link_id: UUID | None,
    object_id: str = "",
    object_key: str = "",
    details: Mapping[str, Any] | None = None,
    expires_at: datetime | None = None,
    due_at: datetime | None = None,
    failover_link_id: UUID | None = None,
) -> OutboxEntry:
    """
    Add work of a kind for the entered organization; a worker is woken after the commit.

    :param object_key: entries of one link with the same key are done one after the other, oldest first
    :param details: ids and small facts only; never a secret, never personal data
    :param failover_link_id: a second integration that does the work where its kind fails over (`OutboxHandler`)
    :raises ValidationFailed: the second integration is not of this organization, environment and category
    """
    if failover_link_id is not None:
        _require_alike(link_id, failover_link_id)
    entry = OutboxEntry.objects.create(
        organization_schema=require_organization(),
        link_id=link_id,
        kind=kind,
        object_id=object_id,
        object_key=object_key,
        details=dict(details or {}),
        expires_at=expires_at,
        next_attempt_at=due_at or clock.now(),
        not_before=_held_until(link_id),
        failover_link_id=failover_link_id,
    )
    connection.on_commit(lambda: wake("outbound"))
    return entry


def _held_until(link_id: UUID | None) -> datetime | None:
    """New work of an integration that the vendor limits waits as the older does."""
    if link_id is None:
        return None
    return Link.objects.filter(pk=link_id, not_before__gt=clock.now()).values_list("not_before", flat=True).first()


def _require_alike(link_id: UUID | None, second_id: UUID) -> None:
    ours = Link.objects.filter(pk__in=[link_id, second_id], organization_schema=require_organization())
    kinds = list(ours.values_list("environment", "category"))
    if len(kinds) != len({link_id, second_id}) or len(kinds) == 1 or len(set(kinds)) != 1:
        raise ValidationFailed(
            "The second integration cannot take over the work of the first.",
            errors={"failover": ["Use another integration of the same environment and category."]},
        )


def publish(event_type: str, object_id: str, *, details: Mapping[str, Any] | None = None) -> None:
    """
    Publish a fact of the entered organization in the transaction of the fact.

    Siblings and customers' endpoints learn of it from the outbox. Without a subscriber there is nothing to keep.
    """
    if has_subscribers(event_type):
        add(PUBLISH, link_id=None, object_id=object_id, details={"type": event_type, **(details or {})})


_subscribed: set[str] = set()


def set_subscribed(event_types: set[str]) -> None:
    """Learn from the registry which types anybody listens to; called once at start."""
    _subscribed.clear()
    _subscribed.update(event_types)


def has_subscribers(event_type: str) -> bool:
    """Whether publishing this type reaches anybody."""
    return event_type in _subscribed
