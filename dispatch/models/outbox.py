"""What is to be done outside."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core import clock
from core.ids import new_id
from dispatch.models.claimable import DUE_AT, Claimable


class OutboxStatus(models.TextChoices):
    """The life of work to do outside."""

    WAITING = "waiting", _("waiting")
    WORKING = "working", _("being worked on")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")
    PARKED = "parked", _("parked")
    EXPIRED = "expired", _("expired")
    CANCELED = "canceled", _("canceled")


_OPEN = Q(status__in=["waiting", "working"])
_UNLINKED = Q(link_id__isnull=True)
_OBJECT = ~Q(object_key="")


class OutboxEntry(Claimable):
    """
    Work to do outside, committed together with its cause.

    `failover_link_id` is a second integration of the same capability; `failed_over_from` the first, once it was left.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(max_length=41)
    link_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=40)
    object_id = models.CharField(max_length=80, blank=True)
    object_key = models.CharField(max_length=200, blank=True)
    details = models.JSONField(default=dict)
    status = models.CharField(max_length=10, choices=OutboxStatus.choices, default=OutboxStatus.WAITING)
    failover_link_id = models.UUIDField(null=True, blank=True)
    failed_over_from = models.UUIDField(null=True, blank=True)
    intent_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("outbox entry")
        verbose_name_plural = _("outbox entries")
        indexes = [
            # As claims read them (dispatch/claims.py): by link, else by organization, and what of one object is open.
            models.Index("link_id", DUE_AT, "id", name="outbox_due_by_link", condition=_OPEN),
            models.Index("organization_schema", DUE_AT, "id", name="outbox_due_unlinked", condition=_OPEN & _UNLINKED),
            models.Index(fields=["link_id"], name="outbox_in_work", condition=Q(status="working")),
            models.Index(fields=["link_id", "object_key", "id"], name="outbox_object_open", condition=_OPEN & _OBJECT),
            models.Index(
                fields=["organization_schema", "object_key", "id"],
                name="outbox_object_unlinked",
                condition=_OPEN & _OBJECT & _UNLINKED,
            ),
            models.Index(fields=["organization_schema", "-created_at"], name="outbox_by_organization"),
            models.Index(fields=["link_id", "-id"], name="outbox_by_link"),
            models.Index(fields=["expires_at"], name="outbox_parked", condition=Q(status="parked")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"
