"""The public mirror of integrations, and what leads a webhook to one."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core import clock
from core.ids import new_id
from dispatch.models.breaker import Breaking


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


class Link(Breaking):
    """
    The public mirror of one integration, for routing, sweeps and platform lists. Same id as the integration.

    `good_checks` and `bad_checks` count in a row. `failing_class` is the class of error that strikes now, `failing_at`
    when it last did. `broken_since` starts the ladder of warnings that ends with `disabled`. Each `next_…_at` is the
    due time of one sweep.

    `refresh_id` is the attempt to renew the tokens that is out now, `refresh_until` its lease, `refresh_courier` the
    machine that makes it; `refresh_count` counts the attempts that ended, `refresh_failure` is how the last one failed.
    """

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
    last_checked_at = models.DateTimeField(null=True, blank=True)
    good_checks = models.PositiveSmallIntegerField(default=0, db_default=0)
    bad_checks = models.PositiveSmallIntegerField(default=0, db_default=0)
    failing_class = models.CharField(max_length=40, blank=True, db_default="")
    failing_at = models.DateTimeField(null=True, blank=True)
    broken_since = models.DateTimeField(null=True, blank=True)
    alerted_percent = models.PositiveSmallIntegerField(default=0, db_default=0)
    next_alert_at = models.DateTimeField(null=True, blank=True)
    next_expiry_at = models.DateTimeField(null=True, blank=True)
    next_check_at = models.DateTimeField(null=True, blank=True)
    next_refresh_at = models.DateTimeField(null=True, blank=True)
    refresh_asked_at = models.DateTimeField(null=True, blank=True)
    refresh_id = models.UUIDField(null=True, blank=True, editable=False)
    refresh_until = models.DateTimeField(null=True, blank=True)
    refresh_courier = models.UUIDField(null=True, blank=True, editable=False)
    refresh_count = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    refresh_failure = models.JSONField(null=True, blank=True)
    next_drift_at = models.DateTimeField(null=True, blank=True)
    next_reconcile_at = models.DateTimeField(null=True, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name = _("integration")
        verbose_name_plural = _("integrations of all organizations")
        indexes = [
            # Not only active links: those that need a reconnect are looked at, too. The others have no due time.
            models.Index(fields=["next_check_at"], name="link_next_check", condition=Q(next_check_at__isnull=False)),
            models.Index(fields=["provider", "health"], name="link_provider_health"),
            models.Index(
                fields=["next_refresh_at"], name="link_refresh_due", condition=Q(next_refresh_at__isnull=False)
            ),
            models.Index(
                fields=["refresh_asked_at"], name="link_refresh_asked", condition=Q(refresh_asked_at__isnull=False)
            ),
            models.Index(fields=["next_drift_at"], name="link_drift_due", condition=Q(status="active")),
            models.Index(fields=["next_reconcile_at"], name="link_reconcile_due", condition=Q(status="active")),
            models.Index(fields=["next_alert_at"], name="link_alert_due", condition=Q(next_alert_at__isnull=False)),
            models.Index(fields=["next_expiry_at"], name="link_expiry_due", condition=Q(next_expiry_at__isnull=False)),
            models.Index(
                fields=["provider", "failing_class", "failing_at"],
                name="link_failing",
                condition=~Q(failing_class=""),
            ),
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


class Rhythm(models.Model):
    """
    How often a link's webhooks come: events per hour for each hour of the week (Monday 0 h UTC first), over 28 days.

    A gap is measured in expected events, so that a quiet night is no silence. `median` and `quantile` are such gaps:
    the usual one, and one so rare that it is an alarm. `alarm_at` is when the silence must be looked at next: to ask
    the vendor (`asked_at`), or because it became an alarm (`alarmed_at`). `harmless` is a gap that was an alarm and
    turned out none at `harmless_at`. `was_repaired` says that something was found missing in the present silence.
    """

    link_id = models.UUIDField(primary_key=True, editable=False)
    organization_schema = models.CharField(max_length=41, db_index=True)
    per_hour = ArrayField(models.FloatField(), size=168, default=list)
    events = models.PositiveIntegerField(default=0)
    median_gap_s = models.FloatField(null=True)
    median = models.FloatField(null=True)
    quantile = models.FloatField(null=True)
    computed_at = models.DateTimeField(null=True)
    next_compute_at = models.DateTimeField(default=clock.now)
    seen_event_at = models.DateTimeField(null=True)
    alarm_at = models.DateTimeField(null=True, blank=True)
    asked_at = models.DateTimeField(null=True, blank=True)
    alarmed_at = models.DateTimeField(null=True, blank=True)
    was_repaired = models.BooleanField(default=False, db_default=False)
    harmless = models.FloatField(null=True)
    harmless_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("rhythm")
        verbose_name_plural = _("rhythms")
        indexes = [
            models.Index(fields=["alarm_at"], name="rhythm_alarm_due", condition=Q(alarm_at__isnull=False)),
            models.Index(fields=["next_compute_at"], name="rhythm_compute_due"),
        ]

    def __str__(self) -> str:
        return f"rhythm of {self.link_id}"
