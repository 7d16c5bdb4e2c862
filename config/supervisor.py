"""
Runs the parts of the product as one foreground process: starts, labels their output, restarts, stops.

A part that dies is restarted with a growing pause and said; honcho and its kin stop everything instead. SIGINT
and SIGTERM stop all parts within `STOP_WITHIN_S`, the servers last. Each part has its own process group, and on
Linux ends when this process ends, even by SIGKILL. The standard library only: Django lives in the children.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from core.pace import scaled

POLL_S = 0.1
STOP_PARTS_WITHIN_S = 6.0
STOP_SERVERS_WITHIN_S = 2.5  # PostgreSQL's fast shutdown takes under a second; then SIGKILL, from which both recover
STOP_WITHIN_S = STOP_PARTS_WITHIN_S + STOP_SERVERS_WITHIN_S
SAME_REQUEST_WITHIN_S = 0.5  # `timeout` and some shells signal a process and its group: that is one request
PAUSES_S = tuple(scaled(pause_s) for pause_s in (1, 2, 5, 10, 30))
"""Before the first, second … restart in a row: long enough not to spin, short enough to outlast a deploy's hiccup."""
HOPELESS_AFTER_DEATHS = 2  # at the start only: a part that cannot start says so at once, not after the timeout
STABLE_AFTER_S = scaled(60)  # a part that ran this long starts again at the first pause


class Stopped(Exception):
    """A signal asked to stop while something was waited for."""


class Failed(RuntimeError):
    """Starting cannot go on; the text says which step failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One long-running process: its name, how it starts, when it counts as ready, when it is stopped."""

    name: str
    command: tuple[str, ...]
    ready: Callable[[], bool] = lambda: True
    stop_signal: signal.Signals = signal.SIGTERM
    is_server: bool = False
    """Others depend on it: it stops last."""
    is_silent: Callable[[float], bool] = lambda since: False
    """Asked at each tick: runs it without working? `since`, Unix seconds: it and what it hears have run since then."""
    hears: tuple[str, ...] = ()
    """Parts without which its silence proves nothing."""


@dataclass(slots=True)
class Running:
    """A part and its present process."""

    part: Part
    process: subprocess.Popen[bytes]
    started_at: float
    restart_at: float | None = None
    """When it has died: the moment of its next start."""
    deaths: int = 0


