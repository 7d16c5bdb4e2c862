"""From what a vendor or the network did to an error named by what to do next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from core.redaction import HIDDEN, redact_text
from integrations.contract.errors import (
    AuthenticationFailed,
    Misconfigured,
    NotFound,
    PermissionMissing,
    ProviderError,
    RateLimited,
    RequestRejected,
    Unavailable,
    UnexpectedResponse,
)
from integrations.contract.limits import LONGEST_WAIT_S, LimitReading, retry_after_s
from integrations.contract.results import OutboundResponse, VendorError
from integrations.contract.spec import ProviderSpec
from transport.errors import (
    AddressRefused,
    BodyTooLarge,
    CertificateUnusable,
    RequestInvalid,
    TransportError,
    UnknownEncoding,
)

ReadError = Callable[[OutboundResponse], VendorError]
ReadLimits = Callable[[OutboundResponse], Sequence[LimitReading]]

MAYBE_SENT = "maybe_sent"
"""The `reason` of a failure after which the vendor may have done what was asked."""

NOT_SENT = "not_sent"
"""The `reason` of a failure before anything was sent."""

_DETAIL_CHARACTERS = 500
# Shorter values (ids, versions, flags) are too common in ordinary text to be hidden wherever they occur.
_SECRET_CHARACTERS = 8

_BY_STATUS: tuple[tuple[range, type[ProviderError]], ...] = (
    (range(300, 400), UnexpectedResponse),
    (range(401, 402), AuthenticationFailed),
    (range(403, 404), PermissionMissing),
    (range(404, 405), NotFound),
    (range(408, 409), Unavailable),
    (range(429, 430), RateLimited),
    (range(400, 500), RequestRejected),
    (range(500, 600), Unavailable),
)
"""What a status means where the spec's rules say nothing; the first range decides."""

_BY_TRANSPORT: tuple[tuple[tuple[type[TransportError], ...], type[ProviderError]], ...] = (
    ((AddressRefused, CertificateUnusable), Misconfigured),
    ((RequestInvalid,), RequestRejected),
    ((BodyTooLarge, UnknownEncoding), UnexpectedResponse),
)
"""Failures that trying again would only repeat; every other failure of the network is Unavailable."""

# What a broken read_error raises on a body of a shape nobody documented.
_UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, RecursionError)


def answer_error(
    spec: ProviderSpec, response: OutboundResponse, *, operation: str, read_error: ReadError, spoken: Iterable[str]
) -> ProviderError:
    """
    Map an error answer.

    :param spoken: secrets that were sent, now or before; a vendor that echoes one is not shown with it
    """
    facts = _facts(response, read_error)
    rule = spec.rule_for(facts)
    kind = rule.error if rule else _kind_of(response.status)
    default_reason = MAYBE_SENT if issubclass(kind, Unavailable) else ""
    told_s = _told_s(response, facts)
    return kind(
        f"{spec.key} {operation}: HTTP {response.status}, code {facts.code}, subcode {facts.subcode}",
        next_action=rule.remedy if rule else "",
        reason=(rule.reason if rule else "") or default_reason,
        vendor_code="" if facts.code is None else str(facts.code),
        vendor_detail=_shown(facts.detail, spoken),
        retry_after_s=told_s if told_s is not None or rule is None else rule.wait_s,
        trace_id=facts.trace_id,
        scope=str(rule.scope or "") if rule else "",
        wait_factor=rule.wait_factor if rule and told_s is None else 1.0,
    )


def exception_error(spec: ProviderSpec, error: Exception, *, operation: str) -> ProviderError | None:
    """
    Map an exception of the network or of an SDK by the names of its classes.

    Only rules that name exceptions apply; None means that no rule knows it and it is not the network's.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    rule = next((rule for rule in spec.errors if names.intersection(rule.exceptions)), None)
    internal = f"{spec.key} {operation}: {error if isinstance(error, TransportError) else type(error).__name__}"
    sent = _sent(error)
    if rule is not None:
        reason = rule.reason or sent
        return rule.error(internal, next_action=rule.remedy, reason=reason, retry_after_s=rule.wait_s)
    if not isinstance(error, TransportError):
        return None
    return _network_kind(error)(internal, reason=sent)


def limit_readings(response: OutboundResponse, read_limits: ReadLimits) -> Sequence[LimitReading]:
    """Read what an answer says of the limits; a provider that stumbles over a header says nothing."""
    try:
        return read_limits(response)
    except _UNREADABLE:
        return ()


def _facts(response: OutboundResponse, read_error: ReadError) -> VendorError:
    try:
        return read_error(response)
    except _UNREADABLE:
        return VendorError(status=response.status)


def _kind_of(status: int) -> type[ProviderError]:
    return next((kind for statuses, kind in _BY_STATUS if status in statuses), UnexpectedResponse)


def _network_kind(error: TransportError) -> type[ProviderError]:
    return next((kind for kinds, kind in _BY_TRANSPORT if isinstance(error, kinds)), Unavailable)


def _sent(error: Exception) -> str:
    if not isinstance(error, TransportError):
        return ""
    return MAYBE_SENT if error.sent else NOT_SENT


def _told_s(response: OutboundResponse, facts: VendorError) -> float | None:
    told = (
        facts.retry_after_s if facts.retry_after_s is not None else retry_after_s(response.headers.get("retry-after"))
    )
    return None if told is None else min(told, LONGEST_WAIT_S)


def _shown(detail: str, spoken: Iterable[str]) -> str:
    for secret in spoken:
        if len(secret) >= _SECRET_CHARACTERS:
            detail = detail.replace(secret, HIDDEN)
    return redact_text(detail)[:_DETAIL_CHARACTERS]
