"""
Receiving: signed WhatsApp POSTs of 1 KB against the product's web process, beside pgbench inserting the same row.

Web, PostgreSQL (fsync and synchronous_commit on), Redis and the load generator share the machine's cores; every
worker is stopped. Each round measures ours and pgbench one after the other, so that the ratio compares neighbors in
time. BENCH_ROUNDS sets the rounds (5; with LONG=1 20).
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import installation, load, machine, pgbench
from benchmarks.report import Bar, Outcome, Spread, Table
from benchmarks.webhooks import APP_SECRET, WRONG_SECRET, Target, connect
from config import parts, runtime

ROUNDS = int(os.environ.get("BENCH_ROUNDS") or (20 if os.environ.get("LONG") else 5))
CONNECTIONS = (1, 16, 64)
_SCALE = float(os.environ.get("BENCH_SCALE") or 1)
REQUESTS = {1: int(1000 * _SCALE), 16: int(4000 * _SCALE), 64: int(4000 * _SCALE)}
"""Per round: 1 to 4 s, long against the 10 ms steps in which Linux counts CPU. BENCH_SCALE is for trying it out."""

PGBENCH_S = 2
COUNTED = 200
"""Requests whose statements are read from PostgreSQL's log; logging costs, so they are not timed."""

COLUMNS = {
    "requests/s": ("per_second", 0),
    "p50 ms": ("p50_ms", 1),
    "p99 ms": ("p99_ms", 1),
    "CPU web": ("web_ms", 2),
    "CPU postgres": ("postgres_ms", 2),
    "CPU load": ("load_ms", 2),
    "others, cores": ("others_cores", 1),
}
"""Columns of the tables: the field of a Round and its digits."""

