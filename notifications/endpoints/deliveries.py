"""
Events on their way to endpoints: one outbox entry per try, one attempt row per call.

An entry carries the endpoint's id as its link, so that claims give each endpoint five of the platform's hands and a
slow one blocks no other (docs/decisions/0010). What becomes of a try is decided here and not by the class of an error:
the waits are those of the Standard Webhooks specification, longer than any vendor is waited for.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

import vault.services as vault
from core import clock
from core.pace import scaled
from core.redaction import redact_text
from core.secret import Secret
from dispatch import outbox
from dispatch.models import OutboxEntry
from dispatch.waker import wake
from notifications.endpoints import catalogue, trouble
from notifications.endpoints.models import (
    DeliveryAttempt,
    DeliveryState,
    DisabledBecause,
    EndpointDelivery,
    EndpointStatus,
    EventEndpoint,
    PublishedEvent,
)
from notifications.endpoints.trouble import close_notes
from vault.services import SealContext

__all__ = ["Outcome", "add", "close_notes", "keep_events", "note_attempt", "open_secret", "seal_secret", "take"]

KIND = "endpoint.deliver"

WAITS_S = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 36_000.0)
"""Before the second to the eighth try, as Standard Webhooks proposes; the last comes 27 hours after the first."""

JITTER = 0.1
"""What failed together is tried again spread over a tenth of the wait."""

ANSWER_CHARACTERS = 1024
BATCH = 500
WRITTEN = ("state", "attempts", "closed_at", "entry_id", "next_attempt_at")
GONE = 410


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    What a call to an endpoint came to.

    :param error: what went wrong in one word; empty after a 2xx
    :param retry_after_s: how long the endpoint asked to be left alone
    """

    status: int | None
    duration_ms: float
    error: str = ""
    answer: str = ""
    retry_after_s: float | None = None


def keep_events(events: Sequence[PublishedEvent]) -> None:
    """Keep published events of one organization and owe each to every endpoint that wants it; one transaction."""
    PublishedEvent.objects.bulk_create(events)
    listening = EventEndpoint.objects.filter(
        organization_schema=events[0].organization_schema, status=EndpointStatus.ACTIVE
    )
    for endpoint in listening:
        wanted = [
            event
            for event in events
            if event.environment == endpoint.environment and catalogue.wants(endpoint.event_types, event.type)
        ]
        if wanted:
            add(endpoint, wanted)


def add(endpoint: EventEndpoint, events: Sequence[PublishedEvent]) -> None:
    """Owe events to an endpoint, from the first try on; one that is under way already begins anew. One transaction."""
    schema, due_at = endpoint.organization_schema, max(filter(None, (clock.now(), endpoint.held_until)))
    EndpointDelivery.objects.bulk_create(
        [EndpointDelivery(organization_schema=schema, endpoint=endpoint, event=event) for event in events],
        ignore_conflicts=True,
    )
    ours = EndpointDelivery.objects.select_for_update().filter(endpoint=endpoint)
    owed = list(ours.filter(event__in=[event.pk for event in events]).order_by("event_id"))
    entries = [
        OutboxEntry(
            organization_schema=schema, link_id=endpoint.pk, kind=KIND, object_id=str(row.pk), next_attempt_at=due_at
        )
        for row in owed
    ]
    OutboxEntry.objects.bulk_create(entries, batch_size=BATCH)
    for row, entry in zip(owed, entries, strict=True):
        row.attempts, row.state, row.closed_at = 0, DeliveryState.WAITING, None
        row.entry_id, row.next_attempt_at = entry.pk, due_at
    EndpointDelivery.objects.bulk_update(owed, WRITTEN, batch_size=BATCH)
    transaction.on_commit(lambda: wake("outbound"))


def take(delivery_id: UUID, entry_id: UUID) -> EndpointDelivery | None:
    """Return what an outbox entry is to deliver; nothing when it is done, begun anew, or nobody wants it any more."""
    wanted = EndpointDelivery.objects.select_related("endpoint", "event")
    delivery = wanted.filter(pk=delivery_id, entry_id=entry_id, state=DeliveryState.WAITING).first()
    if delivery is not None and delivery.endpoint.status != EndpointStatus.ACTIVE:
        return None
    return delivery


def note_attempt(delivery: EndpointDelivery, outcome: Outcome) -> None:
    """Write down a try and what comes next, in the transaction that closes its entry."""
    endpoint = EventEndpoint.objects.select_for_update().filter(pk=delivery.endpoint_id).first()
    fresh = EndpointDelivery.objects.select_for_update().filter(pk=delivery.pk, entry_id=delivery.entry_id).first()
    if endpoint is None or fresh is None:
        return  # deleted while it was called, or a replay began anew
    fresh.attempts += 1
    keep_attempt(endpoint, outcome, event_id=fresh.event_id, event_type=delivery.event.type, delivery=fresh)
    if not outcome.error:
        close(fresh, DeliveryState.DELIVERED)
        trouble.note_success(endpoint)
        return
    if outcome.status == GONE:
        trouble.disable(endpoint, DisabledBecause.GONE)
    else:
        trouble.note_failure(endpoint)
    _try_later_or_fail(fresh, endpoint, outcome)