@dataclass(slots=True)
class Supervisor:
    """Keeps parts alive until `request_stop`; one thread calls its methods, signals only set its flag."""

    environment: Mapping[str, str]
    folder: Path
    out: IO[str] = field(default_factory=lambda: sys.stdout)
    running: dict[str, Running] = field(default_factory=dict)
    stop_requested_at: float = 0.0
    is_hurried: bool = False
    """Somebody asked twice: the parts get no time; the servers do, for they hold the data."""
    wants_stop: Callable[[], bool] = lambda: False
    """Asked at each tick beside the signals."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, parts: Sequence[Part], *, timeout_s: float) -> None:
        """
        Start parts together and wait until each is ready.

        :raises Failed: one of them is not ready in time, or keeps dying
        :raises Stopped: a signal came first
        """
        for part in parts:
            self.running[part.name] = Running(part, self._spawn(part.name, part.command), time.monotonic())
        end = time.monotonic() + timeout_s
        for part in parts:
            while not part.ready():
                if time.monotonic() > end:
                    raise Failed(f"{part.name} was not ready within {timeout_s:.0f} s.")
                if self.running[part.name].deaths >= HOPELESS_AFTER_DEATHS:
                    raise Failed(f"{part.name} died {HOPELESS_AFTER_DEATHS} times; its lines are above.")
                self.tick()

    def run_step(self, name: str, command: Sequence[str], *, plain: bool = False) -> None:
        """
        Run a command to its end beside the parts; `plain` shows its standard output without a label.

        :raises Failed: it ended with an error
        :raises Stopped: a signal came first; the command is stopped too
        """
        process = self._spawn(name, command, plain=plain)
        try:
            while process.poll() is None:
                self.tick()
        finally:
            _signal_group(process, signal.SIGTERM if process.poll() is None else signal.SIGKILL)
        if process.returncode:
            raise Failed(f"{name} failed (exit {process.returncode}); its lines are above.")

    def watch(self) -> None:
        """Restart what dies until a stop is asked for."""
        with contextlib.suppress(Stopped):
            while True:
                self.tick()

    def tick(self) -> None:
        """Let a moment pass, restart what died and is due; raises `Stopped`."""
        time.sleep(POLL_S)
        if not self.stop_requested_at and self.wants_stop():
            self.request_stop()
        if self.stop_requested_at:
            raise Stopped
        for running in self.running.values():
            self._keep_alive(running)

    def request_stop(self, *_: int | FrameType | None) -> None:
        """Ask to stop; again after a moment: at once. Fit for a signal handler."""
        now = time.monotonic()
        self.is_hurried = bool(self.stop_requested_at) and now - self.stop_requested_at > SAME_REQUEST_WITHIN_S
        self.stop_requested_at = self.stop_requested_at or now

    def stop(self) -> None:
        """Stop all parts, the servers after the rest; return when no process is left."""
        for are_servers, within_s in ((False, STOP_PARTS_WITHIN_S), (True, STOP_SERVERS_WITHIN_S)):
            self._stop([r for r in self.running.values() if r.part.is_server is are_servers], within_s=within_s)
        self.running.clear()

    def say(self, text: str) -> None:
        """Print a line of the supervisor's own."""
        self._print("up", text)

    def _stop(self, group: Sequence[Running], *, within_s: float) -> None:
        group = [running for running in group if running.restart_at is None]
        for running in group:
            _signal_group(running.process, running.part.stop_signal)
        end = time.monotonic() + within_s
        while any(r.process.poll() is None for r in group) and time.monotonic() < end:
            if self.is_hurried and not group[0].part.is_server:
                break
            time.sleep(POLL_S / 2)
        for running in group:
            if running.process.poll() is None:
                self.say(f"{running.part.name} did not stop in time and is killed")
            _signal_group(running.process, signal.SIGKILL)
            running.process.wait()

    def _keep_alive(self, running: Running) -> None:
        now, name = time.monotonic(), running.part.name
        if running.restart_at is None and running.process.poll() is not None:
            _signal_group(running.process, signal.SIGKILL)  # children that outlived it would hold its port
            running.deaths = 0 if now - running.started_at > STABLE_AFTER_S else running.deaths
            pause_s = PAUSES_S[min(running.deaths, len(PAUSES_S) - 1)]
            running.deaths += 1
            running.restart_at = now + pause_s
            self.say(f"{name} died ({_cause(running.process.returncode)}); it starts again in {pause_s:g} s")
        elif running.restart_at is not None and now >= running.restart_at:
            running.process, running.started_at = self._spawn(name, running.part.command), now
            running.restart_at = None
            self.say(f"{name} started again")
        elif running.restart_at is None and self._is_silent(running, now):
            self.say(f"{name} runs but takes no work; it is ended and starts again")
            _signal_group(running.process, signal.SIGKILL)
            running.process.wait()  # SIGKILL: at once; the next tick finds it dead

    def _is_silent(self, running: Running, now: float) -> bool:
        heard = [self.running.get(name) for name in running.part.hears]
        alive = [other for other in (running, *heard) if other and other.restart_at is None]
        if len(alive) <= len(heard):
            return False
        return running.part.is_silent(time.time() - min(now - other.started_at for other in alive))

    def _spawn(self, name: str, command: Sequence[str], *, plain: bool = False) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603 - a list of our own, no shell
            command,
            cwd=self.folder,
            env={**self.environment, "SUPERVISOR_PID": str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if plain else subprocess.STDOUT,
            start_new_session=True,
        )
        for stream, label in ((process.stdout, "" if plain else name), (process.stderr, name)):
            if stream is not None:
                threading.Thread(target=self._relay, args=(stream, label), daemon=True).start()
        return process

    def _relay(self, stream: IO[bytes], label: str) -> None:
        with stream:
            for line in stream:
                self._print(label, line.decode(errors="replace").rstrip("\r\n"))

    def _print(self, label: str, text: str) -> None:
        with self._lock, contextlib.suppress(BrokenPipeError):  # whoever read us is gone; the parts go on
            self.out.write(f"{label:<8}| {text}\n" if label else f"{text}\n")
            self.out.flush()


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """
    Hold the lock of a data folder.

    :raises Failed: another supervisor holds it
    """
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "another process"
            raise Failed(
                f"The registry already runs on {path.parent} (process {owner}). "
                "Stop that one, or choose another DATA_DIR and PORT."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def stop_other(path: Path) -> bool:
    """
    Ask the supervisor that holds a lock to stop and wait until it let go; return whether there was one.

    :raises Failed: it still runs after the time that a stop may take
    """
    end, asked = time.monotonic() + STOP_WITHIN_S + 1, False
    while path.exists():
        try:
            with only_one(path):
                return asked
        except Failed:
            if time.monotonic() > end:
                raise
        if not asked:
            asked = True
            os.kill(int(path.read_text()), signal.SIGTERM)
        time.sleep(POLL_S)
    return False


def parent_was_interrupted() -> Callable[[], bool]:
    """
    Return a question: was the parent told to stop by SIGINT since now?

    make waits for its child after a SIGINT that reached make alone, and would wait for ever. It gives up its own
    handler when the signal comes, which Linux shows; elsewhere, and under a parent without a handler: never.
    """
    parent = os.getppid()
    return (lambda: not _catches_sigint(parent)) if _catches_sigint(parent) else (lambda: False)


def _catches_sigint(pid: int) -> bool:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1)
    return False


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal a process and its children; its group outlives it while a child does."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _cause(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"exit {returncode}"
