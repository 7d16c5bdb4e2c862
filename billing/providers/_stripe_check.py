"""Is the key alive, whose is it, and what may it do?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.contract import PaymentMethod
from billing.providers._stripe_api import StripeApi
from billing.providers._stripe_json import obj, text
from integrations.contract import (
    Account,
    AccountKey,
    AuthenticationFailed,
    CheckResult,
    PermissionMissing,
    UnexpectedResponse,
    Verdict,
)

METHODS: Mapping[str, tuple[str, str]] = {
    "card_payments": ("card", "Card"),
    "pix_payments": ("pix", "PIX"),
    "boleto_payments": ("boleto", "Boleto"),
}
"""Capability of an account -> our method, its name. Source: docs.stripe.com/connect/account-capabilities, 2026-11."""


def run_check(api: StripeApi) -> CheckResult:
    """
    Read the account; a restricted key that may not is asked for the balance and reported as limited.

    :raises ProviderError: the key is dead, may read neither, or reaches another account than the connected one
    """
    environment = api.environment
    try:
        account = read_account(api)
    except PermissionMissing as error:
        if api.account:
            raise
        return _limited(api, environment, error)
    external_id = text(account, "id")
    if not external_id:
        raise UnexpectedResponse("the account's answer has no id")
    if api.account and external_id != api.account:
        raise AuthenticationFailed(
            "the key reaches another account", next_action="Connect the account anew through Stripe Connect."
        )
    charges = _charges(account)
    return CheckResult(
        account=Account(external_id=external_id, label=label_of(account)),
        account_keys=(AccountKey(value=f"account:{external_id}"),),
        verdicts=(Verdict(capability="reads_account", ok=True), charges),
        environment=environment,
        degraded="" if charges.ok else charges.detail,
        facts={"country": account.get("country"), "default_currency": account.get("default_currency")},
    )


def read_account(api: StripeApi) -> Mapping[str, Any]:
    """Read the account that the key, or the key and the account's id, reach."""
    return api.call("read_account", lambda client, options: client.v1.accounts.retrieve_current(None, options)).body


def list_methods(api: StripeApi) -> list[PaymentMethod]:
    """List the ways to pay that the account has asked for, and whether Stripe has granted them."""
    capabilities = obj(read_account(api), "capabilities")
    return [
        PaymentMethod(id=name, kind=kind, label=label, is_active=capabilities[name] == "active")
        for name, (kind, label) in METHODS.items()
        if name in capabilities
    ]


def label_of(account: Mapping[str, Any]) -> str:
    """Return the name that the dashboard shows, else the business's, else the id."""
    names = (
        text(obj(account, "settings", "dashboard"), "display_name"),
        text(obj(account, "business_profile"), "name"),
        text(account, "id"),
    )
    return next((name for name in names if name), "Stripe")


def _charges(account: Mapping[str, Any]) -> Verdict:
    if account.get("charges_enabled") is not False:
        return Verdict(capability="takes_payments", ok=True)
    why = text(obj(account, "requirements"), "disabled_reason") or "see the Stripe dashboard"
    return Verdict(capability="takes_payments", ok=False, detail=f"Stripe does not let this account charge: {why}.")


def _limited(api: StripeApi, environment: str, error: PermissionMissing) -> CheckResult:
    """Prove the key by the balance; its account stays unknown, so no account key is claimed."""
    api.call("read_balance", lambda client, options: client.v1.balance.retrieve(None, options))
    detail = error.vendor_detail or "The key may not read the account."
    return CheckResult(
        account=Account(external_id="", label=f"Stripe ({environment}, restricted key)"),
        account_keys=(),
        verdicts=(Verdict(capability="reads_account", ok=False, detail=f"limited: {detail}"),),
        environment=environment,
        degraded="The restricted key may not read the account; give it the right to read accounts.",
    )
