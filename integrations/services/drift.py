"""
Drift: the vendor forgot our webhook, or somebody moved it. Asked daily, and at once when a link falls silent.

What drifted is registered again through the outbox, whose handler opens an issue when that fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import transaction

from audit.services import Actor, record
from core import clock
from core.pace import scaled
from dispatch import outbox
from dispatch.models import Link, LinkStatus, OutboxEntry, OutboxStatus, Rhythm
from integrations import registry
from integrations.contract import ProviderError, ReceivesWebhooks, Reconciles, RegistersWebhook, WebhookState
from integrations.models import Integration
from integrations.services import issues, webhooks
from integrations.services.connect import REGISTER
from integrations.services.credentials import Purpose, audit_target
from integrations.services.due import daily, within_a_day, work_due
from integrations.services.providers import provider_for

SILENT = "webhook_silent"
"""The cause of the issue that a silence opens; a webhook in order resolves it."""

AGAIN_AFTER = timedelta(seconds=scaled(3600))
"""A vendor that did not answer is asked again within the hour."""

NEVER = timedelta(days=365)
"""For links whose vendor has no registration to inspect: a due time all the same, for NULL means a newcomer."""

NEWCOMERS = 500


class Found(StrEnum):
    """What the vendor says of our webhook."""

    IN_ORDER = "in_order"
    DRIFTED = "drifted"
    UNKNOWN = "unknown"
    NOT_ASKED = "not_asked"


@dataclass(frozen=True, slots=True)
class Drift:
    """What an inspection found; `detail` is the vendor's or the error's text."""

    found: Found
    detail: str = ""


def sweep() -> int:
    """Give newcomers their due times, then inspect the links that are due; return how many."""
    welcome()
    return work_due("next_drift_at", _inspect_daily)


def welcome() -> int:
    """Give links that were just connected their first due times and, with webhooks, a rhythm to learn."""
    now = clock.now()
    fresh = list(Link.objects.filter(status=LinkStatus.ACTIVE, next_drift_at=None)[:NEWCOMERS])
    if not fresh:
        return 0
    for link in fresh:
        link.next_drift_at = now + (within_a_day() if _can(link, RegistersWebhook) else NEVER)
        link.next_reconcile_at = now + within_a_day() if _can(link, Reconciles) else None
    with transaction.atomic():
        Rhythm.objects.bulk_create(list(_rhythms(fresh, now)), ignore_conflicts=True)
        Link.objects.bulk_update(fresh, ["next_drift_at", "next_reconcile_at"])
    return len(fresh)


def inspect(integration: Integration) -> Drift:
    """
    Ask the vendor where it posts, and register again what drifted. Call it with no transaction open.

    A vendor that cannot be asked now is `UNKNOWN`; one that has no registration is `NOT_ASKED`.
    """
    if not issubclass(integration.provider_class, RegistersWebhook) or not integration.webhook_url:
        return Drift(Found.NOT_ASKED)
    try:
        state = _ask(integration)
    except ProviderError as error:
        return Drift(Found.UNKNOWN, error.message)
    if state is None:
        return Drift(Found.NOT_ASKED)
    if state.registered and state.url in ("", integration.webhook_url):
        _note_order(integration)
        return Drift(Found.IN_ORDER)
    _repair(integration, state)
    return Drift(Found.DRIFTED, state.detail)


def _inspect_daily(integration: Integration) -> timedelta:
    found = inspect(integration).found
    if found is Found.NOT_ASKED:
        return NEVER
    return AGAIN_AFTER if found is Found.UNKNOWN else daily()


def _ask(integration: Integration) -> WebhookState | None:
    """Ask the vendor; None where it posts to no integration of this kind."""
    provider = provider_for(integration, Purpose.CALL)
    assert isinstance(provider, RegistersWebhook)  # noqa: S101  asked of its class above
    return provider.inspect_webhook() if provider.has_webhook() else None


def _note_order(integration: Integration) -> None:
    """Resolve what complained about the webhook; a link without complaints is not written."""
    causes = [webhooks.CAUSE, SILENT]
    if integration.webhook_registered and not integration.issues.filter(cause__in=causes, resolved_at=None).exists():
        return
    with transaction.atomic():
        fresh = Integration.objects.select_for_update().get(pk=integration.pk)
        fresh.webhook_registered, fresh.webhook_verified_at = True, clock.now()
        fresh.save(update_fields=["webhook_registered", "webhook_verified_at"])
        issues.resolve_issues(fresh, causes=causes)


def _repair(integration: Integration, state: WebhookState) -> None:
    """Order the registration once, and write down why."""
    with transaction.atomic():
        fresh = Integration.objects.select_for_update().get(pk=integration.pk)
        fresh.webhook_registered = False
        fresh.save(update_fields=["webhook_registered"])
        is_ordered = OutboxEntry.objects.filter(
            link_id=fresh.pk, kind=REGISTER, status__in=[OutboxStatus.WAITING, OutboxStatus.WORKING]
        ).exists()
        if is_ordered:
            return
        outbox.add(
            REGISTER, link_id=fresh.pk, object_id=str(fresh.pk), object_key="webhook", details={"is_repair": True}
        )
        record(
            action="webhook.drifted",
            actor=Actor.system("drift"),
            target=audit_target(fresh),
            details={"detail": state.detail, "posts_elsewhere": bool(state.url)},
        )


def _rhythms(fresh: list[Link], now: datetime) -> Iterator[Rhythm]:
    for link in fresh:
        if _can(link, ReceivesWebhooks):
            yield Rhythm(
                link_id=link.pk, organization_schema=link.organization_schema, next_compute_at=now + within_a_day()
            )


def _can(link: Link, capability: type) -> bool:
    found = registry.find(link.provider)
    return found is not None and issubclass(found, capability)
