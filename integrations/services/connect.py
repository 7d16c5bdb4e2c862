"""
Connecting an account, as a visible list of steps.

validate → live check, account proved → seal → store → audit, all or nothing; then by outbox: webhook
registration, inspection and notice. A failed check stores nothing and names the field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from audit.services import Actor, record
from core import clock
from core.errors import Conflict, ValidationFailed
from core.ids import new_token
from core.secret import Secrets
from dispatch import outbox
from dispatch.models import LinkHealth, LinkStatus, Vendor
from integrations import registry
from integrations.contract import AuthenticationFailed, CheckResult, Provider, RegistersWebhook
from integrations.models import Integration
from integrations.services import credentials, expiry, issues, links
from integrations.services.check_rows import keep_check
from integrations.services.credentials import Purpose, audit_target
from integrations.services.field_checks import field_errors, placed, with_defaults
from integrations.services.links import refuse_ended
from integrations.services.oauth_apps import APP_SETTING, with_app_secrets
from integrations.services.outbox import release_parked
from integrations.services.providers import unborn_provider

REGISTER = "webhook.register"


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """
    What a vendor's dialog settled beside the credential: through which OAuth app, and the account's settings.

    `settings` may hold what is no field of the spec (Stripe's `account_id`): it is stored, opens the app's secrets for
    each call together with the app's id, and no form and no request body can write it.
    """

    app_id: UUID
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Connecting:
    """What the steps work on; `secrets` and `check` appear on the way. `unwritable` are settings outside the spec."""

    provider: type[Provider]
    name: str
    environment: str
    credentials: Mapping[str, str] = field(repr=False)
    settings: Mapping[str, Any]
    actor: Actor
    unwritable: Mapping[str, Any] = field(default_factory=dict)
    existing: Integration | None = None
    secrets: Secrets = field(default_factory=lambda: Secrets({}), repr=False)
    check: CheckResult | None = None
    check_ms: float = 0.0


def connect(
    *,
    provider: str,
    name: str,
    environment: str,
    credentials: Mapping[str, str],
    settings: Mapping[str, Any],
    actor: Actor,
    granted: Granted | None = None,
) -> Integration:
    """
    Connect an account to the entered organization.

    :param granted: where the credential comes from a vendor's dialog
    :raises ValidationFailed: a field is missing or malformed; nothing is stored
    :raises ProviderError: the live check failed; nothing is stored
    :raises Conflict: the account is connected already
    """
    kind = registry.provider(provider)
    fitting, unwritable = _sorted_settings(kind, granted)
    work = Connecting(
        provider=kind,
        name=name or kind.spec.label,
        environment=environment,
        credentials=credentials,
        settings={**settings, **fitting},
        actor=actor,
        unwritable=unwritable,
    )
    for step in STEPS:
        step(work)
    return _store(work)


def reconnect(
    integration: Integration,
    *,
    credentials: Mapping[str, str],
    settings: Mapping[str, Any] | None = None,
    actor: Actor,
    granted: Granted | None = None,
) -> Integration:
    """
    Give an integration a new credential in place: same id, same account, the old one serves until this one passed.

    Secret fields left blank keep their value, unless the address that receives them changes. An account that was
    connected through an OAuth app leaves it when somebody gives a key of its own, and a grant takes the key's place.

    :raises ValidationFailed: a field is malformed, or the new credential belongs to another account
    :raises ProviderError: the live check failed; the old credential still serves
    :raises Conflict: the integration is disconnected
    """
    refuse_ended(integration)
    provider = integration.provider_class
    kept = _kept_secrets(integration, actor)
    given = {**credentials, **(settings or {})}
    _refuse_moved(provider, kept, before=integration.settings, given=given)
    fitting, unwritable = _sorted_settings(provider, granted)
    if granted is not None:
        kept.pop(_credential_field(provider), None)
    elif not credentials.get(_credential_field(provider)):
        unwritable = {name: integration.settings[name] for name in _outside_spec(provider, integration.settings)}
    known = {name: value for name, value in integration.settings.items() if name in _settings_of(provider)}
    work = Connecting(
        provider=provider,
        name=integration.name,
        environment=integration.environment,
        credentials={**kept, **{key: value for key, value in credentials.items() if value}},
        settings={**known, **(settings or {}), **fitting},
        actor=actor,
        unwritable=unwritable,
        existing=integration,
    )
    for step in STEPS:
        step(work)
    _store(work)
    integration.refresh_from_db()
    return integration


def validate(work: Connecting) -> None:
    """Check every field against the spec, before any call."""
    if work.existing is None:
        _refuse_switched_off(work.provider)
    spec = work.provider.spec
    errors = field_errors(spec, credentials=work.credentials, settings=work.settings)
    if work.environment not in {"test", "live"}:
        errors["environment"] = ["Use test or live."]
    if errors:
        raise ValidationFailed("Some fields need another value.", errors=errors)
    work.settings = {**with_defaults(spec.settings, work.settings), **work.unwritable}
    values = {**work.credentials, **_made_fields(work.provider, work.credentials)}
    work.secrets = Secrets(values)
    opened = with_app_secrets(spec.key, work.settings, work.secrets)
    if special := work.provider.validate(work.settings, opened):
        raise ValidationFailed("Some fields need another value.", errors=placed(spec, special))


def live_check(work: Connecting) -> None:
    """Ask the vendor. Whatever it says, nothing is stored yet and no transaction is open."""
    provider = unborn_provider(
        work.provider.spec.key,
        environment=work.environment,
        settings_values=work.settings,
        secrets=work.secrets,
    )
    started = clock.now()
    try:
        work.check = provider.check()
        work.check_ms = round((clock.now() - started).total_seconds() * 1000, 1)
    except AuthenticationFailed as error:
        error.field = error.field or _credential_field(work.provider)
        raise


def prove_account(work: Connecting) -> None:
    """Refuse a credential of the wrong environment or, on reconnecting, of another account."""
    check = _checked(work)
    if check.environment and check.environment != work.environment:
        raise ValidationFailed(
            f"This is a {check.environment} credential; the integration is {work.environment}.",
            errors={"environment": [f"Choose {check.environment}, or use a {work.environment} credential."]},
        )
    if work.existing and work.existing.account_external_id not in {"", check.account.external_id}:
        raise ValidationFailed(
            f"This credential belongs to another account than {work.existing.account_label}.",
            errors={f"credentials.{_credential_field(work.provider)}": ["Use a credential of the same account."]},
        )
    work.settings = {**work.settings, **{key: value for key, value in check.found.items() if value}}


STEPS: Sequence[Callable[[Connecting], None]] = (validate, live_check, prove_account)
"""What happens before anything is stored, in this order."""


def _store(work: Connecting) -> Integration:
    try:
        with transaction.atomic():
            return _stored(work)
    except IntegrityError as error:
        if "integration_account_once" in str(error):
            raise Conflict(
                "This account is connected already; reconnect that integration instead.",
                code="account_already_connected",
            ) from error
        raise


def _stored(work: Connecting) -> Integration:
    check = _checked(work)
    integration = _row(work)
    was_broken = bool(work.existing) and integration.status != LinkStatus.ACTIVE
    integration.name = work.name
    integration.settings = dict(work.settings)
    integration.account_external_id = check.account.external_id
    integration.account_label = check.account.label
    integration.account_keys = [key.value for key in check.account_keys]
    integration.capabilities = [verdict.capability for verdict in check.verdicts if verdict.ok]
    integration.facts = dict(check.facts)
    integration.last_tested_at = clock.now()
    integration.mark_connected()
    integration.mark_health(LinkHealth.DEGRADED if check.degraded else LinkHealth.HEALTHY, cause=check.degraded)
    integration.save()
    values = {name: secret.reveal() for name, secret in work.secrets.items()}
    stored = credentials.store(integration, values, expires_at=check.expires_at)
    links.claim_accounts(integration, check.account_keys)
    if integration.webhook_url:
        links.update_route_secrets(integration, work.secrets)
    else:
        integration.webhook_url = links.make_webhook_route(integration, work.secrets)
        integration.save(update_fields=["webhook_url"])
    links.mirror(integration)
    keep_check(integration, at=clock.now(), duration_ms=work.check_ms, verdicts=check.verdicts)
    links.schedule_refresh(integration, stored.expires_at)
    expiry.schedule(integration, stored.expires_at)
    action = "credential.replaced" if work.existing else "integration.connected"
    record(
        action=action,
        actor=work.actor,
        target=audit_target(integration),
        details={"provider": integration.provider, "version": stored.version, "fields": stored.fields},
    )
    issues.resolve_issues(integration)
    release_parked(integration)
    _schedule_follow_up(work.provider, integration)
    if was_broken:
        outbox.publish("integration.recovered", str(integration.id))
    return integration


def _sorted_settings(provider: type[Provider], granted: Granted | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sort a grant's settings into fields of the spec and what only a grant may write."""
    if granted is None:
        return {}, {}
    outside = _outside_spec(provider, granted.settings)
    fitting = {name: value for name, value in granted.settings.items() if name not in outside}
    unwritable = {name: granted.settings[name] for name in outside}
    return fitting, {**unwritable, APP_SETTING: str(granted.app_id)}


def _settings_of(provider: type[Provider]) -> set[str]:
    return {item.name for item in provider.spec.settings}


def _outside_spec(provider: type[Provider], values: Mapping[str, Any]) -> set[str]:
    return set(values) - _settings_of(provider)


def _row(work: Connecting) -> Integration:
    """Return the row to write: a new one, or the existing one as it is now, locked."""
    if work.existing is None:
        return Integration(provider=work.provider.spec.key, environment=work.environment)
    fresh = Integration.objects.select_for_update().get(pk=work.existing.pk)
    refuse_ended(fresh)
    return fresh


def _schedule_follow_up(provider: type[Provider], integration: Integration) -> None:
    if issubclass(provider, RegistersWebhook):
        outbox.add(REGISTER, link_id=integration.id, object_id=str(integration.id), object_key="webhook")
    outbox.publish("integration.connected", str(integration.id))


def _made_fields(provider: type[Provider], values: Mapping[str, str]) -> dict[str, str]:
    """Make the challenge token where the customer gave none: it only has to be unguessable."""
    webhook = provider.spec.webhook
    if webhook is None or webhook.challenge_field is None or values.get(webhook.challenge_field):
        return {}
    return {webhook.challenge_field: new_token(size_bytes=24)}


def _refuse_switched_off(provider: type[Provider]) -> None:
    if Vendor.objects.filter(provider=provider.spec.key, is_enabled=False).exists():
        raise ValidationFailed(
            f"{provider.spec.label} cannot be connected at present.",
            errors={"provider": ["The operator of this platform has switched it off; ask them when it returns."]},
        )


def _credential_field(provider: type[Provider]) -> str:
    required = [item.name for item in provider.spec.credentials if item.required]
    return (required or [item.name for item in provider.spec.credentials] or [""])[0]


def _checked(work: Connecting) -> CheckResult:
    if work.check is None:
        raise RuntimeError("a step ran before the live check")
    return work.check


def _refuse_moved(
    provider: type[Provider], kept: Mapping[str, str], *, before: Mapping[str, Any], given: Mapping[str, Any]
) -> None:
    """Refuse to send kept secrets to another host: whoever changes where they go must know them."""
    spec, known = provider.spec, {**before, **kept}
    hosts = [item.name for item in (*spec.settings, *spec.credentials) if item.destination]
    if all(given.get(name) in (None, "", known.get(name)) for name in hosts):
        return
    made = spec.webhook.challenge_field if spec.webhook else None
    if missing := [name for name in kept if name not in (*hosts, made) and not given.get(name)]:
        text = "Enter it anew: the address that it is sent to changes."
        raise ValidationFailed(
            "Some fields need another value.", errors={f"credentials.{name}": [text] for name in missing}
        )


def _kept_secrets(integration: Integration, actor: Actor) -> dict[str, str]:
    if integration.current_credential is None:
        return {}
    opened = credentials.open_for(integration, Purpose.CONNECT, actor=actor)
    return {name: secret.reveal() for name, secret in opened.items()}
