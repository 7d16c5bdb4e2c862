"""
Issues: opened once per integration and cause, resolved once; who can act is told by a note and by mail.

Opening and resolving lock the integration's row, so that two at once count the same and the Link says so. A cause that
comes back within the hour reopens its issue: nobody is mailed twice about one that flaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from audit.services import Actor, record
from core import clock
from core.clock import iso
from core.pace import scaled
from dispatch import outbox
from dispatch.models import Link, LinkHealth, LinkStatus
from dispatch.vendors import vendor_state
from integrations.contract import AuthenticationFailed, ProviderError, ProviderOutage
from integrations.contract.errors import Who
from integrations.models import Integration, Issue
from integrations.services import ladder, links
from integrations.services.credentials import audit_target
from notifications import mail, preferences
from notifications.models import Notification
from notifications.services import close_notes, notify, reopen_notes

OPENED = "issue.opened"
DISABLED_BY_SYSTEM = "disabled_by_system"
CREDENTIAL_EXPIRING = "credential_expiring"
RECONNECT_CAUSES = frozenset({AuthenticationFailed.card_word, DISABLED_BY_SYSTEM, CREDENTIAL_EXPIRING})
"""Causes that a new credential mends: their mail leads to the reconnect page."""

WAIT_FOR_VENDOR = ProviderOutage.next_action
FLAPS_WITHIN = timedelta(seconds=scaled(3600))


@transaction.atomic
def open_issue(
    integration: Integration,
    *,
    cause: str,
    text: str,
    who: str,
    next_action: str,
    details: Mapping[str, str] | None = None,
) -> Issue:
    """
    Open an issue, reopen the one that was resolved a moment ago, or count the cause again if it is open.

    :param details: the values that our texts name as %(name)s; none for a vendor's words
    """
    told: dict[str, Any] = {"text": text, "who": who, "next_action": next_action, "details": dict(details or {})}
    integration = _locked(integration)
    issue = integration.issues.filter(cause=cause, resolved_at=None).first()
    if issue is not None:
        issue.mark_seen_again()
        ladder.follow(integration)
        return issue
    recent = integration.issues.filter(cause=cause, resolved_at__gt=clock.now() - FLAPS_WITHIN)
    issue = recent.order_by("-resolved_at").first()
    if issue is not None:
        issue.mark_reopened(**told)
        for note in reopen_notes(issue.id):
            _owe_mail(integration, issue, note)
    else:
        issue = Issue.objects.create(integration=integration, cause=cause, **told)
        _owe_mail(integration, issue, _note(integration, issue))
    outbox.publish(OPENED, str(issue.id))
    _count_open(integration)
    ladder.follow(integration)
    return issue


def open_issue_for(integration: Integration, error: ProviderError, *, cause: str = "") -> Issue:
    """Open an issue from a provider's error."""
    return open_issue(
        integration,
        cause=cause or error.card_word or error.name,
        text=error.message,
        who=str(error.who),
        next_action=error.next_action,
    )


def require_reconnect(integration: Integration, error: ProviderError) -> None:
    """
    Say everywhere that the vendor no longer accepts the credential; the caller's transaction locked the row.

    What the organization switched off stays off, and is only known to be broken. While the vendor refuses credentials
    of many organizations, it is the vendor's trouble: nobody is asked to reconnect.
    """
    state = vendor_state(integration.provider)
    if state.has_incident and state.incident_class == error.name:
        integration.mark_health(
            LinkHealth.FAILING, cause=state.incident, who=str(Who.NOBODY), next_action=WAIT_FOR_VENDOR
        )
        integration.save()
        links.mirror(integration)
        return
    cause = f"{error.message} {error.vendor_detail}".strip()
    was = integration.status
    if was in {LinkStatus.ACTIVE, LinkStatus.NEEDS_REAUTH}:
        integration.mark_needs_reauth(cause=cause, next_action=error.next_action)
    else:
        integration.mark_health(LinkHealth.FAILING, cause=cause, who=str(error.who), next_action=error.next_action)
    integration.save()
    links.mirror(integration)
    open_issue_for(integration, error)
    if was == LinkStatus.ACTIVE:
        outbox.publish("integration.needs_reauth", str(integration.id))


@transaction.atomic
def resolve_issues(integration: Integration, *, causes: Iterable[str] | None = None) -> int:
    """Resolve the open issues of some causes, or all; return how many."""
    integration = _locked(integration)
    waiting = integration.issues.filter(resolved_at=None)
    if causes is not None:
        waiting = waiting.filter(cause__in=list(causes))
    resolved = list(waiting)
    for issue in resolved:
        issue.mark_resolved()
        outbox.publish("issue.resolved", str(issue.id))
    close_notes([issue.id for issue in resolved])
    if resolved:
        _count_open(integration)
    ladder.follow(integration)
    return len(resolved)


def named(integration: Integration) -> str:
    """Name an integration and its account, as notes and mails do."""
    account = integration.account_label or integration.account_external_id
    return f"{integration.name} · {account}" if account and account != integration.name else integration.name


@transaction.atomic
def mute(integration: Integration, *, until: datetime, actor: Actor) -> None:
    """Mail nobody about an integration until a moment; its issues open all the same."""
    preferences.mute(integration.pk, until=until, by_label=actor.label)
    record(action="integration.muted", actor=actor, target=audit_target(integration), details={"until": iso(until)})


@transaction.atomic
def unmute(integration: Integration, *, actor: Actor) -> None:
    """Mail about an integration again."""
    if preferences.unmute(integration.pk):
        record(action="integration.unmuted", actor=actor, target=audit_target(integration))


def _locked(integration: Integration) -> Integration:
    """Lock and read the row: what a caller read before a vendor's call may say nothing true of it any more."""
    return Integration.objects.select_for_update().get(pk=integration.pk)


def _note(integration: Integration, issue: Issue) -> Notification:
    page = "integration_reconnect" if issue.cause in RECONNECT_CAUSES else "integrations_integration_change"
    return notify(
        kind=OPENED,
        title=named(integration),
        text=issue.text,
        next_action=issue.next_action,
        details=issue.details,
        provider=integration.provider,
        issue_id=issue.id,
        target=("integration", integration.id),
        page=page,
    )


def _owe_mail(integration: Integration, issue: Issue, note: Notification) -> None:
    """Mail those who can act; what others must mend, or what a person switched off, is a note alone."""
    is_off = integration.status == LinkStatus.DISABLED and issue.cause != DISABLED_BY_SYSTEM
    if issue.who != Who.USER or is_off:
        return
    is_refused = issue.cause == AuthenticationFailed.card_word
    mail.owe(note, wait=mail.RECONNECT_AFTER if is_refused else timedelta())


def _count_open(integration: Integration) -> None:
    """Show the number on the Link; nothing else of the Link changes by an issue."""
    Link.objects.filter(pk=integration.pk).update(open_issues=integration.issues.filter(resolved_at=None).count())
