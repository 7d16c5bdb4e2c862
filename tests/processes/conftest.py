"""The whole product, started once for the tests that look at it from outside: a browser, the hunt for secrets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from config import processes, runtime

READY_WITHIN_S = 180.0
"""A first start takes about 20 s alone; a machine that runs the rest of the suite beside it gets much more."""

STOP_WITHIN_S = 12.0
OWN_TO_THE_SUITE = {"DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "CACHE_URL", "DJANGO_SETTINGS_MODULE",
                    "PYTHONPATH", "MAKEFLAGS", "PROVIDER_URL_WHATSAPP"}  # fmt: skip
"""Variables of this process that would lead the product to other servers or settings."""


@dataclass(frozen=True, slots=True)
class Product:
    """A running installation with its demo; `demo` is what its `demo.json` says."""

    url: str
    sandbox_url: str
    data_dir: Path
    demo: dict[str, Any]
    environment: dict[str, str]

    @property
    def output(self) -> str:
        """What all its processes have printed so far, each line with the name of its part."""
        return _output(self.data_dir)

    def manage(self, *arguments: str, **variables: str) -> str:
        """Run a management command on this installation and return what it prints; fail when it fails."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=processes.PROJECT_ROOT,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Start servers, web, worker, beat, sandbox and demo in a folder of their own; stop them at the end."""
    data_dir = tmp_path_factory.mktemp("product") / "data"
    data_dir.mkdir()
    port, sandbox_port = _free_port(), _free_port()
    url, sandbox_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{sandbox_port}"
    environment = _environment(data_dir, PORT=str(port), SANDBOX_PORT=str(sandbox_port))
    process = _start(data_dir, environment)
    try:
        _wait_until_ready(process, data_dir, url)
        demo = json.loads((data_dir / "demo.json").read_text())
        yield Product(url=url, sandbox_url=sandbox_url, data_dir=data_dir, demo=demo, environment=environment)
    finally:
        _stop(process, data_dir)


def _environment(data_dir: Path, **own: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in OWN_TO_THE_SUITE}
    switches = {"SANDBOX": "1", "DEMO": "1", "HOST": "127.0.0.1", "EGRESS_ALLOW": "127.0.0.1:*,localhost:*"}
    return {**kept, **switches, **own, "DATA_DIR": str(data_dir)}


def _start(data_dir: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with (data_dir / "output.log").open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "config.parts"],
            cwd=processes.PROJECT_ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_until_ready(process: subprocess.Popen[bytes], data_dir: Path, url: str) -> None:
    is_decided = processes.until(
        lambda: f"ready at {url}" in _output(data_dir) or process.poll() is not None, timeout_s=READY_WITHIN_S
    )
    assert is_decided, f"not ready after {READY_WITHIN_S:.0f} s:\n{_output(data_dir)}"
    assert process.poll() is None, _output(data_dir)
    assert (data_dir / "demo.json").exists(), f"the demo was not made:\n{_output(data_dir)}"


def _stop(process: subprocess.Popen[bytes], data_dir: Path) -> None:
    """Ask the supervisor to stop; one that does not is killed, and its children end with it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        for make in runtime.SERVERS.values():
            processes.stop(make(data_dir))


def _output(data_dir: Path) -> str:
    return (data_dir / "output.log").read_text(errors="replace")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
