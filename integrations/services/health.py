"""
Testing a connection, and writing down what came out: one way for a person's test and for the clock's.

The rules of health are `integrations.contract.health`; this module gives them their causes, issues and events.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_noop

from audit.services import Actor, record
from core import clock
from dispatch import outbox
from dispatch.models import Link, LinkStatus
from integrations.contract import (
    Account,
    AuthenticationFailed,
    CheckResult,
    Misconfigured,
    Provider,
    ProviderError,
    RefreshesTokens,
    RegistersWebhook,
    Verdict,
)
from integrations.contract.health import Health, Standing, after, finding_of
from integrations.models import Integration
from integrations.outbound.gate import HELD_BACK
from integrations.services import confirm, issues, links
from integrations.services.check_rows import Checked, keep_check
from integrations.services.connect import REGISTER
from integrations.services.credentials import Purpose, audit_target
from integrations.services.outbox import release_parked
from integrations.services.providers import provider_for

ACCOUNT_CHANGED = "account_changed"

RECOVERING = gettext_noop("It works again; one more good check confirms it.")
NOTHING_TO_DO = gettext_noop("Nothing to do: it is checked again within two minutes.")
SEE_VERDICTS = gettext_noop("See the verdicts of the test.")

_CHECK_CAUSES = [
    "authentication_error", "permission_error", "quota_exhausted", "not_found", "invalid_request", "Misconfigured",
    "UnexpectedResponse",
]  # fmt: skip
"""Causes that a good check disproves."""

_OURS = frozenset({HELD_BACK, confirm.BEING_RENEWED})
"""Our own count of the vendor's limits is reached, or new tokens are on their way: the check is made later."""

Answer = CheckResult | Account | ProviderError
"""What one check said; an account alone is a probe's: all is as before. A refused credential was confirmed."""


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
    answer = _judged(integration, _asked(integration), started=started)
    checked = checked_of(answer, started=started, finished=clock.now())
    with transaction.atomic():
        fresh = Integration.objects.select_for_update().get(pk=integration.pk)
        links.refuse_ended(fresh)
        if not was_held_back(answer):
            write_down(fresh, answer, checked, is_sure=actor is not None)
        if actor is not None:
            record(
                action="integration.tested",
                actor=actor,
                target=audit_target(fresh),
                details={"success": checked.error is None, "error": checked.error.name if checked.error else ""},
            )
    integration.refresh_from_db()
    return TestResult(
        success=checked.error is None,
        checked_at=checked.at,
        duration_ms=checked.duration_ms,
        verdicts=tuple(checked.verdicts),
        error=checked.error,
    )


def ask(provider: Provider, *, account_external_id: str, is_brief: bool = False) -> Answer:
    """
    Let a provider check itself. Pure: no database, so that a thread may run it.

    A refused credential is asked about once more, except where only a new token would tell: see `judged`.

    :param account_external_id: the account that must answer; empty while none is known
    :param is_brief: whether a probe will do, as long as it finds all as before
    """
    if is_brief and (told := _probed(provider, account_external_id)):
        return told
    answer = _ask_once(provider, account_external_id)
    if isinstance(answer, AuthenticationFailed) and not isinstance(provider, RefreshesTokens):
        return _ask_once(provider, account_external_id)
    return answer


def judged(integration: Integration, refused: AuthenticationFailed, *, started: datetime) -> tuple[Answer, datetime]:
    """
    Let a refusal be judged after a refresh; return the answer that counts, and when it was asked for.

    In the integration's organization, outside any transaction.
    """
    finding = confirm.examine(integration, refused, started=started)
    if told := finding.refused or finding.unanswered:
        return told, finding.asked_at
    asked_at = clock.now()
    return _asked(Integration.objects.get(pk=integration.pk)), asked_at


def was_held_back(answer: Answer) -> bool:
    """Whether we ourselves kept the check from being made: that says nothing of the link."""
    return isinstance(answer, ProviderError) and answer.reason in _OURS


def checked_of(answer: Answer, *, started: datetime, finished: datetime) -> Checked:
    """Describe a check for its row."""
    duration_ms = round((finished - started).total_seconds() * 1000, 1)
    if isinstance(answer, ProviderError):
        return Checked(at=finished, duration_ms=duration_ms, error=answer)
    verdicts = answer.verdicts if isinstance(answer, CheckResult) else ()
    return Checked(at=finished, duration_ms=duration_ms, verdicts=verdicts)


