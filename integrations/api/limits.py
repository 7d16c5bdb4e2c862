"""How fast one API key may ask: a fixed window of a minute, counted in the cache; no cache, no limit."""

from __future__ import annotations

import time
from dataclasses import dataclass
from uuid import UUID

import structlog
from django.core.cache import cache
from redis import RedisError

from core import clock
from integrations.api import conf

log = structlog.get_logger(__name__)

WINDOW_S = 60
PAUSE_S = 5.0
"""How long a cache that failed is not asked again, so that a dead one costs a request its time-out once, not always."""

_paused_until = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What is left of a key's window."""

    limit: int
    used: int
    reset_s: int

    @property
    def is_exceeded(self) -> bool:
        """Whether this request is one too many."""
        return self.used > self.limit

    def headers(self) -> dict[str, str]:
        """Return the RateLimit headers of an answer."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(max(0, self.limit - self.used)),
            "RateLimit-Reset": str(self.reset_s),
            "RateLimit-Policy": f"{self.limit};w={WINDOW_S}",
        }


def count(key_id: UUID) -> Allowance | None:
    """Count one request of a key of the entered organization; None where the cache cannot be reached."""
    global _paused_until  # noqa: PLW0603 - one pause per process is the point
    if time.monotonic() < _paused_until:
        return None
    moment = int(clock.now().timestamp())
    name = f"api_requests:{key_id}:{moment // WINDOW_S}"
    try:
        cache.add(name, 0, timeout=WINDOW_S * 2)
        used = cache.incr(name)
    except (RedisError, OSError, ValueError) as error:  # ValueError: the key left between the two commands
        _paused_until = time.monotonic() + PAUSE_S
        log.warning("api.not_counted", error=type(error).__name__)
        return None
    return Allowance(limit=conf.requests_per_minute(), used=used, reset_s=WINDOW_S - moment % WINDOW_S)
