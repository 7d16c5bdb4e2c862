"""
Token buckets in Redis: how fast an integration may call, and what the vendor's answers taught about it.

One script per call looks at all buckets of the call and takes from all or from none. Time is Redis's own, so that
processes with different clocks agree. A key that is gone is a full bucket: a flushed Redis costs at most one burst,
and the next answer's headers say again what the vendor counted.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import redis
import structlog

from core.pace import scaled
from integrations.contract.limits import LONGEST_WAIT_S, LimitReading
from integrations.contract.spec import ProviderSpec, RateLimit, Scope
from integrations.outbound.buckets import LocalBuckets
from integrations.outbound.limit_scripts import LEARN, TAKE

log = structlog.get_logger(__name__)

BURST_SHARE = 0.1
"""
Where the vendor names no burst, a tenth of the count may come at once and the rest evenly: no window of the vendor's
length then sees more than the count, wherever it begins.
"""

SLOW_FROM = 0.8
"""The share used from which calls slow down: the last fifth of a limit is spread until its window ends."""

SLOWED_PER_S = 10.0
"""The full rate that slowing starts from in a scope of which the spec declares no limit; a guess on the low side."""

SLOWEST = 0.01
"""However little is left, one call of a hundred still goes: its answer tells when the limit has recovered."""

UNTOLD_S = 60.0
"""How long a reading counts where the vendor does not say when its window ends: a usual window."""

ASK_AGAIN_S = 1.0
"""During an outage of Redis one call a second asks whether it is back; the others do not wait for its time-outs."""

UNREACHABLE = (redis.RedisError, OSError)
"""Redis is down, slow, full or loading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """
    One limit of one call. `shares` names the members of a bucket that organizations share, empty for one's own.

    `own_share` is the bucket of this organization's part of it.
    """

    key: str
    scope: Scope
    rate_per_s: float
    burst: float
    shares: str = ""
    own_share: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brake:
    """What was learned of one scope: slowed or closed for a time. `is_declared` when a bucket of the call slows."""

    key: str
    scope: Scope
    is_declared: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """All that one call must pass. `member` is the organization's name among those that share a bucket."""

    member: str
    brakes: tuple[Brake, ...]
    buckets: tuple[Bucket, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The answer: go at once when `wait_s` is 0, else nothing was taken, and `scope` says which limit is reached."""

    wait_s: float = 0.0
    scope: Scope | None = None
    is_braked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    Whose calls these are: the keys' first parts.

    `owners` names the app and the portfolio whose limits count; those in `shared` are used by several organizations.
    `trusted` are the shared scopes in which every member's answers are about the same thing for certain, so that one
    member's reading may slow all. `digest_key` keeps recipients out of Redis.
    """

    schema: str
    integration_id: str
    digest_key: bytes = field(repr=False)
    owners: Mapping[Scope, str] = field(default_factory=dict)
    shared: frozenset[Scope] = frozenset()
    trusted: frozenset[Scope] = frozenset()


class Limits:
    """Which buckets and brakes a call of one integration has."""

    def __init__(self, spec: ProviderSpec, place: Place) -> None:
        self._spec = spec
        self._place = place

    def ask(self, operation: str, subject: str = "") -> Ask:
        """List what one call must pass; `subject` is whom it is about."""
        limits = [
            (number, limit)
            for number, limit in enumerate(self._spec.limits)
            if (not limit.operations or operation in limit.operations)
            and (limit.scope is not Scope.RECIPIENT or subject)
        ]
        declared = {limit.scope for _, limit in limits}
        return Ask(
            member=self._place.schema,
            brakes=tuple(
                Brake(key=self.brake_key(scope), scope=scope, is_declared=scope in declared) for scope in _LEARNED
            ),
            buckets=tuple(self._bucket(number, limit, subject) for number, limit in limits),
        )

    def brake_key(self, scope: Scope) -> str:
        """Name the brake of a scope: shared where the members' answers are trusted, else the organization's own."""
        is_shared = scope in self._place.shared and scope in self._place.trusted
        return f"{self._stem(scope, is_shared=is_shared)}:brake"

    def _bucket(self, number: int, limit: RateLimit, subject: str) -> Bucket:
        is_shared = limit.scope in self._place.shared
        rest = f":{self._digest(subject)}:{number}" if limit.scope is Scope.RECIPIENT else f":{number}"
        key = self._stem(limit.scope, is_shared=is_shared) + rest
        rate_per_s, burst = rate_and_burst(limit)
        return Bucket(
            key=key,
            scope=limit.scope,
            rate_per_s=rate_per_s,
            burst=burst,
            shares=f"{key}:members" if is_shared else "",
            own_share=f"{self._place.schema}:share:{key}" if is_shared else "",
        )

    def _stem(self, scope: Scope, *, is_shared: bool) -> str:
        owner = self._place.owners.get(scope, "")
        first = "vendor" if is_shared else f"{self._place.schema}:limit"
        whose = f"{self._spec.key}:{self._digest(owner)}" if owner else self._place.integration_id
        return f"{first}:{whose}:{scope}"

    def _digest(self, text: str) -> str:
        return hmac.new(self._place.digest_key, f"limits:{text}".encode(), hashlib.sha256).hexdigest()[:32]


class Limiter:
    """
    Takes tokens and learns, in Redis, or in this process while Redis is away.

    :param client: None never asks Redis
    :param ahead_s: how far to move Redis's clock, for replaying
    """

    def __init__(self, client: redis.Redis | None, *, ahead_s: Callable[[], float] = lambda: 0.0) -> None:
        self._ahead_s = ahead_s
        self._take = client.register_script(TAKE) if client else None
        self._learn = client.register_script(LEARN) if client else None
        self._local = LocalBuckets(clock_s=lambda: time.monotonic() + ahead_s())
        self._away_until = 0.0
        self._is_away = False
        self._lock = threading.Lock()

    def take(self, ask: Ask) -> Grant:
        """Take one token from every bucket of a call, or from none."""
        keys, arguments = _spelled(ask)
        answer = self._asked(self._take, keys, [self._ahead_ms, ask.member, len(ask.brakes), *arguments])
        if answer is None:
            wait_s, position = self._local.take(ask)
            return Grant(wait_s=wait_s, scope=_scope_at(ask, position), is_braked=True)
        wait_ms, position, braked = (int(part) for part in answer)
        return Grant(wait_s=wait_ms / 1000, scope=_scope_at(ask, position), is_braked=bool(braked))

    def learn(self, key: str, reading: LimitReading) -> None:
        """Slow down, close or release the scope that the brake stands for, as an answer's headers ask."""
        closed_s, factor, lasts_s = brake_of(reading)
        arguments = [self._ahead_ms, int(closed_s * 1000), factor, int(lasts_s * 1000)]
        if self._asked(self._learn, [key], arguments) is None:
            self._local.learn(key, closed_s=closed_s, factor=factor, lasts_s=lasts_s)

    @property
    def _ahead_ms(self) -> int:
        return int(self._ahead_s() * 1000)

    def _asked(self, script: Any, keys: list[str], arguments: list[Any]) -> Any:
        """Run a script; None when Redis is away, which is logged once until it is back."""
        if script is None or time.monotonic() < self._away_until:
            return None
        if self._is_away:
            self._postpone()  # the others go on meanwhile
        try:
            answer = script(keys=keys, args=arguments)
        except UNREACHABLE as error:
            self._lost(error)
            return None
        if self._is_away:
            self._is_away, self._away_until = False, 0.0
            self._local.forget()
        return answer

    def _postpone(self) -> None:
        self._away_until = time.monotonic() + scaled(ASK_AGAIN_S)

    def _lost(self, error: Exception) -> None:
        self._postpone()
        with self._lock:
            is_news, self._is_away = not self._is_away, True
        if is_news:
            log.warning("limits.redis_away", error=type(error).__name__)


_LEARNED = (Scope.APP, Scope.PORTFOLIO, Scope.ACCOUNT)
"""Scopes that answers tell about; what holds one recipient back is that recipient's error."""


def rate_and_burst(limit: RateLimit) -> tuple[float, float]:
    """Return tokens per second and the most that may be taken at once."""
    if limit.burst is not None:
        return limit.count / limit.per_s, float(limit.burst)
    burst = max(1.0, BURST_SHARE * limit.count)
    return max(limit.count - burst, BURST_SHARE * limit.count) / limit.per_s, burst


def brake_of(reading: LimitReading) -> tuple[float, float, float]:
    """
    Return for how many seconds to close, by what factor to slow afterwards, and how long that lasts.

    A factor of 1.0 releases a brake that was slow.
    """
    used = reading.used or 0.0
    lasts_s = min(reading.reset_s if reading.reset_s is not None else UNTOLD_S, LONGEST_WAIT_S)
    if reading.wait_s:
        return min(reading.wait_s, LONGEST_WAIT_S), 1.0, 0.0
    if used >= 1.0:
        return lasts_s, 1.0, 0.0
    if used >= SLOW_FROM:
        return 0.0, max((1.0 - used) / (1.0 - SLOW_FROM), SLOWEST), lasts_s
    return 0.0, 1.0, 0.0


def is_pressing(reading: LimitReading) -> bool:
    """Whether a reading asks for less than full speed."""
    return bool(reading.wait_s) or (reading.used or 0.0) >= SLOW_FROM


def _spelled(ask: Ask) -> tuple[list[str], list[Any]]:
    """Spell an ask as the script's keys and arguments; see `limit_scripts.TAKE`."""
    keys = [brake.key for brake in ask.brakes]
    arguments: list[Any] = [0 if brake.is_declared else SLOWED_PER_S / 1000 for brake in ask.brakes]
    position = {brake.scope: number for number, brake in enumerate(ask.brakes, start=1)}
    for bucket in ask.buckets:
        keys += [bucket.key, bucket.shares or bucket.key, bucket.own_share or bucket.key]
        arguments += [bucket.rate_per_s / 1000, bucket.burst, position.get(bucket.scope, 0), int(bool(bucket.shares))]
    return keys, arguments


def _scope_at(ask: Ask, position: int) -> Scope | None:
    """Tell which scope a position of the script's answer means: 1 is the first brake, 0 none."""
    scopes = [*(brake.scope for brake in ask.brakes), *(bucket.scope for bucket in ask.buckets)]
    return scopes[position - 1] if position else None