def write_down(integration: Integration, answer: Answer, checked: Checked, *, is_sure: bool = False) -> None:
    """
    Move health, issues and due time by what a check said; the caller's transaction locked the integration.

    :param is_sure: one good check is enough to be healthy again (`contract.health.after`)
    """
    link = Link.objects.select_for_update().get(pk=integration.pk)
    before = Standing(health=Health(integration.health), good=link.good_checks, bad=link.bad_checks)
    standing = after(before, finding_of(answer), is_sure=is_sure)
    integration.last_tested_at = checked.at
    if isinstance(answer, ProviderError):
        _write_failure(integration, answer, standing)
    else:
        _write_success(integration, answer, standing)
    integration.save()
    link = links.mirror(integration)
    link.good_checks, link.bad_checks = standing.good, standing.bad
    link.next_check_at = links.next_check(link, standing)
    link.save(update_fields=["good_checks", "bad_checks", "next_check_at"])
    keep_check(
        integration, at=checked.at, duration_ms=checked.duration_ms, verdicts=checked.verdicts, error=checked.error
    )


def is_news(integration: Integration, link: Link, answer: Answer) -> bool:
    """Whether a check changes anything but the times and counters of the link: then `write_down` must see it."""
    if isinstance(answer, ProviderError) or integration.status != LinkStatus.ACTIVE or link.open_issues:
        return True
    before = Standing(health=Health(integration.health), good=link.good_checks, bad=link.bad_checks)
    cause = answer.degraded if isinstance(answer, CheckResult) else ""
    is_moved = (integration.health, integration.health_cause) != (after(before, finding_of(answer)).health, cause)
    return is_moved or _lacks_webhook(integration) or _tells_facts(integration, answer)


def _asked(integration: Integration) -> Answer:
    try:
        provider = provider_for(integration, Purpose.CHECK)
    except ProviderError as error:
        return error
    return ask(provider, account_external_id=integration.account_external_id)


def _judged(integration: Integration, answer: Answer, *, started: datetime) -> Answer:
    if not isinstance(answer, AuthenticationFailed) or not issubclass(integration.provider_class, RefreshesTokens):
        return answer
    return judged(integration, answer, started=started)[0]


def _probed(provider: Provider, account_external_id: str) -> Account | ProviderError | None:
    """Return what a probe settles: all as before, or that the vendor could not be asked; else a check says what is."""
    try:
        account = provider.probe()
    except ProviderError as error:
        return error if error.retryable else None
    return account if account and account.external_id == account_external_id else None


def _ask_once(provider: Provider, account_external_id: str) -> Answer:
    try:
        answer = provider.check()
    except ProviderError as error:
        return error
    if account_external_id and answer.account.external_id != account_external_id:
        return Misconfigured(
            "the credential answers for another account",
            reason=ACCOUNT_CHANGED,
            next_action="Reconnect with a credential of the account that was connected here.",
        )
    return answer


def _write_success(integration: Integration, check: CheckResult | Account, standing: Standing) -> None:
    was_broken = integration.status == LinkStatus.NEEDS_REAUTH
    if was_broken:
        integration.mark_connected()
    degraded = ""
    if isinstance(check, CheckResult):
        integration.facts = {**integration.facts, **check.facts}
        integration.capabilities, degraded = _working(check), check.degraded
    if degraded:
        integration.mark_health(standing.health, cause=degraded, who="user", next_action=SEE_VERDICTS)
    elif standing.health is Health.HEALTHY:
        integration.mark_health(standing.health)
    else:
        integration.mark_health(standing.health, cause=RECOVERING, who="nobody", next_action=NOTHING_TO_DO)
    integration.save()
    issues.resolve_issues(integration, causes=_CHECK_CAUSES)
    if integration.status == LinkStatus.ACTIVE:
        release_parked(integration)
    if was_broken:
        outbox.publish("integration.recovered", str(integration.id))
    if _lacks_webhook(integration):
        outbox.add(REGISTER, link_id=integration.id, object_id=str(integration.id), object_key="webhook")


def _write_failure(integration: Integration, error: ProviderError, standing: Standing) -> None:
    if isinstance(error, AuthenticationFailed):
        issues.require_reconnect(integration, error)
        return
    cause = f"{error.message} {error.vendor_detail}".strip()
    integration.mark_health(standing.health, cause=cause, who=str(error.who), next_action=error.next_action)
    integration.save()
    if standing.health is Health.FAILING and error.who != "nobody":
        issues.open_issue_for(integration, error)


def _working(check: CheckResult) -> list[str]:
    return [verdict.capability for verdict in check.verdicts if verdict.ok]


def _tells_facts(integration: Integration, answer: CheckResult | Account) -> bool:
    """Whether a whole check says something of the account that is not stored yet."""
    if isinstance(answer, Account):
        return False
    are_new = any(integration.facts.get(name) != value for name, value in answer.facts.items())
    return are_new or integration.capabilities != _working(answer)


def _lacks_webhook(integration: Integration) -> bool:
    return issubclass(integration.provider_class, RegistersWebhook) and not integration.webhook_registered
