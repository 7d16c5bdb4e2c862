"""
A vendor's incident: many organizations failing at one vendor with one class of error, told once and ended by itself.

What each link fails with is in its public row; pooled over organizations it tells the vendor's trouble from theirs.
While the incident is open probes are slowed, queues held and nobody is asked to reconnect. No organization learns
anything of another: all see the same sentence about the vendor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext_noop

from audit.services import Actor, Target, record
from core import clock
from core.errors import Conflict
from core.pace import scaled
from dispatch.models import Link, LinkHealth, LinkStatus, ProviderIncident, Vendor
from integrations import registry
from integrations.contract import AuthenticationFailed, HealthSpec
from integrations.models import Integration
from integrations.services import issues, links, outbox, probing
from integrations.services.credentials import audit_target
from notifications.services import notify_staff
from tenants.context import in_organization

log = structlog.get_logger(__name__)

OPENED = "provider_incident.opened"
CLOSED = "provider_incident.closed"

WINDOW = timedelta(seconds=scaled(300))
"""Failures this close together are one thing; the bars below are the issue's."""

MIN_ORGANIZATIONS = 5
MIN_SHARE = 0.3

RECENT = timedelta(seconds=scaled(120))
"""Whether failures are suspicious is seen in what is known since then: what was well before them says nothing."""

ASKED_PER_FAILING = 4
"""How many more links are asked at once for each that fails: a single failure costs four checks, and those are free."""

ONSET = timedelta(seconds=scaled(3600))
"""A credential or a permission that was refused longer ago than this is its owner's matter, not the vendor's."""

EVIDENCE_PERIODS = 1.2
"""A link's turn comes about once in a period: what is older than this says nothing of now."""

QUIET_PERIODS = 2
"""A vendor that is never probed by the clock is given this long without a failure before its work goes on."""

NOTHING_TO_DO = gettext_noop("Nothing to do: work is held and goes on by itself when the provider is back.")

TEXTS = {
    "Unavailable": gettext_noop("The provider does not answer properly; this is not about your account."),
    "ProviderOutage": gettext_noop("The provider is down; this is not about your account."),
    "RateLimited": gettext_noop("The provider limits calls more than usual; this is not about your account."),
    "AuthenticationFailed": gettext_noop("The provider refuses valid credentials; there is no need to reconnect."),
    "PermissionMissing": gettext_noop("The provider refuses granted permissions; this is not about your account."),
    "UnexpectedResponse": gettext_noop("The provider answers in a broken way; this is not about your account."),
}
"""What everybody reads, by the class of error that strikes."""

_POOLED = """
    WITH failing AS (
        SELECT provider, failing_class, count(*) AS links, count(DISTINCT organization_schema) AS organizations
        FROM dispatch_link
        WHERE failing_class <> '' AND failing_at > %(since)s AND status IN ('active', 'needs_reauth')
          AND NOT (failing_class = ANY(%(theirs)s) AND health = 'failing' AND COALESCE(since < %(onset)s, false))
        GROUP BY provider, failing_class
    )
    SELECT f.provider, f.failing_class, f.organizations, f.links, a.active, a.asked
    FROM failing f
    CROSS JOIN LATERAL (
        SELECT count(*) AS active,
            count(*) FILTER (WHERE GREATEST(l.last_checked_at, l.failing_at) > %(recent)s) AS asked
        FROM dispatch_link l
        WHERE l.provider = f.provider
          AND (l.status = 'active' OR (l.status = 'needs_reauth' AND l.failing_at > %(since)s AND l.since >= %(onset)s))
    ) a
    ORDER BY f.links DESC
"""
"""Starts from the partial index of links that fail: with none failing it reads nothing, whatever is connected."""

_ASK = """
    UPDATE dispatch_link SET next_check_at = %(now)s WHERE id IN (
        SELECT id FROM dispatch_link
        WHERE provider = %(provider)s AND status = 'active' AND next_check_at > %(now)s
          AND COALESCE(GREATEST(last_checked_at, failing_at) <= %(since)s, true)
        ORDER BY row_number() OVER (PARTITION BY organization_schema ORDER BY next_check_at), next_check_at
        LIMIT %(most)s
    )
"""
"""Links of which nothing is known now, of as many organizations as there are."""

_EVIDENCE = """
    SELECT count(*) FILTER (WHERE failing_class = %(class)s), count(*) FILTER (WHERE failing_class <> %(class)s)
    FROM dispatch_link
    WHERE provider = %(provider)s AND status IN ('active', 'needs_reauth')
      AND GREATEST(last_checked_at, failing_at) > %(since)s
"""

