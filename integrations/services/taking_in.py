"""
Taking facts in: events kept once by the vendor's key, then handled by their category, in the caller's transaction.

Handlers do not depend on the order, so that of several facts those about one object are handled next to each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from core import clock
from dispatch import outbox
from integrations import registry
from integrations.contract import InboundEvent
from integrations.models import Event, Integration
from meter import usage
from tenants.base import insert_new


class Arrived(NamedTuple):
    """A fact and what brought it: a delivery, or none where we asked the vendor for it."""

    event: InboundEvent
    delivery_id: UUID | None = None
    received_at: datetime | None = None


def take_in(integration: Integration, arrived: Sequence[Arrived]) -> list[Event]:
    """Keep the events that are new and handle them; return their rows."""
    of_row = {}
    for one in arrived:
        row = _row(integration, one)
        of_row[row.pk] = (row, one.event)
    new = {row.pk for row in insert_new([row for row, _event in of_row.values()])}
    handler = registry.inbound_handler(integration.provider_class.spec.category)
    fresh = sorted(
        (pair for pk, pair in of_row.items() if pk in new),
        key=lambda pair: pair[0].object,  # two workers take the locks of their objects in one order
    )
    with _gathered(), _together(integration, [event for _row, event in fresh]):
        for row, event in fresh:
            if handler is not None and event.type != "unknown":
                handler(integration, row, event)
    return [row for row, _event in fresh]


@contextmanager
def _gathered() -> Iterator[None]:
    """Let handlers' counts and outside work leave in one statement each, last: a bucket stays locked until commit."""
    with usage.gathered(), outbox.gathered():
        yield


def _together(integration: Integration, events: Sequence[InboundEvent]) -> AbstractContextManager[None]:
    surround = registry.inbound_together(integration.provider_class.spec.category)
    return surround(integration, events) if surround else nullcontext()


def _row(integration: Integration, arrived: Arrived) -> Event:
    event = arrived.event
    return Event(
        integration=integration,
        type=event.type,
        key=event.key[:300],
        external_id=event.external_id[:300],
        object=event.object_key[:300],
        data=dict(event.data),
        raw=dict(event.raw),
        delivery_id=arrived.delivery_id,
        occurred_at=event.occurred_at,
        received_at=arrived.received_at or clock.now(),
    )
