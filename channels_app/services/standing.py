"""
How an account stands at its channel: errors and news about it become status, health, issues and facts.

A later-dated piece of news wins over an earlier one of the same topic, whatever the order they arrive in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_noop

from channels_app.contract import AccountData, Effect, ErrorData, EventType
from core import clock
from dispatch.models import Link, LinkHealth, LinkStatus
from integrations.contract import AuthenticationFailed, ProviderError
from integrations.models import Event, Integration
from integrations.services import confirm, issues, lifecycle, links
from notifications.texts import filled

SEE_QUALITY = gettext_noop("See the account's quality page at the provider and follow what it asks for.")
SEE_QUALITY_UNTIL = gettext_noop(
    "See the account's quality page at the provider and follow what it asks for. It ends at %(until)s."
)

_ISSUES: Mapping[str, str] = {
    "PermissionMissing": "permission_error",
    "QuotaExhausted": "quota_exhausted",
    "Misconfigured": "Misconfigured",
}
"""Error class -> cause of the issue that it opens; the account works no longer, or not fully, until somebody acts."""

SPAM_LIMIT = "spam_limit"
"""The reason of a limit that does not pass by itself: people block or report the account."""


@contextmanager
def watching(integration: Integration) -> Iterator[None]:
    """Around a call: a credential that the vendor refuses twice is noted, and the error goes on its way."""
    started = clock.now()
    try:
        yield
    except AuthenticationFailed as error:
        finding = confirm.examine(integration, error, started=started)
        if finding.refused is not None:
            confirm.lose_access(integration, finding.refused, asked_at=finding.asked_at)
        raise


def note_error(integration: Integration, error: ErrorData) -> None:
    """
    Draw the consequences of an error that a vendor told of one message; runs in the caller's transaction.

    What it says of the credential is not believed but looked into: a live check is due at once.
    """
    text = error["detail"] or error["title"]
    if error["error"] == "AuthenticationFailed":
        Link.objects.filter(pk=integration.pk, status=LinkStatus.ACTIVE).update(next_check_at=clock.now())
        return
    cause = SPAM_LIMIT if error["reason"] == SPAM_LIMIT else _ISSUES.get(error["error"], "")
    if cause:
        _degrade(integration, cause=cause, text=text, next_action=error["remedy"])


def described(error: ProviderError) -> ErrorData:
    """Put a raised error into the shape in which errors come by webhook."""
    return ErrorData(
        code=error.vendor_code,
        title=error.message,
        detail=error.vendor_detail,
        error=error.name,
        reason=error.reason,
        remedy=error.next_action,
        retryable=error.retryable,
        retry_after_s=error.retry_after_s,
    )


def note_account(integration: Integration, data: AccountData, *, at: datetime) -> None:
    """Draw the consequences of news about the account."""
    if _is_overtaken(integration, data, at=at):
        return
    fresh = _locked(integration)
    told = {name: value for name, value in data["facts"].items() if value not in ("", None)}
    if told:
        fresh.facts = {**fresh.facts, **told}
        fresh.save(update_fields=["facts", "updated_at"])
    effect = _EFFECTS.get(data["effect"])
    if effect is not None:
        effect(fresh, data)


def _end(integration: Integration, data: AccountData) -> None:
    lifecycle.end_by_vendor(integration, cause=data["cause"], topic=_cause(data["topic"]))


def _worsen(integration: Integration, data: AccountData) -> None:
    _degrade(
        integration,
        cause=_cause(data["topic"]),
        text=data["cause"],
        next_action=SEE_QUALITY_UNTIL if data["until"] else SEE_QUALITY,
        details={"until": data["until"]} if data["until"] else {},
    )


def _restore(integration: Integration, data: AccountData) -> None:
    """Resolve the topic's issue; a live check, due at once, says whether all is well."""
    issues.resolve_issues(integration, causes=[_cause(data["topic"])])
    if integration.status == LinkStatus.DISCONNECTED and integration.current_credential is not None:
        integration.mark_connected()
    if not integration.issues.filter(resolved_at=None).exists() and integration.status == LinkStatus.ACTIVE:
        integration.mark_health(LinkHealth.HEALTHY)
    integration.save()
    links.mirror(integration)
    if integration.status == LinkStatus.ACTIVE:
        Link.objects.filter(pk=integration.pk).update(next_check_at=clock.now())


_EFFECTS: Mapping[str, Callable[[Integration, AccountData], None]] = {
    Effect.DISCONNECTED: _end,
    Effect.RESTRICTED: _worsen,
    Effect.DEGRADED: _worsen,
    Effect.RESTORED: _restore,
}


def _degrade(
    integration: Integration, *, cause: str, text: str, next_action: str, details: Mapping[str, str] | None = None
) -> None:
    """Note the trouble; a sentence that names values is translated where it is shown with them, at the issue."""
    fresh = _locked(integration)
    if fresh.status == LinkStatus.ACTIVE and fresh.health != LinkHealth.FAILING:
        shown = filled(next_action, details or {})
        fresh.mark_health(LinkHealth.DEGRADED, cause=text, who="user", next_action=shown)
        fresh.save()
    issues.open_issue(fresh, cause=cause, text=text, who="user", next_action=next_action, details=details)
    links.mirror(fresh)


def _is_overtaken(integration: Integration, data: AccountData, *, at: datetime) -> bool:
    """Whether a later piece of news of the same topic was handled before this one arrived."""
    news: dict[str, Any] = {"type": EventType.ACCOUNT_CHANGED, "data__topic": data["topic"], "occurred_at__gt": at}
    return Event.objects.filter(integration=integration, **news).exists()


def _locked(integration: Integration) -> Integration:
    return Integration.objects.select_for_update().get(pk=integration.pk)


def _cause(topic: str) -> str:
    return f"account:{topic}"[:60]
