"""
What the installation that runs here was started with, for the commands that somebody types beside it.

`make run` chooses ports and the sandbox for its own processes. A `manage.py check_integrations` in another terminal
must not ask the real vendors with the sandbox's tokens, so it takes the same choices where its environment makes none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

FILE = "running.json"
NAMES = frozenset({"HOST", "PORT", "PUBLIC_URL", "SANDBOX", "SANDBOX_URL", "EGRESS_ALLOW"})
PREFIX = "PROVIDER_URL_"


def write_down(environment: Mapping[str, str], *, data_dir: Path) -> None:
    """Write which choices this process, the supervisor, started with; no setting that is a secret is among them."""
    chosen = {name: value for name, value in environment.items() if name in NAMES or name.startswith(PREFIX)}
    (data_dir / FILE).write_text(json.dumps({"pid": os.getpid(), "environment": chosen}))


def forget(data_dir: Path) -> None:
    """Remove what was written down."""
    (data_dir / FILE).unlink(missing_ok=True)


def join(environment: MutableMapping[str, str], *, data_dir: Path) -> bool:
    """Take the choices of the installation that runs on a data folder, where `environment` makes none."""
    try:
        told = json.loads((data_dir / FILE).read_text())
        is_alive = _is_alive(int(told["pid"]))
        chosen = {str(name): str(value) for name, value in told["environment"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False  # nothing runs, or another release wrote something else
    if is_alive:
        for name, value in chosen.items():
            environment.setdefault(name, value)
    return is_alive


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # somebody else's process
    except OSError:
        return False
    return True
