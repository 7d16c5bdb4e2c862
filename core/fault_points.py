"""
Places where a test may kill or delay a process: `reach("outbox.after_call")`.

Nothing happens unless `FAULT_POINTS` names a folder and the folder holds a file of the point's name; then the first
process that takes the file away does what it says: `kill` (SIGKILL to itself), `sleep SECONDS` or `raise`.
Production ignores the variable.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

FOLDER = "" if os.environ.get("ENVIRONMENT") == "production" else os.environ.get("FAULT_POINTS", "")


class FaultInjected(RuntimeError):
    """A test wanted a crash here."""


def reach(name: str) -> None:
    """Say that the process is at this point; does nothing unless a test armed it."""
    if FOLDER and (action := _take(Path(FOLDER) / name)):
        _act(name, action)


def _take(path: Path) -> str:
    """Take the order away; of several processes that reach the point one gets it."""
    mine = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        path.rename(mine)
        action = mine.read_text().strip()
        mine.unlink()
        return action
    return ""


def _act(name: str, action: str) -> None:
    verb, _, argument = action.partition(" ")
    if verb == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif verb == "sleep":
        time.sleep(float(argument))
    else:
        raise FaultInjected(name)
