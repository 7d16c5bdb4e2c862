"""
Refreshing tokens: two hundred callers race for one while processes are killed, and three hundred tokens end at once.

The vendor is the fictitious Parcelbox over real HTTP: it rotates at once, answers after 0.3 s (every twentieth round
after 15 s) and revokes all of an account when a spent refresh token comes again. A dozen rounds; with LONG=1 1,000,
or as many as BENCH_ROUNDS says.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import installation, machine
from benchmarks.report import Bar, Outcome, Table
from tests.fictitious.race.driver import PROCESSES, THREADS, Callers, Prize, Race, Round, calling, lock_of
from tests.fictitious.vendor import Merchant, Parcelbox, Running

ROUNDS = int(os.environ.get("BENCH_ROUNDS") or (1000 if os.environ.get("LONG") else 12))
DUE = 300
"""Tokens that end at the same moment, as after an outage of ours."""

SEED = 7
DATABASE = "registry"


@dataclass(slots=True, kw_only=True)
class Burst:
    """What three hundred refreshes took: `cpu_s` without the courier's start."""

    seconds: float = 0.0
    start_cpu_s: float = 0.0
    cpu_s: float = 0.0
    pss_mb: float = 0.0
    couriers: set[int] = field(default_factory=set)


def measure() -> Outcome:
    """Race round after round, then let three hundred tokens end at once."""
    vendor = Parcelbox()
    with Running(vendor) as running, TemporaryDirectory() as folder:
        os.environ["PROVIDER_URL_PARCELBOX"] = running.url
        with installation.installed() as data_dir, _shop(vendor) as (organization, connected):
            prize = Prize(organization=organization, integration=str(connected.pk))
            with calling(prize, url=running.url, data_dir=data_dir, database=DATABASE, folder=Path(folder)) as callers:
                rounds, lost = _race(vendor, callers, connected)
                burst = _burst(vendor, callers, data_dir, organization)
    return _outcome(rounds, lost, burst, vendor)


@contextmanager
def _shop(vendor: Parcelbox) -> Iterator[tuple[str, Any]]:
    """Make an organization with one merchant."""
    from integrations import registry
    from tenants.services import build_organization, create_organization
    from tests.fictitious.parcelbox import PROVIDER

    registry.register(PROVIDER)
    organization = create_organization(slug="bench-race", name="Bench race")
    build_organization(organization)
    yield organization.schema_name, _connect(organization.schema_name, vendor.open_account(1))


def _connect(organization: str, merchant: Merchant) -> Any:
    from audit.services import Actor
    from integrations.services.connect import connect
    from tenants.context import in_organization

    with in_organization(organization):
        return connect(
            provider="parcelbox",
            name=merchant.name,
            environment="test",
            credentials=merchant.credentials,
            settings={"locker": "north"},
            actor=Actor.system("bench"),
        )


def _race(vendor: Parcelbox, callers: Callers, integration: Any) -> tuple[list[Round], int]:
    """Race; return the rounds and in how many the integration was lost."""
    race, rounds, lost = Race(vendor=vendor, callers=callers, chance=random.Random(SEED)), [], 0
    for number in range(ROUNDS):
        rounds.append(race.run(number, seen=number + 1))
        if not _is_whole(callers.prize.organization, integration, vendor.merchants["mer_1"]):
            lost += 1
            break  # a revoked chain stays revoked
    return rounds, lost


def _is_whole(organization: str, integration: Any, merchant: Merchant) -> bool:
    """Whether what is stored is what the vendor accepts, and the integration is in use."""
    from integrations.services.credentials import Purpose, open_for
    from tenants.context import in_organization

    with in_organization(organization):
        kept = open_for(integration, Purpose.CALL)
        integration.refresh_from_db()
        return integration.status == "active" and all(
            kept[name].reveal() == getattr(merchant, name) for name in ("access_token", "refresh_token")
        )


