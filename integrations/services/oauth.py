"""
Connecting an account by a vendor's OAuth dialog.

start → consent on a page of ours → the vendor's dialog → its answer → tokens → accounts → the same pipeline as the
form's (`services.connect`). No vendor is waited for inside a transaction; a refusal stores nothing but its reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode, urlsplit, urlunsplit

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_noop

from audit.services import Actor
from core.errors import RegistryError, ValidationFailed
from core.secret import Secret
from dispatch.models import OAuthApp, OAuthAttempt, OAuthStatus, Vendor
from integrations import registry
from integrations.contract import (
    Account,
    ConnectsByOAuth,
    ProviderError,
    TokenSet,
)
from integrations.contract.errors import Who
from integrations.models import Integration
from integrations.services import connect as connecting
from integrations.services import expiry, issues, links, oauth_vendor
from integrations.services import oauth_attempts as attempts
from integrations.services.connect import Granted
from integrations.services.oauth_attempts import Bound, Grant
from integrations.services.people import people_url
from tenants.context import in_organization, in_public_schema, require_organization
from tenants.models import Organization

SCOPES_MISSING = "scopes_missing"
NOT_GRANTED = gettext_noop("Some rights were not granted: %(scopes)s. What needs them does not work.")
GRANT_THEM = gettext_noop("Connect the account again and leave all rights switched on.")
DENIED = gettext_noop("The access was not granted, so nothing was connected. Start again if that was a mistake.")
WRONG_ISSUER = gettext_noop("The answer came from another service than the one that was asked. Nothing was connected.")
VENDOR_REFUSED = gettext_noop(
    "The provider refused the connection. Start again; if it keeps failing, ask the operator."
)
NO_ACCOUNT = gettext_noop("This login controls no account that can be connected. Log in with another one.")
OTHER_ACCOUNT = gettext_noop("This login belongs to another account than the one that is connected. Use the same one.")
UNKNOWN_CHOICE = gettext_noop("Choose one of the accounts of the list.")


class ConsentDenied(RegistryError):
    """The person said no at the vendor."""

    status, code = 403, "oauth_denied"


class AnswerRefused(RegistryError):
    """The vendor's answer is none that an account can be connected with."""

    status, code = 422, "oauth_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be connected; with an integration, that one is reconnected."""

    provider: str
    environment: str = ""
    name: str = ""
    redirect_url: str = ""
    language: str = ""
    integration: Integration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Where a person goes to give consent, and until when."""

    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What a vendor's redirect carried. `issuer` is RFC 9207's `iss`, empty where the vendor sends none."""

    code: str = ""
    error: str = ""
    issuer: str = ""


def start(wanted: Wanted, *, actor: Actor) -> Started:
    """
    Begin a run for the entered organization.

    :raises ValidationFailed: the provider has no login, no application is set up, or a field cannot be used
    """
    oauth_vendor.oauth_provider(wanted.provider)
    app = app_of(wanted.provider)
    if app is None or _is_switched_off(wanted.provider):
        raise ValidationFailed(oauth_vendor.NO_APP, errors={"provider": [oauth_vendor.NO_APP]})
    integration = wanted.integration
    if integration is not None:
        links.refuse_ended(integration)
    attempt = OAuthAttempt(
        organization_schema=require_organization(),
        provider=wanted.provider,
        app_id=app.pk,
        environment=integration.environment if integration else wanted.environment,
        name=integration.name if integration else wanted.name,
        integration_id=integration.pk if integration else None,
        redirect_url=checked_redirect(wanted.redirect_url),
        language=wanted.language,
    )
    token = attempts.create(attempt, actor=actor)
    url = f"{settings.PUBLIC_URL}/oauth/{wanted.provider}/start/{token}/"
    return Started(url=url, expires_at=attempt.expires_at)


def can_start(key: str) -> bool:
    """Whether accounts of a provider can be connected by login in the entered organization."""
    found = registry.find(key)
    return found is not None and issubclass(found, ConnectsByOAuth) and app_of(key) is not None


