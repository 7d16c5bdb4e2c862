"""
Rotating a credential that has two slots at the vendor: mint → prove → switch → retire.

Until the switch the old credential serves and a failure leaves nothing behind; after it the old one is retired by
outbox, when no call can hold it any more.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from django.db import transaction
from django.utils.translation import gettext_noop

from audit.services import Actor, record
from core import clock
from core.errors import Conflict, ValidationFailed
from core.secret import Secrets
from dispatch import outbox
from dispatch.models import OutboxEntry
from integrations.contract import CheckResult, Misconfigured, NewCredential, Provider, ProviderError, RotatesCredential
from integrations.models import Integration
from integrations.services import credentials, expiry, issues, links
from integrations.services.credentials import Purpose, audit_target
from integrations.services.providers import CallLog, provider_for, unborn_provider

log = structlog.get_logger(__name__)

RETIRE = "credential.retire"
NOT_RETIRED = "credential_not_retired"
NOT_REMOVED = gettext_noop("The replaced credential could not be removed at the provider. %(why)s")
REMOVE_IT = gettext_noop("Remove the old key in the provider's dashboard: it still works there.")

RETIRE_AFTER = timedelta(minutes=6)
"""A call that opened the old credential just before the switch may last 5 minutes, the longest deadline of all."""


class CannotRotate(ValidationFailed):
    """The vendor gives no second key by its API."""

    code = "not_supported"


def rotate(integration: Integration, *, actor: Actor) -> Integration:
    """
    Replace the credential by a new one made at the vendor; the old one serves until the new one passed its check.

    :raises CannotRotate: the provider cannot make a second credential
    :raises Conflict: somebody replaced the credential meanwhile; theirs stays
    :raises ProviderError: the vendor made none, or the new one does not work
    """
    if not issubclass(integration.provider_class, RotatesCredential):
        raise CannotRotate(
            f"{integration.provider_class.spec.label} makes no second credential by its API; "
            "make a new one there and reconnect with it."
        )
    version = credentials.require_current(integration).version
    provider = provider_for(integration, Purpose.ROTATE, actor=actor)
    minted = _rotating(provider).mint()
    try:
        secrets = _joined(provider.integration.secrets, minted.secrets)
        _prove(integration, secrets)
        _switch(integration, version, secrets, minted, actor)
    except (ProviderError, Conflict):
        _discard(provider, minted)
        raise
    integration.refresh_from_db()
    return integration


def _prove(integration: Integration, secrets: Secrets) -> CheckResult:
    """Ask the vendor with the new credential alone."""
    candidate = unborn_provider(
        integration.provider,
        environment=integration.environment,
        settings_values=integration.settings,
        secrets=secrets,
        reports=CallLog(str(integration.id), integration.provider),
    )
    check = candidate.check()
    if check.account.external_id != integration.account_external_id:
        raise Misconfigured("the minted credential answers for another account", reason="account_changed")
    return check


def _switch(integration: Integration, version: int, secrets: Secrets, minted: NewCredential, actor: Actor) -> None:
    with transaction.atomic():
        fresh = Integration.objects.select_for_update().get(pk=integration.pk)
        old = credentials.require_current(fresh)
        if old.version != version:
            raise Conflict("The credential was replaced during the rotation; that one stays.", code="conflict")
        values = {name: secret.reveal() for name, secret in secrets.items()}
        stored = credentials.store(fresh, values, expires_at=minted.expires_at or old.expires_at)
        links.update_route_secrets(fresh, secrets)
        expiry.schedule(fresh, stored.expires_at)
        issues.resolve_issues(fresh, causes=[issues.CREDENTIAL_EXPIRING])
        outbox.add(
            RETIRE,
            link_id=fresh.id,
            object_id=str(fresh.id),
            object_key=RETIRE,
            details={"version": version, "fields": sorted(minted.secrets)},
            due_at=clock.now() + RETIRE_AFTER,
        )
        record(
            action="credential.rotated",
            actor=actor,
            target=audit_target(fresh),
            details={"version": stored.version, "fields": sorted(minted.secrets)},
        )
        outbox.publish("credential.rotated", str(fresh.id))


def _discard(provider: Provider, minted: NewCredential) -> None:
    """Remove a credential that never served; if that fails, the next mint takes its slot."""
    try:
        _rotating(provider).retire(minted)
    except ProviderError as error:
        log.warning("credential.minted_not_removed", integration=provider.integration.id, error=error.name)


class RetireCredential:
    """Remove the old credential at the vendor and forget it here."""

    def call(self, entry: OutboxEntry, integration: Integration | None) -> None:
        """Remove it; safe when it is gone at the vendor or forgotten here."""
        if integration is None:
            return
        old = credentials.open_previous(integration, entry.details["version"])
        if old is None:
            return
        kept = Secrets({name: old[name].reveal() for name in entry.details["fields"] if name in old})
        _rotating(provider_for(integration, Purpose.CALL)).retire(NewCredential(secrets=kept))

    def settle(self, entry: OutboxEntry, integration: Integration | None, result: Any) -> None:
        """Forget it."""
        if integration is not None:
            credentials.destroy_version(integration, entry.details["version"])
            issues.resolve_issues(integration, causes=[NOT_RETIRED])

    def give_up(self, entry: OutboxEntry, integration: Integration | None, error: ProviderError) -> None:
        """Forget it all the same, and say that it still works at the vendor."""
        if integration is None:
            return
        credentials.destroy_version(integration, entry.details["version"])
        issues.open_issue(
            integration,
            cause=NOT_RETIRED,
            text=NOT_REMOVED,
            who="user",
            next_action=REMOVE_IT,
            details={"why": error.message},
        )


RETIRE_CREDENTIAL = RetireCredential()


def _rotating(provider: Provider) -> RotatesCredential:
    if not isinstance(provider, RotatesCredential):
        raise CannotRotate("This provider makes no second credential by its API.")
    return provider


def _joined(old: Secrets, new: Secrets) -> Secrets:
    return Secrets({name: secret.reveal() for opened in (old, new) for name, secret in opened.items()})
