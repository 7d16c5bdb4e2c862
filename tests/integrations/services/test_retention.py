"""Retention runs in the worker: as the application's role over all organizations, as the owner's where it must."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import connection

from accounts.models import StoredAnswer
from config import processes, runtime
from core import clock
from dispatch.models import DeliveryStatus, InboxKey, OutboxEntry, RefusedRequest, WebhookDelivery
from integrations.services import retention
from tenants.context import in_organization
from tenants.models import Organization

OF_NOBODY = None


def ago(**span: float) -> datetime:
    return clock.now() - timedelta(**span)


def inbox_key(schema: str | None, received_at: datetime) -> InboxKey:
    return InboxKey.objects.create(
        organization_schema=schema, route_key=f"route:{schema}", digest=os.urandom(32), received_at=received_at
    )


def delivery(schema: str | None, status: str, **values: Any) -> WebhookDelivery:
    return WebhookDelivery.objects.create(
        organization_schema=schema, provider="whatsapp", status=status, sealed_body=b"sealed", **values
    )


def answer(schema: str, created_at: datetime) -> StoredAnswer:
    return StoredAnswer.objects.create(
        organization_schema=schema, environment="test", key_digest=os.urandom(32), request_digest=bytes(32),
        created_at=created_at,
    )  # fmt: skip


@pytest.fixture
def schemas(organization: Organization, other_organization: Organization) -> list[str]:
    return [organization.schema_name, other_organization.schema_name]


@pytest.mark.django_db(databases=["default", "ingress", "owner"])
class TestSweep:
    def test_runs_as_the_role_that_may_not_define_tables(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user, current_schema()")
            assert cursor.fetchone() == (configured.DATABASE_APP_ROLE, "public")
        assert configured.HAS_SEPARATE_OWNER

    def test_forgets_inbox_keys_after_eight_days_everywhere(self, schemas: list[str]) -> None:
        for schema in (*schemas, OF_NOBODY):
            inbox_key(schema, ago(days=8, minutes=1))
            inbox_key(schema, ago(days=7, hours=23))

        assert retention.sweep()["inbox_keys"] == 3
        assert InboxKey.objects.count() == 3

    def test_forgets_answers_after_a_day_and_samples_after_thirty(self, schemas: list[str]) -> None:
        for schema in schemas:
            answer(schema, ago(hours=25))
            answer(schema, ago(hours=23))
        for days in (31, 29):
            RefusedRequest.objects.create(
                provider="whatsapp", reason="signature", headers={}, body_bytes=1, received_at=ago(days=days)
            )

        gone = retention.sweep()

        assert (gone["answers"], gone["refused"]) == (2, 1)
        assert (StoredAnswer.objects.count(), RefusedRequest.objects.count()) == (2, 1)

    @pytest.mark.parametrize(
        ("status", "days", "is_emptied"),
        [
            (DeliveryStatus.PROCESSED, 31, True),
            (DeliveryStatus.PROCESSED, 29, False),
            (DeliveryStatus.IGNORED, 31, True),
            (DeliveryStatus.DEAD, 31, False),
            (DeliveryStatus.DEAD, 91, True),
            (DeliveryStatus.RECEIVED, 91, False),
            (DeliveryStatus.FAILED, 91, False),
        ],
    )
    def test_empties_bodies_by_what_became_of_them(
        self, schemas: list[str], status: str, days: int, is_emptied: bool
    ) -> None:
        rows = [delivery(schema, status, received_at=ago(days=days)) for schema in (*schemas, OF_NOBODY)]

        retention.sweep()

        bodies = WebhookDelivery.objects.filter(pk__in=[row.pk for row in rows]).values_list("sealed_body", flat=True)
        assert [body is None for body in bodies] == [is_emptied] * 3

    def test_lets_quarantine_end(self, schemas: list[str]) -> None:
        over = [delivery(schema, DeliveryStatus.QUARANTINED, expires_at=ago(minutes=1)) for schema in schemas]
        waiting = delivery(OF_NOBODY, DeliveryStatus.QUARANTINED, expires_at=clock.now() + timedelta(hours=1))

        assert retention.sweep()["quarantined"] == 2

        for row in (*over, waiting):
            row.refresh_from_db()
        assert [(row.status, row.sealed_body) for row in over] == [(DeliveryStatus.IGNORED, None)] * 2
        assert waiting.status == DeliveryStatus.QUARANTINED

    def test_inside_an_organization_would_reach_that_one_alone(
        self, organization: Organization, schemas: list[str]
    ) -> None:
        for schema in schemas:
            inbox_key(schema, ago(days=9))

        with in_organization(organization):
            assert retention.sweep()["inbox_keys"] == 1

        assert InboxKey.objects.get().organization_schema == schemas[1]


ONE_ROLE = """
import datetime
from django.conf import settings
from django.db import connections
from core import clock
from dispatch.models import InboxKey
from integrations.services import retention
from meter.partitions import make_partitions

