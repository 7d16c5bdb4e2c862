"""Counters."""

from django.apps import AppConfig


class MeterConfig(AppConfig):
    """Public tables, partitioned by day: Call, HealthCheck, UsageRecord."""

    name = "meter"
    verbose_name = "Meter"
