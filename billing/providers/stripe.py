"""Stripe: checking a key, verifying and parsing webhooks, listing events. Payments come with their own issue."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from billing.contract import EventType, PaymentEventData
from billing.providers._stripe_spec import API_VERSION, SPEC, TOLERANCE_S
from core.secret import Secret, Secrets
from integrations.contract import (
    Account,
    AccountKey,
    CheckResult,
    InboundEvent,
    InboundRequest,
    Misconfigured,
    OutboundResponse,
    PermissionMissing,
    Provider,
    ProviderSpec,
    ReceivesWebhooks,
    Reconciles,
    SignatureRefused,
    UnexpectedResponse,
    VendorError,
    Verdict,
    read_json_object,
)

LONGEST_ID = 200
"""Keys are indexed; no id of Stripe is longer than 80 characters."""

PAGE = 100
"""The longest page that Stripe lists."""

EVENT_TYPES: tuple[tuple[str, EventType], ...] = (
    ("account.application.deauthorized", EventType.ACCOUNT_DISCONNECTED),
    ("account.", EventType.ACCOUNT_UPDATED),
    ("charge.dispute.created", EventType.DISPUTE_OPENED),
    ("charge.dispute.closed", EventType.DISPUTE_CLOSED),
    ("charge.dispute.", EventType.DISPUTE_UPDATED),
    ("charge.refund.", EventType.REFUND_UPDATED),
    ("charge.", EventType.PAYMENT_UPDATED),
    ("payment_intent.", EventType.PAYMENT_UPDATED),
    ("refund.", EventType.REFUND_UPDATED),
    ("customer.subscription.", EventType.SUBSCRIPTION_UPDATED),
    ("customer.", EventType.CUSTOMER_UPDATED),
    ("invoice.", EventType.INVOICE_UPDATED),
    ("invoice_payment.", EventType.INVOICE_UPDATED),
    ("checkout.session.", EventType.CHECKOUT_UPDATED),
    ("payout.", EventType.PAYOUT_UPDATED),
)
"""Start of Stripe's event type -> ours; the first that fits. Source: docs.stripe.com/api/events/types, 2026-11."""

_KEY = re.compile(r"[sr]k_(test|live)_\S+")


