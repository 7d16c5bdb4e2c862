"""Making a provider instance: opened secrets and an outbound guard around one integration."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, transaction

from audit.services import Actor
from core import clock
from core.secret import Secrets
from dispatch.models import OAuthApp
from integrations import registry
from integrations.contract import AppContext, CallReport, IntegrationContext, Provider
from integrations.models import Integration
from integrations.outbound import destinations
from integrations.outbound.calls import Report
from integrations.outbound.gate import Gate
from integrations.outbound.guard import Guard
from integrations.services import breakers
from integrations.services.check_rows import call_row
from integrations.services.credentials import Purpose, open_for, open_loaded, require_current
from integrations.services.gates import gate_for
from integrations.services.oauth_apps import secrets_of, with_app_secrets
from meter import usage
from tenants.context import current_schema, in_public, release_connection

log = structlog.get_logger(__name__)

API_CALLS = "api_calls"
"""The unit that every provider's calls are counted in, declared or not."""

ABOUT_TO_END = timedelta(seconds=30)
"""A token with less than this left is renewed before a call, which may take most of it to arrive."""

_TRIES = frozenset({Purpose.CHECK, Purpose.REFRESH})
"""Purposes whose calls pass an open breaker: a check finds out, and a token must not end while others wait."""


def provider_for(integration: Integration, purpose: Purpose, *, actor: Actor | None = None) -> Provider:
    """
    Open the credential for a purpose and return the provider's instance, its calls guarded and stored.

    The instance holds plaintext: keep it inside one call, and no transaction open while it calls the vendor.

    :raises ProviderError: for calls, when the token has ended and was not renewed
    """
    secrets = _open_alive(integration) if purpose is Purpose.CALL else open_for(integration, purpose, actor=actor)
    circuit = breakers.circuit_for(
        integration.id, integration.provider, passes=purpose in _TRIES, closes=purpose is Purpose.CHECK
    )
    reports = CallLog(str(integration.id), integration.provider, circuit=circuit)
    context = context_of(integration, secrets)
    guard = guard_for(context, reports=reports, gate=gate_for(context, circuit=circuit))
    release_connection()
    return integration.provider_class(context, guard)


def instance(integration: Integration, secrets: Secrets, *, reports: Report, gate: Gate | None = None) -> Provider:
    """
    Make an instance that touches no database: for threads that run pure verbs. Making it may ask for its app's row.

    :param reports: told of every call; whoever gathers them stores them, and moves breakers by `breakers.checked`
    :param gate: held to the limits, not to the breakers, unless given
    """
    context = context_of(integration, secrets)
    return integration.provider_class(context, guard_for(context, reports=reports, gate=gate or gate_for(context)))


def context_of(integration: Integration, secrets: Secrets) -> IntegrationContext:
    """Tell a provider what it may know of an integration."""
    return IntegrationContext(
        id=str(integration.id),
        provider=integration.provider,
        environment=integration.environment,
        settings=with_operator_settings(integration.settings),
        secrets=with_app_secrets(integration.provider, integration.settings, secrets),
        account_external_id=integration.account_external_id,
        webhook_url=integration.webhook_url,
    )


def unborn_provider(
    key: str, *, environment: str, settings_values: Mapping[str, Any], secrets: Secrets, reports: CallLog | None = None
) -> Provider:
    """Return an instance for values of a form, or of a dialog, that are not stored yet."""
    context = IntegrationContext(
        id="",
        provider=key,
        environment=environment,
        settings=with_operator_settings(settings_values),
        secrets=with_app_secrets(key, settings_values, secrets),
    )
    guard = guard_for(context, reports=reports or CallLog("", key))
    release_connection()
    return registry.provider(key)(context, guard)


def guard_for(context: IntegrationContext, *, reports: Report, gate: Gate | None = None) -> Guard:
    """Build the door through which one integration reaches its vendor; without a gate every call passes."""
    provider = registry.provider(context.provider)
    return Guard(
        spec=provider.spec,
        read_error=provider.read_error,
        read_limits=provider.read_limits,
        overrides=base_urls(context.provider),
        settings=context.settings,
        secrets=context.secrets,
        egress_allow=settings.EGRESS_ALLOW,
        owner=context.id or "unborn",
        report=reports,
        gate=gate,
    )


def base_urls(key: str) -> Mapping[str, str]:
    """Return the operator's overrides of a provider by role; the sandbox overrides all that nothing else does."""
    overrides = dict(settings.PROVIDER_OVERRIDES.get(key, {}))
    if settings.SANDBOX:
        overrides.setdefault("", f"{settings.SANDBOX_URL}/{key}")
    return overrides


def app_context(app: OAuthApp) -> AppContext:
    """Tell a provider what it may know of an OAuth app: it holds plaintext, keep it inside one call."""
    return AppContext(
        provider=app.provider,
        client_id=app.client_id,
        secrets=secrets_of(app),
        settings=app.settings,
        base_urls=destinations.base_urls(registry.provider(app.provider).spec, base_urls(app.provider)),
    )


def with_operator_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Add what the operator decides for all organizations; an integration's own value wins."""
    operator = {"graph_version": settings.META_GRAPH_VERSION} if settings.META_GRAPH_VERSION else {}
    return {**operator, **values}


class CallLog:
    """
    Stores the guard's reports as Call rows of the entered organization, and keeps the last for a test's answer.

    In the same short transaction the call is counted and moves the breakers of its circuit.
    """

    def __init__(self, integration_id: str, provider: str, *, circuit: breakers.Circuit | None = None) -> None:
        self.integration_id = integration_id
        self.provider = provider
        self.reports: list[CallReport] = []
        self._circuit = circuit

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
        place: dict[str, Any] = {
            "organization_schema": current_schema(),
            "link_id": UUID(self.integration_id),
            "provider": self.provider,
        }
        with transaction.atomic():
            call_row(report, **place).save(force_insert=True)
            usage.count(unit=API_CALLS, **place)  # first the bucket, then the link: as the health sweep locks them
            if self._circuit is not None:
                self._circuit.observe(report)


def _open_alive(integration: Integration) -> Secrets:
    """Open the credential for a call; one that ends any moment is renewed first, where it can be."""
    credential = require_current(integration)
    if credential.expires_at and credential.expires_at - clock.now() < ABOUT_TO_END:
        from integrations.services import tokens  # which makes providers itself, to renew with

        tokens.ensure_fresh(integration, min_left_s=ABOUT_TO_END.total_seconds())
        credential = require_current(integration)
    return open_loaded(credential, Purpose.CALL)
