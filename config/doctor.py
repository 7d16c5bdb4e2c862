"""
What `manage.py doctor` looks at: each check gives findings, each finding says what to fix.

A check that cannot be carried out is a finding too. No finding shows a secret.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.db import Error as DatabaseProblem
from django.db import connections

from audit import evidence
from config import health
from core.redaction import redact_url
from tenants.schemas import append_only_tables
from vault.keys import BadKeyRing
from vault.services import check_master_keys

SHORTEST_SECRET = 50
"""Django's own check --deploy wants 50 characters."""

LATE_S = 120
"""Work that is due for two minutes means that no worker takes it: the sweeps look every ten seconds."""


class Level(enum.Enum):
    """How much a finding matters: an error makes the command fail."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about the installation and, unless it is fine, what to do."""

    level: Level
    subject: str
    text: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Carry out every check; one that cannot be carried out is an error with its reason."""
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        try:
            findings.extend(check())
        except (DatabaseProblem, redis.RedisError, OSError) as error:
            connections[settings.INGRESS_DATABASE].close()
            findings.append(
                Finding(Level.ERROR, name, f"cannot be looked at ({type(error).__name__})", "Is the server running?")
            )
    return findings


def settings_states() -> list[tuple[str, str]]:
    """Return every setting of API.md section 2 with its state; secrets only as set or not."""
    return [(name, state() or "not set") for name, state in STATES.items()]


def check_addresses() -> Iterator[Finding]:
    """PUBLIC_URL, ADMIN_HOST, ALLOWED_HOSTS."""
    public = urlsplit(settings.PUBLIC_URL)
    is_secure = public.scheme == "https"
    yield _judge(
        is_secure,
        "PUBLIC_URL",
        redact_url(settings.PUBLIC_URL),
        "Vendors post to https only: set PUBLIC_URL to the https address of this installation.",
    )
    admin = settings.ADMIN_HOST.partition(":")[0]
    yield _judge(
        bool(admin) and admin != public.hostname,
        "ADMIN_HOST",
        admin or "not set",
        "Serve people's pages on another host than PUBLIC_URL, so that the public one carries no session cookie.",
    )
    if "*" in settings.ALLOWED_HOSTS:
        yield Finding(_bad(), "ALLOWED_HOSTS", "takes any host", "Name the hosts of this installation.")


def check_secrets() -> Iterator[Finding]:
    """SECRET_KEY, MASTER_KEYS, PLATFORM_KEYS."""
    yield _judge(
        len(settings.SECRET_KEY) >= SHORTEST_SECRET,
        "SECRET_KEY",
        f"{len(settings.SECRET_KEY)} characters",
        f"Use at least {SHORTEST_SECRET} random characters.",
    )
    try:
        check_master_keys()
    except BadKeyRing as error:
        yield Finding(Level.ERROR, "MASTER_KEYS", str(error), "Put the missing key back; without it nothing opens.")
        return
    yield Finding(Level.OK, "MASTER_KEYS", "open what is stored")


def check_database() -> Iterator[Finding]:
    """The roles: what the application's role must not be able to do."""
    (version, role, is_mighty) = _row(
        "SELECT current_setting('server_version'), rolname, rolsuper OR rolbypassrls FROM pg_roles"
        " WHERE rolname = current_user"
    )
    yield Finding(Level.OK, "database", f"PostgreSQL {version}, role {role}")
    if is_mighty:
        text = f"{role} is a superuser or passes row-level security: organizations are not kept apart"
        yield Finding(Level.ERROR, "database role", text, "Give DATABASE_URL a role without SUPERUSER and BYPASSRLS.")
    if not settings.HAS_SEPARATE_OWNER:
        yield Finding(
            _bad(),
            "database owner",
            "one role for everything: the application could change tables and rewrite the audit trail",
            "Set DATABASE_OWNER_URL to the owner's role and DATABASE_URL to one that owns nothing.",
        )
    yield from _audit_privileges()
    yield from _row_security()


def check_migrations() -> Iterator[Finding]:
    """Whether every migration ran."""
    try:
        yield Finding(Level.OK, "migrations", health.check_migrations())
    except health.NotReady as problem:
        yield Finding(Level.ERROR, "migrations", problem.detail, "manage.py migrate_organizations")


