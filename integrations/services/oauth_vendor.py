"""The vendor's side of a login: its dialog, its code, its accounts. Class methods of the provider, through Outbound."""

from __future__ import annotations

from typing import cast

from django.conf import settings
from django.utils.translation import gettext_noop

from core.errors import ValidationFailed
from core.secret import Secret
from dispatch.models import OAuthApp, OAuthAttempt
from integrations import registry
from integrations.contract import AppContext, Attempt, ConnectsByOAuth, IntegrationContext, OAuth2Auth, Provider
from integrations.outbound.guard import Guard
from integrations.services import oauth_attempts as attempts
from integrations.services.oauth_attempts import Dialog, Grant
from integrations.services.providers import CallLog, app_context, guard_for
from tenants.context import in_public_schema, release_connection

NO_APP = gettext_noop("This provider cannot be connected by login here: the operator has set up no application for it.")
NO_LOGIN = gettext_noop("This provider has no login; connect it with its credentials.")


def oauth_provider(key: str) -> type[Provider]:
    """
    Return a provider whose accounts are connected by login.

    :raises ValidationFailed: there is none, or it has no login
    """
    found = registry.provider(key)
    if not issubclass(found, ConnectsByOAuth):
        raise ValidationFailed(NO_LOGIN, errors={"provider": [NO_LOGIN]})
    return found


def has_pkce(provider: type[Provider]) -> bool:
    """Whether a provider's login takes a proof key."""
    auth = provider.spec.auth
    return isinstance(auth, OAuth2Auth) and auth.pkce


def asked_scopes(provider: type[Provider]) -> tuple[str, ...]:
    """Return the rights that a login asks for, as the spec says."""
    auth = provider.spec.auth
    return auth.scopes if isinstance(auth, OAuth2Auth) else ()


def dialog_of(attempt: OAuthAttempt) -> Dialog:
    """
    Return what builds the address of a run's dialog.

    :raises ValidationFailed: the application is gone or disabled
    """
    provider = oauth_provider(attempt.provider)
    context = _context_of(attempt)

    def dialog(state: str, challenge: str) -> str:
        run = Attempt(
            state=state,
            redirect_uri=callback_url(attempt.provider),
            scopes=asked_scopes(provider),
            code_challenge=challenge,
        )
        return cast(type[ConnectsByOAuth], provider).authorize_url(context, run)

    return dialog


def callback_url(key: str) -> str:
    """Return where a vendor sends browsers back; registered at the vendor character by character."""
    return f"{settings.PUBLIC_URL}/oauth/{key}/callback/"


def exchange(attempt: OAuthAttempt, code: Secret, *, state: str) -> Grant:
    """Trade the code for tokens and ask whose they are; no transaction is open meanwhile."""
    provider = cast(type[ConnectsByOAuth], oauth_provider(attempt.provider))
    app = _context_of(attempt)
    guard = _guard(attempt, app)
    run = Attempt(
        state=state,
        redirect_uri=callback_url(attempt.provider),
        code=code,
        code_verifier=attempts.open_verifier(attempt),
    )
    release_connection()
    tokens = provider.exchange_code(app, guard, run)
    return Grant(tokens=tokens, accounts=provider.list_accounts(app, guard, tokens))


def _context_of(attempt: OAuthAttempt) -> AppContext:
    """Open the application of a run, which must still be enabled; runs anywhere."""
    with in_public_schema():
        app = OAuthApp.objects.filter(pk=attempt.app_id, is_enabled=True).first()
    if app is None:
        raise ValidationFailed(NO_APP)
    return app_context(app)


def _guard(attempt: OAuthAttempt, app: AppContext) -> Guard:
    context = IntegrationContext(
        id="", provider=app.provider, environment=attempt.environment, settings=app.settings, secrets=app.secrets
    )
    return guard_for(context, reports=CallLog("", app.provider))
