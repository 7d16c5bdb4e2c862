"""Organizations and the state of their schemas. All of it lives in the public schema."""

from __future__ import annotations

import re
import secrets

from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from django_tenants.models import DomainMixin, TenantMixin

from core.ids import new_id

SCHEMA_NAME = re.compile(r"[a-z][a-z0-9_]{2,40}")
"""Schema names are generated, never taken from a user's text (RELIABILITY section 4, rule 12)."""


def new_schema_name() -> str:
    """Make a schema name that says nothing about the organization."""
    return f"org_{secrets.token_hex(8)}"


class OrganizationQuerySet(models.QuerySet["Organization"]):
    """Filters over organizations."""

    def open(self) -> OrganizationQuerySet:
        """Those whose schema is ready and who may work."""
        return self.filter(status=Organization.Status.ACTIVE)


class Organization(TenantMixin):
    """A customer of the platform; its rows live in a schema of its own."""

    class Status(models.TextChoices):
        CREATING = "creating", _("being created")
        ACTIVE = "active", _("active")
        SUSPENDED = "suspended", _("suspended")
        FAILED = "failed", _("creation failed")

    auto_create_schema = False  # created from the template's DDL in the background
    auto_drop_schema = False

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    schema_name = models.CharField(max_length=41, unique=True, default=new_schema_name, editable=False)
    slug = models.SlugField(
        max_length=40,
        unique=True,
        validators=[RegexValidator(r"^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$", _("Lower-case letters, digits and hyphens."))],
    )
    name = models.CharField(max_length=120)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.CREATING)
    progress = models.PositiveSmallIntegerField(default=0, help_text=_("Percent of the schema that is built."))
    failure = models.TextField(blank=True)
    allowed_origins = ArrayField(
        models.CharField(max_length=200),
        default=list,
        blank=True,
        help_text=_("Origins that a connect link may return to, such as https://app.example.com"),
    )
    locale = models.CharField(max_length=8, default="pt-br")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OrganizationQuerySet.as_manager()

    class Meta:
        verbose_name = _("organization")
        verbose_name_plural = _("organizations")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(schema_name__regex=r"^[a-z][a-z0-9_]{2,40}$"), name="organization_schema_name_safe"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.slug})"

    @property
    def is_open(self) -> bool:
        """Whether requests and tasks may enter."""
        return self.status == self.Status.ACTIVE

    def mark_progress(self, percent: int) -> None:
        """Note how far the schema is built."""
        type(self).objects.filter(pk=self.pk).update(progress=percent)

    def mark_active(self) -> None:
        """Open the organization."""
        type(self).objects.filter(pk=self.pk).update(status=self.Status.ACTIVE, progress=100, failure="")
        self.status, self.progress, self.failure = self.Status.ACTIVE, 100, ""

    def mark_failed(self, failure: str) -> None:
        """Note why the schema could not be built; building may be tried again."""
        type(self).objects.filter(pk=self.pk).update(status=self.Status.FAILED, failure=failure)
        self.status, self.failure = self.Status.FAILED, failure

    def mark_suspended(self) -> None:
        """Close the organization to requests and tasks; its data stays."""
        type(self).objects.filter(pk=self.pk).update(status=self.Status.SUSPENDED)
        self.status = self.Status.SUSPENDED


class Domain(DomainMixin):
    """A host name that serves one organization."""

    class Meta:
        verbose_name = _("domain")
        verbose_name_plural = _("domains")

    def __str__(self) -> str:
        return str(self.domain)


class SchemaChange(models.Model):
    """The SQL of one migration as the template schema ran it; organizations replay it in this order."""

    position = models.PositiveIntegerField(primary_key=True)
    migration = models.CharField(max_length=255, unique=True)
    sql = models.TextField(blank=True)

    class Meta:
        verbose_name = _("schema change")
        verbose_name_plural = _("schema changes")

    def __str__(self) -> str:
        return f"{self.position} {self.migration}"


class SchemaState(models.Model):
    """How far one organization's schema has replayed the changes."""

    schema_name = models.CharField(max_length=41, primary_key=True)
    position = models.PositiveIntegerField(default=0)
    failure = models.TextField(blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("schema state")
        verbose_name_plural = _("schema states")

    def __str__(self) -> str:
        return f"{self.schema_name} at {self.position}"
