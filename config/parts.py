"""
What a whole installation on one machine consists of, in the order it starts: `python -m config.parts [stop]`.

The servers that no address in the environment replaces, the migrations, the sandbox, web, worker and beat, and
the demo. `manage.py up` becomes this process; `manage.py up web` becomes one part of it.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from config import canary, processes, running, runtime
from config.supervisor import Failed, Part, Stopped, Supervisor, only_one, parent_was_interrupted, stop_other
from integrations.services import courier_process

PYTHON = sys.executable
MANAGE = (PYTHON, str(processes.PROJECT_ROOT / "manage.py"))
UNDER_SUPERVISION = (PYTHON, "-m", "config.processes")
"""In front of a command: become it, but end with the supervisor."""

LOCK = "supervisor.lock"
QUEUES = "inbound,outbound,refresh,health,bulk"
BLOCKING_THREADS = "16"  # requests in work per web process; each may hold one pooled connection
CONNECTIONS = "512"  # granian counts open connections, idle ones too: beyond this it stops accepting, not answering
ROOT_WARNING = "ignore:You're running the worker"  # Celery as root is dangerous with pickle, which no setting allows
SANDBOX_PORT_DISTANCE = 420  # 8000 -> 8420, the port of the sandbox in every document
SERVERS_READY_WITHIN_S = 60.0
PARTS_READY_WITHIN_S = 90.0  # a web process imports Django in 2 s; a machine busy with other things gets more
PORT_FREE_WITHIN_S = 8.0  # the parts of a supervisor that was killed need some seconds to end


def web_command(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the command of a web process: granian, WSGI, no access log (requests are logged by the product)."""
    options = {
        "interface": "wsgi",
        "http": "1",
        "host": environment.get("HOST", "127.0.0.1"),
        "port": environment.get("PORT", "8000"),
        "workers": environment.get("WEB_WORKERS", "1"),
        "blocking-threads": environment.get("WEB_THREADS", BLOCKING_THREADS),
        "backpressure": CONNECTIONS,
        "workers-kill-timeout": "5",
        "log-level": "error",  # its one warning at each start is about the threads, which are chosen above
    }
    flags = ("--no-ws", "--no-access-log", "--respawn-failed-workers")
    return (PYTHON, "-m", "granian", *_words(options), *flags, "config.wsgi:application")


