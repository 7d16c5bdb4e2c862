"""
Parcelbox, a vendor that does not exist: it pays parcel lockers, and it does all that WhatsApp does not.

Its tokens rotate at every refresh, its webhooks are thin, form-encoded and legitimately repeat, its app's callback
mixes accounts, its application key has two slots, its requests are forms, and one verb is answered in the request.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

from core import clock
from core.secret import Secret, Secrets
from integrations.contract import (
    Account,
    AccountKey,
    AppContext,
    Attempt,
    AuthenticationFailed,
    Category,
    CheckResult,
    ConnectsByOAuth,
    DataFlow,
    ErrorRule,
    FetchesDetails,
    Field,
    FieldKind,
    HealthSpec,
    InboundEvent,
    InboundRequest,
    Misconfigured,
    NewCredential,
    NotFound,
    OAuth2Auth,
    Outbound,
    OutboundResponse,
    Priority,
    Provider,
    ProviderSpec,
    RateLimited,
    ReceivesWebhooks,
    RefreshesTokens,
    RequestRejected,
    RotatesCredential,
    SharesCallback,
    SignatureRefused,
    TokenSet,
    UnexpectedResponse,
    UsageUnit,
    VendorError,
    Verdict,
    WebhookSpec,
    read_json_object,
)

TOLERANCE_S = 300.0

EVENT_TYPES = {"charge": "payment.updated", "refund": "refund.updated"}
"""Parcelbox's topic -> ours."""

STATUSES = {"open": "processing", "paid": "succeeded", "refused": "failed"}
"""Parcelbox's status of a charge -> ours."""

ERRORS = (
    ErrorRule(error=AuthenticationFailed, codes=("invalid_grant", "invalid_token", "invalid_client")),
    ErrorRule(error=RequestRejected, codes=("declined",), reason="payment_declined", remedy="Ask for another card."),
    ErrorRule(error=RateLimited, codes=("slow_down",), wait_s=30.0),
    ErrorRule(error=NotFound, codes=("no_such_object",)),
)

