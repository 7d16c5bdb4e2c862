"""
Whether a worker still consumes. Redis and the worker may both be well and yet no task arrives any more.

A worker's processes touch one file (WORKER_HEARTBEAT) with each task they begin or end; the sweeps that beat sends
every ten seconds are the canary. Silence proves something only while Redis answers, beat is alive and the worker had
time to start. Then the worker is ended, and whoever keeps it alive starts it again: the supervisor on one machine, the
container's restart policy otherwise (`python -m config.canary` is its health check). The standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

HEARTBEAT = "WORKER_HEARTBEAT"
"""The variable that names the file. Its content is the process of the worker that owns it."""

SILENT_S = 120.0
"""Longer than a task may take (its hard limit), so that a worker whose processes are all busy is not taken for dead."""

ASKED_EVERY_S = 1.0


def own(path: str) -> None:
    """Say that this process is the worker of a heartbeat."""
    with contextlib.suppress(OSError):
        Path(path).write_text(str(os.getpid()))


def touch(path: str) -> None:
    """Say that a task was taken or ended; a full disk must not fail the task."""
    with contextlib.suppress(OSError):
        os.utime(path)


def silent_after_s(environment: Mapping[str, str]) -> float:
    """Return after how much silence a worker is ended; WORKER_SILENT_S shortens it for tests."""
    return float(environment.get("WORKER_SILENT_S") or SILENT_S)


@dataclass(slots=True)
class Canary:
    """
    Watches one worker's heartbeat.

    :param redis_answers: asked about once a second, and only when it may matter
    """

    heartbeat: Path
    redis_answers: Callable[[], bool]
    silent_after_s: float
    _asked_at: float = 0.0
    _proves_since: float = field(default_factory=time.time)
    """Since when silence has been a proof: the last moment at which something else was amiss."""

    def is_silent(self, since: float) -> bool:
        """
        Return whether the worker has stopped to consume, by everything that can be seen now.

        :param since: the worker and beat have run since then, Unix seconds
        """
        now = time.time()
        if now - self._asked_at >= ASKED_EVERY_S:
            self._asked_at = now
            if not self.redis_answers():
                self._proves_since = now
        began = max(self._proves_since, since, self._last_beat())
        return now - began > self.silent_after_s

    def _last_beat(self) -> float:
        try:
            return self.heartbeat.stat().st_mtime
        except OSError:
            return 0.0


def end_when_silent(environment: Mapping[str, str], *, redis_answers: Callable[[], bool]) -> bool:
    """
    Look once, as a container's health check does; end a worker that is silent and return whether it was.

    Between two looks a file beside the heartbeat remembers when Redis was last away.
    """
    heartbeat = Path(environment[HEARTBEAT])
    amiss = heartbeat.with_suffix(".amiss")
    if not redis_answers() or not amiss.exists():
        amiss.touch()
    limit_s = silent_after_s(environment)
    last = max(amiss.stat().st_mtime, heartbeat.stat().st_mtime if heartbeat.exists() else 0.0)
    if time.time() - last <= limit_s:
        return False
    amiss.touch()  # the next worker gets its time
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(heartbeat.read_text()), signal.SIGKILL)
    return True


def redis_of(url: str) -> Callable[[], bool]:
    """Return the question whether the Redis of an address answers; asked with a client of its own."""

    def answers() -> bool:
        import redis

        try:
            with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
                return bool(client.ping())
        except (redis.RedisError, OSError):
            return False

    return answers


if __name__ == "__main__":
    sys.exit(int(end_when_silent(os.environ, redis_answers=redis_of(os.environ["REDIS_URL"]))))
