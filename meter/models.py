"""
What was counted. Each table is partitioned by day in PostgreSQL (see the migrations), so that old days leave
by dropping a partition. The day is part of the key; ids are time-ordered.
"""

from __future__ import annotations

from datetime import date

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import clock
from core.ids import new_id


def today() -> date:
    """Return the UTC day that a record counts for."""
    return clock.now().date()


class Measured(models.Model):
    """What every record has: organization, link and day."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    day = models.DateField(default=today)
    organization_schema = models.CharField(max_length=41)
    link_id = models.UUIDField()
    provider = models.CharField(max_length=40)
    at = models.DateTimeField(default=clock.now)

    class Meta:
        abstract = True


class Call(Measured):
    """One call to a vendor: redacted, without body and query."""

    operation = models.CharField(max_length=60)
    method = models.CharField(max_length=8)
    url = models.CharField(max_length=500)
    status = models.PositiveSmallIntegerField(null=True)
    duration_ms = models.FloatField()
    error_class = models.CharField(max_length=40, blank=True)
    vendor_code = models.CharField(max_length=40, blank=True)
    trace_id = models.CharField(max_length=120, blank=True)
    request_bytes = models.PositiveIntegerField(default=0)
    response_bytes = models.PositiveIntegerField(default=0)

    class Meta:
        managed = False
        db_table = "meter_call"
        verbose_name = _("call")
        verbose_name_plural = _("calls")

    def __str__(self) -> str:
        return f"{self.operation} {self.id}"


class HealthCheck(Measured):
    """One live check of a link; `health` is what it led to, from which the changes of a link's state are told."""

    is_ok = models.BooleanField()
    health = models.CharField(max_length=12, blank=True, default="", db_default="")
    duration_ms = models.FloatField()
    error_class = models.CharField(max_length=40, blank=True)
    detail = models.TextField(blank=True)
    verdicts = models.JSONField(default=list)

    class Meta:
        managed = False
        db_table = "meter_healthcheck"
        verbose_name = _("health check")
        verbose_name_plural = _("health checks")

    def __str__(self) -> str:
        return f"check {self.id}"


class UsageRecord(Measured):
    """A quantity of one unit, such as messages sent."""

    unit = models.CharField(max_length=40)
    quantity = models.DecimalField(max_digits=20, decimal_places=6)

    class Meta:
        managed = False
        db_table = "meter_usagerecord"
        verbose_name = _("usage record")
        verbose_name_plural = _("usage records")

    def __str__(self) -> str:
        return f"{self.unit} {self.id}"
