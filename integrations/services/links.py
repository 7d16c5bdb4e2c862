"""The public mirror of an integration: its Link, its Routes and the accounts it claims."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from core import clock
from core.errors import Conflict
from core.ids import new_id, new_token
from core.secret import Secrets
from dispatch import inbox
from dispatch.models import AccountClaim, DeliveryStatus, Link, LinkStatus, Route, WebhookDelivery
from dispatch.waker import wake
from integrations import registry
from integrations.contract import AccountKey, OAuth2Auth, Provider, ReceivesWebhooks, RefreshesTokens
from integrations.contract.health import Health, Standing, pace_s
from integrations.models import Integration
from tenants.context import require_organization
from tenants.models import Organization
from vault.services import token_digest

OVERLAP = timedelta(hours=24)
"""How long a replaced secret still verifies webhooks: vendors keep signing with the old one for up to a day."""

DEFAULT_MARGIN_S = 900.0
"""Tokens that come without OAuth are renewed this long before their end: enough for a quarter-hour's outage."""


class AccountTaken(Conflict):
    """The account belongs to another integration; whose, nobody is told."""

    code = "account_already_connected"


def mirror(integration: Integration) -> Link:
    """
    Copy what routing, sweeps and platform lists need; in the transaction that changed the integration.

    When it is checked next stays as it is, unless the clock begins or ceases to check it.
    """
    schema = require_organization()
    organization = Organization.objects.get(schema_name=schema)
    link, _created = Link.objects.update_or_create(
        id=integration.id,
        defaults={
            "organization_schema": schema,
            "organization_label": organization.name,
            "provider": integration.provider,
            "category": integration.category,
            "label": integration.name,
            "environment": integration.environment,
            "status": integration.status,
            "health": integration.health,
            "cause": integration.health_cause,
            "since": integration.health_since,
            "who": integration.health_who,
            "open_issues": integration.issues.filter(resolved_at=None).count(),
        },
    )
    due = next_check(link, standing_of(link))
    if (due is None) != (link.next_check_at is None):
        link.next_check_at = due
        link.save(update_fields=["next_check_at"])
    return link


def standing_of(link: Link) -> Standing:
    """Read where a link stands from its public row."""
    return Standing(health=Health(link.health), good=link.good_checks, bad=link.bad_checks)


def next_check(link: Link, standing: Standing) -> datetime | None:
    """Say when the clock checks a link that stands so: its pace and a fixed jitter of ±10 %, so that checks spread."""
    spec = registry.provider(link.provider).spec.health
    pace = pace_s(standing, period_s=spec.period_s, status=link.status, is_free=spec.is_free)
    return None if pace is None else clock.now() + timedelta(seconds=pace * jitter(link.id))


def jitter(link_id: UUID) -> float:
    """Return a link's own factor between 0.9 and 1.1."""
    return 0.9 + (link_id.int % 1000) / 5000


def refuse_ended(integration: Integration) -> None:
    """
    Refuse to go on with an integration whose credential was destroyed; what a vendor ended can still be mended.

    :raises Conflict: it was disconnected here
    """
    if integration.status == LinkStatus.DISCONNECTED and integration.current_credential is None:
        raise Conflict("This integration is disconnected; connect the account anew.", code="disconnected")


def make_webhook_route(integration: Integration, secrets: Secrets) -> str:
    """Give an integration its own webhook URL, if its provider has webhooks; return the URL or nothing."""
    provider = integration.provider_class
    if not issubclass(provider, ReceivesWebhooks):
        return ""
    token = new_token()
    route = Route(
        id=new_id(),
        organization_schema=require_organization(),
        link_id=integration.id,
        provider=integration.provider,
        token_digest=token_digest(token),
    )
    _seal_into(route, provider, secrets)
    route.save()
    return f"{settings.PUBLIC_URL}/webhooks/{integration.provider}/{token}/"


def update_route_secrets(integration: Integration, secrets: Secrets) -> None:
    """Seal new verification secrets into the integration's webhook route."""
    for route in Route.objects.filter(link_id=integration.id).exclude(token_digest=None):
        _seal_into(route, integration.provider_class, secrets)
        route.save(update_fields=["sealed_secrets", "secrets_version"])


