"""Making a provider instance: opened secrets and an outbound guard around one integration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, transaction

from audit.services import Actor
from core.secret import Secrets
from integrations import registry
from integrations.contract import CallReport, IntegrationContext, Provider
from integrations.models import Integration
from integrations.outbound.guard import Guard
from integrations.services.credentials import Purpose, open_for
from meter.models import Call
from tenants.context import current_schema, in_public, release_connection

log = structlog.get_logger(__name__)


def provider_for(integration: Integration, purpose: Purpose, *, actor: Actor | None = None) -> Provider:
    """
    Open the credential for a purpose and return the provider's instance.

    The instance holds plaintext: keep it inside one call, and no transaction open while it calls the vendor.
    """
    secrets = open_for(integration, purpose, actor=actor)
    context = IntegrationContext(
        id=str(integration.id),
        provider=integration.provider,
        environment=integration.environment,
        settings=with_operator_settings(integration.settings),
        secrets=secrets,
        account_external_id=integration.account_external_id,
        webhook_url=integration.webhook_url,
    )
    guard = guard_for(context, reports=CallLog(str(integration.id), integration.provider))
    release_connection()
    return integration.provider_class(context, guard)


def unborn_provider(
    key: str, *, environment: str, settings_values: Mapping[str, Any], secrets: Secrets, reports: CallLog | None = None
) -> Provider:
    """Return an instance for values of a form that is not stored yet."""
    context = IntegrationContext(
        id="", provider=key, environment=environment, settings=with_operator_settings(settings_values), secrets=secrets
    )
    guard = guard_for(context, reports=reports or CallLog("", key))
    release_connection()
    return registry.provider(key)(context, guard)


def guard_for(context: IntegrationContext, *, reports: CallLog) -> Guard:
    """Build the door through which one integration reaches its vendor."""
    provider = registry.provider(context.provider)
    return Guard(
        spec=provider.spec,
        read_error=provider.read_error,
        overrides=base_urls(context.provider),
        settings=context.settings,
        secrets=context.secrets,
        egress_allow=settings.EGRESS_ALLOW,
        owner=context.id or "unborn",
        report=reports,
    )


def base_urls(key: str) -> Mapping[str, str]:
    """Return the operator's overrides of a provider by role; the sandbox overrides all that nothing else does."""
    overrides = dict(settings.PROVIDER_OVERRIDES.get(key, {}))
    if settings.SANDBOX:
        overrides.setdefault("", f"{settings.SANDBOX_URL}/{key}")
    return overrides


def with_operator_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Add what the operator decides for all organizations; an integration's own value wins."""
    operator = {"graph_version": settings.META_GRAPH_VERSION} if settings.META_GRAPH_VERSION else {}
    return {**operator, **values}


class CallLog:
    """Stores the guard's reports as Call rows of the entered organization, and keeps the last for a test's answer."""

    def __init__(self, integration_id: str, provider: str) -> None:
        self.integration_id = integration_id
        self.provider = provider
        self.reports: list[CallReport] = []

    def __call__(self, report: CallReport) -> None:
        """Take one report; storing it must never break the call it describes."""
        self.reports.append(report)
        if not self.integration_id or in_public():
            return
        try:
            self._store(report)
        except DatabaseError as error:  # the vendor may have acted already: its answer counts more than our log
            log.warning("call.not_logged", operation=report.operation, error=type(error).__name__)
        release_connection()

    def _store(self, report: CallReport) -> None:
        with transaction.atomic():
            Call.objects.create(
                organization_schema=current_schema(),
                link_id=self.integration_id,
                provider=self.provider,
                at=report.started_at,
                operation=report.operation[:60],
                method=report.method,
                url=report.url[:500],
                status=report.status,
                duration_ms=report.duration_ms,
                error_class=report.error[:40],
                vendor_code=report.vendor_code[:40],
                trace_id=report.trace_id[:120],
                request_bytes=report.request_bytes,
                response_bytes=report.response_bytes,
            )
