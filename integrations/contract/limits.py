"""What a vendor's answers say about its limits: readings of headers, and the headers that many vendors share."""

from __future__ import annotations

import email.utils
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC

from core import clock
from integrations.contract.results import OutboundResponse
from integrations.contract.spec import Scope

LONGEST_WAIT_S = 3600.0
"""A vendor that asks for a longer wait than an hour is asked again then (RELIABILITY section 6)."""

_ASKS_TO_WAIT = frozenset({429, 503})
"""With other statuses Retry-After is about something else, such as a job that is not finished."""

_EPOCH_S = 1_000_000_000
_EPOCH_MS = 1_000_000_000_000
"""A reset above these is a moment (2001 or later), below them a number of seconds from now."""

_MEMBER = re.compile(r"(?:x-rate-?limit|ratelimit)-(limit|remaining|reset)(?:-([a-z0-9-]+))?")
_DURATION = re.compile(r"(?:([0-9]+)h)?(?:([0-9]+)m(?!s))?(?:([0-9]+(?:\.[0-9]+)?)s)?(?:([0-9]+)ms)?")
_PAIR = re.compile(r"\b(limit|remaining|reset|r|t)\s*=\s*([0-9]+)")
_POLICY = re.compile(r"\bq\s*=\s*([0-9]+)")
_LONG_NAMES = {"r": "remaining", "t": "reset"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitReading:
    """
    What one answer says of one limit.

    `used` is the share that is used up, 1.0 all of it; None where the vendor does not say. `wait_s` is how long it
    asks us not to call. `reset_s` is when its window ends, in seconds from now.
    """

    scope: Scope = Scope.ACCOUNT
    used: float | None = None
    wait_s: float | None = None
    reset_s: float | None = None


def read_common_limits(response: OutboundResponse) -> Sequence[LimitReading]:
    """
    Read the headers that many vendors share; unreadable ones say nothing.

    `Retry-After` (with 429 and 503), `x-ratelimit-limit|remaining|reset[-requests|-tokens|…]`, and both drafts of the
    IETF: `RateLimit-Limit|Remaining|Reset` and `RateLimit: "name";r=…;t=…` with `RateLimit-Policy`.
    """
    return tuple(_readings(response))


def retry_after_s(value: str | None) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date, capped at one hour; None when there is no sense in it."""
    text = (value or "").strip()
    if text.isascii() and text.isdecimal():
        return min(float(text[:9]), LONGEST_WAIT_S)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((aware - clock.now()).total_seconds(), 0.0), LONGEST_WAIT_S)


def _readings(response: OutboundResponse) -> Iterator[LimitReading]:
    headers = response.headers
    wait_s = retry_after_s(headers.get("retry-after")) if response.status in _ASKS_TO_WAIT else None
    if wait_s is not None:
        yield LimitReading(wait_s=wait_s)
    for counter in (*_members(headers), _structured(headers)):
        reading = _counted(counter)
        if reading is not None:
            yield reading


def _members(headers: Mapping[str, str]) -> list[dict[str, str]]:
    """Gather one counter per suffix: vendors of models count requests and tokens apart."""
    found: dict[str, dict[str, str]] = {}
    for name, value in headers.items():
        match = _MEMBER.fullmatch(name)
        if match:
            found.setdefault(match[2] or "", {})[match[1]] = value
    return list(found.values())


def _structured(headers: Mapping[str, str]) -> dict[str, str]:
    counter = {_LONG_NAMES.get(name, name): value for name, value in _PAIR.findall(headers.get("ratelimit", ""))}
    policy = _POLICY.search(headers.get("ratelimit-policy", ""))
    return {**({"limit": policy[1]} if policy else {}), **counter}


def _counted(counter: Mapping[str, str]) -> LimitReading | None:
    limit, remaining = _number(counter.get("limit", "")), _number(counter.get("remaining", ""))
    if remaining is None or not limit:
        return None
    used = min(max(1.0 - remaining / limit, 0.0), 1.0)
    return LimitReading(used=used, reset_s=_reset_s(counter.get("reset", "")))


def _number(text: str) -> float | None:
    match = re.match(r"\s*([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*(?:[,;]|$)", text)
    return float(match[1]) if match else None


def _reset_s(text: str) -> float | None:
    """Read seconds, a Unix time in seconds or milliseconds, or a duration such as 6m0s and 120ms."""
    number = _number(text)
    if number is None:
        parts = _DURATION.fullmatch(text.strip())
        if parts is None or not any(parts.groups()):
            return None
        return _capped(sum(float(part) * unit for part, unit in zip(parts.groups("0"), _UNITS_S, strict=True)))
    if number >= _EPOCH_S:
        return _capped(number / (1000 if number >= _EPOCH_MS else 1) - clock.now().timestamp())
    return _capped(number)


_UNITS_S = (3600.0, 60.0, 1.0, 0.001)


def _capped(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_WAIT_S) if math.isfinite(seconds) else LONGEST_WAIT_S