def close(delivery: EndpointDelivery, state: DeliveryState) -> None:
    """End a delivery."""
    delivery.state, delivery.closed_at = state, clock.now()
    delivery.entry_id, delivery.next_attempt_at = None, None
    delivery.save(update_fields=WRITTEN)


def give_up(delivery_id: UUID, entry_id: UUID) -> None:
    """End a delivery whose entry ended without a call."""
    for delivery in EndpointDelivery.objects.filter(pk=delivery_id, entry_id=entry_id):
        close(delivery, DeliveryState.FAILED)


def keep_attempt(
    endpoint: EventEndpoint,
    outcome: Outcome,
    *,
    event_id: UUID,
    event_type: str,
    delivery: EndpointDelivery | None = None,
) -> DeliveryAttempt:
    """Write down one call; the start of its answer is sealed."""
    attempt = DeliveryAttempt(
        organization_schema=endpoint.organization_schema,
        endpoint=endpoint,
        delivery=delivery,
        event_id=event_id,
        event_type=event_type,
        number=delivery.attempts if delivery else 1,
        status_code=outcome.status,
        error=outcome.error,
        duration_ms=outcome.duration_ms,
    )
    if outcome.answer:
        shown = redact_text(outcome.answer)[:ANSWER_CHARACTERS]
        attempt.sealed_answer = vault.seal(shown.encode(), _place_of_answer(attempt))
    attempt.save(force_insert=True)
    return attempt


def answer_of(attempt: DeliveryAttempt) -> str:
    """Return the start of what an endpoint answered."""
    if not attempt.sealed_answer:
        return ""
    return vault.open_bytes(attempt.sealed_answer, _place_of_answer(attempt)).decode()


def signing_secrets(endpoint: EventEndpoint) -> list[Secret]:
    """Open the secrets that sign now: the newest first, the one before it for 24 hours after a rotation."""
    found = [open_secret(endpoint)]
    if endpoint.sealed_previous and endpoint.previous_until and endpoint.previous_until > clock.now():
        place = _place_of_secret(endpoint, is_previous=True)
        found.append(Secret(vault.open_bytes(endpoint.sealed_previous, place).decode()))
    return found


def open_secret(endpoint: EventEndpoint) -> Secret:
    """Open the secret of now."""
    return Secret(vault.open_bytes(endpoint.sealed_secret, _place_of_secret(endpoint)).decode())


def seal_secret(endpoint: EventEndpoint, secret: Secret, *, is_previous: bool = False) -> bytes:
    """Seal a secret for its place in this endpoint."""
    return vault.seal(secret.reveal().encode(), _place_of_secret(endpoint, is_previous=is_previous))


def _try_later_or_fail(delivery: EndpointDelivery, endpoint: EventEndpoint, outcome: Outcome) -> None:
    wait_s = _wait_s(delivery.attempts, outcome)
    if wait_s is None or endpoint.status != EndpointStatus.ACTIVE:
        close(delivery, DeliveryState.FAILED)
        return
    if outcome.retry_after_s is not None:
        endpoint.held_until = clock.now() + timedelta(seconds=outcome.retry_after_s)
        endpoint.save(update_fields=["held_until"])
    _owe(delivery, clock.now() + timedelta(seconds=wait_s))


def _wait_s(attempts: int, outcome: Outcome) -> float | None:
    if attempts > len(WAITS_S):
        return None
    planned = scaled(WAITS_S[attempts - 1]) * random.uniform(1.0, 1.0 + JITTER)  # noqa: S311  spreads, hides nothing
    return max(planned, outcome.retry_after_s or 0.0)


def _owe(delivery: EndpointDelivery, due_at: datetime) -> None:
    entry = outbox.add(KIND, link_id=delivery.endpoint_id, object_id=str(delivery.pk), due_at=due_at)
    delivery.entry_id, delivery.next_attempt_at = entry.pk, due_at
    delivery.save(update_fields=WRITTEN)


def _place_of_secret(endpoint: EventEndpoint, *, is_previous: bool = False) -> SealContext:
    return SealContext(
        organization_schema=endpoint.organization_schema,
        owner=str(endpoint.pk),
        field="endpoint.previous_secret" if is_previous else "endpoint.secret",
        version=0 if is_previous else endpoint.secret_version,
    )


def _place_of_answer(attempt: DeliveryAttempt) -> SealContext:
    return SealContext(
        organization_schema=attempt.organization_schema, owner=str(attempt.pk), field="endpoint.answer", version=0
    )
