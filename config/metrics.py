"""
What Prometheus reads: the counters of this process, and queue depths asked of the database at the moment of reading.

With several web processes set PROMETHEUS_MULTIPROC_DIR (prometheus-client's own variable) and their counters add up.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseProblem
from django.db import connections
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

# Each statement is answered by a partial index or a small table, whatever the history's size.
_QUEUES = """
    SELECT 'inbox', status, count(*), extract(epoch FROM now() - min(next_attempt_at))
    FROM dispatch_webhookdelivery WHERE status IN ('received', 'failed', 'processing') GROUP BY status
    UNION ALL
    SELECT 'outbox', status, count(*), extract(epoch FROM now() - min(next_attempt_at))
    FROM dispatch_outboxentry WHERE status IN ('waiting', 'working') GROUP BY status
    UNION ALL
    SELECT 'inbox', status, count(*), 0
    FROM dispatch_webhookdelivery WHERE status = 'quarantined' GROUP BY status
"""
_LINKS = "SELECT provider, status, health, count(*) FROM dispatch_link GROUP BY provider, status, health"


class Depths(Collector):
    """Gauges over the two queues and the links; one that cannot be read leaves `registry_up` at 0."""

    def collect(self) -> Iterator[Any]:
        """Ask the database."""
        up = GaugeMetricFamily("registry_up", "Whether the database answered")
        rows = GaugeMetricFamily("registry_queue_rows", "Rows that wait for work", labels=["queue", "status"])
        age = GaugeMetricFamily("registry_queue_late_seconds", "How late the oldest is", labels=["queue", "status"])
        links = GaugeMetricFamily("registry_links", "Integrations", labels=["provider", "status", "health"])
        try:
            for queue, status, count, late_s in _rows(_QUEUES):
                rows.add_metric([queue, status], count)
                age.add_metric([queue, status], max(0.0, float(late_s)))
            for provider, status, health, count in _rows(_LINKS):
                links.add_metric([provider, status, health], count)
            up.add_metric([], 1)
        except DatabaseProblem:
            connections[settings.INGRESS_DATABASE].close()
            up.add_metric([], 0)
        yield from (up, rows, age, links)


def page() -> bytes:
    """Return the page in Prometheus' text format."""
    depths = CollectorRegistry()
    depths.register(Depths())
    return generate_latest(_counters()) + generate_latest(depths)


def _counters() -> CollectorRegistry:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    shared = CollectorRegistry()
    MultiProcessCollector(shared)
    return shared


def _rows(statement: str) -> list[tuple[Any, ...]]:
    with connections[settings.INGRESS_DATABASE].cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())
