"""One parsed, deduplicated fact of a vendor."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import clock
from integrations.models.integration import Integration
from tenants.base import OrganizationModel


class Event(OrganizationModel):
    """Unique per integration by the vendor's event key; `raw` is the vendor's own part, kept beside."""

    integration = models.ForeignKey(Integration, on_delete=models.PROTECT, related_name="events")
    type = models.CharField(_("type"), max_length=60)
    key = models.CharField(_("event key"), max_length=300)
    external_id = models.CharField(_("vendor's id"), max_length=300, blank=True)
    object = models.CharField(_("object"), max_length=300, blank=True)
    data = models.JSONField(default=dict)
    raw = models.JSONField(default=dict)
    delivery_id = models.UUIDField(null=True)
    occurred_at = models.DateTimeField(_("occurred at"), null=True, blank=True)
    received_at = models.DateTimeField(_("received at"), default=clock.now)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        constraints = [models.UniqueConstraint(fields=["integration", "key"], name="event_once")]
        indexes = [models.Index(fields=["-received_at"], name="event_recent")]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"
