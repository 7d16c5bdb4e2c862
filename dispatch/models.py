"""
Public tables that route work to organizations. Rows of an organization are under forced row-level security.

No foreign key leaves this schema; ids point the way and labels are kept beside them.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core import clock
from core.ids import new_id

LEASE = timedelta(seconds=120)
"""How long a claimed row is its worker's alone; above the task time limit of 90 s (RELIABILITY section 3)."""


class LinkStatus(models.TextChoices):
    """What the organization wants of the link and what it still can do."""

    ACTIVE = "active", _("active")
    NEEDS_REAUTH = "needs_reauth", _("needs reconnecting")
    DISABLED = "disabled", _("disabled")
    DISCONNECTED = "disconnected", _("disconnected")


class LinkHealth(models.TextChoices):
    """How the link is doing."""

    HEALTHY = "healthy", _("healthy")
    DEGRADED = "degraded", _("degraded")
    FAILING = "failing", _("failing")
    UNVERIFIED = "unverified", _("not yet verified")


class Link(models.Model):
    """The public mirror of one integration, for routing, sweeps and platform lists. Same id as the integration."""

    id = models.UUIDField(primary_key=True, editable=False)
    organization_schema = models.CharField(max_length=41, db_index=True)
    organization_label = models.CharField(max_length=160)
    provider = models.CharField(max_length=40)
    category = models.CharField(max_length=20)
    label = models.CharField(max_length=160)
    environment = models.CharField(max_length=4)
    status = models.CharField(max_length=12, choices=LinkStatus.choices, default=LinkStatus.ACTIVE)
    health = models.CharField(max_length=12, choices=LinkHealth.choices, default=LinkHealth.UNVERIFIED)
    cause = models.TextField(blank=True)
    since = models.DateTimeField(null=True, blank=True)
    who = models.CharField(max_length=10, blank=True)
    open_issues = models.PositiveIntegerField(default=0)
    last_event_at = models.DateTimeField(null=True, blank=True)
    next_check_at = models.DateTimeField(null=True, blank=True)
    next_refresh_at = models.DateTimeField(null=True, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name = _("integration")
        verbose_name_plural = _("integrations of all organizations")
        indexes = [
            models.Index(fields=["next_check_at"], name="link_check_due", condition=Q(status="active")),
            models.Index(fields=["provider", "health"], name="link_provider_health"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.label} ({self.id})"


class Route(models.Model):
    """Leads a webhook to a link: by the digest of its URL token, or by an account key that was proved."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(max_length=41, db_index=True)
    link_id = models.UUIDField(db_index=True)
    provider = models.CharField(max_length=40)
    token_digest = models.BinaryField(max_length=32, null=True, unique=True)
    account_key = models.CharField(max_length=200, blank=True)
    is_shared = models.BooleanField(default=False)
    sealed_secrets = models.BinaryField(null=True)
    secrets_version = models.PositiveIntegerField(default=0)
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name = _("route")
        verbose_name_plural = _("routes")
        constraints = [
            models.CheckConstraint(
                condition=Q(token_digest__isnull=False, account_key="") | (Q(token_digest=None) & ~Q(account_key="")),
                name="route_token_or_account",
            ),
            models.UniqueConstraint(
                fields=["provider", "account_key"],
                condition=Q(token_digest=None, is_shared=False),
                name="route_account_exclusive",
            ),
            models.UniqueConstraint(
                fields=["provider", "account_key", "link_id"], condition=Q(token_digest=None), name="route_account_once"
            ),
        ]

    def __str__(self) -> str:
        return f"route {self.account_key or 'by token'} ({self.id})"


class AccountClaim(models.Model):
    """
    Which organization proved control of an account at a vendor: one, on the whole platform.

    A shared key (one WhatsApp Business Account with two numbers) may serve many routes, all of this organization.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(max_length=41)
    provider = models.CharField(max_length=40)
    account_key = models.CharField(max_length=200)
    proved_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name = _("account claim")
        verbose_name_plural = _("account claims")
        constraints = [models.UniqueConstraint(fields=["provider", "account_key"], name="account_claim_once")]

    def __str__(self) -> str:
        return f"claim on {self.provider} {self.account_key}"


class Claimable(models.Model):
    """A row that one worker at a time works on: claimed under a lease, tried again when due, dead at the end."""

    attempts = models.PositiveSmallIntegerField(default=0)
    crashes = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=clock.now)
    leased_until = models.DateTimeField(null=True, blank=True)
    lease_id = models.UUIDField(null=True, blank=True, editable=False)
    not_before = models.DateTimeField(null=True, blank=True)
    error_class = models.CharField(max_length=40, blank=True)
    error_text = models.TextField(blank=True)

    class Meta:
        abstract = True


class DeliveryStatus(models.TextChoices):
    """The life of a webhook delivery."""

    RECEIVED = "received", _("received")
    PROCESSING = "processing", _("being processed")
    PROCESSED = "processed", _("processed")
    IGNORED = "ignored", _("ignored")
    FAILED = "failed", _("failed, tried again")
    DEAD = "dead", _("dead letter")
    QUARANTINED = "quarantined", _("quarantined")


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
            models.Index(
                fields=["link_id", "next_attempt_at"],
                name="delivery_due",
                condition=Q(status__in=["received", "failed", "processing"]),
            ),
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


class OutboxStatus(models.TextChoices):
    """The life of work to do outside."""

    WAITING = "waiting", _("waiting")
    WORKING = "working", _("being worked on")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")
    PARKED = "parked", _("parked")
    EXPIRED = "expired", _("expired")
    CANCELED = "canceled", _("canceled")


class OutboxEntry(Claimable):
    """Work to do outside, committed together with its cause."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(max_length=41)
    link_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=40)
    object_id = models.CharField(max_length=80, blank=True)
    object_key = models.CharField(max_length=200, blank=True)
    details = models.JSONField(default=dict)
    status = models.CharField(max_length=10, choices=OutboxStatus.choices, default=OutboxStatus.WAITING)
    intent_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("outbox entry")
        verbose_name_plural = _("outbox entries")
        indexes = [
            models.Index(
                fields=["link_id", "next_attempt_at"], name="outbox_due", condition=Q(status__in=["waiting", "working"])
            ),
            models.Index(fields=["link_id", "object_key"], name="outbox_object", condition=~Q(object_key="")),
            models.Index(fields=["organization_schema", "-created_at"], name="outbox_by_organization"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


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


class Vendor(models.Model):
    """One row per provider: whether it may be used, the transfer mechanism, its incident."""

    provider = models.CharField(primary_key=True, max_length=40)
    is_enabled = models.BooleanField(default=True)
    transfer_mechanism = models.CharField(max_length=120, blank=True)
    incident = models.TextField(blank=True)
    incident_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("vendor")
        verbose_name_plural = _("vendors")

    def __str__(self) -> str:
        return self.provider


def lease_end(at: datetime | None = None) -> datetime:
    """Return when a lease taken now ends."""
    return (at or clock.now()) + LEASE
