"""
Endpoints that fail: warned of at 50, 70 and 90 percent of the time they have, switched off at the end, tried each day.

An endpoint fails from the first failure after its last success. Steps are taken when a try fails: one that is told
nothing is not switched off for it, and none is switched off sooner than a tenth of its time after a warning.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_noop

from audit.services import Actor, Target, record
from core import clock
from core.pace import scaled
from core.redaction import redact_url
from dispatch import outbox
from notifications import mail
from notifications.endpoints.models import DisabledBecause, EndpointStatus, EventEndpoint
from notifications.models import Notification
from notifications.services import notify
from tenants.context import in_organization

ACTOR = Actor.system("endpoints")
PROBE = "endpoint.probe"
PAGE = "notifications_eventendpoint_change"

STEPS = (50, 70, 90, 100)
"""Percent of `disable_after`: three warnings, then it is switched off."""

LAST_WARNING, END = STEPS[-2:]

DAY_S = 86_400
PROBE_EVERY = timedelta(seconds=scaled(DAY_S))
PROBES = 200
"""Tests of switched off endpoints that one sweep begins."""

WARNING = gettext_noop("The event endpoint %(url)s has failed since %(since)s. On %(ends)s it is switched off.")
SWITCHED_OFF = gettext_noop("The event endpoint %(url)s was switched off because it failed for too long.")
WAS_GONE = gettext_noop("The event endpoint %(url)s was switched off because it answered 410 Gone.")
BACK = gettext_noop("The event endpoint %(url)s works again and was switched on.")
MEND = gettext_noop("Let the endpoint answer 2xx within 15 seconds; its page shows what it answered.")
REPLAY = gettext_noop("Mend the endpoint, switch it on and replay what it missed; events are kept for 90 days.")
REPLAY_NOW = gettext_noop("Replay what it missed.")


def disable_after() -> timedelta:
    """Return how long an endpoint may fail before it is switched off."""
    return timedelta(seconds=scaled(settings.ENDPOINT_DISABLE_AFTER_DAYS * DAY_S))


def note_success(endpoint: EventEndpoint) -> None:
    """Forget the failures of a locked endpoint, and switch it on again if they were why it was switched off."""
    if endpoint.status == EndpointStatus.DISABLED and endpoint.disabled_because != DisabledBecause.FAILING:
        return
    was_off, was_failing = endpoint.status == EndpointStatus.DISABLED, endpoint.failing_since is not None
    if not was_off and not was_failing:
        return
    endpoint.status, endpoint.disabled_because, endpoint.disabled_at = EndpointStatus.ACTIVE, DisabledBecause.NOT, None
    endpoint.failing_since, endpoint.next_probe_at = None, None
    endpoint.warned_percent, endpoint.warned_at = 0, None
    _save(endpoint)
    close_notes(endpoint)
    if was_off:
        record(action="event_endpoint.enabled", actor=ACTOR, target=_target(endpoint))
        _tell(endpoint, "endpoint.recovered", BACK, REPLAY_NOW)


def note_failure(endpoint: EventEndpoint) -> None:
    """Take the step that a locked endpoint's failures have come to."""
    if endpoint.failing_since is None:
        endpoint.failing_since = clock.now()
        _save(endpoint)
    if endpoint.status != EndpointStatus.ACTIVE:
        return
    failed_for = clock.now() - endpoint.failing_since
    reached = max((step for step in STEPS if failed_for >= disable_after() * step / 100), default=0)
    if reached == END and endpoint.warned_at and clock.now() - endpoint.warned_at >= disable_after() / 10:
        disable(endpoint, DisabledBecause.FAILING)
    elif min(reached, LAST_WARNING) > endpoint.warned_percent:
        _warn(endpoint, min(reached, LAST_WARNING))


def disable(endpoint: EventEndpoint, because: DisabledBecause) -> None:
    """Switch a locked endpoint off and say why; what failed is tried each day, what is gone is not."""
    endpoint.status, endpoint.disabled_because, endpoint.disabled_at = EndpointStatus.DISABLED, because, clock.now()
    endpoint.next_probe_at = clock.now() + PROBE_EVERY if because == DisabledBecause.FAILING else None
    _save(endpoint)
    record(action="event_endpoint.disabled", actor=ACTOR, target=_target(endpoint), details={"because": because.value})
    close_notes(endpoint)
    _tell(endpoint, "endpoint.disabled", WAS_GONE if because == DisabledBecause.GONE else SWITCHED_OFF, REPLAY)


def begin_probes() -> int:
    """Begin the daily test of endpoints that failed for too long; runs in public. Returns how many."""
    now = clock.now()
    with transaction.atomic():
        due = EventEndpoint.objects.filter(next_probe_at__lte=now).order_by("next_probe_at")
        found = list(due.select_for_update(skip_locked=True)[:PROBES])
        EventEndpoint.objects.filter(pk__in=[endpoint.pk for endpoint in found]).update(next_probe_at=now + PROBE_EVERY)
        for endpoint in found:
            with in_organization(endpoint.organization_schema):
                outbox.add(PROBE, link_id=endpoint.pk, object_id=str(endpoint.pk))
    return len(found)


def close_notes(endpoint: EventEndpoint) -> None:
    """Note that what was told of an endpoint is over."""
    told = Notification.objects.filter(
        organization_schema=endpoint.organization_schema,
        target_kind="event_endpoint",
        target_id=str(endpoint.pk),
        closed_at=None,
    )
    told.update(closed_at=clock.now())


def _warn(endpoint: EventEndpoint, percent: int) -> None:
    endpoint.warned_percent, endpoint.warned_at = percent, clock.now()
    _save(endpoint)
    since = endpoint.failing_since or clock.now()
    ends = max(since + disable_after(), clock.now())
    _tell(endpoint, "endpoint.failing", WARNING, MEND, since=f"{since:%Y-%m-%d %H:%M} UTC", ends=f"{ends:%Y-%m-%d}")


def _tell(endpoint: EventEndpoint, kind: str, text: str, action: str, **values: str) -> None:
    url = redact_url(endpoint.url)
    note = notify(
        kind=kind,
        title=url[:340],
        text=text,
        next_action=action,
        details={"url": url, **values},
        target=("event_endpoint", endpoint.pk),
        page=PAGE,
    )
    mail.owe(note)


def _save(endpoint: EventEndpoint) -> None:
    endpoint.save(
        update_fields=[
            "status", "disabled_because", "disabled_at", "failing_since", "warned_percent", "warned_at",
            "next_probe_at",
        ]
    )  # fmt: skip


def _target(endpoint: EventEndpoint) -> Target:
    return Target(kind="event_endpoint", id=str(endpoint.pk), label=redact_url(endpoint.url))
