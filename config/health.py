"""Whether this installation is alive and ready, and what it counts: /healthz, /readyz, /metrics."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import redis
from django.conf import settings
from django.db import Error as DatabaseProblem
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from config import metrics
from core.errors import RegistryError
from tenants.models import SchemaChange, SchemaState
from tenants.routers import organization_app_labels
from vault.keys import BadKeyRing
from vault.services import check_master_keys

ANSWER_WITHIN_S = 2
"""How long a part may take: probes of containers give up after a few seconds."""

RETRY_AFTER_S = "5"


class NotReady(RegistryError):
    """A part of the installation does not serve; the text says which and what to do."""

    status = 503
    code = "not_ready"


@dataclass(frozen=True, slots=True)
class PartState:
    """One part: whether it serves, and a sentence."""

    is_ok: bool
    detail: str


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer that this process runs; touches nothing else, so that a database restart kills no web process."""
    return JsonResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Answer part by part whether requests can be served: 200, or 503 when a part lacks."""
    states = check_parts()
    is_ready = all(state.is_ok for state in states.values())
    headers = {"Cache-Control": "no-store", **({} if is_ready else {"Retry-After": RETRY_AFTER_S})}
    return JsonResponse(
        {
            "status": "ready" if is_ready else "not_ready",
            "parts": {name: {"ok": state.is_ok, "detail": state.detail} for name, state in states.items()},
        },
        status=200 if is_ready else 503,
        headers=headers,
    )


@require_safe
def metrics_page(request: HttpRequest) -> HttpResponse:
    """Answer what is counted, to the holder of METRICS_TOKEN or to this machine itself."""
    if not _may_read_metrics(request):
        return HttpResponse(status=401, headers={"WWW-Authenticate": 'Bearer realm="metrics"'})
    return HttpResponse(metrics.page(), content_type=CONTENT_TYPE_LATEST)


def check_parts() -> dict[str, PartState]:
    """Ask every part; one that fails says why in words that name no address and no secret."""
    return {name: _state_of(check) for name, check in PARTS.items()}


def check_database() -> str:
    """Ask the database for one row."""
    try:
        with connections[settings.INGRESS_DATABASE].cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseProblem as error:
        connections[settings.INGRESS_DATABASE].close()
        raise NotReady(f"The database does not answer ({type(error).__name__}).") from error
    return "answers"


def check_redis() -> str:
    """Ask Redis for a sign of life."""
    try:
        _redis().ping()
    except (redis.RedisError, OSError) as error:
        raise NotReady(f"Redis does not answer ({type(error).__name__}).") from error
    return "answers"


def check_migrations() -> str:
    """Compare the migrations on disk with those that ran; organizations that are behind are only told."""
    try:
        behind = 0 if _is_migrated() else _behind()
        waiting = _organizations_behind()
    except DatabaseProblem as error:
        raise NotReady("The migrations cannot be read: run `manage.py migrate_organizations`.") from error
    if behind:
        raise NotReady(f"{behind} migrations did not run: run `manage.py migrate_organizations`.")
    _migrated.add(str(connections[settings.INGRESS_DATABASE].settings_dict["NAME"]))
    return f"all ran; {waiting} organizations behind" if waiting else "all ran"


def check_keys() -> str:
    """Prove that the master keys open what is stored."""
    try:
        check_master_keys()
    except BadKeyRing as error:
        raise NotReady("MASTER_KEYS does not open what is stored: run `manage.py doctor`.") from error
    except DatabaseProblem as error:
        raise NotReady("The keys cannot be read: the database does not answer.") from error
    return "open what is stored"


PARTS: dict[str, Callable[[], str]] = {
    "database": check_database,
    "redis": check_redis,
    "migrations": check_migrations,
    "keys": check_keys,
}

_migrated: set[str] = set()
"""Databases seen complete: code and migrations do not change under a running process, so once is enough."""


def _state_of(check: Callable[[], str]) -> PartState:
    try:
        return PartState(True, check())
    except NotReady as problem:
        return PartState(False, problem.detail)


def _is_migrated() -> bool:
    return str(connections[settings.INGRESS_DATABASE].settings_dict["NAME"]) in _migrated


def _behind() -> int:
    """Count the migrations that public or the template schema lacks."""
    executor = MigrationExecutor(connections[settings.INGRESS_DATABASE])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    of_organizations = organization_app_labels()
    wanted = {f"{label}.{name}" for label, name in executor.loader.disk_migrations if label in of_organizations}
    known = set(SchemaChange.objects.using(settings.INGRESS_DATABASE).values_list("migration", flat=True))
    return len(plan) + len(wanted - known)


def _organizations_behind() -> int:
    alias = settings.INGRESS_DATABASE
    newest = SchemaChange.objects.using(alias).order_by("-position").values_list("position", flat=True).first() or 0
    return SchemaState.objects.using(alias).filter(position__lt=newest).count()


@cache
def _redis() -> redis.Redis:
    wait: dict[str, Any] = {"socket_timeout": ANSWER_WITHIN_S, "socket_connect_timeout": ANSWER_WITHIN_S}
    return redis.Redis.from_url(settings.REDIS_URL, max_connections=2, **wait)


def _may_read_metrics(request: HttpRequest) -> bool:
    scheme, _separator, given = request.headers.get("Authorization", "").partition(" ")
    wanted = settings.METRICS_TOKEN
    if wanted and scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), wanted.encode()):
        return True
    return _is_this_machine(request)


def _is_this_machine(request: HttpRequest) -> bool:
    """A proxy on this machine also comes from loopback, so whatever was passed on does not count."""
    if {"X-Forwarded-For", "Forwarded", "X-Real-Ip", "X-Forwarded-Host"} & set(request.headers):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