def app_of(key: str) -> OAuthApp | None:
    """Return the application that the entered organization uses: its own, else the platform's."""
    schema = require_organization()
    own = OAuthApp.objects.filter(organization_schema=schema, provider=key, is_enabled=True)
    if found := own.order_by("created_at").first():
        return found
    with in_public_schema():
        shared = OAuthApp.objects.filter(organization_schema=None, provider=key, is_enabled=True)
        return shared.order_by("created_at").first()


def checked_redirect(url: str) -> str:
    """
    Let people be sent back to pages of ours, or to an origin that is registered for the entered organization.

    :raises ValidationFailed: it is neither
    """
    if not url:
        return ""
    organization = Organization.objects.get(schema_name=require_organization())
    own = (settings.PUBLIC_URL, people_url())
    allowed = {attempts.origin_of(origin) for origin in (*own, *organization.allowed_origins)}
    parts = urlsplit(url) if attempts.origin_of(url) in allowed - {""} else None
    if parts is None or parts.username is not None or not url.isprintable() or "\\" in url:
        raise ValidationFailed(
            "Some fields need another value.",
            errors={"redirect_url": ["Use an address whose origin is registered for the organization."]},
        )
    return url


def open_dialog(attempt: OAuthAttempt, *, browser: str, language: str) -> Bound:
    """
    Take the consent of this browser and say where the vendor's dialog is.

    :raises RegistryError: the run is another browser's, or over
    """
    with_pkce = oauth_vendor.has_pkce(oauth_vendor.oauth_provider(attempt.provider))
    return attempts.bind(
        attempt, browser=browser, language=language, with_pkce=with_pkce, dialog=oauth_vendor.dialog_of(attempt)
    )


def dialog_origin(attempt: OAuthAttempt) -> str:
    """Return the origin of a run's dialog, before it is opened."""
    return attempts.origin_of(oauth_vendor.dialog_of(attempt)("", ""))


def finish(attempt: OAuthAttempt, returned: Returned, *, state: str, browser: str) -> OAuthAttempt:
    """
    Take a vendor's answer: connect the account, or keep the tokens until one of several is chosen.

    :raises RegistryError: another browser, spent, too late, denied, or nothing that can be connected
    :raises ProviderError: the vendor did not take the code, or the live check failed
    """
    attempts.claim(attempt, browser=browser)
    with in_organization(attempt.organization_schema), _ended_when_refused(attempt):
        _refuse_answer(attempt, returned)
        grant = oauth_vendor.exchange(attempt, Secret(returned.code), state=state)
        grant = Grant(tokens=grant.tokens, accounts=_fitting(attempt, grant.accounts))
        if len(grant.accounts) == 1:
            _connect(attempt, grant.tokens, grant.accounts[0])
        else:
            attempts.keep_choice(attempt, grant)
    return attempt


def choose(attempt: OAuthAttempt, external_id: str, *, browser: str) -> OAuthAttempt:
    """
    Connect the account that was chosen of several.

    :raises RegistryError: another browser, spent or too late; an account that is not of the list spends nothing
    :raises ProviderError: the live check failed
    """
    offered = attempts.open_grant(attempt, browser=browser).accounts
    account = next((item for item in offered if item.external_id == external_id), None)
    if account is None:
        raise ValidationFailed(UNKNOWN_CHOICE)
    grant = attempts.claim_choice(attempt, browser=browser)
    with in_organization(attempt.organization_schema), _ended_when_refused(attempt):
        _connect(attempt, grant.tokens, account)
    return attempt


def way_back(attempt: OAuthAttempt) -> str:
    """Return where the person goes on after a connection; nothing where our own page ends it."""
    if not attempt.redirect_url or attempt.connected_id is None:
        return ""
    parts = urlsplit(attempt.redirect_url)
    told = urlencode({"status": "connected", "integration": str(attempt.connected_id)})
    return urlunsplit(parts._replace(query=f"{parts.query}&{told}" if parts.query else told))


def _is_switched_off(key: str) -> bool:
    return Vendor.objects.filter(provider=key, is_enabled=False).exists()


