"""Does the token work, whose is it, and what may the account do?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from billing.contract import PaymentMethod
from billing.providers._mercadopago_api import TEST_TOKEN, MercadoPagoApi
from billing.providers._mercadopago_json import amount_minor, number_text, obj, required, text
from billing.providers._mercadopago_spec import CURRENCIES, SITES
from billing.providers._mercadopago_tables import method_kind
from core.secret import Secret
from integrations.contract import Account, AccountKey, CheckResult, Misconfigured, UnexpectedResponse, Verdict


def run_check(api: MercadoPagoApi) -> CheckResult:
    """
    Read the token's own user, which proves the account, and its ways to pay.

    :raises Misconfigured: the country or the seller id is another than the account's
    :raises ProviderError: the token is dead, or may not read
    """
    me = _read_me(api)
    user_id = required(me, "id")
    methods = list_methods(api)
    return CheckResult(
        account=Account(external_id=user_id, label=text(me.get("nickname")) or user_id),
        account_keys=(AccountKey(value=f"account:{user_id}"),),
        verdicts=_verdicts(methods, api.country),
        environment=_environment(me, api.token),
        degraded=_standing(me),
        found={"collector_id": user_id},
        facts={"site_id": me.get("site_id"), "country_id": me.get("country_id"), "methods": _kinds(methods)},
    )


def run_probe(api: MercadoPagoApi) -> Account | None:
    """Read the token's user; ask for the whole check where anything is not as it was."""
    me = _read_me(api)
    user_id = required(me, "id")
    if user_id != api.collector or _standing(me):
        return None
    return Account(external_id=user_id, label=text(me.get("nickname")) or user_id)


def list_methods(api: MercadoPagoApi) -> list[PaymentMethod]:
    """List the ways to pay that are active now; amounts in the country's currency."""
    rows = api.get("/v1/payment_methods", operation="list_payment_methods")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UnexpectedResponse("the answer is no list")
    currency = CURRENCIES.get(api.country, "")
    return [_method(row, currency) for row in rows if text(row.get("status")) == "active"]


def _read_me(api: MercadoPagoApi) -> Mapping[str, Any]:
    me = api.get_object("/users/me", operation="read_account")
    site, country = text(me.get("site_id")), api.country
    if site != SITES.get(country):
        actual = next((name for name, item in SITES.items() if item == site), "a country that is not served")
        raise Misconfigured(
            f"the account is of {site[:8]}, the integration of {country[:8]}",
            field="country",
            next_action=f"This account is of {actual}: choose that, or give a token of an account of {country}.",
        )
    typed = text(api.integration.settings.get("collector_id"))
    if typed not in ("", text(me.get("id"))):
        raise Misconfigured(
            "the seller id is another account's",
            field="collector_id",
            next_action="Leave the seller id empty; the check finds it.",
        )
    return me


def _environment(me: Mapping[str, Any], token: Secret) -> str:
    """Test credentials, and all of a test user, are test; a test user's token looks like a live one."""
    tags = me.get("tags")
    is_test_user = isinstance(tags, list) and "test_user" in tags
    return "test" if is_test_user or token.reveal().startswith(TEST_TOKEN) else "live"


def _standing(me: Mapping[str, Any]) -> str:
    status = text(obj(me.get("status")).get("site_status"))
    return "" if status in ("", "active") else f"MercadoPago says that this account is {status[:40]}."


def _verdicts(methods: Sequence[PaymentMethod], country: str) -> tuple[Verdict, ...]:
    kinds = _kinds(methods)
    verdicts = [_verdict("takes_payments", ok=bool(kinds), detail="No way to pay is active in this account.")]
    if country == "BR":
        detail = "PIX is not active: register a PIX key in the MercadoPago account."
        verdicts.append(_verdict("takes_pix", ok="pix" in kinds, detail=detail))
    return (Verdict(capability="reads_account", ok=True), *verdicts)


def _verdict(capability: str, *, ok: bool, detail: str) -> Verdict:
    return Verdict(capability=capability, ok=ok, detail="" if ok else detail)


def _kinds(methods: Sequence[PaymentMethod]) -> list[str]:
    return sorted({method.kind for method in methods})


def _method(row: Mapping[str, Any], currency: str) -> PaymentMethod:
    def bound(name: str) -> int | None:
        return amount_minor(row[name], currency) if number_text(row.get(name)) else None

    method_id = required(row, "id")
    return PaymentMethod(
        id=method_id,
        kind=method_kind(text(row.get("payment_type_id")), method_id),
        label=text(row.get("name")) or method_id,
        min_amount_minor=bound("min_allowed_amount"),
        max_amount_minor=bound("max_allowed_amount"),
    )
