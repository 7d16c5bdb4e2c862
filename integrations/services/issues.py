"""Issues: opened once per integration and cause, resolved once, with a note to the people who can act."""

from __future__ import annotations

from django.db import transaction

from dispatch import outbox
from dispatch.models import LinkHealth, LinkStatus
from integrations.contract import ProviderError
from integrations.models import Integration, Issue
from integrations.services import links
from notifications.services import notify


@transaction.atomic
def open_issue(integration: Integration, *, cause: str, text: str, who: str, next_action: str) -> Issue:
    """Open an issue, or count the cause again if it is open."""
    existing = integration.issues.select_for_update().filter(cause=cause, resolved_at=None).first()
    if existing:
        existing.mark_seen_again()
        return existing
    issue = Issue.objects.create(integration=integration, cause=cause, text=text, who=who, next_action=next_action)
    notify(
        kind="issue.opened", text=f"{integration.name}: {text} {next_action}", target=("integration", integration.id)
    )
    outbox.publish("issue.opened", str(issue.id))
    links.mirror(integration)
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

    What the organization switched off stays off, and is only known to be broken.
    """
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
def resolve_issues(integration: Integration, *, causes: list[str] | None = None) -> int:
    """Resolve the open issues of some causes, or all; return how many."""
    waiting = integration.issues.select_for_update().filter(resolved_at=None)
    if causes is not None:
        waiting = waiting.filter(cause__in=causes)
    resolved = list(waiting)
    for issue in resolved:
        issue.mark_resolved()
        outbox.publish("issue.resolved", str(issue.id))
    if resolved:
        links.mirror(integration)
    return len(resolved)
