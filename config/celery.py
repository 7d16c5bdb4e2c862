"""Celery: a row in the database is the truth, a task only wakes a worker up. The schedule is a constant."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.base")

SCHEDULE: dict[str, dict[str, Any]] = {
    # Every sweep takes an advisory lock and skips when it is held, so that two beats are harmless.
    "sweep_deliveries": {"task": "integrations.tasks.sweep_deliveries", "schedule": 10.0},
    "sweep_outbox": {"task": "integrations.tasks.sweep_outbox", "schedule": 10.0},
    "sweep_health": {"task": "integrations.tasks.sweep_health", "schedule": 60.0},
    "sweep_refresh": {"task": "integrations.tasks.sweep_refresh", "schedule": 60.0, "queue": "refresh"},
    "sweep_audit_chain": {"task": "integrations.tasks.sweep_audit_chain", "schedule": 10.0},
    "sweep_audit_trail": {"task": "integrations.tasks.sweep_audit_trail", "schedule": 3600.0, "queue": "bulk"},
    "sweep_organizations": {"task": "tenants.tasks.sweep_organizations", "schedule": 15.0},
    "sweep_retention": {"task": "integrations.tasks.sweep_retention", "schedule": 3600.0},
}
"""Seconds between two runs; 10 s bounds how long a lost wake-up can delay a row (RELIABILITY section 1)."""

app = Celery("registry")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.beat_schedule = {
    name: {
        "task": entry["task"],
        "schedule": entry["schedule"],
        "options": {"expires": entry["schedule"] * 2, "queue": entry.get("queue", "health")},
    }
    for name, entry in SCHEDULE.items()
}
app.autodiscover_tasks()
