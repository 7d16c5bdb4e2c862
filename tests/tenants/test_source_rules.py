"""Rules about the source itself: who may switch schemas, and what nobody may use."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = (
    "config", "privacy", "channels_app", "billing", "ai_services", "analytics", "monitoring", "storage", "integrations",
    "notifications", "audit", "meter", "dispatch", "accounts", "vault", "transport", "core",
)  # fmt: skip


def calls_and_names(path: Path) -> set[str]:
    """Every called or imported name of a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            target = node.func
            found.add(target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", ""))
        if isinstance(node, ast.ImportFrom | ast.Import):
            found.update(alias.name for alias in node.names)
    return found


def modules() -> list[Path]:
    """All modules above the floor of tenants."""
    return [path for app in APPS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts]


@pytest.mark.parametrize(
    "name",
    [
        "set_schema",
        "set_tenant",
        "schema_context",
        "tenant_context",
        "set_schema_to_public",
        "cache_page",
        "activate_tenant",
    ],
)
def test_nobody_above_tenants_uses(name):
    users = [str(path.relative_to(ROOT)) for path in modules() if name in calls_and_names(path)]

    assert users == []


def test_nobody_writes_transaction_sql():
    words = ("ROLLBACK TO", "SAVEPOINT ", '"BEGIN"', '"COMMIT"', '"ROLLBACK"')
    users = [str(path.relative_to(ROOT)) for path in modules() if any(word in path.read_text() for word in words)]

    assert users == []


def test_no_task_waits_longer_than_the_broker_bears():
    """A countdown above 30 s repeats (RELIABILITY section 3): due times are columns."""
    users = [str(path.relative_to(ROOT)) for path in modules() if {"apply_async"} & calls_and_names(path)]

    assert users == []
