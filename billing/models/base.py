"""What all mirrored objects have in common."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import clock
from integrations.models import Integration
from tenants.base import OrganizationModel

LONGEST_ID = 200
"""Ids are indexed; no vendor's are longer than 80 characters."""


def external_id_once(name: str) -> models.UniqueConstraint:
    """One row for one object of one integration; those the vendor has not named yet may be many."""
    return models.UniqueConstraint(
        fields=["integration", "external_id"], condition=~models.Q(external_id=""), name=f"{name}_external_once"
    )


def request_key_once(name: str) -> models.UniqueConstraint:
    """One row for one idempotency key of a caller."""
    return models.UniqueConstraint(
        fields=["integration", "request_key"], condition=~models.Q(request_key=""), name=f"{name}_request_once"
    )


class VendorObject(OrganizationModel):
    """
    An object of the vendor as it was when `vendor_at`, the vendor's own time; what is older never overwrites it.

    `vendor_status` is the vendor's own word, `vendor_payload` its object as it came, without client secrets.
    """

    integration = models.ForeignKey(Integration, on_delete=models.PROTECT, related_name="+")
    external_id = models.CharField(_("vendor's id"), max_length=LONGEST_ID, blank=True)
    vendor_status = models.CharField(_("vendor's status"), max_length=120, blank=True)
    vendor_at = models.DateTimeField(_("as of"), null=True, blank=True)
    vendor_payload = models.JSONField(default=dict, blank=True)
    metadata = models.JSONField(_("metadata"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created at"), default=clock.now)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} {self.external_id or self.pk}"


def amount(label: Any, **more: Any) -> models.BigIntegerField[int, int]:
    """Return a column of integer minor units."""
    return models.BigIntegerField(label, **more)


def currency(**more: Any) -> models.CharField[str, str]:
    """Return a column of an ISO 4217 code in upper case."""
    return models.CharField(_("currency"), max_length=3, **more)