def check_redis() -> Iterator[Finding]:
    """Whether Redis keeps what it was given: AOF on, nothing evicted."""
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)
    client.ping()
    yield Finding(Level.OK, "Redis", "answers")
    wanted = {"appendonly": "yes", "maxmemory-policy": "noeviction"}
    for name, value in wanted.items():
        try:
            found = str(client.config_get(name).get(name, "unknown"))
        except redis.ResponseError:
            found = "unknown: CONFIG is not allowed here"
        remedy = f"Set {name} {value}: otherwise a restart or a full memory loses wake-ups, which costs seconds."
        level = Level.OK if found == value else Level.WARNING
        yield Finding(level, f"Redis {name}", found, "" if level is Level.OK else remedy)


def check_evidence() -> Iterator[Finding]:
    """Where signed audit heads and tombstones go."""
    url = settings.EVIDENCE_URL
    remedy = "Set EVIDENCE_URL to a folder or bucket on other storage: a cut tail of the trail is invisible without it."
    yield _judge(bool(url), "EVIDENCE_URL", redact_url(url) or "not set", remedy)
    try:
        store = evidence.open_store()
    except evidence.EvidenceUnusable as error:
        yield Finding(Level.ERROR, "EVIDENCE_URL", str(error), remedy)
        return
    if problem := store.problem() if store else "":
        yield Finding(Level.ERROR, "EVIDENCE_URL", problem, remedy)


def check_vendors() -> Iterator[Finding]:
    """Whether vendors' addresses are replaced."""
    overridden = sorted(settings.PROVIDER_OVERRIDES)
    if settings.SANDBOX:
        text = f"every vendor is the sandbox at {settings.SANDBOX_URL}"
        yield Finding(_bad(in_development=Level.OK), "SANDBOX", text, "Remove SANDBOX: customers reach no vendor.")
    if overridden:
        text = f"replaced: {', '.join(overridden)}"
        yield Finding(_bad(in_development=Level.OK), "PROVIDER_URL_*", text, "Remove them unless you want that.")
    if not settings.SANDBOX and not overridden:
        yield Finding(Level.OK, "vendors", "reached at their own addresses")


def check_mail() -> Iterator[Finding]:
    """Whether mail leaves the house."""
    leaves = not settings.EMAIL_BACKEND.endswith((".console.EmailBackend", ".dummy.EmailBackend"))
    text = "is sent" if leaves else "is only printed"
    yield _judge(leaves, "mail", text, "Set EMAIL_URL: invitations and password resets reach nobody.")


def check_work() -> Iterator[Finding]:
    """Whether somebody works."""
    for table, open_ in (("webhookdelivery", "'received', 'failed'"), ("outboxentry", "'waiting'")):
        (late,) = _row(
            f"SELECT count(*) FROM dispatch_{table} WHERE status IN ({open_})"  # noqa: S608 - constants above
            f" AND next_attempt_at < now() - interval '{LATE_S} seconds' AND (not_before IS NULL OR not_before < now())"
        )
        remedy = "Start a worker and beat (manage.py up worker, up beat), or run manage.py sweep."
        yield _judge(late == 0, f"dispatch_{table}", f"{late} rows late by over {LATE_S} s", remedy)


CHECKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "addresses": check_addresses,
    "secrets": check_secrets,
    "database": check_database,
    "migrations": check_migrations,
    "Redis": check_redis,
    "evidence": check_evidence,
    "vendors": check_vendors,
    "mail": check_mail,
    "work": check_work,
}


def _set(name: str) -> Callable[[], str]:
    return lambda: "set" if getattr(settings, name) else ""


def _shown(name: str) -> Callable[[], str]:
    return lambda: str(getattr(settings, name) or "")


def _url(name: str) -> Callable[[], str]:
    return lambda: redact_url(str(getattr(settings, name)))


def _database(alias: str) -> Callable[[], str]:
    def state() -> str:
        values: dict[str, Any] = settings.DATABASES[alias]
        return f"{values['USER']} at {values.get('HOST') or 'localhost'}, {values['NAME']}"

    return state