@contextmanager
def _ended_when_refused(attempt: OAuthAttempt) -> Iterator[None]:
    """A refusal ends the run: its state and code are spent, whatever comes next begins anew."""
    try:
        yield
    except ConsentDenied as error:
        attempts.end(attempt, OAuthStatus.DENIED, error_code=error.code)
        raise
    except RegistryError as error:
        attempts.end(attempt, OAuthStatus.FAILED, error_code=error.code)
        raise
    except ProviderError as error:
        attempts.end(attempt, OAuthStatus.FAILED, error_code=error.api_code)
        raise


def _refuse_answer(attempt: OAuthAttempt, returned: Returned) -> None:
    """Refuse an answer of another vendor (RFC 9207), a denial, and one without a code."""
    if returned.issuer and attempts.origin_of(returned.issuer) != attempt.vendor_origin:
        raise AnswerRefused(WRONG_ISSUER, code="oauth_wrong_issuer")
    if returned.error == "access_denied":
        raise ConsentDenied(DENIED)
    if returned.error or not returned.code:
        raise AnswerRefused(VENDOR_REFUSED)


def _fitting(attempt: OAuthAttempt, accounts: Sequence[Account]) -> Sequence[Account]:
    """Keep what may be connected: of a reconnect, the account that it had."""
    if not accounts:
        raise AnswerRefused(NO_ACCOUNT, code="oauth_no_account")
    integration = _existing(attempt)
    known = integration.account_external_id if integration else ""
    fitting = [account for account in accounts if known in {"", account.external_id}]
    if not fitting:
        raise AnswerRefused(OTHER_ACCOUNT, code="oauth_other_account")
    return fitting


def _existing(attempt: OAuthAttempt) -> Integration | None:
    return Integration.objects.get(pk=attempt.integration_id) if attempt.integration_id else None


def _connect(attempt: OAuthAttempt, tokens: TokenSet, account: Account) -> None:
    """Connect through the form's pipeline, then keep what only the dialog knew."""
    existing, actor = _existing(attempt), attempts.actor_of(attempt)
    values = _credentials(attempt.provider, tokens)
    granted = Granted(app_id=attempt.app_id, settings=account.settings)
    if existing is not None:
        integration = connecting.reconnect(existing, credentials=values, actor=actor, granted=granted)
    else:
        integration = connecting.connect(
            provider=attempt.provider,
            name=(attempt.name or account.label)[:120],
            environment=attempt.environment,
            credentials=values,
            settings={},
            actor=actor,
            granted=granted,
        )
    _keep(attempt, integration, tokens)


def _credentials(key: str, tokens: TokenSet) -> Mapping[str, str]:
    """Return the tokens under the names of the spec's fields; a vendor reached with the platform's key keeps none."""
    given = {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token}
    fields = {item.name for item in registry.provider(key).spec.credentials}
    return {name: token.reveal() for name, token in given.items() if token and name in fields}


@transaction.atomic
def _keep(attempt: OAuthAttempt, integration: Integration, tokens: TokenSet) -> None:
    """Note when the tokens end, what was granted, and that the run has ended."""
    asked = oauth_vendor.asked_scopes(integration.provider_class)
    attempt.granted_scopes = list(tokens.scopes)
    attempt.missing_scopes = sorted(set(asked) - set(tokens.scopes)) if tokens.scopes else []
    fresh = Integration.objects.select_for_update().get(pk=integration.pk)
    fresh.facts = {**fresh.facts, "granted_scopes": attempt.granted_scopes}
    fresh.save(update_fields=["facts"])
    credential = fresh.current_credential
    if credential is not None and tokens.expires_at is not None:
        credential.expires_at = tokens.expires_at
        credential.save(update_fields=["expires_at"])
        links.schedule_refresh(fresh, tokens.expires_at)
        expiry.schedule(fresh, tokens.expires_at)
    if attempt.missing_scopes:
        issues.open_issue(
            fresh,
            cause=SCOPES_MISSING,
            text=NOT_GRANTED,
            who=str(Who.USER),
            next_action=GRANT_THEM,
            details={"scopes": ", ".join(attempt.missing_scopes)},
        )
    attempt.connected_id = fresh.pk
    attempts.end(attempt, OAuthStatus.CONNECTED)
