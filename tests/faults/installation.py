"""
The whole product in a folder of its own, at a pace of its own, to be hurt: kill, starve, disturb, recover.

Everything is real: `python -m config.parts` with its servers, web, worker, beat and sandbox. Faults reach it as
signals, through the servers' own administration, through a proxy in front of the vendor, or as files that arm a point
in the code (`core/fault_points.py`).
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis
import requests

from config import processes, runtime
from tests.faults.proxy import Proxy

SCALE = float(os.environ.get("FAULTS_SCALE") or 20)
"""How much shorter the engine's durations are: 20 in the suite, 1 in `make bench ONLY=faults LONG=1`."""

READY_WITHIN_S = 180.0
STOP_WITHIN_S = 12.0
OWN_TO_THE_SUITE = {"DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "CACHE_URL", "DJANGO_SETTINGS_MODULE",
                    "PYTHONPATH", "MAKEFLAGS", "PROVIDER_URL_WHATSAPP", "DATA_DIR"}  # fmt: skip

PARTS = {"granian": "web", "worker": "worker", "beat": "beat", "sandbox": "sandbox"}
"""A word of the command line by which a part is known; its servers are known by their pid files."""

ORGANIZATIONS = """
from django.core.management import call_command
for slug in ("fault-one", "fault-two"):
    call_command("create_organization", slug)
    call_command("create_api_key", slug, scopes=["*"], environment="test")
"""

BUSY_MACHINE_S = 20.0
"""
What a recovery may take beyond the table's own time at this scale.

Processes do not start twenty times faster: a worker imports Django and forks in 3 s alone, in 10 s beside another
installation on the same two cores, and what was claimed before the fault ends first.
"""


def within(table_s: float, *, more_s: float = 0.0) -> float:
    """Return how long a recovery may take: the table's time at this scale, and what no scale shortens."""
    return table_s / SCALE + BUSY_MACHINE_S + more_s


def eventually(condition: Callable[[], object], *, within_s: float, what: str) -> float:
    """Wait until it is so and return after how many seconds; fail with words when it is not."""
    began = time.monotonic()
    while not (found := condition()):
        assert time.monotonic() - began < within_s, f"{what}: not within {within_s:.1f} s (last answer: {found!r})"
        time.sleep(0.1)
    return time.monotonic() - began