STATES: dict[str, Callable[[], str]] = {
    "ENVIRONMENT": _shown("ENVIRONMENT_NAME"),
    "DATABASE_URL": _database("default"),
    "DATABASE_OWNER_URL": _database("owner"),
    "REDIS_URL": _url("REDIS_URL"),
    "CACHE_URL": lambda: redact_url(str(settings.CACHES["default"]["LOCATION"])),
    "SECRET_KEY": _set("SECRET_KEY"),
    "MASTER_KEYS": _set("MASTER_KEYS"),
    "PLATFORM_KEYS": _set("PLATFORM_KEYS"),
    "PUBLIC_URL": _url("PUBLIC_URL"),
    "ADMIN_HOST": _shown("ADMIN_HOST"),
    "ALLOWED_HOSTS": lambda: ", ".join(settings.ALLOWED_HOSTS),
    "EVIDENCE_URL": _url("EVIDENCE_URL"),
    "DEFAULT_FROM_EMAIL": _shown("DEFAULT_FROM_EMAIL"),
    "EMAIL_URL": lambda: str(settings.EMAIL_BACKEND).rsplit(".", 2)[-2],
    "DISABLE_AFTER_DAYS": _shown("DISABLE_AFTER_DAYS"),
    "ENDPOINT_DISABLE_AFTER_DAYS": _shown("ENDPOINT_DISABLE_AFTER_DAYS"),
    "OUTBOUND_THREADS": _shown("OUTBOUND_THREADS"),
    "HEALTH_THREADS": _shown("HEALTH_THREADS"),
    "DATABASE_POOL_SIZE": _shown("DATABASE_POOL_SIZE"),
    "SENTRY_DSN": _set("SENTRY_DSN"),
    "EGRESS_ALLOW": lambda: ", ".join(settings.EGRESS_ALLOW),
    "METRICS_TOKEN": _set("METRICS_TOKEN"),
    "SANDBOX": lambda: "on" if settings.SANDBOX else "off",
    "PROVIDER_URL_*": lambda: ", ".join(sorted(settings.PROVIDER_OVERRIDES)),
    "ALLOW_PROVIDER_OVERRIDES": lambda: "on" if settings.ALLOW_PROVIDER_OVERRIDES else "off",
    "META_GRAPH_VERSION": lambda: settings.META_GRAPH_VERSION or "the provider's default",
    "OAuth apps of the platform": lambda: ", ".join(
        key for key, seed in settings.OAUTH_APP_SEEDS.items() if any(seed.values())
    ),
}


def _bad(*, in_development: Level = Level.WARNING) -> Level:
    """What is wrong in production is only said in development."""
    return Level.ERROR if settings.ENVIRONMENT_NAME == "production" else in_development


def _judge(is_fine: bool, subject: str, text: str, remedy: str) -> Finding:
    return Finding(Level.OK, subject, text) if is_fine else Finding(_bad(), subject, text, remedy)


def _audit_privileges() -> Iterator[Finding]:
    for table in append_only_tables():
        (may_rewrite,) = _row(
            "SELECT has_table_privilege(current_user, %s, 'UPDATE') OR has_table_privilege(current_user, %s, 'DELETE')",
            [table, table],
        )
        remedy = "Run manage.py migrate_organizations with the owner's role in DATABASE_OWNER_URL."
        text = "the application could rewrite it" if may_rewrite else "append-only"
        yield _judge(not may_rewrite, table, text, remedy)


def _row_security() -> Iterator[Finding]:
    with connections[settings.INGRESS_DATABASE].cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_schema' AND NOT a.attisdropped"
            " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
            " AND NOT c.relforcerowsecurity ORDER BY 1"
        )
        open_tables = [name for (name,) in cursor.fetchall()]
    text = f"not forced on: {', '.join(open_tables)}" if open_tables else "forced on every table with an organization"
    level = Level.ERROR if open_tables else Level.OK
    yield Finding(level, "row-level security", text, "manage.py migrate_organizations" if open_tables else "")


def _row(statement: str, parameters: list[Any] | None = None) -> tuple[Any, ...]:
    with connections[settings.INGRESS_DATABASE].cursor() as cursor:
        cursor.execute(statement, parameters)
        return tuple(cursor.fetchone())