def worker_command(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the command of a worker: prefork only, because Celery's thread pool discards time limits."""
    options = {
        "pool": "prefork",
        "concurrency": environment.get("WORKER_CONCURRENCY", "2"),
        "queues": environment.get("WORKER_QUEUES", QUEUES),
        "loglevel": environment.get("LOG_LEVEL", "WARNING"),
    }
    return (
        PYTHON,
        "-m",
        "celery",
        "--quiet",
        "-A",
        "config",
        "worker",
        *_words(options),
        "--without-gossip",
        "--without-mingle",
    )


def beat_command(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the command of beat; its schedule file is a setting."""
    options = {"loglevel": environment.get("LOG_LEVEL", "WARNING"), "pidfile": ""}
    return (PYTHON, "-m", "celery", "--quiet", "-A", "config", "beat", *_words(options))


def sandbox_command(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the command of the sandbox."""
    options = {
        "host": environment.get("HOST", "127.0.0.1"),
        "port": environment.get("SANDBOX_PORT", "8420"),
        "data-dir": str(runtime.data_dir() / "sandbox"),
    }
    return (PYTHON, "-m", "sandbox", *_words(options))


COMMANDS: dict[str, Callable[[Mapping[str, str]], tuple[str, ...]]] = {
    "sandbox": sandbox_command,
    "web": web_command,
    "worker": worker_command,
    "beat": beat_command,
}


def servers(data_dir: Path, environment: Mapping[str, str]) -> list[Part]:
    """Return the embedded servers that no address in the environment replaces."""
    replaced_by = {"postgres": "DATABASE_URL", "redis": "REDIS_URL"}
    wanted = [runtime.SERVERS[name](data_dir) for name in replaced_by if not environment.get(replaced_by[name])]
    return [
        Part(
            name=server.name,
            command=(PYTHON, "-m", "config.runtime", "run", server.name),
            ready=server.answers,
            stop_signal=server.stop_signals[0],
            is_server=True,
        )
        for server in wanted
    ]


def product(environment: Mapping[str, str]) -> dict[str, Part]:
    """Return the processes of the product by name, the sandbox among them where it is wanted."""
    host = environment["HOST"]
    ready = {
        "web": functools.partial(_answers, host, int(environment["PORT"]), "/readyz"),
        "sandbox": functools.partial(_answers, host, int(environment["SANDBOX_PORT"]), "/"),
    }
    silent = {"worker": _watched(environment).is_silent}
    return {
        name: Part(
            name=name,
            command=(*UNDER_SUPERVISION, *command(environment)),
            ready=ready.get(name, lambda: True),
            is_silent=silent.get(name, lambda since: False),
            hears=("beat",) if name in silent else (),
        )
        for name, command in COMMANDS.items()
        if name != "sandbox" or is_on(environment, "SANDBOX")
    }


def is_on(environment: Mapping[str, str], name: str) -> bool:
    """Return whether a switch is set, in the spellings that the settings accept."""
    return environment.get(name, "").lower() in {"1", "true", "yes", "on"}


def complete(environment: Mapping[str, str], *, data_dir: Path) -> dict[str, str]:
    """Return the environment of all parts: absolute folders, ports settled, output unbuffered."""
    host, port = environment.get("HOST") or "127.0.0.1", environment.get("PORT") or "8000"
    sandbox_port = environment.get("SANDBOX_PORT") or _sandbox_port(host, int(port))
    return {
        **environment,
        "DATA_DIR": str(data_dir),
        "HOST": host,
        "PORT": port,
        "SANDBOX_PORT": sandbox_port,
        "SANDBOX_URL": environment.get("SANDBOX_URL") or f"http://{_reachable(host)}:{sandbox_port}",
        canary.HEARTBEAT: str(data_dir / "worker.heartbeat"),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": environment.get("PYTHONWARNINGS") or ROOT_WARNING,
        "MALLOC_ARENA_MAX": "2",  # glibc gives each thread an arena; 16 threads cost 40 MB for nothing
    }


def run_all(supervisor: Supervisor, data_dir: Path) -> None:
    """Start everything in order, show the demo's banner, keep it alive; raises `Failed` or `Stopped`."""
    environment = supervisor.environment
    embedded, made = servers(data_dir, environment), product(environment)
    first = [*embedded, *(made[name] for name in made if name == "sandbox")]
    supervisor.say(f"starting on {data_dir}")
    running.write_down(environment, data_dir=data_dir)
    (data_dir / "static").mkdir(exist_ok=True)  # whitenoise warns at each start where it is missing
    for part in embedded:
        processes.stop(runtime.SERVERS[part.name](data_dir))  # left by a script, or by a supervisor that was killed
    _wait_for_port(supervisor, environment["HOST"], int(environment["PORT"]))
    supervisor.start(first, timeout_s=SERVERS_READY_WITHIN_S)
    if "postgres" in supervisor.running:
        supervisor.run_step("postgres", (PYTHON, "-m", "config.runtime", "roles"))
    supervisor.run_step("migrate", (*UNDER_SUPERVISION, *MANAGE, "migrate_organizations"))
    supervisor.start([made["web"], made["worker"]], timeout_s=PARTS_READY_WITHIN_S)
    supervisor.start([made["beat"]], timeout_s=PARTS_READY_WITHIN_S)  # apart: the page answers a second earlier
    if is_on(environment, "DEMO"):
        try:
            supervisor.run_step("demo", (*UNDER_SUPERVISION, *MANAGE, "demo"), plain=True)
        except Failed as problem:
            supervisor.say(f"{problem} The product runs without it.")
    supervisor.say(f"ready at http://{_reachable(environment['HOST'])}:{environment['PORT']} (Ctrl-C stops everything)")
    supervisor.watch()


def stop_all(data_dir: Path) -> None:
    """Stop the installation of a data folder, wherever it was started, and servers that outlived it."""
    stop_other(data_dir / LOCK)
    for make in runtime.SERVERS.values():
        processes.stop(make(data_dir))


def main() -> None:
    """Run the installation until a signal (`stop`: end the one that runs); exit 1 with one sentence on failure."""
    processes.read_env_file()
    try:
        (stop_all if sys.argv[1:] == ["stop"] else run_until_signal)(runtime.data_dir())
    except (Failed, processes.CannotStart) as problem:
        sys.exit(f"Cannot run: {problem}")


def run_until_signal(data_dir: Path) -> None:
    """Run the installation in this process; raises `Failed`, `CannotStart`."""
    runtime.make_folders(data_dir)
    supervisor = Supervisor(complete(os.environ, data_dir=data_dir), processes.PROJECT_ROOT)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, supervisor.request_stop)
    if is_on(os.environ, "STOP_WITH_PARENT"):  # make run: nothing may outlive make
        processes.die_with_parent()
        supervisor.wants_stop = parent_was_interrupted()
    with contextlib.suppress(Stopped), only_one(data_dir / LOCK), _stopping(supervisor, data_dir):
        run_all(supervisor, data_dir)


@contextlib.contextmanager
def _stopping(supervisor: Supervisor, data_dir: Path) -> Iterator[None]:
    try:
        yield
    finally:
        supervisor.say("stopping")
        running.forget(data_dir)
        courier_process.stop(data_dir, 0)  # a busy one stores while the parts stop and the database is still there
        supervisor.stop()
        courier_process.stop(data_dir, 1)  # one that a worker started meanwhile
        supervisor.say("stopped")


def _watched(environment: Mapping[str, str]) -> canary.Canary:
    url, data_dir = environment.get("REDIS_URL"), Path(environment["DATA_DIR"])
    return canary.Canary(
        Path(environment[canary.HEARTBEAT]),
        redis_answers=canary.redis_of(url) if url else runtime.redis(data_dir).answers,
        silent_after_s=canary.silent_after_s(environment),
    )


def _answers(host: str, port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(_reachable(host), port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _wait_for_port(supervisor: Supervisor, host: str, port: int) -> None:
    end = time.monotonic() + PORT_FREE_WITHIN_S
    if not _is_free(host, port):
        supervisor.say(f"{host}:{port} is taken; waiting in case an earlier run is still ending")
    while not _is_free(host, port):
        if time.monotonic() > end:
            raise Failed(f"{host}:{port} is taken by another program: make run PORT={port + 1}")
        supervisor.tick()


def _sandbox_port(host: str, port: int) -> str:
    preferred = port + SANDBOX_PORT_DISTANCE
    if preferred <= 65_535 and _is_free(host, preferred):  # noqa: PLR2004 - the last port there is
        return str(preferred)
    with socket.socket() as found:
        found.bind((host, 0))
        return str(found.getsockname()[1])


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return True
    return False


def _reachable(host: str) -> str:
    return "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 - a comparison


def _words(options: Mapping[str, str]) -> Iterator[str]:
    return (f"--{name}={value}" for name, value in options.items())


if __name__ == "__main__":
    main()
