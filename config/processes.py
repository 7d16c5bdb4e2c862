"""
Servers as background or supervised processes: start, stop, become one, and tell a live one from a stale pid file.

Knows nothing of PostgreSQL or Redis; `config.runtime` describes those as `Server` values. The standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

PROJECT_ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 60.0  # crash recovery of a small database takes seconds; a slow disk gets some more
START_ATTEMPTS = 3  # PostgreSQL refuses to start while backends of a killed one still end
POLL_S = 0.05
STOP_SIGNAL_WAIT_S = 4.0  # per signal; a fast shutdown of an embedded server takes under a second
SYSTEM_USERS = ("postgres", "pgserver", "nobody")
"""Who may run PostgreSQL when we are root, in order; `pgserver` is created when the first is missing."""


class CannotStart(RuntimeError):
    """A server is missing or does not start; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One embedded server: where it lives, how it is asked whether it answers, how it is stopped."""

    name: str
    data_dir: Path
    folder: Path
    """Its data and its working folder."""
    log: Path
    pid_file: Path
    stop_signals: tuple[signal.Signals, ...]
    """From polite to final, in order."""
    command: Callable[[], list[str]]
    """Make what the server needs on disk and return its command line; raises `CannotStart`."""
    answers: Callable[[], bool]
    prepare_folders: Callable[[], None]
    """Make the folders that must exist before a lock or a log can."""
    user: pwd.struct_passwd | None = None
    """Whom to become first; None stays who we are."""


def start(server: Server) -> None:
    """
    Start a server in the background unless it answers, and wait until it does.

    :raises CannotStart: with the end of the server's log
    """
    server.prepare_folders()
    with _locked(server.log.with_suffix(".start")):
        if server.answers():
            return
        for _ in range(START_ATTEMPTS):
            if _answers_or_ends(server, _launch(server)):
                return
            time.sleep(10 * POLL_S)
        raise CannotStart(f"{server.name} does not start:\n{log_tail(server)}")


def stop(server: Server) -> bool:
    """Stop a server by its pid file, politely first; return whether it ran."""
    pid = pid_of(server)
    if pid is None:
        return False
    for number in server.stop_signals:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        if until(lambda: pid_of(server) is None, timeout_s=STOP_SIGNAL_WAIT_S):
            return True
    raise CannotStart(f"{server.name} (process {pid}) does not stop.")


def run(server: Server, *, detached: bool = False) -> NoReturn:
    """Become the server: prepare its folder, write to its log, end with the parent unless detached."""
    command = server.command()
    if detached and (pid := os.fork()):
        sys.stdout.write(str(pid))
        sys.stdout.flush()
        os._exit(0)
    if detached:
        os.setsid()
    log = os.open(server.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    if server.user is not None:
        os.setgroups([])
        os.setgid(server.user.pw_gid)
        os.setuid(server.user.pw_uid)
    os.chdir(server.folder)
    if not detached:
        die_with_parent(server.stop_signals[0])
    os.execve(command[0], command, server_environment())  # noqa: S606 - a path of ours, no shell


def die_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """Ask Linux to signal this process when its parent ends, even by SIGKILL; elsewhere nothing is possible."""
    if sys.platform != "linux":
        return
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(number), 0, 0, 0)
    parent = os.environ.get("SUPERVISOR_PID")
    if parent and os.getppid() != int(parent):  # it ended before we asked
        raise SystemExit(1)


def read_env_file(path: Path = PROJECT_ROOT / ".env") -> None:
    """Take what `.env` says into the environment where the environment says nothing, as the settings do."""
    if not path.exists():
        return
    for found in re.finditer(r"^\s*(?:export\s+)?(\w+)=(.*)$", path.read_text(), re.MULTILINE):
        os.environ.setdefault(found[1], found[2].strip().strip("'\""))


def log_tail(server: Server, *, lines: int = 10) -> str:
    """Return the end of a server's log."""
    if not server.log.exists():
        return ""
    return "\n".join(server.log.read_text(errors="replace").splitlines()[-lines:])


