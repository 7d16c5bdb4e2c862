"""A migration that is stopped half way: what runs goes on, and the next run completes it (RELIABILITY section 6)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from config import processes
from tests.faults.installation import Installation, within
from tests.faults.traffic import Business

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("faults-1")]

COLUMNS = ("fault_first", "fault_second")
NEW_CHANGES = """
INSERT INTO tenants_schemachange (position, migration, sql)
SELECT (SELECT max(position) FROM tenants_schemachange) + number, 'faults.' || name,
    format('ALTER TABLE channels_app_message ADD COLUMN %I integer', name)
FROM unnest(ARRAY['fault_first', 'fault_second']) WITH ORDINALITY AS new (name, number);
"""
TAKEN_BACK = """
DELETE FROM tenants_schemachange WHERE migration LIKE 'faults.%';
UPDATE tenants_schemastate SET position = (SELECT max(position) FROM tenants_schemachange);
"""


@pytest.fixture
def two_changes(product: Installation) -> Iterator[None]:
    """Two additive changes of a new release, which no organization has yet."""
    product.psql(NEW_CHANGES)
    yield
    for schema in schemas(product):
        for column in COLUMNS:
            product.psql(f"ALTER TABLE {schema}.channels_app_message DROP COLUMN IF EXISTS {column}")
    product.psql(TAKEN_BACK)


def schemas(product: Installation) -> list[str]:
    return product.psql("SELECT schema_name FROM tenants_schemastate ORDER BY schema_name").splitlines()


def columns(product: Installation) -> dict[str, list[str]]:
    """Return by schema which of the new columns are there."""
    asked = "SELECT table_schema || ' ' || column_name FROM information_schema.columns WHERE column_name LIKE 'fault_%'"
    found = [row.split() for row in product.psql(asked).splitlines()]
    return {schema: sorted(name for place, name in found if place == schema) for schema in schemas(product)}


def migrate(product: Installation) -> int:
    command = [sys.executable, "manage.py", "migrate_organizations"]
    return subprocess.run(
        command, cwd=processes.PROJECT_ROOT, env=product.environment, capture_output=True, check=False
    ).returncode


@pytest.mark.usefixtures("two_changes")
class TestMigration:
    @pytest.mark.parametrize("point", ["migration.before_commit", "migration.committed"])
    def test_stopped_half_way_is_completed_by_the_next_run(
        self, business: Business, another: Callable[[], Business], point: str
    ) -> None:
        product, other = business.product, another()
        product.arm(point)

        assert migrate(product) == -9

        half = columns(product)
        assert sorted(map(len, half.values())) != [len(COLUMNS)] * len(half)
        for each in (business, other):  # one has a column that the code does not know; neither minds
            each.post()
            each.send()
            each.settle(within_s=within(60))
            each.assert_nothing_lost_or_doubled()
        assert product.is_ready()

        assert migrate(product) == 0

        assert columns(product) == {schema: sorted(COLUMNS) for schema in schemas(product)}
        business.post()
        business.settle(within_s=within(60))
        business.assert_nothing_lost_or_doubled()
