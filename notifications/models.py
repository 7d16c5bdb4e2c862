"""Notes to people of an organization."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import clock
from core.ids import new_id


class Notification(models.Model):
    """One note in the organization's admin. Texts hold no personal data: names of accounts and what to do."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(max_length=41, null=True)
    kind = models.CharField(max_length=60)
    text = models.TextField()
    target_kind = models.CharField(max_length=40, blank=True)
    target_id = models.CharField(max_length=80, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        indexes = [models.Index(fields=["organization_schema", "-created_at"], name="notification_recent")]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"
