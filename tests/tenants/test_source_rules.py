"""Rules about the source itself: who may switch schemas, and what nobody may use."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = (
    "config", "privacy", "channels_app", "billing", "ai_services", "analytics", "monitoring", "storage", "integrations",
    "notifications", "audit", "meter", "dispatch", "accounts", "vault", "transport", "core",
)  # fmt: skip


@functools.cache
def calls_and_names(path: Path) -> set[str]:
    """Every called or imported name of a module; read once, for all rules."""
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


def test_nobody_enters_by_with_organization():
    """`with tenant:` shares one list between threads and ends in the wrong one (rule 3)."""
    users = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.With)
        for item in node.items
        if isinstance(item.context_expr, ast.Name | ast.Attribute)
        and ast.unparse(item.context_expr).rpartition(".")[2] in {"organization", "tenant", "org"}
    ]

    assert users == []


def test_the_search_path_is_set_for_every_cursor(settings):
    """With TENANT_LIMIT_SET_CALLS a rolled back savepoint reads the wrong tenant (rule 5)."""
    assert settings.TENANT_LIMIT_SET_CALLS is False
    assert settings.DATABASES["default"].get("ATOMIC_REQUESTS", False) is False


def test_raw_connections_are_used_for_receiving_alone():
    """A raw connection keeps the last search path (rule 6); the one for receiving never leaves public."""
    names = {"getconn", "ensure_connection"}
    users = [
        str(path.relative_to(ROOT))
        for path in modules()
        for tree in [ast.parse(path.read_text())]
        if names & calls_and_names(path)
        or any(
            isinstance(node, ast.Attribute) and node.attr == "connection" and "connection" in ast.unparse(node.value)
            for node in ast.walk(tree)
        )
    ]

    assert users == ["dispatch/prepared.py"]


def test_no_answer_outlives_its_view():
    """A streamed body runs in public after the middleware left the organization (rule 13); files alone are streamed."""
    users = [str(path.relative_to(ROOT)) for path in modules() if "StreamingHttpResponse" in calls_and_names(path)]

    assert users == []
