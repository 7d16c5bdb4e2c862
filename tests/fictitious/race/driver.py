"""
A race for one token, round after round: callers, a strict vendor, and kill -9 at random moments.

The vendor rotates at once and answers late, so that most kills fall into the time in which the old token is spent and
nobody has the new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config import runtime
from integrations.services import courier_process
from tests.fictitious.vendor import Parcelbox

ROOT = Path(__file__).resolve().parents[3]
PROCESSES, THREADS = 4, 50
ANSWER_S, SLOW_ANSWER_S, SLOW_EVERY = 0.3, 15.0, 20
PACE = "20"
"""TIME_SCALE: a courier that has nothing to do leaves after 0.5 s, so that some rounds find none."""

STARTING_S = 0.5
"""About what the callers take until the vendor has their call; kills are spread over it, too."""

ALL_DIE_EVERY = 7
ARMED = {1: "token.claimed", 3: "token.courier_sent"}
"""Of five rounds, these kill the caller that reaches a point first, beside those that are killed by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prize:
    """What everybody wants: the tokens of one integration."""

    organization: str
    integration: str


@dataclass(slots=True, kw_only=True)
class Round:
    """What one round did: `waits_s` and `tokens` are what the callers that lived have waited and got."""

    number: int
    is_slow: bool = False
    killed: int = 0
    calls: int = 0
    waits_s: list[float] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def note(self, seen: list[list[dict[str, Any]] | None]) -> None:
        """Take what the callers of some processes say; a process that was killed says nothing."""
        self.killed += seen.count(None)
        for caller in (caller for process in seen if process is not None for caller in process):
            if "error" in caller:
                self.errors.append(caller["error"])
            else:
                self.waits_s.append(caller["waited_s"])
                self.tokens.add(caller["token"])


@dataclass(slots=True, kw_only=True)
class Callers:
    """The process that forks the callers; the points of `fault_points` kill whoever reaches them first."""

    prize: Prize
    fault_points: Path
    host: subprocess.Popen[str]

    def send(self, seen: int, *, processes: int = 1, threads: int = 1) -> list[int]:
        """Let callers ask for newer tokens than version `seen`; return their processes' ids."""
        assert self.host.stdin is not None
        order = {
            "organization": self.prize.organization,
            "integration": self.prize.integration,
            "seen": seen,
            "processes": processes,
            "threads": threads,
        }
        self.host.stdin.write(json.dumps(order) + "\n")
        self.host.stdin.flush()
        return list(self._answer()["pids"])

    def sweep(self) -> None:
        """Let a process make one pass of the sweep, and wait for its end."""
        assert self.host.stdin is not None
        self.host.stdin.write(json.dumps({"sweep": True}) + "\n")
        self.host.stdin.flush()
        self._answer()

    def collect(self) -> list[list[dict[str, Any]] | None]:
        """Wait for all callers; return what those of each process saw, None for one that was killed."""
        return list(self._answer()["seen"])

    def arm(self, point: str = "", action: str = "kill") -> None:
        """Let a point do something to the first process that reaches it; without one, disarm all."""
        for left in self.fault_points.iterdir():
            left.unlink(missing_ok=True)
        if point:
            (self.fault_points / point).write_text(action)

    def _answer(self) -> dict[str, Any]:
        assert self.host.stdout is not None
        return dict(json.loads(self.host.stdout.readline()))


@dataclass(slots=True, kw_only=True)
class Race:
    """The rules of a round."""

    vendor: Parcelbox
    callers: Callers
    chance: random.Random

    def run(self, number: int, *, seen: int) -> Round:
        """
        Let all callers ask for newer tokens than version `seen`, kill some, and let one more ask at the end.

        The last one must find it done, or have it done where all the others died before anybody asked.
        """
        done = Round(number=number, is_slow=number % SLOW_EVERY == SLOW_EVERY // 2)
        self.vendor.late_s = SLOW_ANSWER_S if done.is_slow else ANSWER_S
        calls = self.vendor.count("/token")
        self.callers.arm(ARMED.get(number % 5, ""))
        pids = self.callers.send(seen, processes=PROCESSES, threads=THREADS)
        timers = self._kill_some(pids, ends_all=number % ALL_DIE_EVERY == ALL_DIE_EVERY - 1)
        done.note(self.callers.collect())
        for timer in timers:
            timer.cancel()  # its process has ended already, and the number may be somebody else's soon
        self.callers.arm()
        self.callers.send(seen)
        done.note(self.callers.collect())
        done.calls = self.vendor.count("/token") - calls
        return done

    def _kill_some(self, pids: list[int], *, ends_all: bool) -> list[threading.Timer]:
        victims = self.chance.sample(pids, PROCESSES if ends_all else self.chance.randrange(PROCESSES))
        within_s = self.vendor.late_s + STARTING_S
        timers = [threading.Timer(self.chance.uniform(0, within_s), _kill, [pid]) for pid in victims]
        for timer in timers:
            timer.start()
        return timers


@contextlib.contextmanager
def calling(prize: Prize, *, url: str, data_dir: Path, database: str, folder: Path) -> Iterator[Callers]:
    """
    Start the callers' process on a database; at the end wait until the last courier has left.

    :param url: of the vendor
    :param folder: for the fault points; empty
    """
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.fictitious.race.settings",
        "TEST_DATA_DIR": str(data_dir),
        "TEST_DATABASE_NAME": database,
        "PROVIDER_URL_PARCELBOX": url,
        "FAULT_POINTS": str(folder),
        "TIME_SCALE": PACE,
    }
    host = subprocess.Popen(
        [sys.executable, "-m", "tests.fictitious.race.callers"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert host.stdin is not None
    assert host.stdout is not None
    try:
        yield Callers(prize=prize, fault_points=folder, host=host)
    finally:
        host.stdin.close()
        host.wait(30)
        host.stdout.close()
        _wait_for_courier(lock_of(data_dir, database))


def lock_of(data_dir: Path, database: str) -> Path:
    """Return the lock that couriers of a database hold."""
    place = f"{runtime.database_settings(data_dir, role='app')['HOST']}:{runtime.PORT}/{database}"
    return courier_process.lock_file(data_dir, place)


def _wait_for_courier(lock: Path) -> None:
    until = time.monotonic() + 30
    while courier_process.is_at_work(lock):
        assert time.monotonic() < until, "a courier stays"
        time.sleep(0.1)
    lock.unlink(missing_ok=True)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
