"""
Organizations: what it costs to create one by replaying the template's SQL, to migrate one, and to find nothing to do.

A scratch installation with the product's own services, as the owner role; beside them the figures of RELIABILITY
section 2, measured on a similar machine for 26 tables. BENCH_ORGANIZATIONS sets the number (100; with LONG=1 1,000).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import installation, machine
from benchmarks.report import Bar, Outcome, Spread, Table
from config import runtime

COUNT = int(os.environ.get("BENCH_ORGANIZATIONS") or (1000 if os.environ.get("LONG") else 100))
REPEATS = 3
"""Made-up changes that are replayed one after the other, for a spread."""

REFERENCE = {
    "create, by replay": "0.119 (by migrations 0.405)",
    "migrate, one AddField": "0.0007..0.0012 (migrate_schemas 0.126)",
    "nothing to do": "- (migrate_schemas 0.118)",
}
"""RELIABILITY section 2: seconds per organization, and in brackets what django-tenants' own command took."""

SLOWEST_CREATE_S, SLOWEST_MIGRATE_S = 0.405, 0.126
"""What replaying must beat: the library's own way."""

ADD_FIELD = 'ALTER TABLE "integrations_integration" ADD COLUMN "bench_{number}" varchar(40) DEFAULT \'\' NOT NULL'

_SIZES_SQL = """
SELECT count(*) FILTER (WHERE c.relkind = 'r'), count(*),
       sum(pg_total_relation_size(c.oid)) FILTER (WHERE c.relkind = 'r')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = '{schema}'
"""


def measure() -> Outcome:
    """Create, migrate and do nothing, on a fresh installation."""
    with installation.installed() as data_dir:
        from tenants.services import migrate_organizations

        probes = [machine.probe_ms()]
        created, schema = _create_all()
        probes.append(machine.probe_ms())
        migrated = Spread(tuple(_migrate(number) for number in range(REPEATS)))
        nothing = Spread(tuple(_timed(migrate_organizations, wanted=0) for _ in range(REPEATS)))
        probes.append(machine.probe_ms())
        return _outcome(created, migrated, nothing, probes=probes, sizes=_sizes(data_dir, schema))


def _create_all() -> tuple[Spread, str]:
    from tenants.services import build_organization, create_organization

    seconds = []
    for number in range(COUNT):
        started_at = time.perf_counter()
        organization = create_organization(slug=f"bench-{number}", name=f"Bench {number}")
        build_organization(organization)
        seconds.append(time.perf_counter() - started_at)
    return Spread(tuple(seconds)), organization.schema_name


def _migrate(number: int) -> float:
    """Record one made-up change, as migrating the template would, and replay it into every organization."""
    from tenants.models import SchemaChange
    from tenants.routers import OWNER
    from tenants.services import migrate_organizations

    changes = SchemaChange.objects.using(OWNER)
    last = changes.order_by("-position").values_list("position", flat=True)[0]
    changes.create(position=last + 1, migration=f"bench.{number:04}", sql=ADD_FIELD.format(number=number))
    return _timed(migrate_organizations, wanted=COUNT)


def _timed(run: Callable[[], int], *, wanted: int) -> float:
    """Return the seconds per organization of a run that must move so many."""
    started_at = time.perf_counter()
    moved = run()
    took_s = time.perf_counter() - started_at
    if moved != wanted:
        raise RuntimeError(f"{moved} organizations moved instead of {wanted}")
    return took_s / COUNT


def _sizes(data_dir: Path, schema: str) -> tuple[int, int, float]:
    """Return tables, rows in pg_class and megabytes (2**20) of one empty organization."""
    found = runtime.psql(data_dir, _SIZES_SQL.format(schema=schema), database=runtime.DATABASE).split("|")
    return int(found[0]), int(found[1]), int(found[2]) / 2**20


def _outcome(
    created: Spread, migrated: Spread, nothing: Spread, *, probes: list[float], sizes: tuple[int, int, float]
) -> Outcome:
    measured = dict(zip(REFERENCE, (created, migrated, nothing), strict=True))
    noise = Spread(tuple(probes))
    rows = [
        [name, spread.text(5), REFERENCE[name], f"{spread.median * 10_000 / 60:,.1f}"]
        for name, spread in measured.items()
    ]
    return Outcome(
        tables=[
            Table(
                title=f"{COUNT:,} organizations of {sizes[0]} tables, seconds for each",
                columns=["action", "median (lowest..highest)", "RELIABILITY section 2", "10,000, minutes"],
                rows=rows,
            )
        ],
        bars=[
            _bar("create, s", SLOWEST_CREATE_S, created.median),
            _bar("migrate, s", SLOWEST_MIGRATE_S, migrated.median),
        ],
        notes=[
            f"An empty organization: {sizes[0]} tables, {sizes[1]} rows in pg_class, {sizes[2]:.2f} MB on disk.",
            f"Noise: a fixed piece of work took {noise.text(1)} ms.",
        ],
        figures={
            "organizations": COUNT,
            **{name: spread.figures() for name, spread in measured.items()},
            "tables": sizes[0],
            "pg_class_rows": sizes[1],
            "empty_mb": round(sizes[2], 2),
            "probe_ms": noise.figures(),
        },
    )


def _bar(name: str, most_s: float, measured_s: float) -> Bar:
    return Bar(name=name, wanted=f"< {most_s}", measured=f"{measured_s:.4f}", is_met=measured_s < most_s)
