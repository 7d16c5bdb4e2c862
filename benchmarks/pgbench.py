"""The yardstick: PostgreSQL's own pgbench inserting the row that receiving inserts, as the application's role."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import processes, runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Inserted:
    """One run: rows per second and how long a row took, in milliseconds."""

    rows: int
    per_second: float
    p50_ms: float
    p99_ms: float


def write_script(path: Path, *, organization_schema: str, route_id: str, link_id: str, sealed_body: bytes) -> None:
    """
    Write the product's own INSERT with these values in it; only id and digest are new for each row.

    Texts are written as hex, since pgbench takes a colon for the start of a variable.
    """
    from dispatch import inbox

    headers = json.dumps({"content-type": "application/json", "x-hub-signature-256": "[hidden]"})
    values: dict[str, Any] = {
        "id": "uuidv7()",
        "schema": _text(organization_schema),
        "link_id": f"'{link_id}'::uuid",
        "provider": _text("whatsapp"),
        "route_key": _text(f"route:{route_id}"),
        "digest": "uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())",
        "headers": f"{_text(headers)}::jsonb",
        "body": f"'\\x{sealed_body.hex()}'::bytea",
        "size": "1024",
        "now": "now()",
        "repeats": "false",
    }
    path.write_text(" ".join((inbox.STORE.sql % values).split()) + ";\n")


def insert(*, data_dir: Path, script: Path, connections: int, seconds: int) -> Inserted:
    """Insert for some seconds over this many connections, from one thread, with prepared statements."""
    log = data_dir / "pgbench"
    address = runtime.database_settings(data_dir, role="app")
    done = subprocess.run(
        [
            str(runtime.postgres_bin() / "pgbench"),
            *("-h", address["HOST"], "-p", address["PORT"], "-U", address["USER"]),
            *("-n", "-M", "prepared", "-c", str(connections), "-j", "1", "-T", str(seconds)),
            *("-f", str(script), "--log", f"--log-prefix={log}"),
            address["NAME"],
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=data_dir,
        env=processes.server_environment(),
    )
    if done.returncode:
        raise RuntimeError(f"pgbench: {done.stderr.strip()}")
    return _read(done.stdout, log.parent)


def _read(printed: str, folder: Path) -> Inserted:
    latencies_us = []
    for found in folder.glob("pgbench.*"):
        latencies_us += [int(line.split()[2]) for line in found.read_text().splitlines()]
        found.unlink()
    latencies_us.sort()
    rate = re.search(r"tps = ([\d.]+)", printed)
    if rate is None or not latencies_us:
        raise RuntimeError(f"pgbench inserted nothing:\n{printed}")
    rows = len(latencies_us)
    return Inserted(
        rows=rows,
        per_second=float(rate[1]),
        p50_ms=latencies_us[rows // 2] / 1000,
        p99_ms=latencies_us[rows * 99 // 100] / 1000,
    )


def _text(value: str) -> str:
    return f"convert_from('\\x{value.encode().hex()}'::bytea, 'UTF8')"