def claim_accounts(integration: Integration, keys: Iterable[AccountKey]) -> None:
    """
    Let webhooks that name these accounts reach the integration. The keys were proved by a live check.

    :raises AccountTaken: one of them belongs to another integration, here or anywhere on the platform
    """
    schema = require_organization()
    wanted = list(keys)
    for key in wanted:
        AccountClaim.objects.bulk_create(
            [AccountClaim(organization_schema=schema, provider=integration.provider, account_key=key.value)],
            ignore_conflicts=True,
        )
        # Row-level security hides a foreign claim: what is not visible here is another organization's.
        if not AccountClaim.objects.filter(provider=integration.provider, account_key=key.value).exists():
            raise _taken()
    _routes_of(integration).exclude(account_key__in=[key.value for key in wanted]).delete()
    for key in wanted:
        _route_account(integration, key, schema)
    _release_quarantine(integration, [key.value for key in wanted])


def schedule_refresh(integration: Integration, expires_at: datetime | None) -> None:
    """Note when the sweep renews the tokens: the spec's margin before their end, or half-way to an early end."""
    provider, now = integration.provider_class, clock.now()
    due = None
    if expires_at is not None and issubclass(provider, RefreshesTokens):
        auth = provider.spec.auth
        margin_s = auth.margin_s if isinstance(auth, OAuth2Auth) else DEFAULT_MARGIN_S
        early = 1 + (integration.id.int % 1000) / 5000  # up to 20 % more, fixed per integration, so that calls spread
        due = max(expires_at - timedelta(seconds=margin_s * early), now + (expires_at - now) / 2)
    Link.objects.filter(pk=integration.pk).update(next_refresh_at=due)


def drop_routes(integration: Integration) -> None:
    """Close the webhook URL and give the accounts free."""
    values = list(_routes_of(integration).values_list("account_key", flat=True))
    Route.objects.filter(link_id=integration.id).delete()
    still_used = Route.objects.filter(provider=integration.provider, account_key__in=values)
    free = set(values) - set(still_used.values_list("account_key", flat=True))
    AccountClaim.objects.filter(provider=integration.provider, account_key__in=free).delete()


def account_values(integration_id: UUID) -> frozenset[str]:
    """Return the account keys whose events may reach a link."""
    routes = Route.objects.filter(link_id=integration_id, token_digest=None)
    return frozenset(routes.values_list("account_key", flat=True))


def _routes_of(integration: Integration) -> QuerySet[Route]:
    return Route.objects.filter(link_id=integration.id, token_digest=None)


def _route_account(integration: Integration, key: AccountKey, schema: str) -> None:
    try:
        with transaction.atomic():
            Route.objects.get_or_create(
                link_id=integration.id,
                provider=integration.provider,
                account_key=key.value,
                token_digest=None,
                defaults={"organization_schema": schema, "is_shared": key.shared},
            )
    except IntegrityError as error:
        raise _taken() from error


def _taken() -> AccountTaken:
    return AccountTaken(
        "This account is connected already. Disconnect it where it is connected, then connect it here.",
    )


def _release_quarantine(integration: Integration, values: list[str]) -> None:
    """Let the worker look anew at what arrived before these accounts were connected."""
    WebhookDelivery.objects.filter(
        link_id=integration.id, status=DeliveryStatus.QUARANTINED, account_key__in=values
    ).update(status=DeliveryStatus.RECEIVED, next_attempt_at=clock.now())
    transaction.on_commit(lambda: wake("inbound"))


def _seal_into(route: Route, provider: type[Provider], secrets: Secrets) -> None:
    values = verification_values(provider, secrets)
    if provider.spec.webhook is not None:
        before, until = inbox.open_route_secrets(route), clock.now() + OVERLAP
        values = inbox.with_previous(values, provider.spec.webhook.secret_field, before=before, until=until)
    route.secrets_version += 1
    route.sealed_secrets = inbox.seal_route_secrets(
        values, organization_schema=route.organization_schema, route_id=route.id, version=route.secrets_version
    )


def verification_values(provider: type[Provider], secrets: Secrets) -> Mapping[str, str]:
    """Pick from a credential what verifying webhooks needs: the signing secret and the challenge token."""
    webhook = provider.spec.webhook
    names = [name for name in (webhook.secret_field, webhook.challenge_field) if name] if webhook else []
    return {name: secrets[name].reveal() for name in names if name in secrets}
