"""What processes cost and how quiet the machine is, as Linux counts it under /proc."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count() or 1
_PROC = Path("/proc")


def descendants(pid: int) -> set[int]:
    """Return a process and all processes below it."""
    children: dict[int, list[int]] = {}
    for found, fields in _all_stats():
        children.setdefault(int(fields[1]), []).append(found)
    family, fresh = set(), [pid]
    while fresh:
        family.add(one := fresh.pop())
        fresh.extend(children.get(one, ()))
    return family


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process and its children used so far, those that ended included; 10 ms steps."""
    family = descendants(pid)
    return TICK_S * sum(sum(map(int, fields[11:15])) for found, fields in _all_stats() if found in family)


def pss_mb(pid: int) -> dict[int, float]:
    """Return the proportional memory of a process and each below it, in MB (2**20 bytes)."""
    found = {}
    for one in descendants(pid):
        with contextlib.suppress(OSError):
            lines = (_PROC / str(one) / "smaps_rollup").read_text().splitlines()
            found[one] = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return found


def busy_s() -> float:
    """Return the CPU seconds that everything on the machine used so far, with what the host took from it."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return TICK_S * (user + nice + system + irq + softirq + steal)


def probe_ms() -> float:
    """Time a fixed piece of work (about 30 ms alone on a core): the same work, so its spread is the machine's."""
    started_at = time.perf_counter()
    digest = b"noise"
    for _ in range(40_000):
        digest = hashlib.sha256(digest).digest()
    return 1000 * (time.perf_counter() - started_at)


def _all_stats() -> Iterator[tuple[int, list[str]]]:
    """Yield each process with the fields of its stat after the name: [0] state, [1] parent, [11:15] CPU ticks."""
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(folder.name), (folder / "stat").read_text().rpartition(")")[2].split()
