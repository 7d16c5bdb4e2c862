"""What the three Meta channels share: Graph versions, signatures, proofs, challenges and the common errors."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from channels_app.contract import ErrorData
from channels_app.providers._meta_json import items, obj, text
from core.secret import Secret
from integrations.contract import (
    AuthenticationFailed,
    ErrorRule,
    InboundRequest,
    LimitReading,
    Misconfigured,
    NotFound,
    OutboundResponse,
    PermissionMissing,
    ProviderSpec,
    RateLimited,
    RequestRejected,
    Scope,
    SignatureRefused,
    Unavailable,
    UnexpectedResponse,
    VendorError,
    read_common_limits,
)

GRAPH_URL = "https://graph.facebook.com"
GRAPH_VERSION = "v26.0"
"""The default; the operator's META_GRAPH_VERSION arrives as the setting `graph_version`."""

OLDEST_GRAPH_VERSION = (22, 0)
"""Below it a version ends within two months of this release."""

EXPIRY_WARNING = timedelta(days=180)
"""Half a year is what Meta leaves between announcing and ending a version's predecessor."""

GRAPH_EXPIRIES: Mapping[str, date | None] = {
    "v18.0": date(2026, 1, 26),
    "v19.0": date(2026, 5, 21),
    "v20.0": date(2026, 9, 24),
    "v21.0": date(2027, 1, 21),
    "v22.0": date(2027, 5, 20),
    "v23.0": date(2027, 10, 8),
    "v24.0": date(2028, 2, 18),
    "v25.0": date(2028, 7, 29),
    "v26.0": None,
}
"""When Meta ends each version; None: not announced. Source: Graph API changelog, as of 2026-11."""

SIGNATURE_HEADER = "x-hub-signature-256"

_BY_BUSINESS = "x-business-use-case-usage"
_USAGE_HEADERS: Mapping[str, Scope] = {
    "x-app-usage": Scope.APP,
    _BY_BUSINESS: Scope.PORTFOLIO,
    "x-ad-account-usage": Scope.ACCOUNT,
}
_PERCENTAGES = ("call_count", "total_time", "total_cputime", "acc_id_util_pct")

GRAPH_ERRORS: tuple[ErrorRule, ...] = (
    ErrorRule(
        error=NotFound,
        codes=(100,),
        subcodes=(33,),
        remedy="Check the id, and that the token of this connection may see the object.",
    ),
    ErrorRule(
        error=NotFound,
        codes=(33,),
        remedy="Check the id, and that the token of this connection may see the object.",
    ),
    ErrorRule(
        error=AuthenticationFailed,
        codes=(190, 0, 102, 104),
        remedy="Make a new access token at Meta and reconnect; this one ended, was revoked or is not complete.",
    ),
    ErrorRule(error=RateLimited, codes=(4, 17, 32, 613, range(80000, 80015)), reason="call_limit", wait_s=300.0),
    ErrorRule(
        error=PermissionMissing,
        codes=(3, 10, range(200, 300)),
        remedy="Give the token the missing permission in the business settings of Meta, then test the connection.",
    ),
    ErrorRule(
        error=PermissionMissing,
        codes=(368,),
        reason="policy",
        remedy="Meta blocked this action for policy reasons: see the account quality page of Meta and ask for review.",
    ),
    ErrorRule(error=Unavailable, codes=(1,), wait_s=2.0, wait_factor=4.0),
    ErrorRule(error=Unavailable, codes=(2,), wait_s=30.0),
    ErrorRule(
        error=RequestRejected,
        codes=(2635,),
        reason="version_ended",
        remedy="This version of the Graph API has ended: the operator sets META_GRAPH_VERSION to a living one.",
    ),
    ErrorRule(error=RequestRejected, codes=(100, 2500)),
)
"""Codes of every Graph API. A channel puts its own rules before them."""


def graph_version(settings: Mapping[str, Any]) -> str:
    """
    Return the Graph version to call, such as "v26.0".

    :raises Misconfigured: it is malformed or below OLDEST_GRAPH_VERSION
    """
    version = str(settings.get("graph_version") or GRAPH_VERSION)
    match = re.fullmatch(r"v([0-9]{1,3})\.([0-9]{1,2})", version)
    if match is None or (int(match[1]), int(match[2])) < OLDEST_GRAPH_VERSION:
        oldest = ".".join(map(str, OLDEST_GRAPH_VERSION))
        raise Misconfigured(
            "graph_version is malformed or too old",
            reason="version_ended",
            next_action=f"Set META_GRAPH_VERSION to v{oldest} or later, for example {GRAPH_VERSION}.",
        )
    return version


def version_warning(version: str, *, today: date) -> str:
    """Say when a version ends soon; empty while it has more than EXPIRY_WARNING to live or no known end."""
    end = GRAPH_EXPIRIES.get(version)
    if end is None or end - today > EXPIRY_WARNING:
        return ""
    return f"Graph API {version} ends on {end.isoformat()}; set META_GRAPH_VERSION to a later one before."


def appsecret_proof(access_token: Secret, app_secret: Secret) -> str:
    """Prove to Meta that the caller of a token also holds the app's secret."""
    return _hmac(app_secret, access_token.reveal().encode())


