"""Registering our webhook URL at the vendor, as outbox work: a failure opens an issue and leaves sending usable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_noop

from audit.services import Actor, record
from core import clock
from dispatch import outbox
from dispatch.models import OutboxEntry
from integrations.contract import ProviderError, RegisteredWebhook, RegistersWebhook, WebhookState
from integrations.models import Integration
from integrations.services import credentials, issues, links
from integrations.services.connect import REGISTER
from integrations.services.credentials import Purpose, audit_target
from integrations.services.providers import provider_for

CAUSE = "webhook_not_registered"
RECEIVING = "receives_webhooks"
"""The capability that a registration proves, by the name that checks give it."""

NOT_REGISTERED = gettext_noop("The webhook could not be registered: %(why)s")
CHECK_URL = gettext_noop("Check that the webhook URL can be reached from the internet, then test the connection again.")


@dataclass(frozen=True, slots=True)
class Registration:
    """What the vendor answered to a registration, and what it says on inspection."""

    registered: RegisteredWebhook
    state: WebhookState


class RegisterWebhook:
    """Register, then inspect; new secrets are sealed where they verify."""

    opens_issue: ClassVar[bool] = True

    def call(self, entry: OutboxEntry, integration: Integration | None) -> Registration | None:
        """Register at the vendor, where it posts to this kind of integration; safe to repeat."""
        if integration is None:
            return None
        provider = provider_for(integration, Purpose.CALL)
        if not isinstance(provider, RegistersWebhook) or not provider.has_webhook():
            return None
        registered = provider.register_webhook(integration.webhook_url)
        return Registration(registered, provider.inspect_webhook())

    def settle(self, entry: OutboxEntry, integration: Integration | None, result: Registration | None) -> None:
        """Note the registration, or open an issue when the vendor posts elsewhere all the same."""
        fresh = _locked(integration)
        if fresh is None or result is None:
            return
        if result.registered.secrets:
            _keep_new_secrets(fresh, result.registered)
        if not result.state.registered:
            _complain(fresh, result.state.detail or "The provider does not post to our URL.")
            return
        fresh.webhook_registered = True
        fresh.webhook_verified_at = clock.now()
        if RECEIVING not in fresh.capabilities:  # the check before the registration could not find it
            fresh.capabilities = [*fresh.capabilities, RECEIVING]
        fresh.save(update_fields=["webhook_registered", "webhook_verified_at", "capabilities"])
        action = "webhook.repaired" if entry.details.get("is_repair") else "webhook.registered"
        record(action=action, actor=Actor.system("outbox"), target=audit_target(fresh))
        issues.resolve_issues(fresh, causes=[CAUSE])

    def give_up(self, entry: OutboxEntry, integration: Integration | None, error: ProviderError) -> None:
        """Open an issue with the remedy; sending works without the webhook."""
        if fresh := _locked(integration):
            _complain(fresh, f"{error.message} {error.vendor_detail}".strip())


def follow_public_url(integration: Integration) -> bool:
    """
    Move the webhook to the present PUBLIC_URL and register it again; return whether it had to move.

    The token stays, so what was received is still known; vendors that keep posting to the old address reach nobody.
    """
    path = urlsplit(integration.webhook_url).path
    moved = f"{settings.PUBLIC_URL}{path}" if path else ""
    if moved == integration.webhook_url:
        return False
    with transaction.atomic():
        integration.webhook_url = moved
        integration.webhook_registered = False
        integration.save(update_fields=["webhook_url", "webhook_registered"])
        outbox.add(REGISTER, link_id=integration.id, object_id=str(integration.id), object_key="webhook")
    return True


def _locked(integration: Integration | None) -> Integration | None:
    """Lock and read what the vendor's answer is written to; None when it was disconnected during the call."""
    rows = Integration.objects.connected().select_for_update()
    return rows.filter(pk=integration.pk).first() if integration else None


def _complain(integration: Integration, text: str) -> None:
    integration.webhook_registered = False
    integration.save(update_fields=["webhook_registered"])
    issues.open_issue(
        integration, cause=CAUSE, text=NOT_REGISTERED, who="user", next_action=CHECK_URL, details={"why": text}
    )


def _keep_new_secrets(integration: Integration, registered: RegisteredWebhook) -> None:
    """Add them to what serves now; under the row's lock, for a refresh may store a new pair at the same moment."""
    current = credentials.require_current(integration)
    opened = credentials.open_for(integration, Purpose.CALL)
    values = {name: secret.reveal() for name, secret in opened.items()}
    values.update({name: secret.reveal() for name, secret in registered.secrets.items()})
    credentials.store(integration, values, expires_at=current.expires_at)
    links.update_route_secrets(integration, credentials.open_for(integration, Purpose.VERIFY))


REGISTER_WEBHOOK = RegisterWebhook()
