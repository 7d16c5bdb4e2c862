"""The live check: does the token work, is the account really this organization's, how does the number stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from channels_app.contract import AccountReport
from channels_app.providers._meta import version_warning
from channels_app.providers._meta_json import items, moment, obj, text
from channels_app.providers._whatsapp_account import people_per_day
from channels_app.providers._whatsapp_api import PAGE, CloudApi, read_object
from channels_app.providers._whatsapp_webhook import find_subscription, subscribe_as_before
from core import clock
from integrations.contract import (
    Account,
    AccountKey,
    AuthenticationFailed,
    CheckResult,
    NotFound,
    PermissionMissing,
    ProviderError,
    RequestRejected,
    UnexpectedResponse,
    Verdict,
)

PHONE_FIELDS = (
    "id,display_phone_number,verified_name,quality_rating,status,name_status,code_verification_status,platform_type,"
    "throughput,whatsapp_business_manager_messaging_limit,webhook_configuration"
)

SENDING = "whatsapp_business_messaging"
MANAGING = "whatsapp_business_management"

REFUSALS = (NotFound, RequestRejected, PermissionMissing, UnexpectedResponse)
"""Answers that say no for good; a limit or an outage is no answer and ends the check instead."""

_BLAMED: Mapping[type[ProviderError], str] = {
    AuthenticationFailed: "access_token",
    PermissionMissing: "access_token",
    NotFound: "phone_number_id",
}
"""Which field of the form an error of the first calls is shown at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFacts:
    """What Meta told of the token; `scopes` None: nothing."""

    scopes: frozenset[str] | None = None
    accounts: frozenset[str] = frozenset()
    expires_at: datetime | None = None
    secret_refused: bool = False

    def allows(self, scope: str) -> bool:
        """Whether the token has a permission, as far as we know."""
        return self.scopes is None or scope in self.scopes


def run_check(api: CloudApi) -> CheckResult:
    """
    Check one integration with four or five free calls.

    :raises ProviderError: with the form's field where one is to blame
    """
    token = inspect_token(api)
    phone = _read_phone(api, token)
    _prove_account(api, token)
    health = _read_health(api)
    report = make_report(phone, health)
    return CheckResult(
        account=Account(external_id=api.phone_number_id, label=report.label),
        account_keys=(
            AccountKey(value=f"phone_number:{api.phone_number_id}"),
            AccountKey(value=f"waba:{api.waba_id}", shared=True),
        ),
        verdicts=_verdicts(api, token, report, is_subscribed=find_subscription(api) is not None),
        degraded=_degraded(report),
        facts=_facts(api, report, health),
        expires_at=token.expires_at,
    )


def run_probe(api: CloudApi) -> Account | None:
    """Ask for the number alone; None when it is another one, or its state is worth a whole check."""
    phone = _phone_number(api)
    report = make_report(phone, {})
    if text(phone.get("id")) != api.phone_number_id or _degraded(report):
        return None
    return Account(external_id=api.phone_number_id, label=report.label)


def report_account(api: CloudApi) -> AccountReport:
    """Ask how the number stands."""
    return make_report(_phone_number(api), _read_health(api))


def make_report(phone: Mapping[str, Any], health: Mapping[str, Any]) -> AccountReport:
    """Put the number's facts and its health into one report."""
    name, number = text(phone.get("verified_name")), text(phone.get("display_phone_number"))
    return AccountReport(
        label=f"{name} ({number})" if name and number else name or number or text(phone.get("id")),
        display_phone_number=number,
        status=text(phone.get("status")).lower(),
        quality=text(phone.get("quality_rating")).lower(),
        tier=text(phone.get("whatsapp_business_manager_messaging_limit")),
        throughput=text(obj(phone.get("throughput")).get("level")).lower(),
        name_status=text(phone.get("name_status")).lower(),
        can_send=text(health.get("can_send_message")).lower(),
        problems=tuple(_problems(health)),
    )


def inspect_token(api: CloudApi) -> TokenFacts:
    """
    Ask Meta about the token, which takes the app's id and secret; without them nothing is known.

    :raises AuthenticationFailed: the token is dead
    """
    app_secret = api.secret("app_secret")
    if not api.app_id or app_secret is None:
        return TokenFacts()
    try:
        response = api.outbound.request(
            "GET",
            f"/{api.version}/debug_token",
            operation="debug_token",
            role="graph",
            params={
                "input_token": api.access_token.reveal(),
                "access_token": f"{api.app_id}|{app_secret.reveal()}",
            },
        )
        data = obj(read_object(response).get("data"))
    except AuthenticationFailed:
        return TokenFacts(secret_refused=True)
    except REFUSALS:
        return TokenFacts()
    return _token_facts(data, app_id=api.app_id)


def _token_facts(data: Mapping[str, Any], *, app_id: str) -> TokenFacts:
    if data.get("is_valid") is False:
        error = obj(data.get("error"))
        raise AuthenticationFailed(
            "debug_token: not valid",
            field="access_token",
            vendor_code=text(error.get("code")),
            vendor_detail=text(error.get("message")),
        )
    if text(data.get("app_id")) not in ("", app_id):
        raise AuthenticationFailed(
            "the token belongs to another app",
            field="app_id",
            next_action="Give the id and secret of the app that the access token was made for.",
        )
    granular = [obj(item) for item in items(data.get("granular_scopes"))]
    return TokenFacts(
        scopes=frozenset(map(text, items(data.get("scopes")))) or None,
        accounts=frozenset(
            text(target)
            for grant in granular
            if grant.get("scope") in (SENDING, MANAGING)
            for target in items(grant.get("target_ids"))
        ),
        expires_at=moment(data.get("expires_at")) if data.get("expires_at") else None,
    )


