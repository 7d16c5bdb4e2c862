"""
Telling customers' endpoints: keeping what is published, delivering it, testing, and trying what was switched off.

A try that fails is no error of the outbox: `notifications.endpoints.deliveries` decides what comes next, with waits
that no vendor gets, so the entry of a try is done when the endpoint was called.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import structlog
from django.db import transaction

from audit.services import Actor, record
from core import clock
from core.ids import new_id
from dispatch.models import OutboxEntry
from dispatch.outbox import Fact
from integrations import registry
from integrations.contract import ProviderError
from integrations.models import Integration
from integrations.services import endpoint_calls, entries
from notifications.endpoints import catalogue, deliveries, retention, trouble
from notifications.endpoints.deliveries import Outcome
from notifications.endpoints.models import EndpointDelivery, EventEndpoint, PublishedEvent
from notifications.endpoints.payloads import Payload, body_of
from notifications.endpoints.services import audit_target
from tenants.context import require_organization

log = structlog.get_logger(__name__)

OBJECT_GONE = "ObjectGone"
"""The error of an event whose object was deleted or erased before it could be told."""


def keep(*, event_type: str, object_id: str, entry: OutboxEntry) -> None:
    """Keep a published fact and owe it to the endpoints that want it; runs as its publication is settled."""
    event = PublishedEvent(
        id=entry.id,
        organization_schema=require_organization(),
        type=event_type,
        object_id=object_id,
        details={name: value for name, value in entry.details.items() if name != "type"},
        occurred_at=entry.created_at,
    )
    payload = payloads_of([event]).get(event.id)
    if payload is None:
        log.info("endpoints.object_gone", type=event_type)  # nobody can be told what is no longer there
        return
    event.environment = payload.environment
    deliveries.keep_events([event])


def keep_facts(facts: Sequence[Fact]) -> None:
    """Keep facts whose environment is known and owe them to the endpoints that want them; one transaction."""
    schema = require_organization()
    deliveries.keep_events(
        [
            PublishedEvent(
                organization_schema=schema,
                environment=fact.environment,
                type=fact.type,
                object_id=fact.object_id,
                details=dict(fact.details),
            )
            for fact in facts
        ]
    )


def payloads_of(events: Sequence[PublishedEvent]) -> dict[UUID, Payload]:
    """Compose what events say, by their ids, with one query per type; those whose object is gone are left out."""
    by_type: dict[str, list[PublishedEvent]] = {}
    for event in events:
        by_type.setdefault(event.type, []).append(event)
    return {
        event_id: payload
        for event_type, alike in by_type.items()
        for event_id, payload in registry.composer(event_type)(alike).items()
    }


def test(endpoint: EventEndpoint, *, actor: Actor) -> Outcome:
    """Send a test event now and return what came of it; an endpoint that failed for too long is switched on by it."""
    event_id = new_id()
    outcome = _send_test(endpoint, event_id)
    with transaction.atomic():
        _note_test(endpoint.pk, event_id, outcome)
        record(
            action="event_endpoint.tested",
            actor=actor,
            target=audit_target(endpoint),
            details={"status": outcome.status, "error": outcome.error},
        )
    return outcome


def sweep() -> None:
    """Test what was switched off, and let go what is past its time; runs in public."""
    trouble.begin_probes()
    retention.prune()


class DeliverEvent:
    """One try to tell one endpoint of one event."""

    def call(self, entry: OutboxEntry, integration: Integration | None) -> tuple[EndpointDelivery, Outcome] | None:
        """Call the endpoint; None when there is nothing to tell any more."""
        delivery = deliveries.take(UUID(entry.object_id), entry.id)
        if delivery is None:
            return None
        payload = payloads_of([delivery.event]).get(delivery.event_id)
        if payload is None:
            return delivery, Outcome(status=None, duration_ms=0.0, error=OBJECT_GONE)
        body = body_of(delivery.event, payload.data)
        return delivery, endpoint_calls.send(delivery.endpoint, body, event_id=delivery.event_id)

    def settle(
        self, entry: OutboxEntry, integration: Integration | None, result: tuple[EndpointDelivery, Outcome] | None
    ) -> None:
        """Write down the try and what comes next."""
        if result is None or result[1].error == OBJECT_GONE:
            deliveries.give_up(UUID(entry.object_id), entry.id)
            return
        delivery, outcome = result
        deliveries.note_attempt(delivery, outcome)
        if outcome.retry_after_s is not None:  # all of this endpoint waits with it
            entries.hold_link(delivery.endpoint_id, wait_s=outcome.retry_after_s)

    def give_up(self, entry: OutboxEntry, integration: Integration | None, error: ProviderError) -> None:
        """The entry crashed again and again or was canceled: the delivery ends with it, and may be replayed."""
        deliveries.give_up(UUID(entry.object_id), entry.id)


class ProbeEndpoint:
    """The daily test of an endpoint that failed for too long."""

    def call(self, entry: OutboxEntry, integration: Integration | None) -> Outcome | None:
        """Send a test event; None when the endpoint was deleted or switched on meanwhile."""
        endpoint = EventEndpoint.objects.filter(pk=entry.object_id, next_probe_at__isnull=False).first()
        return _send_test(endpoint, entry.id) if endpoint else None

    def settle(self, entry: OutboxEntry, integration: Integration | None, result: Outcome | None) -> None:
        """Switch the endpoint on again if it took the event."""
        if result is not None:
            _note_test(UUID(entry.object_id), entry.id, result)

    def give_up(self, entry: OutboxEntry, integration: Integration | None, error: ProviderError) -> None:
        """The next day brings the next test."""


def _send_test(endpoint: EventEndpoint, event_id: UUID) -> Outcome:
    event = PublishedEvent(id=event_id, type=catalogue.TEST, occurred_at=clock.now())
    data = {"endpoint": str(endpoint.pk), "message": "This is a test event."}
    return endpoint_calls.send(endpoint, body_of(event, data), event_id=event_id)


def _note_test(endpoint_id: UUID, event_id: UUID, outcome: Outcome) -> None:
    """Write a test down; a failed one counts for nothing else."""
    endpoint = EventEndpoint.objects.select_for_update().filter(pk=endpoint_id).first()
    if endpoint is None:
        return
    deliveries.keep_attempt(endpoint, outcome, event_id=event_id, event_type=catalogue.TEST)
    if not outcome.error:
        trouble.note_success(endpoint)


DELIVER_EVENT = DeliverEvent()
PROBE_ENDPOINT = ProbeEndpoint()
