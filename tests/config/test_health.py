"""Liveness, readiness, metrics, and the answers of addresses that nobody serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import OperationalError
from django.test import Client, RequestFactory

from config import errors, health, runtime
from integrations.ingress import counters


def as_superuser(sql: str) -> None:
    """Run and commit what the application's role may not do to the tables that migrations live in."""
    runtime.psql(Path(configured.DATA_DIR), sql, database=configured.TEST_DATABASE)


@pytest.fixture
def without_last_change(db: None) -> Iterator[None]:
    """Take the last recorded change away, and put it back."""
    as_superuser(
        "CREATE TABLE kept AS SELECT * FROM tenants_schemachange ORDER BY position DESC LIMIT 1;"
        "DELETE FROM tenants_schemachange WHERE position IN (SELECT position FROM kept)"
    )
    yield
    as_superuser("INSERT INTO tenants_schemachange SELECT * FROM kept; DROP TABLE kept")


@pytest.fixture
def all_behind(db: None) -> Iterator[None]:
    """Let every organization lack every change, and put it back."""
    as_superuser(
        "CREATE TABLE kept AS SELECT schema_name, position FROM tenants_schemastate;"
        "UPDATE tenants_schemastate SET position = 0 WHERE schema_name LIKE 'org_%'"
    )
    yield
    as_superuser(
        "UPDATE tenants_schemastate s SET position = k.position FROM kept k WHERE k.schema_name = s.schema_name;"
        "DROP TABLE kept"
    )


class TestHealthz:
    def test_answers_without_the_database(self) -> None:
        answer = Client().get("/healthz")

        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert answer["Cache-Control"] == "no-store"

    def test_takes_no_other_methods(self) -> None:
        assert Client().post("/healthz").status_code == 405


@pytest.mark.django_db
class TestReadyz:
    def test_says_part_by_part_that_it_serves(self) -> None:
        answer = Client().get("/readyz")

        assert answer.status_code == 200
        assert answer.json()["status"] == "ready"
        assert set(answer.json()["parts"]) == {"database", "redis", "migrations", "keys"}

    def test_is_503_without_redis(self, settings: Any) -> None:
        health._redis.cache_clear()
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        try:
            answer = Client().get("/readyz")
        finally:
            health._redis.cache_clear()

        assert answer.status_code == 503
        assert answer["Retry-After"] == "5"
        assert answer.json()["parts"]["redis"]["ok"] is False
        assert answer.json()["parts"]["database"]["ok"] is True
        assert "127.0.0.1" not in answer.content.decode()

    def test_is_503_when_a_migration_did_not_run(self, without_last_change: None) -> None:
        health._migrated.clear()

        answer = Client().get("/readyz")

        assert answer.status_code == 503
        assert "migrate_organizations" in answer.json()["parts"]["migrations"]["detail"]

    def test_tells_that_organizations_are_behind_and_serves_the_others(self, all_behind: None) -> None:
        answer = Client().get("/readyz")

        assert answer.status_code == 200
        assert "2 organizations behind" in answer.json()["parts"]["migrations"]["detail"]

    def test_is_503_when_the_master_keys_open_nothing(self, organization: Any, settings: Any) -> None:
        settings.MASTER_KEYS = "other:" + "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="

        answer = Client().get("/readyz")

        assert answer.status_code == 503
        assert answer.json()["parts"]["keys"]["ok"] is False


@pytest.mark.django_db
class TestMetrics:
    def test_are_read_from_this_machine(self, organization: Any) -> None:
        counters.received("stripe", is_new=True)

        page = Client(REMOTE_ADDR="127.0.0.1").get("/metrics").content.decode()

        assert "registry_up 1.0" in page
        assert 'registry_webhooks_received_total{provider="stripe"}' in page

    @pytest.mark.parametrize(
        "facts",
        [
            {"REMOTE_ADDR": "203.0.113.9"},
            {"REMOTE_ADDR": ""},
            {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9"},
            {"REMOTE_ADDR": "::1", "HTTP_FORWARDED": "for=203.0.113.9"},
            {"REMOTE_ADDR": "203.0.113.9", "HTTP_AUTHORIZATION": "Bearer "},
        ],
    )
    def test_are_refused_elsewhere(self, facts: dict[str, str]) -> None:
        assert Client(**facts).get("/metrics").status_code == 401

    def test_are_read_with_the_token(self, settings: Any) -> None:
        settings.METRICS_TOKEN = "test-metrics-token"
        elsewhere = {"REMOTE_ADDR": "203.0.113.9"}

        right = Client(**elsewhere).get("/metrics", headers={"Authorization": "Bearer test-metrics-token"})
        wrong = Client(**elsewhere).get("/metrics", headers={"Authorization": "Bearer test-metrics-tokem"})

        assert (right.status_code, wrong.status_code) == (200, 401)


class TestErrors:
    def test_a_database_that_is_away_is_503_for_machines_and_people(self) -> None:
        answers = []
        for path in ("/api/v1/integrations/", "/webhooks/stripe/", "/o/acme/admin/"):
            try:
                raise OperationalError("server closed the connection; password=hidden")
            except OperationalError:
                answers.append(errors.server_error(RequestFactory().get(path)))

        assert [answer.status_code for answer in answers] == [503, 503, 503]
        assert {answer["Retry-After"] for answer in answers} == {"5"}
        assert not any(b"password" in answer.content for answer in answers)  # type: ignore[attr-defined]

    def test_anything_else_is_500_without_internals(self) -> None:
        try:
            raise ZeroDivisionError("a detail of ours")
        except ZeroDivisionError:
            answer: Any = errors.server_error(RequestFactory().get("/api/v1/x/"))

        assert answer.status_code == 500
        assert b"internal_error" in answer.content
        assert b"a detail of ours" not in answer.content
