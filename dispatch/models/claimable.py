"""Rows that one worker at a time works on."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models.functions import Greatest

from core import clock
from core.pace import scaled

LEASE = timedelta(seconds=scaled(120))
"""How long a claimed row is its worker's alone; above the task time limit of 90 s (RELIABILITY section 3)."""

DUE_AT = Greatest("next_attempt_at", "not_before")
"""When a row may be claimed; PostgreSQL's GREATEST passes over NULL."""


class Claimable(models.Model):
    """A row that one worker at a time works on: claimed under a lease, tried again when due, dead at the end."""

    attempts = models.PositiveSmallIntegerField(default=0)
    crashes = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=clock.now)
    leased_until = models.DateTimeField(null=True, blank=True)
    lease_id = models.UUIDField(null=True, blank=True, editable=False)
    not_before = models.DateTimeField(null=True, blank=True)
    error_class = models.CharField(max_length=40, blank=True)
    error_text = models.TextField(blank=True)

    class Meta:
        abstract = True