def _burst(vendor: Parcelbox, callers: Callers, data_dir: Path, organization: str) -> Burst:
    from core import clock
    from dispatch.models import Link

    vendor.late_s = 0.3
    made = [_connect(organization, vendor.open_account(number)).pk for number in range(2, DUE + 2)]
    asked = vendor.count("/token")
    due = Link.objects.filter(pk__in=made)
    due.update(next_refresh_at=clock.now())
    lock, found, started_at = str(lock_of(data_dir, DATABASE)), Burst(), 0.0
    callers.sweep()
    while due.filter(refresh_count=0).exists():
        for pid in _couriers(lock):
            found.couriers.add(pid)
            found.cpu_s = machine.cpu_s(pid)
            found.pss_mb = max(found.pss_mb, *machine.pss_mb(pid).values(), 0.0)
        if not started_at and vendor.count("/token") > asked:
            started_at, found.start_cpu_s = time.monotonic(), found.cpu_s
        time.sleep(0.1)
    found.seconds = time.monotonic() - started_at
    found.cpu_s -= found.start_cpu_s
    if vendor.count("/token") - asked != DUE or due.exclude(refresh_failure=None).exists():
        raise RuntimeError("a token was renewed twice or not at all")
    return found


def _couriers(lock: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if lock.encode() in (folder / "cmdline").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def _outcome(rounds: list[Round], lost: int, burst: Burst, vendor: Parcelbox) -> Outcome:
    killed, errors = sum(done.killed for done in rounds), sum(len(done.errors) for done in rounds)
    calls = [done.calls for done in rounds]
    fast = [wait for done in rounds if not done.is_slow for wait in done.waits_s]
    slow = [wait for done in rounds if done.is_slow for wait in done.waits_s]
    each_ms = 1000 * burst.cpu_s / DUE
    return Outcome(
        tables=[
            Table(
                title=f"{len(rounds):,} rounds of {PROCESSES * THREADS} callers in {PROCESSES} processes, of which "
                f"{killed:,} were killed; seconds waited",
                columns=["the vendor answers after", "median", "95 %", "callers that lived"],
                rows=[["0.3 s", *_waits(fast)], ["15 s", *_waits(slow)]],
            ),
            Table(
                title=f"{DUE} tokens end at once, the vendor answers after 0.3 s",
                columns=["couriers", "seconds", "CPU ms each", "CPU s to start", "PSS MB"],
                rows=[
                    [
                        str(len(burst.couriers)),
                        f"{burst.seconds:.1f}",
                        f"{each_ms:.1f}",
                        f"{burst.start_cpu_s:.1f}",
                        f"{burst.pss_mb:.0f}",
                    ]
                ],
            ),
        ],
        bars=[
            Bar(name="lost integrations", wanted="0", measured=str(lost), is_met=lost == 0),
            Bar(name="vendor calls per round", wanted="1", measured=f"{min(calls)}..{max(calls)}",
                is_met=set(calls) == {1}),
            Bar(name="chains revoked", wanted="0", measured=str(len(vendor.revoked)), is_met=not vendor.revoked),
            Bar(name="callers that got an error", wanted="0", measured=str(errors), is_met=errors == 0),
        ],
        figures={
            "rounds": len(rounds),
            "killed": killed,
            "lost": lost,
            "calls_per_round_max": max(calls),
            "wait_s": {"fast": _waits(fast), "slow": _waits(slow)},
            "burst": {"seconds": round(burst.seconds, 2), "cpu_ms_each": round(each_ms, 2),
                      "start_cpu_s": round(burst.start_cpu_s, 2), "pss_mb": round(burst.pss_mb, 1)},
        },
    )  # fmt: skip


def _waits(waits_s: list[float]) -> list[str]:
    if len(waits_s) < 2:
        return ["-", "-", str(len(waits_s))]
    cuts = quantiles(waits_s, n=20)
    return [f"{cuts[9]:.2f}", f"{cuts[18]:.2f}", f"{len(waits_s):,}"]
