"""The sealed, versioned secret set of an integration."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import clock
from integrations.models.integration import Integration
from tenants.base import OrganizationModel


class Credential(OrganizationModel):
    """
    One version of an integration's secrets, sealed as one envelope bound to organization, integration and version.

    States: `current` serves; `previous` is kept while a vendor still accepts it; `destroyed` has no secrets left.
    """

    class State(models.TextChoices):
        CURRENT = "current", _("current")
        PREVIOUS = "previous", _("previous")
        DESTROYED = "destroyed", _("destroyed")

    integration = models.ForeignKey(Integration, on_delete=models.PROTECT, related_name="credentials")
    version = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.CURRENT)
    sealed = models.BinaryField(null=True, editable=False)
    fields = models.JSONField(default=list)
    fingerprint = models.CharField(max_length=16, blank=True)
    last4 = models.CharField(max_length=4, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    destroyed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("credential")
        verbose_name_plural = _("credentials")
        constraints = [
            models.UniqueConstraint(fields=["integration", "version"], name="credential_version_once"),
            models.UniqueConstraint(
                fields=["integration"], condition=models.Q(state="current"), name="credential_one_current"
            ),
        ]

    def __str__(self) -> str:
        return f"credential {self.version} of {self.integration_id}"

    def mark_previous(self) -> None:
        """A newer version serves."""
        self.state = self.State.PREVIOUS

    def mark_destroyed(self) -> None:
        """Forget the secrets for good; names, fingerprint and times stay as history."""
        self.state = self.State.DESTROYED
        self.sealed = None
        self.destroyed_at = clock.now()