assert not settings.HAS_SEPARATE_OWNER
InboxKey.objects.create(route_key="route:x", digest=bytes(32), received_at=clock.now() - datetime.timedelta(days=9))
make_partitions(datetime.date(2020, 1, 1))
gone = retention.sweep()
print("gone", gone["inbox_keys"], gone["partitions"], gone["audit_entries"])
connections.close_all()
"""
"""What a worker does where DATABASE_URL stands alone."""


@pytest.mark.processes
class TestOneRole:
    @pytest.fixture
    def environment(self, tmp_path: Path) -> Iterator[dict[str, str]]:
        """An installation with one role of the database for everything."""
        data_dir, name = Path(configured.DATA_DIR), f"one_role_{os.getpid()}"
        runtime.create_database(name, data_dir=data_dir)
        socket_dir = runtime.run_dir(data_dir) / "postgres"
        kept = {name: value for name, value in os.environ.items() if name != "DATABASE_OWNER_URL"}
        own = {
            "DATABASE_URL": f"postgres://{runtime.ROLES['owner']}@/{socket_dir}/{name}",
            "DJANGO_SETTINGS_MODULE": "config.settings.base",
            "DATA_DIR": str(tmp_path),
        }
        yield kept | own
        runtime.drop_database(name, data_dir=data_dir)

    def test_does_all_of_it(self, environment: dict[str, str]) -> None:
        self._manage(environment, "migrate_organizations")

        said = self._manage(environment, "shell", "--no-imports", "-c", ONE_ROLE)

        # The days of 2020 are over for calls and checks, and for usage, too.
        assert "gone 1 21 0" in said

    def _manage(self, environment: dict[str, str], *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=processes.PROJECT_ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.mark.django_db(databases=["default", "ingress", "owner"])
class TestRows:
    """Finished work leaves after half a year; what is open stays."""

    def test_deletes_finished_rows_and_keeps_the_rest(self, organization: Any, other_organization: Any) -> None:
        schema = organization.schema_name
        old, young = ago(days=181), ago(days=179)
        delivery(schema, DeliveryStatus.PROCESSED, received_at=old)
        delivery(other_organization.schema_name, DeliveryStatus.DEAD, received_at=old)
        kept = [
            delivery(schema, DeliveryStatus.PROCESSED, received_at=young),
            delivery(schema, DeliveryStatus.RECEIVED, received_at=old),
        ]
        done = OutboxEntry.objects.create(organization_schema=schema, kind="x", status="done", done_at=old)
        waiting = OutboxEntry.objects.create(organization_schema=schema, kind="x", status="parked", created_at=old)

        counts = retention.sweep()

        assert (counts["deliveries"], counts["outbox"]) == (2, 1)
        assert set(WebhookDelivery.objects.values_list("pk", flat=True)) == {row.pk for row in kept}
        assert not OutboxEntry.objects.filter(pk=done.pk).exists()
        assert OutboxEntry.objects.filter(pk=waiting.pk).exists()
