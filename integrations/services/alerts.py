"""
What stays broken because of its owner: warned at 50, 70 and 90 percent of the time it has, switched off at the end.

The sweep looks at Links whose `next_alert_at` is due. What the platform switched off is tested once a day: a good test
switches it on again. What a person switched off is left alone. A vendor's incident stops the ladder.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.utils.translation import gettext_noop

from audit.services import Actor, record
from core import clock
from core.pace import scaled
from dispatch import outbox
from dispatch.models import Link, LinkStatus
from dispatch.vendors import vendor_state
from integrations.contract.errors import Who
from integrations.models import Integration
from integrations.services import health, issues, ladder, links
from integrations.services.credentials import audit_target
from integrations.services.outbox import release_parked
from notifications import mail
from notifications.services import notify
from tenants.context import in_organization

log = structlog.get_logger(__name__)

ACTOR = Actor.system("alerts")

CLAIM = 50
SWEEP_WITHIN = timedelta(seconds=40)
"""A test waits 20 s at most, so a sweep ends before the task's limit of 90 s."""

LOOK_AGAIN = timedelta(seconds=scaled(600))
"""A link whose step crashed is due again then."""

PROBE_EVERY = timedelta(seconds=scaled(86_400))
AFTER_INCIDENT = timedelta(seconds=scaled(3600))

WARNING = gettext_noop("It has not worked since %(since)s. On %(ends)s it is switched off if nobody mends it.")
SWITCHED_OFF = gettext_noop("It was switched off because it has not worked for too long.")
RECONNECT = gettext_noop("Reconnect the account; what waits for it is done then.")
BACK = gettext_noop("It works again and was switched on; what waited is done now.")

_PAGE = "integrations_integration_change"


def sweep() -> int:
    """Take the steps that are due, over all organizations; runs in public. Returns how many links were looked at."""
    started, looked_at = clock.now(), 0
    for link in _claim():
        if clock.now() - started > SWEEP_WITHIN:
            break  # due again after `LOOK_AGAIN`
        looked_at += 1
        try:
            with in_organization(link.organization_schema):
                _step(link.pk)
        except Exception:
            log.exception("alerts.step_crashed", integration=str(link.pk))
    return looked_at


def on_recovered(integration: Integration) -> bool:
    """
    Switch on again what the platform switched off, after a good test; return whether it was.

    In the transaction that wrote the good test down; what a person switched off stays off.
    """
    link = Link.objects.select_for_update().filter(pk=integration.pk).first()
    if link is None or integration.status != LinkStatus.DISABLED or not ladder.was_switched_off(link):
        return False
    integration.mark_connected()
    integration.save()
    ladder.forget(integration.pk)
    links.mirror(integration)
    issues.resolve_issues(integration, causes=[issues.DISABLED_BY_SYSTEM])
    record(action="integration.enabled", actor=ACTOR, target=audit_target(integration))
    outbox.publish("integration.recovered", str(integration.pk))
    release_parked(integration)
    note = notify(
        kind="integration.recovered",
        title=issues.named(integration),
        text=BACK,
        provider=integration.provider,
        target=("integration", integration.pk),
        page=_PAGE,
    )
    mail.owe(note)
    return True


def _claim() -> list[Link]:
    now = clock.now()
    with transaction.atomic():
        due = Link.objects.filter(next_alert_at__lte=now).order_by("next_alert_at")
        claimed = list(due.select_for_update(skip_locked=True)[:CLAIM])
        # Moved on before the step: one that kills its worker is tried again, but not at once.
        Link.objects.filter(pk__in=[link.pk for link in claimed]).update(next_alert_at=now + LOOK_AGAIN)
    return claimed


def _step(integration_id: UUID) -> None:
    link = Link.objects.get(pk=integration_id)
    if ladder.was_switched_off(link):
        _probe(link)
    elif link.status == LinkStatus.DISABLED:
        ladder.forget(integration_id)
    elif vendor_state(link.provider).has_incident:
        _due(integration_id, AFTER_INCIDENT)
    else:
        _climb(integration_id)


def _climb(integration_id: UUID) -> None:
    """Warn, or switch off at the last step, if it is broken still."""
    with transaction.atomic():
        integration = Integration.objects.select_for_update().get(pk=integration_id)
        link = Link.objects.select_for_update().get(pk=integration_id)
        if not ladder.is_broken(integration) or link.broken_since is None:
            ladder.follow(integration)
            return
        step = ladder.next_step(link.alerted_percent)
        if step >= ladder.SWITCHED_OFF:
            _switch_off(integration)
        else:
            _warn(integration, link, step)


def _warn(integration: Integration, link: Link, step: int) -> None:
    since = link.broken_since or clock.now()
    next_at = ladder.due_at(since, step)
    Link.objects.filter(pk=link.pk).update(alerted_percent=step, next_alert_at=next_at)
    note = notify(
        kind="integration.alert",
        title=issues.named(integration),
        text=WARNING,
        next_action=integration.health_next_action,
        details={"since": f"{since:%Y-%m-%d}", "ends": f"{_ends_at(link, step):%Y-%m-%d}"},
        provider=integration.provider,
        issue_id=_open_issue_id(integration),
        target=("integration", integration.pk),
        page="integration_reconnect" if integration.status == LinkStatus.NEEDS_REAUTH else _PAGE,
    )
    mail.owe(note)


def _ends_at(link: Link, step: int) -> datetime:
    """Return when the last step is due at the earliest: each step keeps a pause after the one before."""
    since = link.broken_since or clock.now()
    left = [later for later in ladder.STEPS if later > step]
    return max(since + ladder.threshold(), clock.now() + ladder.threshold() / 10 * len(left))


def _switch_off(integration: Integration) -> None:
    integration.mark_disabled()
    integration.save()
    links.mirror(integration)
    Link.objects.filter(pk=integration.pk).update(
        alerted_percent=ladder.SWITCHED_OFF, next_alert_at=clock.now() + PROBE_EVERY
    )
    issues.open_issue(
        integration,
        cause=issues.DISABLED_BY_SYSTEM,
        text=SWITCHED_OFF,
        who=str(Who.USER),
        next_action=RECONNECT,
    )
    record(
        action="integration.disabled",
        actor=ACTOR,
        target=audit_target(integration),
        details={"cause": issues.DISABLED_BY_SYSTEM},
    )
    outbox.publish("integration.disabled", str(integration.pk))


def _probe(link: Link) -> None:
    """Test what the platform switched off: its credential is still there, and may work again."""
    _due(link.pk, PROBE_EVERY)
    integration = Integration.objects.filter(pk=link.pk).first()
    if integration is None or not health.test_connection(integration).success:
        return
    with transaction.atomic():
        on_recovered(Integration.objects.select_for_update().get(pk=link.pk))


def _due(integration_id: UUID, wait: timedelta) -> None:
    Link.objects.filter(pk=integration_id).update(next_alert_at=clock.now() + wait)


def _open_issue_id(integration: Integration) -> UUID | None:
    """Return the open issue that the owner must mend; its resolution calls the warning's mail off."""
    open_ones = integration.issues.filter(resolved_at=None, who=Who.USER).order_by("-opened_at")
    return open_ones.values_list("id", flat=True).first()