FLOOR_PER_SECOND, FLOOR_P99_MS, MOST_STATEMENTS, MOST_PSS_MB = 1000, 60, 3, 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One measured drive; CPU in milliseconds per request, `others_cores` what the rest of the machine kept busy."""

    per_second: float
    p50_ms: float
    p99_ms: float
    web_ms: float
    postgres_ms: float
    load_ms: float
    others_cores: float

    @property
    def cpu_ms(self) -> float:
        """What the product and its database spent together."""
        return self.web_ms + self.postgres_ms


@dataclass(slots=True, kw_only=True)
class Found:
    """What all rounds gave, by number of connections."""

    honest: dict[int, list[Round]] = field(default_factory=lambda: {count: [] for count in CONNECTIONS})
    forged: dict[int, list[Round]] = field(default_factory=lambda: {count: [] for count in CONNECTIONS})
    beside: dict[int, list[pgbench.Inserted]] = field(default_factory=lambda: {count: [] for count in CONNECTIONS})
    probes_ms: list[float] = field(default_factory=list)
    statements: Counter[str] = field(default_factory=Counter)
    """How often each kind of statement ran for `COUNTED` requests, by its first words."""
    samples: int = 0
    pss_mb: list[float] = field(default_factory=list)

    @property
    def statements_each(self) -> float:
        """SQL statements per accepted request."""
        return sum(self.statements.values()) / COUNTED

    @property
    def forged_sent(self) -> int:
        """How many forged requests were sent."""
        return sum(REQUESTS[count] * len(rounds) for count, rounds in self.forged.items())


def measure() -> Outcome:
    """Run all rounds on a fresh installation."""
    with installation.installed() as data_dir:
        token, script = connect(data_dir)
        with installation.web(data_dir) as (pid, port):
            target = Target(
                data_dir=data_dir,
                web_pid=pid,
                postgres_pid=installation.postmaster(data_dir),
                port=port,
                token=token,
            )
            return _outcome(_measure(target, script))


def _measure(target: Target, script: Path) -> Found:
    load.drive(port=target.port, requests=target.requests(500), connections=64)  # every thread connects and prepares
    found, started_at = Found(statements=_count_statements(target)), time.monotonic()
    for _, count in itertools.product(range(ROUNDS), CONNECTIONS):
        found.probes_ms.append(machine.probe_ms())
        _empty(target.data_dir)
        found.honest[count].append(_drive(target, count, secret=APP_SECRET, status=200))
        _expect_rows(target.data_dir, REQUESTS[count])
        found.forged[count].append(_drive(target, count, secret=WRONG_SECRET, status=401))
        _expect_rows(target.data_dir, REQUESTS[count])
        _empty(target.data_dir)
        found.beside[count].append(
            pgbench.insert(data_dir=target.data_dir, script=script, connections=count, seconds=PGBENCH_S)
        )
    found.samples = _rows(target.data_dir, "dispatch_refusedrequest")
    _expect_capped(found.samples, minutes=(time.monotonic() - started_at) / 60)
    found.pss_mb = sorted(machine.pss_mb(target.web_pid).values())
    return found


def _drive(target: Target, connections: int, *, secret: str, status: int) -> Round:
    requests = target.requests(REQUESTS[connections], secret=secret)
    before = _cpu(target)
    answers = load.drive(port=target.port, requests=requests, connections=connections)
    web_s, postgres_s, busy_s = (after - was for after, was in zip(_cpu(target), before, strict=True))
    if set(answers.statuses) != {status}:
        raise load.Broken(f"answers other than {status}: {dict(answers.statuses)}")
    each_ms = 1000 / len(requests)
    return Round(
        per_second=answers.per_second,
        p50_ms=answers.percentile_ms(0.50),
        p99_ms=answers.percentile_ms(0.99),
        web_ms=web_s * each_ms,
        postgres_ms=postgres_s * each_ms,
        load_ms=answers.cpu_s * each_ms,
        others_cores=max(0.0, busy_s - web_s - postgres_s - answers.cpu_s) / answers.wall_s,
    )


def _cpu(target: Target) -> tuple[float, float, float]:
    return machine.cpu_s(target.web_pid), machine.cpu_s(target.postgres_pid), machine.busy_s()


def _count_statements(target: Target) -> Counter[str]:
    """Read from PostgreSQL's log what the application's role executed for `COUNTED` requests, by first words."""
    log = runtime.postgres(target.data_dir).log
    _configure(target.data_dir, log_statement="all", log_line_prefix="<%u> ")
    start = log.stat().st_size
    load.drive(port=target.port, requests=target.requests(COUNTED), connections=16)
    written = log.read_text(errors="replace")[start:]
    _configure(target.data_dir, log_statement="none", log_line_prefix="%m [%p] ")
    found = re.findall(r"^<registry_app> LOG:  (?:execute [^:]+|statement): *\s*(.+)$", written, re.MULTILINE)
    return Counter(" ".join(statement.split()[:3]) for statement in found)


def _configure(data_dir: Path, **values: str) -> None:
    lines = [f"ALTER SYSTEM SET {name} = '{value}';" for name, value in values.items()]
    runtime.psql(data_dir, "\n".join([*lines, "SELECT pg_reload_conf();"]))
    time.sleep(0.5)  # backends take the new settings before their next command


def _empty(data_dir: Path) -> None:
    """Start each measurement from empty tables and a fresh checkpoint, so that none pays for the one before."""
    sql = "TRUNCATE dispatch_webhookdelivery, dispatch_inboxkey;\nCHECKPOINT;"
    runtime.psql(data_dir, sql, database=runtime.DATABASE)


def _rows(data_dir: Path, table: str) -> int:
    return int(runtime.psql(data_dir, f"SELECT count(*) FROM {table}", database=runtime.DATABASE))


def _expect_rows(data_dir: Path, wanted: int) -> None:
    if (found := _rows(data_dir, "dispatch_webhookdelivery")) != wanted:
        raise load.Broken(f"{found} deliveries are stored, {wanted} were accepted")


def _expect_capped(sampled: int, *, minutes: float) -> None:
    from dispatch.inbox import REFUSED_PER_MINUTE

    processes = int(os.environ.get("WEB_WORKERS") or 1)  # each has a sample of its own
    if sampled > (most := REFUSED_PER_MINUTE * processes * (int(minutes) + 2)):
        raise load.Broken(f"{sampled} samples of refused webhooks are stored, {most} are allowed")


def _outcome(found: Found) -> Outcome:
    probes, statements = Spread(tuple(found.probes_ms)), found.statements.most_common()
    return Outcome(
        tables=[
            _ours("Signed POSTs of 1 KB, each stored", found.honest),
            _ours("Forged POSTs, each refused", found.forged),
            _compared(found),
        ],
        bars=_bars(found),
        notes=[
            f"Statements: {', '.join(f'{number / COUNTED:.2f} x {text} ...' for text, number in statements)}.",
            f"{found.forged_sent:,} forged POSTs left {found.samples} sample rows and no delivery.",
            f"Started as {' '.join(word for word in parts.web_command(os.environ) if '=' in word)}.",
            f"Web processes, the server's parent first (MB PSS): {', '.join(f'{size:.0f}' for size in found.pss_mb)}.",
            f"Noise: a fixed piece of work took {probes.text(1)} ms, its lowest when the machine was ours alone.",
            f"That work's ms before a round at 16 -> its requests/s: {_by_probe(found)}.",
            f"{ROUNDS} rounds, median (lowest..highest). CPU in ms per request. Workers, beat and sandbox do not run.",
        ],
        figures={
            "honest": {str(count): _figures(rounds) for count, rounds in found.honest.items()},
            "forged": {str(count): _figures(rounds) for count, rounds in found.forged.items()},
            "pgbench": {str(count): _rates(rounds).figures() for count, rounds in found.beside.items()},
            "ratio": {str(count): _ratio(found, count).figures() for count in CONNECTIONS},
            "statements": found.statements_each,
            "pss_mb": [round(size, 1) for size in found.pss_mb],
            "probe_ms": probes.figures(),
        },
    )


def _by_probe(found: Found) -> str:
    before = found.probes_ms[CONNECTIONS.index(16) :: len(CONNECTIONS)]
    pairs = sorted(zip(before, (rounds.per_second for rounds in found.honest[16]), strict=True))
    return ", ".join(f"{probe:.0f} -> {rate:,.0f}" for probe, rate in pairs)


def _bars(found: Found) -> list[Bar]:
    rate, p99 = _rates(found.honest[16]), _spread(found.honest[16], "p99_ms")
    each, pss = found.statements_each, max(found.pss_mb)
    (cost, took), (forged_cost, forged_took) = (
        (_spread(rounds, "cpu_ms").median, _spread(rounds, "p50_ms").median)
        for rounds in (found.honest[16], found.forged[16])
    )
    return [
        _bar("requests/s at 16", f">= {FLOOR_PER_SECOND:,}", rate.text(), rate.median >= FLOOR_PER_SECOND),
        _bar("p99 at 16, ms", f"< {FLOOR_P99_MS}", p99.text(1), p99.median < FLOOR_P99_MS),
        _bar("SQL statements per request", f"<= {MOST_STATEMENTS}", f"{each:.2f}", each <= MOST_STATEMENTS),
        _bar("CPU of a forged POST, ms", f"< {cost:.2f}, honest", f"{forged_cost:.2f}", forged_cost < cost),
        _bar("time of a forged POST, p50 ms", f"< {took:.1f}, honest", f"{forged_took:.1f}", forged_took < took),
        _bar("largest web process, MB PSS", f"< {MOST_PSS_MB}", f"{pss:.0f}", pss < MOST_PSS_MB),
    ]


def _bar(name: str, wanted: str, measured: str, is_met: bool) -> Bar:
    return Bar(name=name, wanted=wanted, measured=measured, is_met=is_met)


def _spread(rounds: Sequence[Round], name: str) -> Spread:
    return Spread(tuple(getattr(found, name) for found in rounds))


def _rates(rounds: Sequence[Round] | Sequence[pgbench.Inserted]) -> Spread:
    return Spread(tuple(found.per_second for found in rounds))


def _figures(rounds: Sequence[Round]) -> dict[str, dict[str, float]]:
    return {name: _spread(rounds, name).figures() for name, _digits in COLUMNS.values()}


def _ratio(found: Found, count: int) -> Spread:
    pairs = zip(found.honest[count], found.beside[count], strict=True)
    return Spread(tuple(ours.per_second / theirs.per_second for ours, theirs in pairs))


def _ours(title: str, measured: dict[int, list[Round]]) -> Table:
    rows = [
        [str(count), *(_spread(rounds, name).text(digits) for name, digits in COLUMNS.values())]
        for count, rounds in measured.items()
    ]
    return Table(title=title, columns=["connections", *COLUMNS], rows=rows)


def _compared(found: Found) -> Table:
    rows = [
        [
            str(count),
            _rates(beside).text(),
            Spread(tuple(their.p50_ms for their in beside)).text(1),
            Spread(tuple(their.p99_ms for their in beside)).text(1),
            _ratio(found, count).text(2),
        ]
        for count, beside in found.beside.items()
    ]
    columns = ["connections", "pgbench rows/s", "p50 ms", "p99 ms", "ours / pgbench"]
    return Table(title="pgbench inserting the same row, nothing else", columns=columns, rows=rows)
