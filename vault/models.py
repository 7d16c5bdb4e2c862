"""The wrapped keys of organizations."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import clock
from core.ids import new_id


class OrganizationKeyQuerySet(models.QuerySet["OrganizationKey"]):
    """Filters over organization keys."""

    def live(self) -> OrganizationKeyQuerySet:
        """Those that still open something."""
        return self.filter(destroyed_at=None)


class OrganizationKey(models.Model):
    """
    One version of an organization's key, wrapped under a master key.

    The newest live version seals; all live versions open. Destroyed versions keep their row as evidence and lose
    their key, which makes everything they sealed unreadable for good.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(max_length=63, help_text=_('"public" is the platform itself.'))
    version = models.PositiveIntegerField()
    wrapped = models.BinaryField()
    master_id = models.CharField(max_length=32)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    destroyed_at = models.DateTimeField(null=True, blank=True)

    objects = OrganizationKeyQuerySet.as_manager()

    class Meta:
        verbose_name = _("organization key")
        verbose_name_plural = _("organization keys")
        constraints = [
            models.UniqueConstraint(
                fields=["organization_schema", "version"], name="vault_organizationkey_version_unique"
            ),
        ]
        indexes = [
            # Master rotation asks which live keys are still under an older master key.
            models.Index(
                fields=["master_id"], condition=models.Q(destroyed_at=None), name="vault_organizationkey_live"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.organization_schema} v{self.version}"
