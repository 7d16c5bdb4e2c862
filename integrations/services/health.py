"""Testing a connection on demand and by the clock; both write the same check row and move the same health."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction

from audit.services import Actor, record
from core import clock
from dispatch import outbox
from dispatch.models import Link, LinkHealth, LinkStatus
from integrations.contract import (
    AuthenticationFailed,
    CheckResult,
    Misconfigured,
    ProviderError,
    RegistersWebhook,
    Verdict,
)
from integrations.models import Integration
from integrations.services import issues, links
from integrations.services.check_rows import keep_check
from integrations.services.connect import REGISTER
from integrations.services.credentials import Purpose, audit_target
from integrations.services.outbox import release_parked
from integrations.services.providers import provider_for
from tenants.context import in_organization

ACCOUNT_CHANGED = "account_changed"
SWEEP_WITHIN = timedelta(seconds=50)
"""One check waits 20 s at most, so a sweep ends before the task's limit of 90 s."""

CHECK_AGAIN = timedelta(minutes=10)

_CHECKED = (LinkStatus.ACTIVE, LinkStatus.NEEDS_REAUTH)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """The answer of a test, good or bad."""

    success: bool
    checked_at: datetime
    duration_ms: float
    verdicts: tuple[Verdict, ...] = ()
    error: ProviderError | None = None


def test_connection(integration: Integration, *, actor: Actor | None = None) -> TestResult:
    """
    Check live and write down what came out; a failure is an answer, not an exception.

    :param actor: who asked; None is the clock, which leaves no audit entry
    :raises Conflict: the integration is disconnected
    """
    links.refuse_ended(integration)
    started = clock.now()
    check, error = _ask(integration)
    finished = clock.now()
    result = TestResult(
        success=error is None,
        checked_at=finished,
        duration_ms=round((finished - started).total_seconds() * 1000, 1),
        verdicts=check.verdicts if check else (),
        error=error,
    )
    with transaction.atomic():
        fresh = Integration.objects.select_for_update().get(pk=integration.pk)
        links.refuse_ended(fresh)
        _write_down(fresh, check, result)
        if actor is not None:
            record(
                action="integration.tested",
                actor=actor,
                target=audit_target(fresh),
                details={"success": result.success, "error": error.name if error else ""},
            )
    integration.refresh_from_db()
    return result


def check_due_links(*, limit: int = 20) -> int:
    """Check the links whose time has come, until `SWEEP_WITHIN` is used up; return how many."""
    claimed = _claim_due(limit)
    started = clock.now()
    done = 0
    for link in claimed:
        if clock.now() - started > SWEEP_WITHIN:
            break  # the rest is due again after `CHECK_AGAIN`
        _check_link(link)
        done += 1
    return done


def _check_link(link: Link) -> None:
    """Check one link; whatever is wrong with it must not keep the others from their check."""
    try:
        with in_organization(link.organization_schema):
            integration = Integration.objects.filter(pk=link.pk).first()
            if integration is not None:
                test_connection(integration)
    except Exception:
        log.exception("health.check_crashed", integration=str(link.pk))


def _claim_due(limit: int) -> list[Link]:
    now = clock.now()
    due = Link.objects.filter(status__in=_CHECKED, next_check_at__lte=now).order_by("next_check_at")
    with transaction.atomic():
        claimed = list(due.select_for_update(skip_locked=True)[:limit])
        # Moved on before the call: a check that kills its worker is tried again, but not at once.
        Link.objects.filter(pk__in=[link.pk for link in claimed]).update(next_check_at=now + CHECK_AGAIN)
    return claimed


def _ask(integration: Integration) -> tuple[CheckResult | None, ProviderError | None]:
    try:
        check = provider_for(integration, Purpose.CHECK).check()
    except ProviderError as error:
        return None, error
    if integration.account_external_id and check.account.external_id != integration.account_external_id:
        return None, Misconfigured(
            "the credential answers for another account",
            reason=ACCOUNT_CHANGED,
            next_action="Reconnect with a credential of the account that was connected here.",
        )
    return check, None


def _write_down(integration: Integration, check: CheckResult | None, result: TestResult) -> None:
    integration.last_tested_at = result.checked_at
    if check is not None:
        _write_success(integration, check)
    elif result.error is not None:
        _write_failure(integration, result.error)
    integration.save()
    links.mirror(integration)
    keep_check(
        integration,
        at=result.checked_at,
        duration_ms=result.duration_ms,
        verdicts=result.verdicts,
        error=result.error,
    )


def _write_success(integration: Integration, check: CheckResult) -> None:
    was_broken = integration.status == LinkStatus.NEEDS_REAUTH
    if was_broken:
        integration.mark_connected()
    integration.facts = {**integration.facts, **check.facts}
    integration.capabilities = [verdict.capability for verdict in check.verdicts if verdict.ok]
    if check.degraded:
        integration.mark_health(
            LinkHealth.DEGRADED, cause=check.degraded, who="user", next_action="See the verdicts of the test."
        )
    else:
        integration.mark_health(LinkHealth.HEALTHY)
    issues.resolve_issues(integration, causes=_CHECK_CAUSES)
    if integration.status == LinkStatus.ACTIVE:
        release_parked(integration)
    if was_broken:
        outbox.publish("integration.recovered", str(integration.id))
    if issubclass(integration.provider_class, RegistersWebhook) and not integration.webhook_registered:
        outbox.add(REGISTER, link_id=integration.id, object_id=str(integration.id), object_key="webhook")


def _write_failure(integration: Integration, error: ProviderError) -> None:
    if isinstance(error, AuthenticationFailed):
        issues.require_reconnect(integration, error)
        return
    cause = f"{error.message} {error.vendor_detail}".strip()
    integration.mark_health(LinkHealth.FAILING, cause=cause, who=str(error.who), next_action=error.next_action)
    if error.who != "nobody":
        integration.save()
        issues.open_issue_for(integration, error)


_CHECK_CAUSES = [
    "authentication_error", "permission_error", "quota_exhausted", "not_found", "invalid_request", "Misconfigured",
    "UnexpectedResponse",
]  # fmt: skip
"""Causes that a good check disproves."""