def _read_phone(api: CloudApi, token: TokenFacts) -> Mapping[str, Any]:
    """Read the number and insist that it is the one that was named."""
    try:
        with _blaming():
            phone = _phone_number(api)
    except RequestRejected as error:
        if not token.secret_refused:
            raise
        raise AuthenticationFailed(
            "Meta refuses both the app's secret and the proof made with it",
            field="app_secret",
            next_action="Give the secret of the app that the access token was made for, and that app's id.",
            vendor_code=error.vendor_code,
            vendor_detail=error.vendor_detail,
            trace_id=error.trace_id,
        ) from None
    if text(phone.get("id")) != api.phone_number_id:
        raise NotFound("another phone number answered", field="phone_number_id")
    return phone


def _phone_number(api: CloudApi) -> Mapping[str, Any]:
    return api.get(f"/{api.phone_number_id}", operation="read_phone_number", params={"fields": PHONE_FIELDS})


def _prove_account(api: CloudApi, token: TokenFacts) -> None:
    """
    Insist that the number is the account's and that the token controls the account.

    Being able to read an account proves nothing: the token's own grants must name it, or a write must pass. The
    write comes last, so that a form that is wrong in another way changes nothing at Meta.
    """
    _find_number(api)
    if api.waba_id in token.accounts:
        return
    try:
        subscribe_as_before(api)
    except REFUSALS as error:
        raise PermissionMissing(
            "neither the token's grants nor a subscribed_apps write prove the account",
            field="waba_id",
            reason="account_not_proved",
            next_action="Assign the WhatsApp Business Account with full control to the system user of this token.",
            vendor_code=error.vendor_code,
            vendor_detail=error.vendor_detail,
            trace_id=error.trace_id,
        ) from None


def _find_number(api: CloudApi) -> None:
    path = f"/{api.waba_id}/phone_numbers"
    numbers = api.pages(path, operation="list_phone_numbers", params={"fields": "id", **PAGE})
    with _blaming(NotFound="waba_id"):
        if any(text(number.get("id")) == api.phone_number_id for number in numbers):
            return
    raise RequestRejected(
        "the phone number is not one of the account's",
        field="phone_number_id",
        reason="number_not_in_account",
        next_action="Give a phone number id and the id of the WhatsApp Business Account that owns this number.",
    )


def _read_health(api: CloudApi) -> Mapping[str, Any]:
    """Read health_status; an account that has none yet says nothing about sending."""
    try:
        answer = api.get(f"/{api.phone_number_id}", operation="read_health", params={"fields": "health_status"})
    except REFUSALS:
        return {}
    return obj(answer.get("health_status"))


def _problems(health: Mapping[str, Any]) -> Iterator[str]:
    """The vendor's own words on what is wrong and what helps."""
    for entity in items(health.get("entities")):
        for error in items(obj(entity).get("errors")):
            told = (text(obj(error).get(name)) for name in ("error_description", "possible_solution"))
            yield " ".join(sentence for sentence in told if sentence)


def _verdicts(api: CloudApi, token: TokenFacts, report: AccountReport, *, is_subscribed: bool) -> tuple[Verdict, ...]:
    silent = f"The app {api.app_id} is not subscribed" if api.app_id else "No app is subscribed"
    return (
        _verdict("sends_messages", _sending_trouble(token, report)),
        _verdict("manages_templates", "" if token.allows(MANAGING) else f"The token lacks {MANAGING}."),
        _verdict(
            "receives_webhooks",
            "" if is_subscribed else f"{silent} to the account: no webhook arrives.",
        ),
    )


def _sending_trouble(token: TokenFacts, report: AccountReport) -> str:
    if not token.allows(SENDING):
        return f"The token lacks {SENDING}."
    if report.status not in ("", "connected"):
        return f"The number's status at Meta is {report.status}; register it with its pin."
    if report.can_send == "blocked":
        return "Meta blocks sending: " + (" ".join(report.problems) or "see WhatsApp Manager.")
    return ""


def _verdict(capability: str, trouble: str) -> Verdict:
    return Verdict(capability=capability, ok=not trouble, detail=trouble)


def _degraded(report: AccountReport) -> str:
    """Say in sentences why the account works, but not fully; empty when it does."""
    troubles = (
        (report.status not in ("", "connected"), f"The number's status is {report.status}."),
        (report.quality == "red", "Meta rates the quality of the number RED."),
        (
            report.can_send in ("limited", "blocked"),
            f"Sending is {report.can_send}: {' '.join(report.problems)}".strip(),
        ),
        (report.name_status not in ("", "approved"), f"The display name is not approved ({report.name_status})."),
    )
    return " ".join(sentence for is_true, sentence in troubles if is_true)


def _facts(api: CloudApi, report: AccountReport, health: Mapping[str, Any]) -> dict[str, Any]:
    facts = {
        "display_phone_number": report.display_phone_number,
        "quality": report.quality,
        "tier": report.tier,
        "people_per_day": people_per_day(report.tier),
        "portfolio": _portfolio(health),
        "throughput": report.throughput,
        "can_send": report.can_send,
        "warning": version_warning(api.version, today=clock.now().date()),
    }
    return {name: value for name, value in facts.items() if value}


def _portfolio(health: Mapping[str, Any]) -> str:
    """The business portfolio that owns the number: `health_status` names it; empty where it does not."""
    entities = [obj(entity) for entity in items(health.get("entities"))]
    return next((text(entity.get("id")) for entity in entities if entity.get("entity_type") == "BUSINESS"), "")


@contextmanager
def _blaming(**others: str) -> Iterator[None]:
    """Name the form's field in an error that names none."""
    try:
        yield
    except ProviderError as error:
        error.field = error.field or others.get(error.name) or _BLAMED.get(type(error))
        raise