_THEIRS = ["AuthenticationFailed", "PermissionMissing"]
"""Classes that one organization may well earn by itself and keep for weeks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """
    What organizations' failures at one vendor add up to: `links` of `organizations` fail now with one class.

    `active` counts all links that could fail, `asked` those of which something is known since a moment ago.
    """

    provider: str
    error_class: str
    organizations: int
    links: int
    active: int
    asked: int = 0

    @property
    def is_incident(self) -> bool:
        """Whether this is the vendor's doing."""
        return self.organizations >= MIN_ORGANIZATIONS and self.links >= MIN_SHARE * self.active

    @property
    def is_suspicious(self) -> bool:
        """Whether it may be, by what is known."""
        return not self.is_incident and self.links >= MIN_SHARE * self.asked


def sweep() -> None:
    """Open what began, follow what lasts, close what is over; runs in public."""
    for found in pooled_failures():
        if found.is_incident:
            _open_if_new(found)
        elif found.is_suspicious:
            _ask_more(found)
    for incident in ProviderIncident.objects.filter(closed_at=None):
        restore_links(incident)
        _follow(incident)


def pooled_failures() -> list[Pooled]:
    """Return what links fail with now, by vendor and class; what strikes most of them comes first."""
    with connection.cursor() as cursor:
        cursor.execute(_POOLED, _bars(clock.now()))
        return [
            Pooled(provider=row[0], error_class=row[1], organizations=row[2], links=row[3], active=row[4], asked=row[5])
            for row in cursor.fetchall()
        ]


def open_by_hand(provider: str, *, text: str, actor: Actor) -> ProviderIncident:
    """
    Open an incident that staff know of; it is closed by hand, too.

    :raises Conflict: one is open already
    """
    found = Pooled(provider=provider, error_class="ProviderOutage", organizations=0, links=0, active=0)
    incident = _open(found, text=text or TEXTS["ProviderOutage"], actor=actor)
    if incident is None:
        raise Conflict("An incident of this provider is open already.", code="incident_open")
    return incident


def close(incident: ProviderIncident, *, actor: Actor) -> bool:
    """End an incident: probes are due again, held work goes on. False when somebody ended it before."""
    with transaction.atomic():
        vendor = _lock_vendor(incident.provider)
        closed = ProviderIncident.objects.filter(pk=incident.pk, closed_at=None).update(closed_at=clock.now())
        if not closed:
            return False
        vendor.incident, vendor.incident_class, vendor.incident_since = "", "", None
        vendor.save(update_fields=["incident", "incident_class", "incident_since"])
        record(action=CLOSED, actor=actor, target=_target(incident))
    log.info("incident.closed", provider=incident.provider, error_class=incident.error_class)
    if registry.find(incident.provider) is not None:
        probing.after_incident(incident.provider)
    outbox.release_held(incident.provider)
    return True


def restore_links(incident: ProviderIncident) -> int:
    """
    Take back `needs_reauth` where the vendor's incident was the cause; return how many links.

    Only links that were refused with the incident's class since a period before it opened: so long may it have gone
    unseen. Organization by organization; repeated by each sweep, so that one that was killed half-way is completed.
    """
    if incident.error_class != AuthenticationFailed.__name__:
        return 0  # no other class asks anybody to reconnect
    waiting = Link.objects.filter(
        provider=incident.provider,
        status=LinkStatus.NEEDS_REAUTH,
        failing_class=incident.error_class,
        failing_at__gt=incident.opened_at - WINDOW - _period_of(incident.provider),
        since__gte=incident.opened_at - ONSET,
    ).values_list("organization_schema", "id")
    by_organization: dict[str, list[UUID]] = {}
    for schema, link_id in waiting:
        by_organization.setdefault(schema, []).append(link_id)
    return sum(_restore_in(schema, link_ids, incident) for schema, link_ids in by_organization.items())


def _bars(now: datetime) -> dict[str, Any]:
    return {
        "since": now - WINDOW,
        "recent": now - RECENT,
        "onset": now - ONSET,
        "theirs": _THEIRS,
    }


def _ask_more(found: Pooled) -> None:
    """
    Have more links of the vendor checked now, for by their own pace the clock would ask them too late.

    A reconnect mail waits five minutes, work that fails is tried for about one. As many are asked as it takes to
    decide, and never many at once: when most of them are well, it was not the vendor.
    """
    if ProviderIncident.objects.filter(provider=found.provider, closed_at=None).exists():
        return
    missing = max(math.ceil(MIN_SHARE * found.active) - found.links, MIN_ORGANIZATIONS - found.organizations)
    now = clock.now()
    values: dict[str, Any] = {"now": now, "since": now - WINDOW, "provider": found.provider}
    with connection.cursor() as cursor:
        cursor.execute(_ASK, {**values, "most": min(missing, ASKED_PER_FAILING * found.links)})


