"""
Processes full of threads that find the same token too old, all at once; made to be killed.

Each line of standard input is an order; the answer is two lines: the process ids, and later what each process that
lived to the end has seen. Forked from a process that has loaded everything, a caller costs milliseconds.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django


def main() -> None:
    """Carry out orders until standard input ends."""
    django.setup()
    for line in sys.stdin:
        order = json.loads(line)
        if "sweep" in order:
            _sweep()
            continue
        children = [_fork(order) for _number in range(order["processes"])]
        _say({"pids": [pid for pid, _pipe in children]})
        seen = [_read(pipe) for _pid, pipe in children]
        for pid, _pipe in children:
            os.waitpid(pid, 0)
        _say({"seen": seen})


def _sweep() -> None:
    from integrations.services import tokens

    pid = os.fork()
    if not pid:
        try:
            tokens.refresh_due_links()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    _say({})


def _fork(order: Mapping[str, Any]) -> tuple[int, int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    try:
        found = _call(order)
        with os.fdopen(writing, "w") as pipe:
            json.dump(found, pipe)
    finally:
        os._exit(0)


def _call(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    start = threading.Barrier(order["threads"])
    with ThreadPoolExecutor(order["threads"]) as pool:
        return list(pool.map(lambda _n: _refresh(order, start), range(order["threads"])))


def _refresh(order: Mapping[str, Any], start: threading.Barrier) -> dict[str, Any]:
    from django.db import connections

    from integrations.models import Integration
    from integrations.services import credentials, tokens
    from integrations.services.credentials import Purpose
    from tenants.context import in_organization, release_connection

    try:
        with in_organization(order["organization"]):
            integration = Integration.objects.get(pk=order["integration"])
            release_connection()
            start.wait(30)
            started_at = time.monotonic()
            tokens.refresh(integration, seen_version=order["seen"])
            waited_s = time.monotonic() - started_at
            return {
                "waited_s": waited_s,
                "token": credentials.open_for(integration, Purpose.CALL)["access_token"].reveal(),
            }
    except Exception as error:  # told to the test, which expects none
        return {"error": repr(error)}
    finally:
        connections.close_all()


def _read(pipe: int) -> list[dict[str, Any]] | None:
    with os.fdopen(pipe) as file:
        text = file.read()
    return json.loads(text) if text else None


def _say(facts: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
