"""
A backlog: stored webhooks that waited while no worker ran, worked off by one worker as the product starts it.

Once all of one link, once over 100 links of 20 organizations. While it drains, another organization's webhooks come
in, one every two seconds: how long they take tells whether a backlog starves what is new. PostgreSQL, Redis and the
worker share the machine's cores. BENCH_ROUNDS sets the rounds (1; with LONG=1 3), BENCH_SCALE the size.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import installation, machine, workers
from benchmarks.report import Bar, Outcome, Spread, Table

ROUNDS = int(os.environ.get("BENCH_ROUNDS") or (3 if os.environ.get("LONG") else 1))
STORED = int(20_000 * float(os.environ.get("BENCH_SCALE") or 1))
SPREADS = {"1 link": (1, 1), "100 links": (20, 5)}
"""Organizations, and links of each."""

FLOOR_PER_SECOND = 300
EVERY_S = 2.0  # less than a link's share of the floor over 101 links: more would wait for itself
INSERTED_AT_ONCE = 2_000
NEVER_S = 600.0
"""A backlog that is not gone after this is an error, not a figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """One drain: deliveries per second, and how long new ones of another link took, in milliseconds."""

    per_second: float
    new_p50_ms: float
    new_p95_ms: float
    new_count: int
    worker_ms: float
    postgres_ms: float
    probe_ms: float


def measure() -> Outcome:
    """Drain each spread on one installation."""
    numbers = itertools.count()
    with installation.installed() as data_dir:
        quiet = workers.connect(workers.organizations(1, prefix="quiet")[0])
        found = {
            name: [_drain(data_dir, _links(name, number), quiet, numbers) for number in range(ROUNDS)]
            for name in SPREADS
        }
    return _outcome(found)


def _links(name: str, number: int) -> list[workers.Connected]:
    organizations, links = SPREADS[name]
    prefix = f"noisy-{organizations}-{number}"
    return [
        workers.connect(schema) for schema in workers.organizations(organizations, prefix=prefix) for _ in range(links)
    ]


def _drain(
    data_dir: Path, links: Sequence[workers.Connected], quiet: workers.Connected, numbers: itertools.count[int]
) -> Drained:
    from dispatch.models import WebhookDelivery

    probe_ms = machine.probe_ms()
    WebhookDelivery.objects.all().delete()
    _store(links, numbers)
    with workers.working(data_dir) as pid:
        before = machine.cpu_s(pid), machine.cpu_s(installation.postmaster(data_dir))
        started = time.monotonic()
        fresh = _receive_until_drained(links, quiet, numbers)
        took_s = time.monotonic() - started
        after = machine.cpu_s(pid), machine.cpu_s(installation.postmaster(data_dir))
    return Drained(
        per_second=(STORED + len(fresh)) / took_s,
        new_p50_ms=_percentile(fresh, 0.5),
        new_p95_ms=_percentile(fresh, 0.95),
        new_count=len(fresh),
        worker_ms=1000 * (after[0] - before[0]) / STORED,
        postgres_ms=1000 * (after[1] - before[1]) / STORED,
        probe_ms=probe_ms,
    )


def _store(links: Sequence[workers.Connected], numbers: itertools.count[int]) -> None:
    from dispatch.models import WebhookDelivery

    share = STORED // len(links)
    for link in links:
        first = next(numbers) * STORED
        for start in range(0, share, INSERTED_AT_ONCE):
            span = range(first + start, first + min(share, start + INSERTED_AT_ONCE))
            WebhookDelivery.objects.bulk_create(workers.deliveries(link, span))


def _receive_until_drained(
    links: Sequence[workers.Connected], quiet: workers.Connected, numbers: itertools.count[int]
) -> list[float]:
    """Receive for the quiet link until the backlog is gone; return the milliseconds its deliveries took."""
    from dispatch.models import WebhookDelivery
    from dispatch.waker import wake

    ids, end = [], time.monotonic() + NEVER_S
    backlog = WebhookDelivery.objects.filter(link_id__in=[link.link_id for link in links])
    while backlog.filter(status__in=["received", "processing", "failed"]).exists():
        if time.monotonic() > end:
            raise RuntimeError(f"after {NEVER_S:.0f} s deliveries still wait")
        (new,) = workers.deliveries(quiet, range(first := next(numbers) * STORED, first + 1))
        new.save(force_insert=True)
        ids.append(new.id)
        wake("inbound")
        time.sleep(EVERY_S)
    _expect_processed(backlog.exclude(status="processed").count())
    rows = WebhookDelivery.objects.filter(id__in=ids, processed_at__isnull=False)
    return [1000 * (row.processed_at - row.received_at).total_seconds() for row in rows if row.processed_at]


def _expect_processed(others: int) -> None:
    if others:
        raise RuntimeError(f"{others} deliveries of the backlog did not end as processed")


def _percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


COLUMNS = {
    "deliveries/s": ("per_second", 0),
    "new p50 ms": ("new_p50_ms", 0),
    "new p95 ms": ("new_p95_ms", 0),
    "worker ms": ("worker_ms", 2),
    "postgres ms": ("postgres_ms", 2),
    "probe ms": ("probe_ms", 0),
}


def _outcome(found: dict[str, list[Drained]]) -> Outcome:
    rows = [
        [name, *(_spread(drains, field).text(digits) for field, digits in COLUMNS.values())]
        for name, drains in found.items()
    ]
    title = f"{STORED:,} stored deliveries drained by one worker"
    return Outcome(
        tables=[Table(title=title, columns=["of", *COLUMNS], rows=rows)],
        bars=[_bar(name, _spread(drains, "per_second")) for name, drains in found.items()],
        notes=[
            f"New deliveries came every {EVERY_S} s to another organization's link while the backlog drained.",
            "CPU in ms per delivery: the worker with its children, and PostgreSQL.",
            "Noise: the probe is a fixed piece of work, about 30 ms on a quiet machine.",
        ],
        figures={
            name: {field: _spread(drains, field).figures() for field, _digits in COLUMNS.values()}
            for name, drains in found.items()
        },
    )


def _bar(name: str, rate: Spread) -> Bar:
    is_met = rate.median >= FLOOR_PER_SECOND
    return Bar(name=f"deliveries/s, {name}", wanted=f">= {FLOOR_PER_SECOND}", measured=rate.text(), is_met=is_met)


def _spread(drains: Sequence[Drained], field: str) -> Spread:
    return Spread(tuple(getattr(one, field) for one in drains))
