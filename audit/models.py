"""The audit trail: entries that are only ever added, and the chain that makes a changed past visible."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import clock
from core.ids import new_id

PLATFORM = "public"
"""The name of the chain of entries that belong to no organization."""


class ActorKind(models.TextChoices):
    """Who can act."""

    USER = "user", _("user")
    API_KEY = "api_key", _("API key")
    SYSTEM = "system", _("system")
    VENDOR = "vendor", _("vendor")


class TransactionIdField(models.Field):
    """PostgreSQL's 64-bit transaction id, which never wraps around."""

    def db_type(self, connection: object) -> str:
        """Name the column's type."""
        return "xid8"


class AuditEntry(models.Model):
    """
    One thing that somebody did. Details hold ids, names of fields and keyed digests, never personal data.

    `transaction_id` is set by the database; entries are linked into the chain once every transaction that could still
    add an earlier one has ended.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(  # noqa: DJ001 - null is "no organization" to the row-level policy
        max_length=63, null=True, blank=True
    )
    actor_kind = models.CharField(max_length=8, choices=ActorKind.choices)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_label = models.CharField(max_length=120, blank=True)
    action = models.CharField(max_length=64)
    target_kind = models.CharField(max_length=40, blank=True)
    target_id = models.CharField(max_length=64, blank=True)
    target_label = models.CharField(max_length=120, blank=True)
    details = models.JSONField(default=dict, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    ip_digest = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    transaction_id = TransactionIdField(db_default=models.Func(function="pg_current_xact_id"), editable=False)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(action__regex=r"^[a-z_]+\.[a-z_]+$"), name="audit_entry_action_named"
            ),
        ]
        indexes = [
            models.Index(fields=["organization_schema", "-created_at"], name="audit_entry_by_organization"),
            models.Index(fields=["target_kind", "target_id", "-created_at"], name="audit_entry_by_target"),
            models.Index(fields=["created_at"], name="audit_entry_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.id}"

    @property
    def chain(self) -> str:
        """The chain this entry is linked into."""
        return self.organization_schema or PLATFORM


class AuditChainLink(models.Model):
    """
    One link: the digest of an entry and of the link before it. Every organization has a chain of its own.

    `organization_schema` is null on the platform's chain, as on its entries. `entry_id` is no foreign key, so that a
    removed entry leaves its link behind as evidence.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(  # noqa: DJ001 - null is "no organization" to the row-level policy
        max_length=63, null=True, blank=True
    )
    sequence = models.PositiveBigIntegerField()
    entry_id = models.UUIDField(unique=True)
    previous = models.BinaryField(max_length=32)
    digest = models.BinaryField(max_length=32)
    linked_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        verbose_name = _("audit chain link")
        verbose_name_plural = _("audit chain links")
        constraints = [
            models.UniqueConstraint(
                fields=["organization_schema", "sequence"],
                nulls_distinct=False,
                name="audit_chainlink_sequence_unique",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.chain} {self.sequence}"

    @property
    def chain(self) -> str:
        """The name of the chain: the organization's schema, or the platform's."""
        return self.organization_schema or PLATFORM


class AuditAnchor(models.Model):
    """
    Where a chain begins after its oldest entries were pruned: the last link that went, signed by us.

    Without the signature whoever may delete rows could cut the beginning of a chain off and call it pruned.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(  # noqa: DJ001 - null is "no organization" to the row-level policy
        max_length=63, null=True, blank=True
    )
    sequence = models.PositiveBigIntegerField()
    digest = models.BinaryField(max_length=32)
    entries = models.PositiveBigIntegerField()
    pruned_at = models.DateTimeField(default=clock.now, editable=False)
    signature = models.BinaryField(max_length=32)

    class Meta:
        verbose_name = _("audit anchor")
        verbose_name_plural = _("audit anchors")
        constraints = [
            models.UniqueConstraint(
                fields=["organization_schema", "sequence"], nulls_distinct=False, name="audit_anchor_sequence_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.chain} pruned to {self.sequence}"

    @property
    def chain(self) -> str:
        """The name of the chain: the organization's schema, or the platform's."""
        return self.organization_schema or PLATFORM