def verify_signature(request: InboundRequest, secrets: Sequence[Secret]) -> None:
    """
    Check X-Hub-Signature-256 over the raw bytes; any secret may match.

    :raises SignatureRefused: reason missing, malformed or wrong
    """
    header = request.headers.get(SIGNATURE_HEADER, "")
    if not header:
        raise SignatureRefused("no signature header", reason="missing")
    if not re.fullmatch(r"sha256=[0-9a-f]{64}", header):
        raise SignatureRefused("signature header is not sha256=<64 hex digits>", reason="malformed")
    given = header.removeprefix("sha256=")
    matches = [hmac.compare_digest(given, _hmac(secret, request.body)) for secret in secrets if secret]
    if not any(matches):
        raise SignatureRefused("no secret gives this signature", reason="wrong")


def answer_challenge(request: InboundRequest, verify_token: Secret) -> str:
    """
    Return `hub.challenge` when Meta's question carries our token.

    :raises SignatureRefused: reason malformed or wrong
    """
    challenge = request.query.get("hub.challenge", "")
    if request.query.get("hub.mode") != "subscribe" or not re.fullmatch(r"[\x21-\x7e]{1,1000}", challenge):
        raise SignatureRefused("not a subscription challenge", reason="malformed")
    if not verify_token or not verify_token.matches(request.query.get("hub.verify_token", "")):
        raise SignatureRefused("the verify token differs", reason="wrong")
    return challenge


def read_error(response: OutboundResponse) -> VendorError:
    """Read the facts of a Graph error answer; a body that is none gives the status alone."""
    body = _read_object(response.body)
    error = obj(body.get("error"))
    code = error.get("code", body.get("code"))
    subcode = error.get("error_subcode")
    return VendorError(
        status=response.status,
        code=code if isinstance(code, int | str) and not isinstance(code, bool) else None,
        subcode=subcode if isinstance(subcode, int | str) and not isinstance(subcode, bool) else None,
        detail=_detail(error) or text(body.get("error_message")),
        trace_id=text(error.get("fbtrace_id")),
        retry_after_s=regain_s(response.headers),
    )


def regain_s(headers: Mapping[str, str]) -> float | None:
    """Read the longest `estimated_time_to_regain_access` (minutes) of the usage headers, in seconds; 0 is None."""
    return max((_wait_s(usage) or 0.0 for _, usage in _usages(headers)), default=0.0) or None


def read_limits(response: OutboundResponse) -> Sequence[LimitReading]:
    """
    Read how much of Meta's limits is used, in percent of each: X-App-Usage counts the app, X-Business-Use-Case-Usage
    what the app does for one business, X-Ad-Account-Usage one account.

    Units: call_count, total_time, total_cputime and acc_id_util_pct in percent; the highest one throttles.
    estimated_time_to_regain_access in minutes, reset_time_duration in seconds. Source: Graph API, rate limits, as of
    2026-11.
    """
    readings = [
        LimitReading(
            scope=scope,
            used=max(_number(usage.get(name)) or 0.0 for name in _PERCENTAGES) / 100,
            wait_s=_wait_s(usage),
            reset_s=_number(usage.get("reset_time_duration")),
        )
        for scope, usage in _usages(response.headers)
    ]
    return (*readings, *read_common_limits(response))


def _usages(headers: Mapping[str, str]) -> Iterator[tuple[Scope, Mapping[str, Any]]]:
    for name, scope in _USAGE_HEADERS.items():
        usage = _read_object(headers.get(name, "").encode())
        if name != _BY_BUSINESS:
            yield from [(scope, usage)] if usage else []
            continue
        yield from ((scope, obj(case)) for cases in usage.values() for case in items(cases))


def _wait_s(usage: Mapping[str, Any]) -> float | None:
    return (_number(usage.get("estimated_time_to_regain_access")) or 0.0) * 60 or None


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return max(float(value), 0.0) if is_number else None


def classify(error: Mapping[str, Any], *, spec: ProviderSpec) -> ErrorData:
    """Classify an error that came by webhook with the same rules as one that came by answer."""
    code = error.get("code")
    vendor = VendorError(
        status=0,
        code=code if isinstance(code, int | str) and not isinstance(code, bool) else None,
        subcode=text(error.get("error_subcode")) or None,
        detail=_detail(error),
    )
    rule = spec.rule_for(vendor)
    kind = rule.error if rule else UnexpectedResponse
    return ErrorData(
        code=text(code),
        title=text(error.get("title")) or text(error.get("message")),
        detail=vendor.detail,
        error=kind.__name__,
        reason=rule.reason if rule else "",
        remedy=(rule.remedy if rule else "") or kind.if_given_up or kind.next_action,
        retryable=kind.retryable,
        retry_after_s=rule.wait_s if rule else None,
    )


def _detail(error: Mapping[str, Any]) -> str:
    """The vendor's most helpful sentence, in the order of how much it helps."""
    told = (
        obj(error.get("error_data")).get("details"),
        error.get("details"),
        error.get("error_user_msg"),
        error.get("message"),
        error.get("title"),
    )
    return next((item for item in told if isinstance(item, str) and item), "")


def _read_object(body: bytes) -> Mapping[str, Any]:
    try:
        return obj(json.loads(body))
    except (ValueError, RecursionError):
        return {}  # an error answer may be HTML or empty: the status alone decides then


def _hmac(secret: Secret, message: bytes) -> str:
    return hmac.new(secret.reveal().encode(), message, hashlib.sha256).hexdigest()
