"""
The clock's health checks: 10,000 integrations of 1,000 organizations at a vendor that answers in 100 ms.

The worker runs as the product starts it (two prefork processes), beside PostgreSQL, Redis and the vendor on the same
cores. Stripe's check is one call; its stand-in answers what the sandbox answers. A sweep is sent as beat sends it,
every ten seconds. LONG=1 runs the whole; else a fifth. BENCH_INTEGRATIONS and BENCH_ROUNDS set other numbers. The
installation is kept under `.data-bench-health`, because making 1,000 organizations takes minutes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import installation, machine, stand_in
from benchmarks.load import LOOPBACK
from benchmarks.report import Bar, Outcome, Spread, Table
from config import parts, processes

INTEGRATIONS = int(os.environ.get("BENCH_INTEGRATIONS") or (10_000 if os.environ.get("LONG") else 2_000))
PER_ORGANIZATION = 10
ROUNDS = int(os.environ.get("BENCH_ROUNDS") or 3)
LATENCY_S = 0.1
PROCESSES = 2
WHOLE, WITHIN_S = 10_000, 60.0
MOST_PSS_MB = 400
TICK_S = 10.0
"""The period of the health sweep in the schedule."""

LOOK_EVERY_S = 0.25
"""Looking costs the cores that are measured; a quarter of a second is 1 % of the shortest round."""

GIVE_UP_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One sweep over everything: seconds, CPU seconds by process, the workers' memory at its highest."""

    wall_s: float
    worker_s: float
    postgres_s: float
    vendor_s: float
    others_cores: float
    pss_mb: float
    probe_ms: float

    @property
    def per_second(self) -> float:
        """Checks per second."""
        return INTEGRATIONS / self.wall_s


