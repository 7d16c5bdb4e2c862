"""Days of payments compared with the vendor's own list."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import clock
from integrations.models import Integration
from tenants.base import OrganizationModel


class ReconciliationStatus(models.TextChoices):
    """How a comparison ended."""

    EQUAL = "equal", _("equal")
    REPAIRED = "repaired", _("repaired")
    DIFFERENT = "different", _("different")
    FAILED = "failed", _("not compared")


class Reconciliation(OrganizationModel):
    """
    One integration's payments of one day (UTC), compared with the vendor's list; zero tolerance.

    `totals` is {currency: {vendor_minor, ours_minor, difference_minor}} of money received, after the repair.
    `differences` lists what the first look found: {external_id, kind, vendor, ours, repaired}, where `kind` is
    `missing_here`, `missing_there`, `status`, `amount` or `currency`.
    """

    integration = models.ForeignKey(Integration, on_delete=models.PROTECT, related_name="+")
    day = models.DateField(_("day"))
    status = models.CharField(_("result"), max_length=10, choices=ReconciliationStatus.choices)
    vendor_count = models.PositiveIntegerField(_("at the vendor"), default=0)
    our_count = models.PositiveIntegerField(_("here"), default=0)
    repaired_count = models.PositiveIntegerField(_("repaired"), default=0)
    different_count = models.PositiveIntegerField(_("different"), default=0)
    totals = models.JSONField(_("totals"), default=dict)
    differences = models.JSONField(_("differences"), default=list)
    error = models.JSONField(_("error"), null=True, blank=True)
    compared_at = models.DateTimeField(_("compared at"), default=clock.now)

    class Meta:
        verbose_name = _("reconciliation")
        verbose_name_plural = _("reconciliations")
        constraints = [models.UniqueConstraint(fields=["integration", "day"], name="reconciliation_day_once")]
        indexes = [models.Index(fields=["-day"], name="reconciliation_recent")]

    def __str__(self) -> str:
        return f"{self.integration} {self.day}"
