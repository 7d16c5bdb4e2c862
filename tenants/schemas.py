"""
Building and migrating organizations' schemas, as the owner role.

Django migrates one template schema; the SQL it ran is kept as SchemaChange rows and replayed into every
organization, with the state of each in SchemaState. A run that stops half way goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import transaction
from django.db.backends.utils import CursorWrapper
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from core.fault_points import reach
from tenants.connection import tenant_connection
from tenants.context import PUBLIC
from tenants.models import SCHEMA_NAME, Organization, SchemaChange, SchemaState
from tenants.routers import OWNER, organization_app_labels

MIGRATION_LOCK = 7_405_001
"""Advisory lock: one migration run at a time; released with the connection."""

_NOT_REPLAYED = ("SELECT", "SET ", "SAVEPOINT", "RELEASE", "ROLLBACK", 'INSERT INTO "DJANGO_MIGRATIONS"')

_OWNERS_TABLES = ("django_migrations", SchemaChange._meta.db_table, SchemaState._meta.db_table)
"""Tables that the application reads alone. The owner runs the SQL of SchemaChange: who may write it may do all."""


def migrate_public() -> None:
    """Migrate the public schema with Django's own command, then set grants."""
    connection = tenant_connection(OWNER)
    connection.set_schema_to_public()
    from django.core.management.commands.migrate import Command

    call_command(Command(), database=OWNER, verbosity=0, interactive=False)
    set_grants()


def migrate_template() -> int:
    """Bring the template schema up to date and record the SQL of each migration; return how many ran."""
    connection = tenant_connection(OWNER)
    with _in_template():
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        for migration, _backwards in plan:
            _migrate_one(migration.app_label, migration.name)
    return len(plan)


def build_schema(organization: Organization) -> None:
    """Create an organization's schema and replay every change into it; safe to repeat, also beside another builder."""
    with transaction.atomic(using=OWNER), _owner_cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [organization.schema_name])
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(organization.schema_name)}")
        cursor.execute(f"GRANT USAGE ON SCHEMA {_quoted(organization.schema_name)} TO {_app_role()}")
    organization.mark_progress(20)
    replay(organization.schema_name, on_step=lambda percent: organization.mark_progress(20 + percent * 75 // 100))


def replay(schema_name: str, *, on_step: Callable[[int], None] | None = None) -> int:
    """Replay the changes that a schema lacks, each in one transaction with its state; return how many."""
    state, _ = SchemaState.objects.using(OWNER).get_or_create(schema_name=schema_name)
    changes = list(SchemaChange.objects.using(OWNER).filter(position__gt=state.position).order_by("position"))
    for number, change in enumerate(changes, start=1):
        _replay_one(schema_name, change)
        if on_step and (number == len(changes) or number % 10 == 0):
            on_step(100 * number // len(changes))
    return len(changes)


def set_grants() -> None:
    """Give the application's role what it needs and no more; idempotent, run after every migration."""
    if not settings.HAS_SEPARATE_OWNER:
        return
    role = _app_role()
    statements = [
        f"GRANT USAGE ON SCHEMA public TO {role}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
        f"ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role}",
        f"ALTER DEFAULT PRIVILEGES GRANT USAGE, SELECT ON SEQUENCES TO {role}",
        f"ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO {role}",
        *(f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM {role}" for table in append_only_tables()),
        *(f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {table} FROM {role}" for table in _OWNERS_TABLES),
    ]
    with _owner_cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def append_only_tables() -> list[str]:
    """Tables that the application's role may not change; apps name them as `append_only_tables`."""
    return [table for config in apps.get_app_configs() for table in getattr(config, "append_only_tables", ())]


@contextmanager
def migration_lock() -> Iterator[bool]:
    """Hold the lock of migrations on the owner's connection; yields whether it was free."""
    with tenant_connection(OWNER).cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [MIGRATION_LOCK])
        is_free = bool(cursor.fetchone()[0])
    try:
        yield is_free
    finally:
        if is_free:
            with tenant_connection(OWNER).cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])


@contextmanager
def _in_template() -> Iterator[None]:
    connection = tenant_connection(OWNER)
    template = settings.TEMPLATE_SCHEMA
    connection.set_schema_to_public()
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(template)}")
    try:
        # Without public in the path, or the table of public's migrations would be taken for the template's.
        connection.set_schema(template, include_public=False)
        MigrationRecorder(connection).ensure_schema()
        connection.set_schema(template)
        yield
    finally:
        connection.set_schema_to_public()


def _migrate_one(app_label: str, name: str) -> None:
    connection = tenant_connection(OWNER)
    recorded: list[str] = []

    def record(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if not str(sql).lstrip().upper().startswith(_NOT_REPLAYED):
            recorded.append(str(connection.ops.compose_sql(str(sql), params) if params else sql))
        return execute(sql, params, many, context)

    with transaction.atomic(using=OWNER):
        with connection.execute_wrapper(record):
            MigrationExecutor(connection).migrate([(app_label, name)])
        if app_label in organization_app_labels():
            _keep_change(f"{app_label}.{name}", recorded)


def _keep_change(migration: str, statements: list[str]) -> None:
    # The template's search path ends in public, where SchemaChange lives.
    last = SchemaChange.objects.using(OWNER).order_by("-position").values_list("position", flat=True).first() or 0
    sql = ";\n".join(statement.rstrip().rstrip(";") for statement in statements)
    SchemaChange.objects.using(OWNER).create(position=last + 1, migration=migration, sql=sql)


def _replay_one(schema_name: str, change: SchemaChange) -> None:
    with transaction.atomic(using=OWNER), _owner_cursor() as cursor:
        if _has_reached(schema_name, change.position, cursor):
            return
        if change.sql:
            cursor.execute(f"SET LOCAL search_path = {_quoted(schema_name)}, public")
            cursor.execute(change.sql)
            cursor.execute("SET LOCAL search_path = public")
        cursor.execute(
            "UPDATE tenants_schemastate SET position = %s, failure = '', updated_at = now() WHERE schema_name = %s",
            [change.position, schema_name],
        )
        reach("migration.before_commit")
    reach("migration.committed")


def _has_reached(schema_name: str, position: int, cursor: CursorWrapper) -> bool:
    """Hold the schema's state until the transaction ends: a command and the sweep may build the same organization."""
    cursor.execute(
        "SELECT position >= %s FROM tenants_schemastate WHERE schema_name = %s FOR UPDATE", [position, schema_name]
    )
    return bool(cursor.fetchone()[0])


@contextmanager
def _owner_cursor() -> Iterator[CursorWrapper]:
    connection = tenant_connection(OWNER)
    connection.set_schema_to_public()
    with connection.cursor() as cursor:
        yield cursor


def _quoted(schema_name: str) -> str:
    if schema_name != PUBLIC and not SCHEMA_NAME.fullmatch(schema_name):
        raise ValueError(f"not a schema name: {schema_name!r}")
    return f'"{schema_name}"'


def _app_role() -> str:
    return str(tenant_connection(OWNER).ops.quote_name(settings.DATABASE_APP_ROLE))
