"""Vendors, apps at them, and their incidents."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core import clock
from core.ids import new_id
from dispatch.models.breaker import Breaking


class OAuthApp(models.Model):
    """A client id and secret at a vendor: the platform's (no organization) or an organization's own."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(max_length=41, null=True, blank=True)
    provider = models.CharField(max_length=40)
    label = models.CharField(max_length=80)
    client_id = models.CharField(max_length=200)
    sealed_secrets = models.BinaryField(null=True, editable=False)
    settings = models.JSONField(default=dict, blank=True)
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("OAuth app")
        verbose_name_plural = _("OAuth apps")
        constraints = [
            models.UniqueConstraint(fields=["organization_schema", "provider", "client_id"], name="oauth_app_once")
        ]

    def __str__(self) -> str:
        return f"{self.provider} app {self.client_id} ({self.id})"


class Vendor(Breaking):
    """
    One row per provider: whether it may be used, the transfer mechanism, its breaker and its incident.

    `incident` is the text of the open incident, empty when there is none; `incident_class` the error that strikes.
    """

    provider = models.CharField(primary_key=True, max_length=40)
    is_enabled = models.BooleanField(default=True)
    transfer_mechanism = models.CharField(max_length=120, blank=True)
    incident = models.TextField(blank=True)
    incident_class = models.CharField(max_length=40, blank=True, db_default="")
    incident_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("vendor")
        verbose_name_plural = _("vendors")

    def __str__(self) -> str:
        return self.provider


class ProviderIncident(models.Model):
    """Many organizations failing at one vendor with one class of error: opened once, closed once, kept as history."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.CharField(max_length=40)
    error_class = models.CharField(max_length=40)
    text = models.TextField(blank=True)
    organizations = models.PositiveIntegerField(default=0)
    links = models.PositiveIntegerField(default=0)
    active_links = models.PositiveIntegerField(default=0)
    opened_at = models.DateTimeField(default=clock.now)
    last_seen_at = models.DateTimeField(default=clock.now)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("provider incident")
        verbose_name_plural = _("provider incidents")
        constraints = [
            models.UniqueConstraint(fields=["provider"], condition=Q(closed_at=None), name="incident_open_once")
        ]

    def __str__(self) -> str:
        return f"{self.error_class} at {self.provider} ({self.id})"
