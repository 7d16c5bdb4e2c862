"""Connecting a MercadoPago account by login: authorization code with PKCE, and refresh tokens that serve once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from billing.providers._mercadopago_json import obj, read_answer, required, text, write_body
from billing.providers._mercadopago_spec import SITES, SPEC
from core import clock
from core.secret import Secret
from integrations.contract import (
    Account,
    AppContext,
    Attempt,
    IntegrationContext,
    Misconfigured,
    Outbound,
    TokenSet,
    UnexpectedResponse,
)

COUNTRIES = {site: country for country, site in SITES.items()}


def authorize_url(app: AppContext, attempt: Attempt) -> str:
    """Build the address of the dialog; rights are set in the application and not asked here."""
    query = {
        "client_id": app.client_id,
        "response_type": "code",
        "platform_id": "mp",
        "state": attempt.state,
        "redirect_uri": attempt.redirect_uri,
    }
    if attempt.code_challenge:
        query |= {"code_challenge": attempt.code_challenge, "code_challenge_method": "S256"}
    return f"{app.base_urls.get('auth', SPEC.hosts['auth'])}/authorization?{urlencode(query)}"


def exchange_code(app: AppContext, outbound: Outbound, attempt: Attempt) -> TokenSet:
    """
    Trade a code, which lives ten minutes, for tokens.

    :raises Misconfigured: the application has no client secret
    :raises AuthenticationFailed: the code was used, is too old, or is not of this application
    """
    body = {
        "grant_type": "authorization_code",
        "client_id": app.client_id,
        "client_secret": _secret(app.secrets, "client_secret").reveal(),
        "code": attempt.code.reveal() if attempt.code else "",
        "redirect_uri": attempt.redirect_uri,
    }
    if attempt.code_verifier:
        body["code_verifier"] = attempt.code_verifier.reveal()
    return _tokens(outbound, body, operation="exchange_code")


def refresh(integration: IntegrationContext, outbound: Outbound) -> TokenSet:
    """
    Spend the refresh token; the answer holds the only one that is valid from now on.

    The application's `client_id` and `client_secret` are among the opened secrets.

    :raises Misconfigured: there is no refresh token, or no application to refresh with
    :raises AuthenticationFailed: it was spent before, or the seller took the access away
    """
    names = ("client_id", "client_secret", "refresh_token")
    body = {name: _secret(integration.secrets, name).reveal() for name in names}
    return _tokens(outbound, {"grant_type": "refresh_token", **body}, operation="refresh_token")


def list_accounts(outbound: Outbound, tokens: TokenSet) -> Sequence[Account]:
    """
    Name the one account that a token belongs to.

    :raises UnexpectedResponse: it is of another user than the token's answer said
    :raises Misconfigured: its country is not served
    """
    answer = outbound.request("GET", "/users/me", operation="read_account", role="api", bearer=tokens.access_token)
    me = obj(read_answer(answer.body))
    user_id, site = required(me, "id"), text(me.get("site_id"))
    if tokens.account_external_id not in ("", user_id):
        raise UnexpectedResponse("the token belongs to another user than its grant")
    if site not in COUNTRIES:
        raise Misconfigured(
            f"site {site[:8]}",
            field="country",
            next_action="Connect a MercadoPago account of Brazil, Argentina or Mexico.",
        )
    settings = {"country": COUNTRIES[site], "collector_id": user_id}
    return [Account(external_id=user_id, label=text(me.get("nickname")) or user_id, settings=settings)]


def _tokens(outbound: Outbound, body: Mapping[str, str], *, operation: str) -> TokenSet:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    answer = outbound.request(
        "POST", "/oauth/token", operation=operation, role="api", headers=headers, data=write_body(body)
    )
    facts = obj(read_answer(answer.body))
    lives_s = facts.get("expires_in")
    if text(facts.get("token_type")).lower() not in ("", "bearer"):
        raise UnexpectedResponse("the token is no bearer token")
    renewed = text(facts.get("refresh_token"))
    return TokenSet(
        access_token=Secret(required(facts, "access_token")),
        refresh_token=Secret(renewed) if renewed else None,
        expires_at=clock.now() + timedelta(seconds=lives_s) if isinstance(lives_s, int) else None,
        scopes=tuple(sorted(text(facts.get("scope")).split())),
        account_external_id=text(facts.get("user_id")),
    )


def _secret(secrets: Mapping[str, Any], name: str) -> Secret:
    found = secrets.get(name)
    if not isinstance(found, Secret):
        raise Misconfigured(
            f"no {name}", field=name, next_action="Connect the account with a login of this platform's application."
        )
    return found
