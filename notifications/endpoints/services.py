"""Endpoints of the entered organization: made, changed, their secrets replaced, past events told again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import QuerySet

from audit.services import Actor, Target, record
from core import clock
from core.errors import Conflict, ValidationFailed
from core.redaction import redact_url
from core.secret import Secret
from dispatch.models import OutboxEntry, OutboxStatus
from notifications.endpoints import catalogue, deliveries
from notifications.endpoints.addresses import check_url
from notifications.endpoints.models import DisabledBecause, EndpointStatus, EventEndpoint, PublishedEvent
from notifications.endpoints.signing import new_secret
from tenants.context import require_organization

BOTH_SIGN_FOR = timedelta(hours=24)
"""After a rotation the old secret signs beside the new one: a day to bring the new one to every receiver."""

MOST_ENDPOINTS = 50
"""Of one environment: each event is told to all that want it."""

MOST_REPLAYED = 5_000
"""Events of one replay, which are written in one transaction; a longer time is replayed in parts."""


class NewEndpoint(NamedTuple):
    """An endpoint and its secret, which is shown now and never again."""

    endpoint: EventEndpoint
    secret: Secret


def create(
    *, url: str, event_types: Sequence[str], environment: str, actor: Actor, description: str = ""
) -> NewEndpoint:
    """
    Make an endpoint; nothing is sent to it before the next event.

    :raises ValidationFailed: the URL or a type cannot be used
    :raises Conflict: there are too many
    """
    endpoint = EventEndpoint(
        organization_schema=require_organization(),
        environment=environment,
        url=check_url(url).url,
        event_types=_checked(event_types),
        description=description,
    )
    secret = new_secret()
    endpoint.sealed_secret = deliveries.seal_secret(endpoint, secret)
    with transaction.atomic():
        if endpoints_of(environment).count() >= MOST_ENDPOINTS:
            raise Conflict(
                f"There are {MOST_ENDPOINTS} endpoints already; delete one first.", code="too_many_endpoints"
            )
        endpoint.save(force_insert=True)
        record(
            action="event_endpoint.created",
            actor=actor,
            target=audit_target(endpoint),
            details={"event_types": endpoint.event_types, "environment": environment},
        )
    return NewEndpoint(endpoint, secret)


def change(endpoint: EventEndpoint, values: Mapping[str, Any], *, actor: Actor) -> EventEndpoint:
    """
    Change `url`, `event_types`, `description` or `enabled`; what was told to the old URL is not told again.

    :raises ValidationFailed: a value cannot be used
    """
    columns: dict[str, Any] = {name: value for name, value in values.items() if name == "description"}
    if "url" in values:
        columns["url"] = check_url(values["url"]).url
    if "event_types" in values:
        columns["event_types"] = _checked(values["event_types"])
    if "enabled" in values:
        columns |= _ENABLED if values["enabled"] else {**_DISABLED, "disabled_at": clock.now()}
    with transaction.atomic():
        EventEndpoint.objects.filter(pk=endpoint.pk).update(**columns)
        if values.get("enabled"):
            deliveries.close_notes(endpoint)
        record(
            action="event_endpoint.changed",
            actor=actor,
            target=audit_target(endpoint),
            details={"fields": sorted(values)},
        )
    endpoint.refresh_from_db()
    return endpoint


def delete(endpoint: EventEndpoint, *, actor: Actor) -> None:
    """Delete an endpoint with its secret and its attempts; the events stay in the feed."""
    with transaction.atomic():
        record(action="event_endpoint.deleted", actor=actor, target=audit_target(endpoint))
        deliveries.close_notes(endpoint)
        waiting = OutboxEntry.objects.filter(link_id=endpoint.pk, status=OutboxStatus.WAITING)
        waiting.update(status=OutboxStatus.CANCELED, done_at=clock.now())
        endpoint.delete()


def rotate_secret(endpoint: EventEndpoint, *, actor: Actor) -> NewEndpoint:
    """Replace the secret; the old one signs beside the new one for 24 hours."""
    with transaction.atomic():
        fresh = EventEndpoint.objects.select_for_update().get(pk=endpoint.pk)
        old, secret = deliveries.open_secret(fresh), new_secret()
        fresh.sealed_previous = deliveries.seal_secret(fresh, old, is_previous=True)
        fresh.previous_until = clock.now() + BOTH_SIGN_FOR
        fresh.secret_version += 1
        fresh.sealed_secret = deliveries.seal_secret(fresh, secret)
        fresh.save(update_fields=["sealed_previous", "previous_until", "secret_version", "sealed_secret"])
        record(action="event_endpoint.secret_rotated", actor=actor, target=audit_target(fresh))
    return NewEndpoint(fresh, secret)


def replay(endpoint: EventEndpoint, *, since: datetime, until: datetime, actor: Actor) -> int:
    """
    Tell an endpoint again of the events of a time that it wants; ids stay the same. Return how many.

    :raises ValidationFailed: the time is empty or holds too many events
    :raises Conflict: the endpoint is switched off
    """
    if endpoint.status != EndpointStatus.ACTIVE:
        raise Conflict("The endpoint is switched off. Switch it on again first.", code="endpoint_disabled")
    if since >= until:
        raise ValidationFailed("The time is empty.", errors={"until": ["Use a time after `since`."]})
    past = events_of(endpoint.environment).filter(occurred_at__gte=since, occurred_at__lt=until)
    types = [name for name in catalogue.TYPES if catalogue.wants(endpoint.event_types, name)]
    found = list(past.filter(type__in=types).order_by("id")[: MOST_REPLAYED + 1])
    if len(found) > MOST_REPLAYED:
        raise ValidationFailed(
            "This is too much for one replay.",
            errors={"until": [f"Choose a time with at most {MOST_REPLAYED} events."]},
        )
    with transaction.atomic():
        deliveries.add(endpoint, found)
        record(
            action="event_endpoint.replayed",
            actor=actor,
            target=audit_target(endpoint),
            details={"since": clock.iso(since), "until": clock.iso(until), "events": len(found)},
        )
    return len(found)


def endpoints_of(environment: str) -> QuerySet[EventEndpoint]:
    """Return the endpoints of one environment of the entered organization."""
    return EventEndpoint.objects.filter(organization_schema=require_organization(), environment=environment)


def events_of(environment: str) -> QuerySet[PublishedEvent]:
    """Return the published events of one environment of the entered organization."""
    return PublishedEvent.objects.filter(organization_schema=require_organization(), environment=environment)


def audit_target(endpoint: EventEndpoint) -> Target:
    """Name an endpoint in the trail; a query may hold a key and is left out."""
    return Target(kind="event_endpoint", id=str(endpoint.pk), label=redact_url(endpoint.url))


_ENABLED: dict[str, Any] = {
    "status": EndpointStatus.ACTIVE,
    "disabled_because": DisabledBecause.NOT,
    "disabled_at": None,
    "failing_since": None,
    "warned_percent": 0,
    "warned_at": None,
    "next_probe_at": None,
    "held_until": None,
}
_DISABLED: dict[str, Any] = {
    "status": EndpointStatus.DISABLED,
    "disabled_because": DisabledBecause.BY_PERSON,
    "next_probe_at": None,
}


def _checked(event_types: Sequence[str]) -> list[str]:
    unknown = catalogue.unknown_patterns(event_types)
    if unknown or not event_types:
        known = ", ".join(sorted(catalogue.PATTERNS))
        named = f"Unknown: {', '.join(unknown)}. " if unknown else ""
        raise ValidationFailed("Some event types do not exist.", errors={"event_types": [f"{named}Use of: {known}."]})
    return sorted(set(event_types))
