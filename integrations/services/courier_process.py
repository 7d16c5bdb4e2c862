"""
The process in which tokens are renewed: in a session of its own, at most one per machine and database.

It is started by whoever needs it and outlives them: neither killing its starter nor stopping a worker with all its
children reaches it. `python -m integrations.services.courier_process LOCK` takes the lock, or ends before Django is
loaded when another holds it. Nothing secret is passed on: what to renew stands in the database.

SIGTERM asks it to begin nothing more: an idle one ends at once, one at work when what the vendor answered is stored.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

MODULE = "integrations.services.courier_process"
PROBE_S = 0.02
TRIES = 10
"""Somebody who looks whether a courier is at work holds the lock, shared, for an instant."""

LOCK_NAME = "courier-{}.lock"
STOP_LOOK_S = 0.05

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def ensure(lock: Path, *, folder: Path) -> bool:
    """
    Start a courier unless one is at work here; return whether one was started.

    :param lock: the file whose lock the courier holds as long as it lives
    :param folder: where the project lies
    """
    if is_at_work(lock):
        return False
    process = subprocess.Popen(  # noqa: S603 - our own module, no shell
        [sys.executable, "-m", MODULE, str(lock)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # it logs to standard error, which it shares with its starter
        start_new_session=True,
    )
    threading.Thread(target=process.wait, name="courier-reaper", daemon=True).start()  # no zombie is left
    return True


def lock_file(data_dir: Path, place: str) -> Path:
    """Name the lock of the couriers of one database: several may be worked on from one data folder."""
    return data_dir / LOCK_NAME.format(hashlib.sha256(place.encode()).hexdigest()[:12])


def stop(lock_folder: Path, wait_s: float) -> bool:
    """
    Ask the couriers of a data folder to end, and wait for it; return whether none is left.

    One that waits for a vendor is left alone after `wait_s`: it ends when it has stored the answer, which nobody could
    ask the vendor for again. Those who want tokens start couriers: stop them first, or call this again when they are.
    """
    until, asked = time.monotonic() + wait_s, set[int]()
    while at_work := [lock for lock in lock_folder.glob(LOCK_NAME.format("*")) if is_at_work(lock)]:
        for pid in {pid for lock in at_work for pid in _holders(lock)} - asked:
            asked.add(pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGTERM)
        if time.monotonic() >= until:
            return False
        time.sleep(STOP_LOOK_S)
    return True


def is_at_work(lock: Path) -> bool:
    """Whether a living process of this machine holds the lock."""
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def identity(lock: Path) -> uuid.UUID:
    """
    Name the lock file, and with it this machine since its last boot.

    Whoever holds the lock knows that all earlier couriers of the same name have ended.
    """
    with lock.open("a") as file:
        found = os.fstat(file.fileno())
    boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else hex(uuid.getnode())
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{boot}:{found.st_dev}:{found.st_ino}")


@contextlib.contextmanager
def held(lock: Path) -> Iterator[bool]:
    """Hold the lock for a block, if nobody else does; yield whether it is held. The file says who holds it."""
    with lock.open("a") as file:
        is_held = _take(file)
        if is_held:
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        yield is_held
        if is_held:
            file.truncate(0)
            fcntl.flock(file, fcntl.LOCK_UN)


def _holders(lock: Path) -> list[int]:
    """The process that holds a lock; none when it took it an instant ago."""
    text = lock.read_text()
    return [int(text)] if text.isdecimal() else []


def _take(file: IO[str]) -> bool:
    for _try in range(TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(PROBE_S)
    return False


def _main(lock: Path) -> None:
    """Work; what was asked for while we were leaving is found by the last look, and left to another process."""
    is_stopped = threading.Event()
    with held(lock) as is_held:
        if not is_held:
            return
        signal.signal(signal.SIGTERM, lambda *_: is_stopped.set())
        _set_up()
        from integrations.services import courier

        courier.work(identity(lock), is_stopped=is_stopped)
    if not is_stopped.is_set() and courier.is_anything_due():
        ensure(lock, folder=Path.cwd())


def _set_up() -> None:
    import django

    django.setup()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
