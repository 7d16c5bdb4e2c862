"""Files of one organization, whatever holds their bytes."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import clock
from tenants.base import OrganizationModel


class StoredFile(OrganizationModel):
    """One file: on local disk under the organization's folder, or in its own bucket."""

    name = models.CharField(_("name"), max_length=255)
    content_type = models.CharField(_("content type"), max_length=120)
    size_bytes = models.PositiveBigIntegerField(_("size"))
    sha256 = models.CharField(max_length=64)
    location = models.CharField(max_length=400)
    purpose = models.CharField(_("purpose"), max_length=30, blank=True)
    created_at = models.DateTimeField(_("created at"), default=clock.now)

    class Meta:
        verbose_name = _("file")
        verbose_name_plural = _("files")

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"