def measure() -> Outcome:
    """Prepare what is missing, then sweep some rounds."""
    with _vendor() as (vendor_pid, port), installation.installed(kept_in=".data-bench-health") as data_dir:
        prepare(INTEGRATIONS // PER_ORGANIZATION)
        with _worker(data_dir) as worker_pid:
            pids = {"worker": worker_pid, "postgres": installation.postmaster(data_dir), "vendor": vendor_pid}
            _sweep(pids, port)  # every process has imported, connected and read the keys
            return _outcome([_sweep(pids, port) for _ in range(ROUNDS)])


def prepare(organizations: int) -> None:
    """Make so many organizations with their integrations, as far as they are missing."""
    from tenants.models import Organization
    from tenants.services import build_organization, create_organization

    for number in range(organizations):
        organization = Organization.objects.filter(slug=f"bench-{number}").first()
        if organization is None:
            organization = create_organization(slug=f"bench-{number}", name=f"Bench {number}")
        if not organization.is_open:
            build_organization(organization)
        _connect(organization, number)


def _connect(organization: object, number: int) -> None:
    """Store integrations as connecting does, without the calls."""
    from dispatch.models import Link
    from integrations.models import Integration
    from integrations.services import credentials, links
    from tenants.context import in_organization
    from tenants.models import Organization

    if not isinstance(organization, Organization):
        raise TypeError("an organization was expected")
    with in_organization(organization):
        for index in range(Link.objects.filter(organization_schema=organization.schema_name).count(), PER_ORGANIZATION):
            account = number * PER_ORGANIZATION + index
            integration = Integration(
                provider="stripe", name=f"Shop {account}", environment="test", health="healthy",
                account_external_id=f"acct_bench{account}", account_label="Bench",
                capabilities=["reads_account", "takes_payments"], facts={"country": "BR", "default_currency": "brl"},
            )  # fmt: skip
            integration.save()
            credentials.store(integration, {"secret_key": f"{stand_in.KEY}{account}"})
            links.mirror(integration)


def _sweep(pids: dict[str, int], port: int) -> Round:
    """Make everything due, wake the workers as beat does, and wait until each was checked."""
    from celery import current_app

    started = _make_due()
    answered, probe_ms, busy_s = _answered(port), machine.probe_ms(), machine.busy_s()
    before = {name: machine.cpu_s(pid) for name, pid in pids.items()}
    began, ticks, pss = time.monotonic(), 0, 0.0
    while (left := _left(started)) and time.monotonic() - began < GIVE_UP_S:
        if time.monotonic() - began >= ticks * TICK_S:
            current_app.send_task("integrations.tasks.sweep_health", queue="health", retry=False)
            pss, ticks = max(pss, sum(machine.pss_mb(pids["worker"]).values())), ticks + 1
        time.sleep(LOOK_EVERY_S)
    pss = max(pss, sum(machine.pss_mb(pids["worker"]).values()))
    wall_s = time.monotonic() - began
    used = {name: machine.cpu_s(pid) - before[name] for name, pid in pids.items()}
    _verify(left, asked=_answered(port) - answered, started=started)
    return Round(
        wall_s=wall_s,
        worker_s=used["worker"],
        postgres_s=used["postgres"],
        vendor_s=used["vendor"],
        others_cores=(machine.busy_s() - busy_s - sum(used.values())) / wall_s,
        pss_mb=pss,
        probe_ms=probe_ms,
    )


def _make_due() -> object:
    from core import clock
    from dispatch.models import Link

    now = clock.now()
    wanted = Link.objects.order_by("id").values("id")[:INTEGRATIONS]
    Link.objects.exclude(pk__in=wanted).update(next_check_at=None)
    Link.objects.filter(pk__in=wanted).update(next_check_at=now)
    return now


def _left(started: object) -> int:
    from dispatch.models import Link

    return Link.objects.filter(next_check_at__isnull=False).exclude(last_checked_at__gte=started).count()


def _verify(left: int, *, asked: int, started: object) -> None:
    """Every link was asked once and is well, with a row of its check and of its call; else nothing was measured."""
    from dispatch.models import Link
    from meter.models import Call, HealthCheck

    healthy = Link.objects.filter(health="healthy", last_checked_at__gte=started).count()
    rows = HealthCheck.objects.filter(at__gte=started, is_ok=True).count()
    calls = Call.objects.filter(at__gte=started, status=200).count()
    if left or {healthy, rows, calls, asked} != {INTEGRATIONS}:
        raise RuntimeError(
            f"{left} left; {healthy} healthy, {rows} checks, {calls} calls, {asked} asked of {INTEGRATIONS}"
        )


@contextlib.contextmanager
def _vendor() -> Iterator[tuple[int, int]]:
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        port = int(found.getsockname()[1])
    command = [sys.executable, "-m", "benchmarks.stand_in", str(port), str(LATENCY_S)]
    process = subprocess.Popen(command, cwd=processes.PROJECT_ROOT, stdin=subprocess.DEVNULL)
    os.environ["PROVIDER_URL_STRIPE"] = f"http://{LOOPBACK}:{port}"
    try:
        yield process.pid, port
    finally:
        _end(process)


@contextlib.contextmanager
def _worker(data_dir: Path) -> Iterator[int]:
    environment = parts.complete({**os.environ, "WORKER_CONCURRENCY": str(PROCESSES)}, data_dir=data_dir)
    with (data_dir / "logs" / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            parts.worker_command(environment), cwd=processes.PROJECT_ROOT, env=environment,
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        yield process.pid
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _answered(port: int) -> int:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/answered", timeout=10) as answer:
        return int(answer.read())


def _outcome(rounds: list[Round]) -> Outcome:
    rate = Spread(tuple(found.per_second for found in rounds))
    limit = PROCESSES * _threads() / LATENCY_S
    whole_s = WHOLE / rate.median
    pss = max(found.pss_mb for found in rounds)
    columns = ["round", "s", "checks/s", "of the limit", "ms worker", "ms postgres", "ms vendor", "others, cores",
               "PSS MB"]  # fmt: skip
    return Outcome(
        tables=[
            Table(
                title=f"{INTEGRATIONS:,} integrations of {INTEGRATIONS // PER_ORGANIZATION:,} organizations, vendor "
                f"{1000 * LATENCY_S:.0f} ms (a stand-in for Stripe); CPU per check; the limit is {limit:.0f}/s",
                columns=columns,
                rows=[_row(number, found, limit) for number, found in enumerate(rounds, 1)],
            )
        ],
        bars=[
            Bar(
                name=f"{WHOLE:,} checks, s", wanted=f"< {WITHIN_S:.0f}", measured=f"{whole_s:.1f}",
                is_met=whole_s < WITHIN_S,
            ),
            Bar(name="workers, MB PSS", wanted=f"< {MOST_PSS_MB}", measured=f"{pss:.0f}", is_met=pss < MOST_PSS_MB),
        ],
        notes=[
            f"The limit is threads over latency: {PROCESSES} processes of {_threads()} threads, {LATENCY_S} s.",
            f"Noise: a fixed piece of work took {Spread(tuple(found.probe_ms for found in rounds)).text(1)} ms.",
        ],
        figures={
            "integrations": INTEGRATIONS, "per_second": rate.figures(), "of_the_limit": round(rate.median / limit, 3),
            "pss_mb": round(pss, 1),
        },
    )  # fmt: skip


def _row(number: int, found: Round, limit: float) -> list[str]:
    each = [1000 * seconds / INTEGRATIONS for seconds in (found.worker_s, found.postgres_s, found.vendor_s)]
    return [
        str(number), f"{found.wall_s:.1f}", f"{found.per_second:.0f}", f"{found.per_second / limit:.2f}",
        *(f"{one:.2f}" for one in each), f"{found.others_cores:.1f}", f"{found.pss_mb:.0f}",
    ]  # fmt: skip


def _threads() -> int:
    from django.conf import settings

    return int(settings.HEALTH_THREADS)