@functools.cache
def server_user() -> pwd.struct_passwd | None:
    """Find the user who runs PostgreSQL, which refuses to be root; None: whoever we are."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USERS[0])
    if shutil.which("useradd"):
        new = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USERS[1]]
        subprocess.run(new, check=False, capture_output=True)  # noqa: S603 - constants; the look-up below decides
    for name in SYSTEM_USERS[1:]:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise CannotStart("PostgreSQL refuses to run as root and no other user exists: run as another user.")


def own(folder: Path, user: pwd.struct_passwd | None) -> None:
    """Make a folder that only its user may enter; None: whoever we are."""
    folder.mkdir(exist_ok=True, mode=0o700)
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)


def let_pass(path: Path, *, user: pwd.struct_passwd) -> None:
    """Let the server's user pass through the folders above a path; passing is not listing or reading."""
    for folder in path.parents:
        found = folder.stat()
        if found.st_mode & stat.S_IXOTH or found.st_uid == user.pw_uid:
            continue
        folder.chmod(stat.S_IMODE(found.st_mode) | stat.S_IXOTH)
        sys.stderr.write(f"PostgreSQL refuses to be root and runs as {user.pw_name}, which may now pass {folder}\n")


def pid_of(server: Server) -> int | None:
    """Return the process of a running server; None when the pid file is absent, stale or another program's."""
    pid = read_pid(server.pid_file)
    if not is_alive(pid):
        return None
    with contextlib.suppress(OSError):
        if Path("/proc/self").exists():
            return pid if Path(f"/proc/{pid}/cwd").samefile(server.folder) else None
        shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
        return pid if server.name in shown.stdout else None
    return None


def is_abandoned(server: Server) -> bool:
    """
    Return whether a pid file that is found is left over: nothing works in the server's folder.

    Its number may be another program's (after a reboot) or an ended process's that nobody reaped (in a container);
    PostgreSQL takes both for a running server and refuses to start. Backends of a killed one still count.
    """
    return pid_of(server) is None and not _is_worked_in(server.folder)


def read_pid(path: Path) -> int:
    """Return the number in the first line of a pid file; 0 when there is none."""
    try:
        return int(path.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return 0


def is_alive(pid: int) -> bool:
    """Return whether a process has this number, whoever owns it; one that ended but was not reaped is not alive."""
    if pid <= 0:
        return False
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def until(condition: Callable[[], bool], *, timeout_s: float) -> bool:
    """Wait for a condition, asking often; return whether it was met."""
    end = time.monotonic() + timeout_s
    while not (met := condition()) and time.monotonic() < end:
        time.sleep(POLL_S)
    return met


def as_user(user: pwd.struct_passwd | None) -> dict[str, Any]:
    """Return the arguments with which `subprocess.run` becomes a user."""
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}


def server_environment() -> dict[str, str]:
    """Return an environment in which nothing of ours (PG* variables, a language) changes what the server does."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _is_worked_in(folder: Path) -> bool:
    for cwd in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):  # it ended while we looked, or is none of ours
            if cwd.samefile(folder):
                return True
    return False


def _answers_or_ends(server: Server, pid: int) -> bool:
    until(lambda: server.answers() or not is_alive(pid), timeout_s=START_TIMEOUT_S)
    return server.answers()


def _launch(server: Server) -> int:
    """Run a server detached and return its process id; raises `CannotStart` when its folder cannot be prepared."""
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-m", "config.runtime", "run", server.name, "--detached"],
        cwd=PROJECT_ROOT,
        env=os.environ | {"DATA_DIR": str(server.data_dir)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CannotStart(done.stderr.strip())
    return int(done.stdout)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":  # python -m config.processes COMMAND…: become the command, but end with the parent
    die_with_parent()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the supervisor's own command line, no shell
