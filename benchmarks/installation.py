"""
An installation of its own for one run: fresh and migrated, without workers, beat or sandbox.

It lives under `.data-bench` (BENCH_DATA_DIR) and is removed at the end. PostgreSQL runs as
`config.runtime` starts it, with fsync and synchronous_commit on.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.load import LOOPBACK
from config import parts, processes, runtime
from config.supervisor import only_one

FOLDER = os.environ.get("BENCH_DATA_DIR") or ".data-bench"
READY_WITHIN_S = 60.0
_NOT_OURS = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "CACHE_URL", "SANDBOX", "ADMIN_HOST", "ALLOWED_HOSTS")
"""Emptied, so that neither the environment nor `.env` leads a benchmark to a real server."""


@contextlib.contextmanager
def installed(*, kept_in: str = "") -> Iterator[Path]:
    """
    Make a migrated installation, set Django up on it, yield its data folder, and remove it.

    :param kept_in: a folder that is used as the last run left it and stays, where preparing takes long
    """
    folder = kept_in or FOLDER
    data_dir = processes.PROJECT_ROOT / folder
    with only_one(processes.PROJECT_ROOT / f"{folder}.lock"):
        if not kept_in:
            _remove(data_dir)  # left by a run that was killed
        os.environ.update(dict.fromkeys(_NOT_OURS, ""))
        os.environ.update(DATA_DIR=str(data_dir), ENVIRONMENT="development", HOST=LOOPBACK, PORT=str(_free_port()))
        os.environ.update(SANDBOX="0", DJANGO_SETTINGS_MODULE="config.settings.base")
        try:
            runtime.start_postgres(data_dir)
            runtime.start_redis(data_dir)
            _set_up_django()
            yield data_dir
        finally:
            _stop(data_dir)
            if not kept_in:
                _remove(data_dir)


@contextlib.contextmanager
def web(data_dir: Path) -> Iterator[tuple[int, int]]:
    """Run the web process as the product starts it; yield its process id and its port."""
    environment = parts.complete(os.environ, data_dir=data_dir)
    with (data_dir / "logs" / "web.log").open("wb") as log:
        process = subprocess.Popen(
            parts.web_command(environment),
            cwd=processes.PROJECT_ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    port = int(environment["PORT"])
    try:
        _wait_for(port, process, data_dir / "logs" / "web.log")
        yield process.pid, port
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def postmaster(data_dir: Path) -> int:
    """Return the process id of the installation's PostgreSQL."""
    return processes.read_pid(runtime.postgres(data_dir).pid_file)


def _set_up_django() -> None:
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate_organizations", stdout=open(os.devnull, "w"))  # noqa: SIM115 - ends with the process


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + READY_WITHIN_S
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the web process does not answer:\n{log.read_text(errors='replace')[-2000:]}")


def _stop(data_dir: Path) -> None:
    if data_dir.exists():
        runtime.stop_redis(data_dir)
        runtime.stop_postgres(data_dir)


def _remove(data_dir: Path) -> None:
    _stop(data_dir)
    if data_dir.exists():
        shutil.rmtree(data_dir)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        return int(found.getsockname()[1])