class Installation:
    """A running product and the hands that hurt it."""

    def __init__(self, data_dir: Path, **environment: str) -> None:
        self.data_dir, self.points = data_dir, data_dir / "points"
        self.points.mkdir(parents=True)
        port, sandbox_port = _free_port(), _free_port()
        self.url, self.sandbox_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{sandbox_port}"
        self.proxy = Proxy(sandbox_port)
        self.environment = _environment(
            DATA_DIR=str(data_dir), PORT=str(port), SANDBOX_PORT=str(sandbox_port), TIME_SCALE=str(SCALE),
            FAULT_POINTS=str(self.points), PROVIDER_URL_WHATSAPP=f"{self.proxy.url}/whatsapp", **environment,
        )  # fmt: skip
        self.keys: list[str] = []
        """An API key of each organization, of the test environment."""
        self._process: subprocess.Popen[bytes] | None = None

    # Life

    def start(self) -> None:
        """Start everything and wait until it is ready."""
        with (self.data_dir / "output.log").open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "config.parts"],
                cwd=processes.PROJECT_ROOT, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            assert processes.until(self._is_decided, timeout_s=READY_WITHIN_S), f"it does not start:\n{self.output}"
            assert self._process.poll() is None, self.output
            self.keys = self._make_organizations()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything; what does not listen is killed."""
        self.proxy.close()
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(timeout=STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            for make in runtime.SERVERS.values():
                processes.stop(make(self.data_dir))

    def heal(self) -> None:
        """Take every fault back and wait until all parts serve again; safe to repeat."""
        self.proxy.heal()
        for point in self.points.iterdir():
            point.unlink(missing_ok=True)
        for name in (*PARTS.values(), "postgres", "redis"):
            self.signal(name, signal.SIGCONT)
        eventually(self.is_ready, within_s=within(60), what="the product to be ready again")
        eventually(lambda: all(map(self.pid, PARTS.values())), within_s=within(60), what="every part to run again")
        requests.delete(f"{self.sandbox_url}/control/faults", timeout=30)

    @property
    def output(self) -> str:
        """What all parts have printed."""
        return (self.data_dir / "output.log").read_text(errors="replace")

    def is_ready(self) -> bool:
        """Return whether /readyz says yes."""
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{self.url}/readyz", timeout=5).status_code == requests.codes.ok
        return False

    # Hurting

    def arm(self, point: str, action: str = "kill") -> Callable[[], bool]:
        """Arm a point of the code once; return the question whether a process took it."""
        fresh = self.points / f".{point}.new"
        fresh.write_text(action)
        fresh.rename(self.points / point)  # whole or not at all: a process may look at this very moment
        return lambda: not (self.points / point).exists()

    def pid(self, part: str) -> int:
        """Return the process of a part or server; 0 while it does not run."""
        if part in runtime.SERVERS:
            return processes.pid_of(runtime.SERVERS[part](self.data_dir)) or 0
        return next((pid for pid, name in self._parts() if name == part), 0)

    def children(self, part: str) -> list[int]:
        """Return the processes that a part has started."""
        return _children_of(self.pid(part))

    def signal(self, part: str, number: signal.Signals) -> int:
        """Send a signal to a part's main process; return the process, 0 when there is none."""
        pid = self.pid(part)
        with contextlib.suppress(ProcessLookupError):
            if pid:
                os.kill(pid, number)
        return pid

    def kill(self, part: str) -> int:
        """End a part by SIGKILL; return the process that it was."""
        return self.signal(part, signal.SIGKILL)

    def psql(self, sql: str) -> str:
        """Run SQL as the database's superuser on the product's database."""
        return runtime.psql(self.data_dir, sql, database=runtime.DATABASE)

    @contextlib.contextmanager
    def redis(self) -> Iterator[redis.Redis]:
        """Connect to the product's Redis."""
        connection = redis.Redis(unix_socket_path=str(runtime.redis_socket(self.data_dir)), decode_responses=True)
        try:
            yield connection
        finally:
            connection.close()

    # Talking

    def control(self, method: str, path: str, **body: Any) -> Any:
        """Ask the vendor's stand-in, past the proxy."""
        answer = requests.request(method, f"{self.sandbox_url}/control/{path}", json=body or {}, timeout=30)
        assert answer.ok, f"{method} {path}: {answer.text}"
        return answer.json() if answer.content else None

    def _make_organizations(self) -> list[str]:
        done = subprocess.run(
            [sys.executable, "manage.py", "shell", "-v0", "-c", ORGANIZATIONS],
            cwd=processes.PROJECT_ROOT, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return re.findall(r"^\S+$", done.stdout, re.MULTILINE)

    def _is_decided(self) -> bool:
        assert self._process is not None
        return f"ready at {self.url}" in self.output or self._process.poll() is not None

    def _parts(self) -> Iterator[tuple[int, str]]:
        for pid in _children_of(self._process.pid if self._process else 0):
            words = _command_line(pid)
            if name := next((PARTS[word] for word in words if word in PARTS), ""):
                yield pid, name


def _environment(**own: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in OWN_TO_THE_SUITE}
    switches = {"SANDBOX": "1", "DEMO": "0", "HOST": "127.0.0.1", "EGRESS_ALLOW": "127.0.0.1:*,localhost:*"}
    return {**kept, **switches, **own}


def _children_of(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended while we looked
            state, ppid, *_rest = entry.read_text().rpartition(")")[2].split()
            if parent and int(ppid) == parent and state != "Z":
                found.append(int(entry.parent.name))
    return found


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
