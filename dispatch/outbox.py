"""Adding work to do outside, and publishing facts. Both commit with their cause."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
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

_gathered: ContextVar[list[OutboxEntry] | None] = ContextVar("gathered_entries", default=None)
_gathered_facts: ContextVar[list[Fact] | None] = ContextVar("gathered_facts", default=None)


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
    entry = OutboxEntry(
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
    if (waiting := _gathered.get()) is not None:
        waiting.append(entry)
        return entry
    entry.save(force_insert=True)
    connection.on_commit(_wake)
    return entry


@contextmanager
def gathered() -> Iterator[None]:
    """Add what the block adds at its end, in one statement; nothing if it fails. Keep the transaction around it."""
    waiting: list[OutboxEntry] = []
    facts: list[Fact] = []
    token, facts_token = _gathered.set(waiting), _gathered_facts.set(facts)
    try:
        yield
    finally:
        _gathered.reset(token)
        _gathered_facts.reset(facts_token)
    if facts:
        _customers.keep(facts)
    if waiting:
        OutboxEntry.objects.bulk_create(waiting)
        connection.on_commit(_wake)


def _wake() -> None:
    wake("outbound")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A published fact whose object's environment its publisher knows."""

    type: str
    object_id: str
    environment: str
    details: Mapping[str, Any]


def publish(
    event_type: str, object_id: str, *, environment: str = "", details: Mapping[str, Any] | None = None
) -> None:
    """
    Publish a fact of the entered organization in the transaction of the fact.

    Siblings and customers' endpoints learn of it from the outbox. Without a subscriber there is nothing to keep.

    :param environment: of the object; where it is known, and customers alone may listen, the fact is kept for them at
        once instead of by an entry of its own, which is what makes a fact per message cheap
    """
    if environment and event_type in _customers.types:
        fact = Fact(type=event_type, object_id=object_id, environment=environment, details=dict(details or {}))
        if (waiting := _gathered_facts.get()) is not None:
            waiting.append(fact)
        else:
            _customers.keep([fact])
    elif has_subscribers(event_type):
        add(PUBLISH, link_id=None, object_id=object_id, details={**(details or {}), "type": event_type})


Keep = Callable[[Sequence[Fact]], None]
"""Keeps facts for customers' endpoints, in the transaction that publishes them."""


@dataclass(slots=True)
class _Customers:
    keep: Keep = lambda facts: None
    types: frozenset[str] = frozenset()


_customers = _Customers()
_subscribed: set[str] = set()


def set_subscribed(event_types: set[str]) -> None:
    """Learn from the registry which types anybody listens to; called once at start."""
    _subscribed.clear()
    _subscribed.update(event_types)


def set_keeper(keep: Keep, types: Iterable[str]) -> None:
    """Learn who keeps facts for customers, and of which types nobody else wants to know; called once at start."""
    _customers.keep, _customers.types = keep, frozenset(types)


def has_subscribers(event_type: str) -> bool:
    """Whether publishing this type reaches anybody."""
    return event_type in _subscribed