class StripeProvider(ReceivesWebhooks, Reconciles, Provider):
    """One Stripe account, reached with its own key."""

    spec: ClassVar[ProviderSpec] = SPEC

    def check(self) -> CheckResult:
        """
        Read the account; a restricted key that may not is asked for the balance and reported as limited.

        :raises ProviderError: the key is dead, or may read neither
        """
        key = self._key()
        environment = _environment(key.reveal())
        try:
            account = self._get("/v1/account", operation="read_account", key=key)
        except PermissionMissing as error:
            return self._limited(key, environment, error)
        external_id = account.get("id")
        if not isinstance(external_id, str) or not external_id:
            raise UnexpectedResponse("the account's answer has no id")
        return CheckResult(
            account=Account(external_id=external_id, label=_label(account)),
            account_keys=(AccountKey(value=f"account:{external_id}"),),
            verdicts=(Verdict(capability="reads_account", ok=True), _charges(account)),
            environment=environment,
            degraded="" if account.get("charges_enabled") is not False else _charges(account).detail,
            facts={"country": account.get("country"), "default_currency": account.get("default_currency")},
        )

    @classmethod
    def validate(cls, settings: Mapping[str, Any], secrets: Secrets) -> Mapping[str, Sequence[str]]:
        """Refuse a publishable key of the other environment."""
        key, public = secrets.get("secret_key"), str(settings.get("publishable_key") or "")
        if key is None or not public or public.split("_")[1:2] == [_environment(key.reveal())]:
            return {}
        return {"publishable_key": ["The publishable key and the secret key must both be test or both be live keys."]}

    @classmethod
    def read_error(cls, response: OutboundResponse) -> VendorError:
        """Read `error.code`, which Stripe fills by cause, and its decline code as the subcode."""
        try:
            body = json.loads(response.body)
        except (ValueError, RecursionError):
            return VendorError(status=response.status)
        error = body.get("error") if isinstance(body, dict) else None
        facts = error if isinstance(error, dict) else {}
        return VendorError(
            status=response.status,
            code=_text(facts, "code") or None,
            subcode=_text(facts, "decline_code") or None,
            detail=_text(facts, "message"),
            trace_id=response.headers.get("request-id", ""),
        )

    @classmethod
    def verify(cls, request: InboundRequest, secrets: Sequence[Secret]) -> None:
        """
        Check Stripe-Signature over time and raw bytes; any v1 and any secret may match, v0 never does.

        :raises SignatureRefused: missing, malformed, wrong, or more than TOLERANCE_S old or early
        """
        stamp, signatures = _signature(request.headers.get("stripe-signature", ""))
        signed = stamp.encode() + b"." + request.body
        matches = [
            hmac.compare_digest(given, hmac.new(secret.reveal().encode(), signed, hashlib.sha256).hexdigest())
            for secret in secrets
            if secret
            for given in signatures
        ]
        if not any(matches):
            raise SignatureRefused("no secret gives one of the v1 signatures", reason="wrong")
        if abs(request.received_at.timestamp() - int(stamp)) > TOLERANCE_S:
            raise SignatureRefused("the signed time is too far from now", reason="stale")

    @classmethod
    def parse(cls, request: InboundRequest) -> Sequence[InboundEvent]:
        """
        Turn one delivery, which is one event, into ours: snapshots of any version, and thin events as unknown.

        Shape: {id, object: "event", type, created, data: {object}, account?}; thin: object "v2.core.event" with
        related_object instead of data. An event without `account` belongs to the link that received it.
        Units: "created" is Unix seconds, ISO 8601 in thin events.

        :raises UnexpectedResponse: not JSON, or no event
        """
        return [_event(read_json_object(request.body))]

    def list_since(self, when: datetime) -> Iterator[InboundEvent]:
        """
        List the account's events since a moment, newest first; Stripe keeps them for 30 days.

        Shape: {data: [event], has_more}, pages of 100, the next after the last id of the one before.
        Source: docs.stripe.com/api/events/list, 2026-11.

        :raises UnexpectedResponse: a page is no list of events
        """
        key, after = self._key(), ""
        while True:
            place = {"starting_after": after} if after else {}
            params = {"created[gte]": int(when.timestamp()), "limit": PAGE, **place}
            page = self._get("/v1/events", operation="list_events", key=key, params=params)
            rows = page.get("data")
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise UnexpectedResponse("the answer is no list of events")
            events = [_event(row) for row in rows]
            yield from events
            if page.get("has_more") is not True or not events or events[-1].external_id == after:
                return
            after = events[-1].external_id

    def _limited(self, key: Secret, environment: str, error: PermissionMissing) -> CheckResult:
        """Prove the key by the balance; its account stays unknown, so no account key is claimed."""
        self._get("/v1/balance", operation="read_balance", key=key)
        detail = error.vendor_detail or "The key may not read the account."
        return CheckResult(
            account=Account(external_id="", label=f"Stripe ({environment}, restricted key)"),
            account_keys=(),
            verdicts=(Verdict(capability="reads_account", ok=False, detail=f"limited: {detail}"),),
            environment=environment,
            degraded="The restricted key may not read the account; give it the right to read accounts.",
        )

    def _key(self) -> Secret:
        key = self.integration.secrets.get("secret_key")
        if key is None or not _KEY.fullmatch(key.reveal()):
            raise Misconfigured("no secret_key", field="secret_key", next_action="Give a secret or restricted key.")
        return key

    def _get(
        self, path: str, *, operation: str, key: Secret, params: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        headers = {"Stripe-Version": API_VERSION}
        response = self.outbound.request(
            "GET", path, operation=operation, role="api", bearer=key, headers=headers, params=params
        )
        try:
            answer = response.json()
        except (ValueError, RecursionError):
            raise UnexpectedResponse("the answer is not JSON") from None
        if not isinstance(answer, dict):
            raise UnexpectedResponse("the answer is JSON, but no object")
        return answer


def _event(vendor_event: Mapping[str, Any]) -> InboundEvent:
    """Turn one event, from a webhook or from the list of events, into ours."""
    body = _without_client_secrets(vendor_event)
    event_id, vendor_type = _text(body, "id"), _text(body, "type")
    if not 0 < len(event_id) <= LONGEST_ID or not vendor_type:
        raise UnexpectedResponse("the body has no event id and type")
    account = _account(body)
    data = _data(body, vendor_type)
    return InboundEvent(
        type=(EventType.UNKNOWN if _is_thin(body) else _type(vendor_type)).value,
        key=f"{event_id}:{account}" if account else event_id,
        account_key=f"account:{account}" if account else "",
        occurred_at=_moment(body.get("created")),
        data=data,
        raw=body,
        object_key=f"{data['object_type']}:{data['object_id']}" if data["object_id"] else "",
        external_id=event_id,
    )


def _environment(key: str) -> str:
    return key.split("_")[1]


def _label(account: Mapping[str, Any]) -> str:
    """The name that the dashboard shows, else the business's, else the id."""
    settings, profile = _object(account, "settings"), _object(account, "business_profile")
    names = (_text(_object(settings, "dashboard"), "display_name"), _text(profile, "name"), _text(account, "id"))
    return next((name for name in names if name), "Stripe")


def _charges(account: Mapping[str, Any]) -> Verdict:
    requirements = _object(account, "requirements")
    if account.get("charges_enabled") is not False:
        return Verdict(capability="takes_payments", ok=True)
    why = _text(requirements, "disabled_reason") or "see the Stripe dashboard"
    return Verdict(capability="takes_payments", ok=False, detail=f"Stripe does not let this account charge: {why}.")


def _signature(header: str) -> tuple[str, list[str]]:
    """
    Read t and all v1 of the header.

    :raises SignatureRefused: reason missing or malformed
    """
    if not header:
        raise SignatureRefused("no signature header", reason="missing")
    pairs = [part.strip().partition("=")[::2] for part in header.split(",")]
    stamps = [value for name, value in pairs if name == "t" and re.fullmatch("[0-9]{1,12}", value)]
    signatures = [value for name, value in pairs if name == "v1" and re.fullmatch("[0-9a-f]{64}", value)]
    if len(stamps) != 1 or not signatures:
        raise SignatureRefused("signature header without one t and a v1", reason="malformed")
    return stamps[0], signatures


def _is_thin(body: Mapping[str, Any]) -> bool:
    return body.get("object") == "v2.core.event"


def _account(body: Mapping[str, Any]) -> str:
    """The connected account: `account`, in thin events `context`, of which only an account id is one."""
    named = _text(body, "account") or _text(body, "context")
    return named if re.fullmatch(r"acct_[A-Za-z0-9]{1,100}", named) else ""


def _type(vendor_type: str) -> EventType:
    return next((kind for start, kind in EVENT_TYPES if vendor_type.startswith(start)), EventType.UNKNOWN)


def _data(body: Mapping[str, Any], vendor_type: str) -> PaymentEventData:
    thing = dict(_object(_object(body, "data"), "object"))
    related = _object(body, "related_object")
    return PaymentEventData(
        vendor_type=vendor_type,
        object_type=_text(thing, "object") or _text(related, "type"),
        object_id=_text(thing, "id")[:LONGEST_ID] or _text(related, "id")[:LONGEST_ID],
        object=thing,
        environment="live" if body.get("livemode") is True else "test",
        api_version=_text(body, "api_version"),
        is_fetched=False,
    )


def _without_client_secrets(value: Any) -> Any:
    """A client secret opens a payment in a browser; a webhook is no place to keep one."""
    if isinstance(value, dict):
        return {name: _without_client_secrets(item) for name, item in value.items() if name != "client_secret"}
    if isinstance(value, list):
        return [_without_client_secrets(item) for item in value]
    return value


def _moment(created: Any) -> datetime | None:
    try:
        if isinstance(created, str):
            return datetime.fromisoformat(created).astimezone(UTC)
        if isinstance(created, int) and not isinstance(created, bool):
            return datetime.fromtimestamp(created, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""


PROVIDER = StripeProvider