def _open_if_new(found: Pooled) -> None:
    if ProviderIncident.objects.filter(provider=found.provider, closed_at=None).exists():
        return
    _open(found, text=TEXTS.get(found.error_class, TEXTS["Unavailable"]), actor=Actor.system("incidents"))


def _open(found: Pooled, *, text: str, actor: Actor) -> ProviderIncident | None:
    now = clock.now()
    try:
        with transaction.atomic():
            vendor = _lock_vendor(found.provider)
            incident = ProviderIncident.objects.create(
                provider=found.provider, error_class=found.error_class, text=text, organizations=found.organizations,
                links=found.links, active_links=found.active, opened_at=now, last_seen_at=now,
            )  # fmt: skip
            vendor.incident, vendor.incident_class, vendor.incident_since = text, found.error_class, now
            vendor.save(update_fields=["incident", "incident_class", "incident_since"])
            # Due now: whatever is due is moved to its turn, for one that was refused would be asked in hours only.
            Link.objects.filter(provider=found.provider, next_check_at__gt=now).update(next_check_at=now)
            details = {"error_class": found.error_class, "organizations": found.organizations, "links": found.links}
            record(action=OPENED, actor=actor, target=_target(incident), details=details)
    except IntegrityError:  # `incident_open_once`: another process was first
        return None
    log.warning("incident.opened", provider=found.provider, error_class=found.error_class, links=found.links)
    _tell_staff(incident)
    return incident


def _lock_vendor(provider: str) -> Vendor:
    Vendor.objects.get_or_create(provider=provider)
    return Vendor.objects.select_for_update().get(provider=provider)


def _follow(incident: ProviderIncident) -> None:
    """
    Note that the incident lasts, or end it.

    It ends when, of the links with fresh evidence, fewer than half of the opening share fail, for as long as it
    took to open. With a link asked about once a period that is within two periods of the vendor's recovery.
    """
    if not incident.links:
        return  # opened by hand: closed by hand
    now, health = clock.now(), _health_of(incident.provider)
    period = _period_of(incident.provider)
    bad, good = _evidence(incident, since=max(incident.opened_at, now - EVIDENCE_PERIODS * period))
    share = incident.links / max(1, incident.active_links)
    if bad and bad >= share / 2 * (bad + good):
        ProviderIncident.objects.filter(pk=incident.pk).update(last_seen_at=now)
        return
    calm = min(WINDOW, period / 2) if good else QUIET_PERIODS * period
    if (good or not health.is_free) and now - incident.last_seen_at >= calm:
        close(incident, actor=Actor.system("incidents"))


def _evidence(incident: ProviderIncident, *, since: datetime) -> tuple[int, int]:
    """Count links that fail with the incident's class and links that do not, by what is known since a moment."""
    with connection.cursor() as cursor:
        cursor.execute(_EVIDENCE, {"class": incident.error_class, "provider": incident.provider, "since": since})
        bad, good = cursor.fetchone()
    return bad, good


def _restore_in(schema: str, link_ids: list[UUID], incident: ProviderIncident) -> int:
    with in_organization(schema), transaction.atomic():
        broken = Integration.objects.select_for_update().filter(pk__in=link_ids, status=LinkStatus.NEEDS_REAUTH)
        restored = 0
        for integration in broken:
            integration.mark_connected()
            integration.mark_health(LinkHealth.FAILING, cause=incident.text, who="nobody", next_action=NOTHING_TO_DO)
            integration.save()
            links.mirror(integration)
            credential = integration.current_credential  # a refused grant took it off the clock
            links.schedule_refresh(integration, credential.expires_at if credential else None)
            issues.resolve_issues(integration, causes=[AuthenticationFailed.card_word])
            record(
                action="integration.restored",
                actor=Actor.system("incidents"),
                target=audit_target(integration),
                details={"reason": "provider_incident", "incident": str(incident.pk)},
            )
            restored += 1
    return restored


def _health_of(provider: str) -> HealthSpec:
    found = registry.find(provider)
    return found.spec.health if found else HealthSpec()


def _period_of(provider: str) -> timedelta:
    return timedelta(seconds=scaled(_health_of(provider).period_s))


def _tell_staff(incident: ProviderIncident) -> None:
    found = registry.find(incident.provider)
    label = found.spec.label if found else incident.provider
    notify_staff(
        kind=OPENED,
        text=f"{label}: {incident.text} {incident.links} of {incident.active_links} links of "
        f"{incident.organizations} organizations fail with {incident.error_class}. Probes are slowed and queues held.",
        target=("provider_incident", incident.pk),
    )


def _target(incident: ProviderIncident) -> Target:
    return Target(kind="provider_incident", id=str(incident.pk), label=incident.provider)
