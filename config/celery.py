"""Celery: a row in the database is the truth, a task only wakes a worker up. The schedule is a constant."""

from __future__ import annotations

import os
import sys
from typing import Any

from celery import Celery, Task
from celery.signals import task_postrun, task_prerun, worker_init
from django.db import connections

from config import canary
from core.pace import scaled

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.base")

SCHEDULE: dict[str, dict[str, Any]] = {
    # Every sweep takes an advisory lock and skips when it is held, so that two beats are harmless.
    "sweep_deliveries": {"task": "integrations.tasks.sweep_deliveries", "schedule": 10.0},
    "sweep_outbox": {"task": "integrations.tasks.sweep_outbox", "schedule": 10.0},
    "sweep_health": {"task": "integrations.tasks.sweep_health", "schedule": 10.0},
    "sweep_refresh": {"task": "integrations.tasks.sweep_refresh", "schedule": 60.0, "queue": "refresh"},
    "sweep_incidents": {"task": "integrations.tasks.sweep_incidents", "schedule": 30.0, "queue": "refresh"},
    "sweep_breakers": {"task": "integrations.tasks.sweep_breakers", "schedule": 10.0, "queue": "refresh"},
    "sweep_alerts": {"task": "integrations.tasks.sweep_alerts", "schedule": 60.0, "queue": "bulk"},
    "sweep_endpoints": {"task": "integrations.tasks.sweep_endpoints", "schedule": 60.0, "queue": "bulk"},
    "sweep_mail": {"task": "integrations.tasks.sweep_mail", "schedule": 60.0, "queue": "bulk"},
    "sweep_drift": {"task": "integrations.tasks.sweep_drift", "schedule": 60.0, "queue": "bulk"},
    "sweep_reconcile": {"task": "integrations.tasks.sweep_reconcile", "schedule": 60.0, "queue": "bulk"},
    "sweep_rhythms": {"task": "integrations.tasks.sweep_rhythms", "schedule": 300.0, "queue": "bulk"},
    "sweep_silence": {"task": "integrations.tasks.sweep_silence", "schedule": 60.0, "queue": "bulk"},
    "sweep_audit_chain": {"task": "integrations.tasks.sweep_audit_chain", "schedule": 10.0},
    "sweep_audit_trail": {"task": "integrations.tasks.sweep_audit_trail", "schedule": 3600.0, "queue": "bulk"},
    "sweep_organizations": {"task": "tenants.tasks.sweep_organizations", "schedule": 15.0},
    "sweep_retention": {"task": "integrations.tasks.sweep_retention", "schedule": 3600.0},
}
"""Seconds between two runs; 10 s bounds how long a lost wake-up can delay a row (RELIABILITY section 1)."""

SHORTEST_PERIOD_S = 0.5
"""A shortened schedule goes no further: beat and two cores have other things to do."""

KEPT_AT_LEAST_S = 5.0
"""A sweep waits this long for a free worker, however short its period is."""

app = Celery("registry")
app.config_from_object("django.conf:settings", namespace="CELERY")


def beat_entry(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a line of the schedule as beat reads it, at the pace of this process."""
    period_s = max(SHORTEST_PERIOD_S, scaled(entry["schedule"]))
    expires_s = max(KEPT_AT_LEAST_S, period_s * 2)
    return {
        "task": entry["task"],
        "schedule": period_s,
        "options": {"expires": expires_s, "queue": entry.get("queue", "health")},
    }


app.conf.beat_schedule = {name: beat_entry(entry) for name, entry in SCHEDULE.items()}
app.autodiscover_tasks()
app.conf["CELERY_DB_REUSE_MAX"] = sys.maxsize
"""Celery would close the whole pool around each task, under the hands of other threads, and make the next one new."""


@task_postrun.connect
def _give_connections_back(sender: Task, **kwargs: object) -> None:
    """Return what the task used to the pool; whoever calls a task in its own process keeps its connections."""
    if not sender.request.is_eager:
        connections.close_all()


def _tell_the_canary(path: str) -> None:
    """Let whoever watches this worker see that it takes work; the signals keep weak references without `weak`."""
    worker_init.connect(lambda **kwargs: canary.own(path), weak=False)
    for moment in (task_prerun, task_postrun):
        moment.connect(lambda **kwargs: canary.touch(path), weak=False)


if heartbeat := os.environ.get(canary.HEARTBEAT):
    _tell_the_canary(heartbeat)
