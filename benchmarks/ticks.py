"""
What one tick of every sweep costs when nothing is due: statements and milliseconds, by the number of organizations.

Organizations are real, each with ten links that are not due. BENCH_SIZES names the numbers (1,100; with LONG=1
1,100,1000). A sweep that looped over schemas would show it here.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from benchmarks import installation, machine
from benchmarks.health_sweep import prepare
from benchmarks.load import LOOPBACK
from benchmarks.report import Bar, Outcome, Spread, Table

_USUAL = "1,100,1000" if os.environ.get("LONG") else "1,100"
SIZES = [int(size) for size in (os.environ.get("BENCH_SIZES") or _USUAL).split(",")]
REPEATS = 7
NOWHERE = f"http://{LOOPBACK}:9"
"""Where the vendor would be; no tick with nothing due calls one."""

MOST_GROWTH = 2.0
"""How much slower a tick may be at the largest number than at the smallest: indexes grow, and machines are noisy."""

TOO_SHORT_MS = 5.0
"""Ticks below this are compared with this: their noise is larger than they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One sweep at one number of organizations."""

    statements: int
    took_ms: Spread


def measure() -> Outcome:
    """Grow one fresh installation from number to number and tick every sweep at each."""
    os.environ["PROVIDER_URL_STRIPE"] = NOWHERE
    with installation.installed():
        probes, found = [], {}
        for size in SIZES:
            prepare(size)
            _make_nothing_due()
            probes.append(machine.probe_ms())
            found[size] = {name: _tick(task) for name, task in _tasks().items()}
        return _outcome(found, Spread(tuple(probes)))


def _make_nothing_due() -> None:
    """Give new links the first due times that the sweeps would hand out over their first ticks."""
    from core import clock
    from dispatch.models import Link

    tomorrow = clock.now() + timedelta(days=1)
    Link.objects.update(next_check_at=tomorrow, next_drift_at=tomorrow, next_reconcile_at=tomorrow)


def _tasks() -> dict[str, Callable[[], None]]:
    from config.celery import SCHEDULE, app

    app.loader.import_default_modules()
    return {name: app.tasks[entry["task"]] for name, entry in SCHEDULE.items()}


def _tick(task: Callable[[], None]) -> Tick:
    for _ in range(2):
        task()  # what new links give it to do once: first due times, partitions
    took_ms, counted = [], []
    for _ in range(REPEATS):
        with _counting() as statements:
            started_at = time.perf_counter()
            task()
            took_ms.append(1000 * (time.perf_counter() - started_at))
        counted.append(len(statements))
    return Tick(statements=min(counted), took_ms=Spread(tuple(took_ms)))


@contextlib.contextmanager
def _counting() -> Iterator[list[str]]:
    from django.db import connections

    statements: list[str] = []

    def count(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        statements.append(sql)
        return execute(sql, params, many, context)

    with contextlib.ExitStack() as stack:
        for alias in connections:
            stack.enter_context(connections[alias].execute_wrapper(count))
        yield statements


def _outcome(found: dict[int, dict[str, Tick]], noise: Spread) -> Outcome:
    names = list(found[SIZES[0]])
    rows = [[name, *(cell for size in SIZES for cell in _cells(found[size][name]))] for name in names]
    columns = ["sweep", *(title for size in SIZES for title in (f"statements at {size:,}", f"ms at {size:,}"))]
    grown = [name for name in names if _has_grown(found[SIZES[0]][name], found[SIZES[-1]][name])]
    total = {size: sum(tick.took_ms.median for tick in found[size].values()) for size in SIZES}
    return Outcome(
        tables=[Table(title="One tick with nothing due; organizations of ten links", columns=columns, rows=rows)],
        bars=[
            Bar(
                name="sweeps that grow with organizations", wanted="none", measured=", ".join(grown) or "none",
                is_met=not grown,
            )
        ],
        notes=[
            "All sweeps together: " + ", ".join(f"{total[size]:.0f} ms at {size:,}" for size in SIZES) + ".",
            f"Noise: a fixed piece of work took {noise.text(1)} ms.",
        ],
        figures={
            str(size): {
                name: {"statements": one.statements, "ms": round(one.took_ms.median, 2)} for name, one in ticks.items()
            }
            for size, ticks in found.items()
        },
    )  # fmt: skip


def _cells(tick: Tick) -> tuple[str, str]:
    return str(tick.statements), f"{tick.took_ms.median:.1f}"


def _has_grown(small: Tick, large: Tick) -> bool:
    slower = large.took_ms.median > MOST_GROWTH * max(small.took_ms.median, TOO_SHORT_MS)
    return large.statements > small.statements or slower