SPEC = ProviderSpec(
    key="parcelbox",
    label="Parcelbox",
    category=Category.PAYMENTS,
    priority=Priority.SPECIAL,
    docs_url="https://docs.parcelbox.example/api",
    api_version="2026-10",
    auth=OAuth2Auth(authorize_role="auth", token_role="auth", scopes=("charges",), rotates=True, margin_s=600.0),
    credentials=(
        Field(name="access_token", label="Access token", kind=FieldKind.SECRET, required=True, pattern=r"pat_test_\w+",
              help="Settings > API.", example="pat_test_1"),
        Field(name="refresh_token", label="Refresh token", kind=FieldKind.SECRET, required=True,
              pattern=r"prt_test_\w+", help="Shown beside the access token.", example="prt_test_1"),
        Field(name="app_key", label="Application key", kind=FieldKind.SECRET, required=True, pattern=r"pak_test_\w+",
              help="Signs webhooks and renews tokens.", example="pak_test_1"),
    ),
    settings=(Field(name="locker", label="Locker", help="Where parcels wait.", example="north"),),
    hosts={"api": "https://api.parcelbox.example/v1", "auth": "https://login.parcelbox.example"},
    deadlines={"create_charge": 10.0, "refresh": 40.0},
    webhook=WebhookSpec(
        signature="hmac_sha256 of '<t>.<body>' in hexadecimal",
        signature_header="parcelbox-signature",
        secret_field="app_key",
        events=("payment.updated", "refund.updated"),
        routing_key="the third part of each event: the merchant",
        event_key="object and revision, known after fetch",
        repeats=True,
        signs_time=True,
        tolerance_s=TOLERANCE_S,
    ),
    errors=ERRORS,
    health=HealthSpec(period_s=600.0, cost=0),
    usage=(UsageUnit(name="charges", label="Charges"),),
    data=(
        DataFlow(data="payer's name", subjects="payers", purpose="to charge", country="Nowhere",
                 mechanism="standard contractual clauses"),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One charge, as the vendor knew it when it answered; `amount_minor` in the currency's minor unit."""

    external_id: str
    status: str
    amount_minor: int
    currency: str


class ParcelboxProvider(
    ReceivesWebhooks, SharesCallback, FetchesDetails, ConnectsByOAuth, RefreshesTokens, RotatesCredential, Provider
):
    """One merchant of Parcelbox."""

    spec: ClassVar[ProviderSpec] = SPEC

    def check(self) -> CheckResult:
        """Show that the token belongs to a merchant and that the application key is alive; both in one call."""
        facts = self._post("/introspections", operation="check", data={"app_key": self._secret("app_key").reveal()})
        merchant = _text(facts, "merchant")
        return CheckResult(
            account=Account(external_id=merchant, label=_text(facts, "name")),
            account_keys=(AccountKey(value=f"merchant:{merchant}"),),
            verdicts=(Verdict(capability="takes_payments", ok=True),),
            environment=_text(facts, "environment"),
            expires_at=_after(facts.get("expires_in")),
        )

    @classmethod
    def read_error(cls, response: OutboundResponse) -> VendorError:
        """Read `error` and `error_description`, which Parcelbox sends as a form."""
        facts = _form(response.body) if response.headers.get("content-type", "").startswith(_FORM) else {}
        return VendorError(
            status=response.status, code=facts.get("error"), detail=facts.get("error_description", ""),
            trace_id=response.headers.get("parcelbox-trace", ""),
        )  # fmt: skip

    @classmethod
    def verify(cls, request: InboundRequest, secrets: Sequence[Secret]) -> None:
        """
        Check `t=<seconds>,s=<hexadecimal>`; during a rotation the vendor signs once per key.

        :raises SignatureRefused: missing, malformed, wrong or stale
        """
        header = request.headers.get("parcelbox-signature", "")
        if not header:
            raise SignatureRefused("no signature header", reason="missing")
        if not re.fullmatch(r"t=[0-9]{1,12}(,s=[0-9a-f]{64}){1,2}", header):
            raise SignatureRefused("not t=,s=", reason="malformed")
        stamp, *signatures = (part[2:] for part in header.split(","))
        signed = stamp.encode() + b"." + request.body
        expected = [hmac.new(key.reveal().encode(), signed, hashlib.sha256).hexdigest() for key in secrets if key]
        if not any(hmac.compare_digest(given, wanted) for given in signatures for wanted in expected):
            raise SignatureRefused("no key gives this signature", reason="wrong")
        if abs(request.received_at.timestamp() - int(stamp)) > TOLERANCE_S:
            raise SignatureRefused("signed too long ago", reason="stale")

    @classmethod
    def parse(cls, request: InboundRequest) -> Sequence[InboundEvent]:
        """
        Turn `event=<topic>,<object>,<merchant>` pairs into thin events. The key is provisional until `fetch`.

        :raises UnexpectedResponse: a part is missing
        """
        return [_thin(value) for value in _events(request.body)]

    @classmethod
    def split(cls, request: InboundRequest) -> Mapping[str, InboundRequest]:
        """
        Cut the callback of the app into one per merchant.

        :raises UnexpectedResponse: see `parse`
        """
        by_merchant: dict[str, list[str]] = {}
        for value in _events(request.body):
            by_merchant.setdefault(_thin(value).account_key, []).append(value)
        return {
            key: replace(request, body=urlencode([("event", value) for value in values]).encode())
            for key, values in by_merchant.items()
        }

    def fetch(self, event: InboundEvent) -> InboundEvent:
        """Read the object; its revision makes the event's key, so that a repeated notice of no change is none."""
        answer = self.outbound.request(
            "GET", f"/objects/{event.external_id}", operation="fetch", bearer=self._secret("access_token")
        )
        found = read_json_object(answer.body)
        return replace(
            event,
            thin=False,
            key=f"{event.external_id}:{found.get('revision')}",
            occurred_at=_moment(found.get("changed_at")),
            data={**event.data, "object": found, "environment": "test"},
            raw=found,
        )

    @classmethod
    def authorize_url(cls, app: AppContext, attempt: Attempt) -> str:
        """Build the address of the dialog."""
        query = {"client_id": app.client_id, "redirect_uri": attempt.redirect_uri, "state": attempt.state}
        return f"{cls.spec.hosts['auth']}/authorize?{urlencode(query)}"

    @classmethod
    def exchange_code(cls, app: AppContext, outbound: Outbound, attempt: Attempt) -> TokenSet:
        """Trade a code for the first pair of tokens."""
        code = attempt.code.reveal() if attempt.code else ""
        return _tokens(outbound, {"grant_type": "authorization_code", "code": code}, app.secrets["app_key"])

    @classmethod
    def list_accounts(cls, app: AppContext, outbound: Outbound, tokens: TokenSet) -> Sequence[Account]:
        """A token of Parcelbox belongs to one merchant."""
        return [Account(external_id=tokens.account_external_id, label=tokens.account_external_id)]

    def refresh(self) -> TokenSet:
        """Spend the refresh token; the answer holds the only one that is valid from now on."""
        form = {"grant_type": "refresh_token", "refresh_token": self._secret("refresh_token").reveal()}
        return _tokens(self.outbound, form, self._secret("app_key"))

    def mint(self) -> NewCredential:
        """Make a key in the free slot; a key left there by a rotation that died is replaced by the vendor."""
        made = self._post("/application-keys", operation="mint", data={"replace_unused": "true"})
        return NewCredential(secrets=Secrets({"app_key": _text(made, "key")}), external_id=_text(made, "id"))

    def retire(self, old: NewCredential) -> None:
        """Remove a key by its value; one that is gone already is fine."""
        form = {"app_key": old.secrets["app_key"].reveal()}
        try:
            self._post("/application-keys/retired", operation="retire", data=form)
        except NotFound:
            return

    def create_charge(self, *, amount_minor: int, currency: str, payer: str, reference: str) -> Charge:
        """
        Charge now and return what became of it.

        :param reference: our id; the vendor answers a second charge of it with the first
        :raises RequestRejected: declined, reason payment_declined
        """
        form = {"amount": amount_minor, "currency": currency, "payer": payer, "reference": reference}
        made = self._post("/charges", operation="create_charge", data=form)
        return Charge(
            external_id=_text(made, "id"),
            status=STATUSES.get(_text(made, "status"), "processing"),
            amount_minor=int(made.get("amount", 0)),
            currency=_text(made, "currency"),
        )

    def _post(self, path: str, *, operation: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        token = self._secret("access_token")
        return read_json_object(self.outbound.request("POST", path, operation=operation, bearer=token, data=data).body)

    def _secret(self, name: str) -> Secret:
        if name not in self.integration.secrets:
            raise Misconfigured(f"no {name}", field=name)
        return self.integration.secrets[name]


_FORM = "application/x-www-form-urlencoded"
_EVENT = re.compile(r"(charge|refund|[a-z]{1,20}),([a-z]{2}_[a-z0-9]{1,40}),(mer_[a-z0-9]{1,40})")


def _form(body: bytes) -> dict[str, str]:
    """Read a form; through JSON, so that what comes out can be stored."""
    pairs = parse_qsl(body.decode("utf-8", "replace"), max_num_fields=500)
    return read_json_object(json.dumps(dict(pairs)).encode())


def _events(body: bytes) -> list[str]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=500)
    except ValueError:
        raise UnexpectedResponse("the webhook's body is no form") from None
    values = list(dict.fromkeys(value for name, value in pairs if name == "event"))
    if not values:
        raise UnexpectedResponse("the webhook's body names no event")
    return values


def _thin(value: str) -> InboundEvent:
    match = _EVENT.fullmatch(value)
    if match is None:
        raise UnexpectedResponse("an event is not topic,object,merchant")
    topic, object_id, merchant = match.groups()
    return InboundEvent(
        type=EVENT_TYPES.get(topic, "unknown"),
        key=f"{object_id}:?",
        account_key=f"merchant:{merchant}",
        occurred_at=None,
        data={"vendor_type": topic, "object_type": topic, "object_id": object_id, "object": {}, "api_version": ""},
        raw={"event": value},
        object_key=object_id,
        external_id=object_id,
        thin=topic in EVENT_TYPES,
    )


def _tokens(outbound: Outbound, form: Mapping[str, str], app_key: Secret) -> TokenSet:
    answer = outbound.request(
        "POST", "/token", role="auth", operation="refresh", data={**form, "client_secret": app_key.reveal()}
    )
    facts = read_json_object(answer.body)
    return TokenSet(
        access_token=Secret(_text(facts, "access_token")),
        refresh_token=Secret(_text(facts, "refresh_token")),
        expires_at=_after(facts.get("expires_in")),
        account_external_id=_text(facts, "merchant"),
    )


def _text(facts: Mapping[str, Any], name: str) -> str:
    value = facts.get(name)
    if not isinstance(value, str) or not value:
        raise UnexpectedResponse(f"the answer has no {name}")
    return value


def _after(seconds: Any) -> datetime | None:
    return clock.now() + timedelta(seconds=seconds) if isinstance(seconds, int) else None


def _moment(seconds: Any) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) else None


PROVIDER = ParcelboxProvider
