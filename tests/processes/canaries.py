"""Planting secrets that can be recognized, and searching for them in whatever encoding they may have left in."""

from __future__ import annotations

import base64
import mmap
import os
import secrets
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import redis

from config import runtime

SHOWN_AT_MOST = 4
"""The last characters of a secret may be shown (RELIABILITY 5.8), so they are not searched for."""

CORE_LENGTH = 24
"""Characters that are searched for: enough that chance never makes them, and that a cut-off secret is found too."""

OWN_TO_THE_VENDOR = ("sandbox/",)
"""The sandbox plays the vendor, who knows its own tokens; its database and files are not ours."""

ON_PURPOSE = ("demo.json",)
"""Holds the demo's login and API keys for its owner alone (mode 0600); no canary belongs there either way."""


@dataclass(frozen=True, slots=True)
class Canary:
    """One planted secret and the part of it that is searched for."""

    name: str
    text: str

    @property
    def core(self) -> bytes:
        """The recognizable middle: without a vendor's prefix and without what may be shown."""
        return self.text.encode()[-SHOWN_AT_MOST - CORE_LENGTH : -SHOWN_AT_MOST]


@dataclass(frozen=True, slots=True)
class Hit:
    """Where a canary was found, and in which form."""

    canary: str
    form: str
    place: str
    around: str = ""


def new_canary(name: str) -> Canary:
    """Make a secret that no rule of redaction knows by its shape, with characters that each encoding changes."""
    return Canary(name, f"canary/+%&=\"'<{secrets.token_hex(16)}")


def forms(canary: Canary) -> dict[str, bytes]:
    """
    Return what to search for: the core as it is, and as it looks inside a longer text that was encoded.

    The core is letters and digits, so texts that are URL-encoded, JSON-escaped or HTML-escaped hold it as it is.
    """
    core = canary.core
    found = {"plain": core, "hex": core.hex().encode(), "hex (upper case)": core.hex().upper().encode()}
    for offset in range(3):
        # What stands before shifts the groups of three bytes; the first and last groups mix with the neighbors.
        encoded = base64.b64encode(bytes(offset) + core)
        found[f"base64 at {offset}"] = encoded[4:].rstrip(b"=")[:-1]
    return found


def hits(canaries: Iterable[Canary], content: bytes | mmap.mmap, *, place: str) -> Iterator[Hit]:
    """Yield every canary found in a text or a file."""
    for canary in canaries:
        for form, needle in forms(canary).items():
            at = content.find(needle)
            if at >= 0:
                around = bytes(content[max(0, at - 160) : at + 160]).decode(errors="replace")
                yield Hit(canary.name, form, place, around)


def files_of(data_dir: Path) -> Iterator[tuple[str, Path]]:
    """Walk the files of an installation that may hold no secret, with their names inside the folder."""
    for folder, _folders, names in os.walk(data_dir):
        for name in names:
            path = Path(folder, name)
            inside = path.relative_to(data_dir).as_posix()
            if path.is_file() and not inside.startswith(OWN_TO_THE_VENDOR) and inside not in ON_PURPOSE:
                yield inside, path


def hits_in_files(canaries: list[Canary], data_dir: Path) -> list[Hit]:
    """Search the raw files: tables with their dead rows, the write-ahead log, Redis' journal, logs, kept files."""
    found: list[Hit] = []
    for inside, path in files_of(data_dir):
        if inside == "output.log":  # searched without the lines of the sandbox
            continue
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                    found.extend(hits(canaries, content, place=inside))
    return found


def output_of(text: str) -> bytes:
    """Return what the product printed, without the lines of the vendor's stand-in."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("sandbox ")).encode()


def database_dump(data_dir: Path) -> bytes:
    """Return all tables of all schemas as text; binary values are in hexadecimal."""
    command = [
        str(runtime.postgres_bin() / "pg_dump"),
        *("-h", str(runtime.run_dir(data_dir) / "postgres"), "-p", runtime.PORT, "-U", runtime.SUPERUSER),
        *("--data-only", runtime.DATABASE),
    ]
    return subprocess.run(command, capture_output=True, check=True).stdout


def redis_content(data_dir: Path) -> bytes:
    """Return all keys and values of all databases of Redis, queues among them."""
    lines: list[bytes] = []
    for number in range(16):
        connection = redis.Redis(unix_socket_path=str(runtime.redis_socket(data_dir)), db=number)
        for key in connection.scan_iter(count=1000):
            read = _READ[connection.type(key).decode()]
            lines += [key, repr(read(connection, key)).encode()]
        connection.close()
    return b"\n".join(lines)


def command_lines() -> bytes:
    """Return the command lines of all processes of this machine that we may read."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" "))
        except OSError:  # it ended while we looked
            continue
    return b"\n".join(lines)


_READ: Mapping[str, Callable[[redis.Redis, bytes], object]] = {
    "string": lambda server, key: server.get(key),
    "list": lambda server, key: server.lrange(key, 0, -1),
    "set": lambda server, key: server.smembers(key),
    "hash": lambda server, key: server.hgetall(key),
    "zset": lambda server, key: server.zrange(key, 0, -1, withscores=True),
    "stream": lambda server, key: server.xrange(key),
}
