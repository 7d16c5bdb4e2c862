"""Credentials that end and are not renewed by themselves: their organization is told in good time, three times."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.utils.translation import gettext_noop

from core import clock
from core.pace import scaled
from dispatch import outbox
from dispatch.models import Link, LinkStatus
from integrations.contract import RefreshesTokens
from integrations.contract.errors import Who
from integrations.models import Integration
from integrations.services import issues, ladder
from notifications import mail
from notifications.services import notify
from tenants.context import in_organization

log = structlog.get_logger(__name__)

EXPIRING = "credential.expiring"
CLAIM = 200
LOOK_AGAIN = timedelta(seconds=scaled(600))

ENDS_SOON = gettext_noop("The credential ends soon and cannot be renewed by itself.")
ENDS_ON = gettext_noop("The credential ends on %(day)s and cannot be renewed by itself.")
RENEW = gettext_noop("Reconnect the account with a new credential before that day.")


def schedule(integration: Integration, expires_at: datetime | None) -> None:
    """Note when the organization is told first that a credential ends; never for tokens that are renewed."""
    is_renewed = issubclass(integration.provider_class, RefreshesTokens)
    due = None if is_renewed or expires_at is None else ladder.next_expiry_step(expires_at, told_until=None)
    Link.objects.filter(pk=integration.pk).update(next_expiry_at=due)


def sweep() -> int:
    """Tell what is due, over all organizations; runs in public. Returns how many links were looked at."""
    claimed = _claim()
    for link in claimed:
        try:
            with in_organization(link.organization_schema):
                _tell(link.pk)
        except Exception:
            log.exception("expiry.tell_crashed", integration=str(link.pk))
    return len(claimed)


def _claim() -> list[Link]:
    now = clock.now()
    with transaction.atomic():
        due = Link.objects.filter(next_expiry_at__lte=now).order_by("next_expiry_at")
        claimed = list(due.select_for_update(skip_locked=True)[:CLAIM])
        Link.objects.filter(pk__in=[link.pk for link in claimed]).update(next_expiry_at=now + LOOK_AGAIN)
    return claimed


@transaction.atomic
def _tell(integration_id: UUID) -> None:
    integration = Integration.objects.select_for_update().get(pk=integration_id)
    credential, now = integration.current_credential, clock.now()
    expires_at = credential.expires_at if credential else None
    if expires_at is None or expires_at <= now or integration.status == LinkStatus.DISCONNECTED:
        Link.objects.filter(pk=integration_id).update(next_expiry_at=None)
        return
    Link.objects.filter(pk=integration_id).update(
        next_expiry_at=ladder.next_expiry_step(expires_at, told_until=expires_at - now)
    )
    issue = issues.open_issue(
        integration, cause=issues.CREDENTIAL_EXPIRING, text=ENDS_SOON, who=str(Who.USER), next_action=RENEW
    )
    outbox.publish(EXPIRING, str(integration_id))
    if issue.count > 1:  # the first time the issue's own mail says it
        _remind(integration, issue.pk, expires_at)


def _remind(integration: Integration, issue_id: UUID, expires_at: datetime) -> None:
    note = notify(
        kind=EXPIRING,
        title=issues.named(integration),
        text=ENDS_ON,
        next_action=RENEW,
        details={"day": f"{expires_at:%Y-%m-%d}"},
        provider=integration.provider,
        issue_id=issue_id,
        target=("integration", integration.pk),
        page="integration_reconnect",
    )
    mail.owe(note)
