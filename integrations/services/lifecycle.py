"""Switching an integration off and on, and ending it."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.db import transaction
from django.utils.translation import gettext_noop

from audit.services import Actor, record
from core import clock
from core.errors import Conflict
from dispatch import outbox
from dispatch.models import LinkHealth, LinkStatus, OutboxEntry, OutboxStatus
from integrations.contract import ProviderError, RegistersWebhook
from integrations.models import Integration
from integrations.services import credentials, issues, ladder, links
from integrations.services.credentials import Purpose, audit_target
from integrations.services.links import refuse_ended
from integrations.services.outbox import release_parked
from integrations.services.providers import provider_for

log = structlog.get_logger(__name__)

RECONNECT = gettext_noop("Connect the account again: Integrations, this integration, Reconnect.")
CANCELED_TEXT = "The integration was disconnected before the work was done."


def disable(integration: Integration, *, actor: Actor) -> Integration:
    """Stop using the integration; webhooks are still received, outgoing work is parked."""
    _refuse_disconnected(integration)
    return _change(integration, "integration.disabled", actor, Integration.mark_disabled)


def enable(integration: Integration, *, actor: Actor) -> Integration:
    """Use a disabled integration again; parked work goes on."""
    if integration.status != LinkStatus.DISABLED:
        raise Conflict("Only a disabled integration can be enabled.", code="not_disabled")
    enabled = _change(integration, "integration.enabled", actor, Integration.mark_connected)
    release_parked(enabled)
    return enabled


def disconnect(integration: Integration, *, actor: Actor) -> Integration:
    """
    End the integration: the vendor's webhook is removed, the credential destroyed, the history kept.

    A vendor that cannot be reached does not keep a customer connected: we stop listening whatever it says.
    """
    refuse_ended(integration)
    _unregister(integration)
    with transaction.atomic():
        fresh = Integration.objects.select_for_update().get(pk=integration.pk)
        refuse_ended(fresh)
        destroyed = credentials.destroy_all(fresh)
        links.drop_routes(fresh)
        OutboxEntry.objects.filter(link_id=fresh.id, status__in=[OutboxStatus.WAITING, OutboxStatus.PARKED]).update(
            status=OutboxStatus.CANCELED, done_at=clock.now(), error_class="Canceled", error_text=CANCELED_TEXT
        )
        fresh.mark_disconnected()
        fresh.save()
        links.mirror(fresh)
        issues.resolve_issues(fresh)
        record(
            action="integration.disconnected",
            actor=actor,
            target=audit_target(fresh),
            details={"credentials_destroyed": destroyed},
        )
        outbox.publish("integration.disconnected", str(fresh.id))
    integration.refresh_from_db()
    return integration


def end_by_vendor(integration: Integration, *, cause: str, topic: str) -> None:
    """
    Take note that the vendor ended the link; runs in the caller's transaction, on a locked row.

    The credential is kept, sealed: whether to forget it is the organization's to say, and a reconnect in place needs
    the routes.

    :param topic: what the issue is named by, such as ``account:deauthorized``
    """
    integration.mark_disconnected()
    integration.mark_health(LinkHealth.FAILING, cause=cause, who="user", next_action=RECONNECT)
    integration.save()
    issues.open_issue(integration, cause=topic, text=cause, who="user", next_action=RECONNECT)
    links.mirror(integration)
    outbox.publish("integration.disconnected", str(integration.id))


def rename(integration: Integration, *, name: str, actor: Actor) -> Integration:
    """Give the integration another name."""
    with transaction.atomic():
        fresh = Integration.objects.select_for_update().get(pk=integration.pk)
        fresh.name = name
        fresh.save(update_fields=["name", "updated_at"])
        links.mirror(fresh)
        record(action="integration.renamed", actor=actor, target=audit_target(fresh))
    integration.refresh_from_db()
    return integration


def _unregister(integration: Integration) -> None:
    if not issubclass(integration.provider_class, RegistersWebhook) or integration.current_credential is None:
        return
    try:
        provider = provider_for(integration, Purpose.CALL)
        if isinstance(provider, RegistersWebhook) and provider.has_webhook():
            provider.unregister_webhook()
    except ProviderError as error:
        log.warning("webhook.not_removed", integration=str(integration.id), error=error.name)


def _change(integration: Integration, action: str, actor: Actor, mark: Callable[[Integration], None]) -> Integration:
    with transaction.atomic():
        fresh = Integration.objects.select_for_update().get(pk=integration.pk)
        _refuse_disconnected(fresh)
        mark(fresh)
        fresh.save()
        links.mirror(fresh)
        ladder.forget(fresh.pk)  # a person decided: what the platform would do or did by itself is over
        issues.resolve_issues(fresh, causes=[issues.DISABLED_BY_SYSTEM])
        record(action=action, actor=actor, target=audit_target(fresh))
        outbox.publish(action, str(fresh.id))
    integration.refresh_from_db()
    return fresh


def _refuse_disconnected(integration: Integration) -> None:
    if integration.status == LinkStatus.DISCONNECTED:
        raise Conflict("This integration is disconnected; connect the account again.", code="disconnected")
