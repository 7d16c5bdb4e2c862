"""Stripe Connect: accounts that the platform's key reaches with their own id, by OAuth or by an account link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from billing.providers import _stripe_api
from billing.providers._stripe_api import StripeApi
from billing.providers._stripe_check import label_of
from billing.providers._stripe_json import account_id, moment, required, text
from billing.providers._stripe_spec import SPEC
from core.secret import Secret
from integrations.contract import (
    Account,
    AppContext,
    Attempt,
    AuthenticationFailed,
    Misconfigured,
    Outbound,
    TokenSet,
    UnexpectedResponse,
)

if TYPE_CHECKING:
    from stripe.params import AccountCreateParams, AccountLinkCreateParams

SCOPE = "read_write"


def authorize_url(app: AppContext, attempt: Attempt) -> str:
    """Build the address of Stripe's dialog. Source: provider card; docs.stripe.com/connect/oauth-reference, 2026-11."""
    query = {
        "response_type": "code",
        "client_id": app.client_id,
        "scope": SCOPE,
        "state": attempt.state,
        "redirect_uri": attempt.redirect_uri,
    }
    return f"{app.base_urls.get('connect', SPEC.hosts['connect'])}/oauth/authorize?{urlencode(query)}"


def exchange_code(app: AppContext, outbound: Outbound, attempt: Attempt) -> TokenSet:
    """
    Trade a code, good once and for five minutes, for the id of the account that granted us access.

    The tokens are kept for completeness; calls are made with the platform's key and that id.

    :raises AuthenticationFailed: the code is used, expired or of another platform
    """
    if attempt.code is None:
        raise AuthenticationFailed("no code", next_action="Connect the account anew.")
    code = attempt.code.reveal()
    answer = _stripe_api.call(
        outbound,
        "exchange_code",
        lambda client, options: client.oauth.token({"grant_type": "authorization_code", "code": code}, options),
        key=platform_key(app),
        idempotency_key=f"oauth-{attempt.state}"[:255],
    ).body
    account = account_id(text(answer, "stripe_user_id"))
    if not account:
        raise UnexpectedResponse("the answer to a code names no account")
    refresh = text(answer, "refresh_token")
    return TokenSet(
        access_token=Secret(required(answer, "access_token")),
        refresh_token=Secret(refresh) if refresh else None,
        scopes=(text(answer, "scope") or SCOPE,),
        account_external_id=account,
    )


def list_accounts(app: AppContext, outbound: Outbound, tokens: TokenSet) -> Sequence[Account]:
    """Read the one account that a grant is for, with the platform's key, which proves that we reach it."""
    account = _read_account(outbound, platform_key(app), tokens.account_external_id)
    return [_account(account)]


def open_account(
    app: AppContext, outbound: Outbound, *, country: str, email: str, reference: str, idempotency_key: str
) -> Account:
    """
    Open an account that the platform is responsible for; its owner completes it through an account link.

    :param country: ISO 3166, two letters
    """
    params: AccountCreateParams = {
        "country": country.upper(),
        "email": email,
        "controller": {
            "fees": {"payer": "application"},
            "losses": {"payments": "application"},
            "stripe_dashboard": {"type": "express"},
        },
        "capabilities": {"card_payments": {"requested": True}, "transfers": {"requested": True}},
        "metadata": {"ir_reference": reference},
    }
    made = _stripe_api.call(
        outbound,
        "open_account",
        lambda client, options: client.v1.accounts.create(params, options),
        key=platform_key(app),
        idempotency_key=idempotency_key,
    ).body
    return _account(made)


def create_account_link(
    api: StripeApi, *, refresh_url: str, return_url: str, idempotency_key: str
) -> tuple[str, datetime]:
    """
    Make a single-use address where the connected account's owner completes it, and say when it ends.

    :raises Misconfigured: the integration is no connected account
    """
    if not api.account:
        raise Misconfigured(
            "no connected account", next_action="Only accounts connected through Stripe Connect are completed here."
        )
    params: AccountLinkCreateParams = {
        "account": api.account,
        "type": "account_onboarding",
        "refresh_url": refresh_url,
        "return_url": return_url,
    }
    made = _stripe_api.call(
        api.outbound,
        "create_account_link",
        lambda client, options: client.v1.account_links.create(params, options),
        key=api.key,
        idempotency_key=idempotency_key,
    ).body
    ends_at = moment(made.get("expires_at"))
    if ends_at is None:
        raise UnexpectedResponse("an account link does not say when it ends")
    return required(made, "url"), ends_at


def platform_key(app: AppContext) -> Secret:
    """
    Return the platform's secret key out of its OAuth app.

    :raises Misconfigured: the app holds none
    """
    key = app.secrets.get("platform_key")
    if key is None:
        raise Misconfigured("the OAuth app has no platform_key", next_action="Ask the operator to set it.")
    return key


def _read_account(outbound: Outbound, key: Secret, account: str) -> Mapping[str, Any]:
    answer = _stripe_api.call(
        outbound,
        "read_account",
        lambda client, options: client.v1.accounts.retrieve_current(None, options),
        key=key,
        account=account,
    ).body
    if text(answer, "id") != account:
        raise UnexpectedResponse("the account that answered is another one")
    return answer


def _account(account: Mapping[str, Any]) -> Account:
    external_id = account_id(required(account, "id"))
    return Account(external_id=external_id, label=label_of(account), settings={"account_id": external_id})
