"""Published facts, the endpoints that are told of them, and each try. No personal data: objects are named by id."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core import clock
from core.ids import new_id


class EndpointStatus(models.TextChoices):
    """Whether an endpoint is told."""

    ACTIVE = "active", _("active")
    DISABLED = "disabled", _("disabled")


class DisabledBecause(models.TextChoices):
    """Why an endpoint is not told: a person wanted it, it answered 410, or it failed for too long."""

    NOT = "", "-"
    BY_PERSON = "by_person", _("switched off by a person")
    GONE = "gone", _("it answered 410 Gone")
    FAILING = "failing", _("it failed for too long")


class DeliveryState(models.TextChoices):
    """The life of one event on its way to one endpoint."""

    WAITING = "waiting", _("waiting")
    DELIVERED = "delivered", _("delivered")
    FAILED = "failed", _("failed")


class EventEndpoint(models.Model):
    """
    A customer's URL that is told of events of one environment.

    The secret is sealed under its version; `sealed_previous` signs beside it until `previous_until`. `failing_since` is
    the first of the failures since the last success, `warned_percent` how far the owner was warned of the end.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(max_length=41)
    environment = models.CharField(_("environment"), max_length=4)
    url = models.CharField(_("URL"), max_length=2000)
    description = models.CharField(_("description"), max_length=200, blank=True)
    event_types = models.JSONField(_("event types"), default=list)
    status = models.CharField(_("status"), max_length=10, choices=EndpointStatus.choices, default=EndpointStatus.ACTIVE)
    disabled_because = models.CharField(
        max_length=10, choices=DisabledBecause.choices, default=DisabledBecause.NOT, blank=True
    )
    disabled_at = models.DateTimeField(null=True, blank=True)
    secret_version = models.PositiveIntegerField(default=1)
    sealed_secret = models.BinaryField()
    sealed_previous = models.BinaryField(null=True)
    previous_until = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True)
    warned_percent = models.PositiveSmallIntegerField(default=0)
    warned_at = models.DateTimeField(null=True, blank=True)
    held_until = models.DateTimeField(null=True, blank=True)
    next_probe_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name = _("event endpoint")
        verbose_name_plural = _("event endpoints")
        indexes = [
            models.Index(fields=["organization_schema", "environment"], name="endpoint_by_organization"),
            models.Index(fields=["next_probe_at"], name="endpoint_probe_due", condition=Q(next_probe_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"endpoint {self.id}"


class PublishedEvent(models.Model):
    """
    One published fact. Its id is the `webhook-id` of every delivery; its data is composed from the object when needed.

    `details` are small facts of the moment, such as the status a message had; never personal data.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(max_length=41)
    environment = models.CharField(max_length=4)
    type = models.CharField(max_length=60)
    object_id = models.CharField(max_length=80)
    details = models.JSONField(default=dict)
    occurred_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name = _("published event")
        verbose_name_plural = _("published events")
        indexes = [
            models.Index(fields=["organization_schema", "environment", "-id"], name="published_event_feed"),
            models.Index(fields=["organization_schema", "type", "-id"], name="published_event_by_type"),
            models.Index(fields=["occurred_at"], name="published_event_age"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class EndpointDelivery(models.Model):
    """One event on its way to one endpoint; `entry_id` is the outbox entry of its next try."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(max_length=41)
    endpoint = models.ForeignKey(EventEndpoint, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(PublishedEvent, on_delete=models.CASCADE, related_name="deliveries")
    state = models.CharField(max_length=10, choices=DeliveryState.choices, default=DeliveryState.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    entry_id = models.UUIDField(null=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("delivery to an endpoint")
        verbose_name_plural = _("deliveries to endpoints")
        constraints = [models.UniqueConstraint(fields=["endpoint", "event"], name="endpoint_delivery_once")]

    def __str__(self) -> str:
        return f"{self.event_id} to {self.endpoint_id}"


class DeliveryAttempt(models.Model):
    """
    One call to an endpoint; without a delivery it was a test.

    `status_code` is null when no answer came; `error` names what went wrong. The start of the answer is sealed: an
    endpoint may echo what it was sent.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(max_length=41)
    endpoint = models.ForeignKey(EventEndpoint, on_delete=models.CASCADE, related_name="attempts")
    delivery = models.ForeignKey(EndpointDelivery, null=True, on_delete=models.CASCADE, related_name="tries")
    event_id = models.UUIDField()
    event_type = models.CharField(_("type"), max_length=60)
    number = models.PositiveSmallIntegerField(_("attempt"), default=1)
    status_code = models.PositiveSmallIntegerField(_("status"), null=True)
    error = models.CharField(_("error"), max_length=40, blank=True)
    duration_ms = models.FloatField(_("milliseconds"))
    sealed_answer = models.BinaryField(null=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name = _("delivery attempt")
        verbose_name_plural = _("delivery attempts")
        indexes = [
            models.Index(fields=["endpoint", "-id"], name="delivery_attempt_recent"),
            models.Index(fields=["created_at"], name="delivery_attempt_age"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.event_id}"

    @property
    def is_success(self) -> bool:
        """Whether the endpoint took the event."""
        return not self.error
