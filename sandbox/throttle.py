"""Count calls over time, in memory: how vendors decide that somebody is too fast."""

from __future__ import annotations

import threading
import time


class Buckets:
    """Token buckets by key: `burst` at once, then `refill_per_s`."""

    def __init__(self) -> None:
        self._levels: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Forget who was fast."""
        with self._lock:
            self._levels.clear()

    def take(self, key: str, *, burst: int, refill_per_s: float) -> bool:
        """Take one and say whether there was one; a burst of 0 means no limit."""
        if not burst:
            return True
        now = time.monotonic()
        with self._lock:
            level, at = self._levels.get(key, (float(burst), now))
            level = min(float(burst), level + (now - at) * refill_per_s)
            allowed = level >= 1.0
            self._levels[key] = (level - 1.0 if allowed else level, now)
        return allowed
