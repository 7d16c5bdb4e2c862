"""What arrived: deliveries, the keys that tell repeats, a sample of what was refused."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core import clock
from core.ids import new_id
from dispatch.models.claimable import DUE_AT, Claimable


class DeliveryStatus(models.TextChoices):
    """The life of a webhook delivery."""

    RECEIVED = "received", _("received")
    PROCESSING = "processing", _("being processed")
    PROCESSED = "processed", _("processed")
    IGNORED = "ignored", _("ignored")
    FAILED = "failed", _("failed, tried again")
    DEAD = "dead", _("dead letter")
    QUARANTINED = "quarantined", _("quarantined")


_OPEN = Q(status__in=["received", "failed", "processing"])


class WebhookDelivery(Claimable):
    """One verified HTTP hit, its raw body sealed. The row is the truth; a task only wakes a worker."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(max_length=41, null=True)
    link_id = models.UUIDField(null=True)
    provider = models.CharField(max_length=40)
    account_key = models.CharField(max_length=200, blank=True)
    part_of = models.UUIDField(null=True, blank=True)
    part_digest = models.BinaryField(max_length=32, null=True)
    headers = models.JSONField(default=dict)
    sealed_body = models.BinaryField(null=True)
    body_bytes = models.PositiveIntegerField(default=0)
    status = models.CharField(max_length=12, choices=DeliveryStatus.choices, default=DeliveryStatus.RECEIVED)
    event_ids = ArrayField(models.UUIDField(), default=list)
    received_at = models.DateTimeField(default=clock.now)
    processed_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        indexes = [
            # As claims read them (dispatch/claims.py): by link or, for the platform's own URLs, by provider.
            models.Index("link_id", DUE_AT, "id", name="delivery_due_by_link", condition=_OPEN),
            models.Index(
                "provider", DUE_AT, "id", name="delivery_due_by_provider", condition=_OPEN & Q(link_id__isnull=True)
            ),
            models.Index(fields=["link_id"], name="delivery_in_work", condition=Q(status="processing")),
            models.Index(fields=["organization_schema", "-received_at"], name="delivery_by_organization"),
            models.Index(fields=["link_id", "-received_at"], name="delivery_by_link"),
            models.Index(
                fields=["provider", "account_key"], name="delivery_quarantined", condition=Q(status="quarantined")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} delivery {self.id}"


class InboxKey(models.Model):
    """A delivery seen: taken in the same statement as its row, kept eight days (Meta repeats for seven)."""

    id = models.BigAutoField(primary_key=True)
    organization_schema = models.CharField(max_length=41, null=True)
    route_key = models.CharField(max_length=80)
    digest = models.BinaryField(max_length=32)
    received_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name = _("inbox key")
        verbose_name_plural = _("inbox keys")
        constraints = [models.UniqueConstraint(fields=["route_key", "digest"], name="inbox_key_once")]
        indexes = [models.Index(fields=["received_at"], name="inbox_key_age")]

    def __str__(self) -> str:
        return f"inbox key {self.id}"


class RefusedRequest(models.Model):
    """A capped sample of webhooks that were refused: enough to see what is wrong, no row flood."""

    id = models.BigAutoField(primary_key=True)
    organization_schema = models.CharField(max_length=41, null=True)
    link_id = models.UUIDField(null=True)
    provider = models.CharField(max_length=40)
    reason = models.CharField(max_length=20)
    headers = models.JSONField(default=dict)
    body_bytes = models.PositiveIntegerField(default=0)
    received_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name = _("refused webhook")
        verbose_name_plural = _("refused webhooks")
        indexes = [models.Index(fields=["provider", "received_at"], name="refused_by_provider")]

    def __str__(self) -> str:
        return f"refused {self.reason} {self.id}"
