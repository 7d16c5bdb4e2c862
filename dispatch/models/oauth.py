"""Runs of a vendor's OAuth dialog: found by their tokens before the organization is known."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core import clock
from core.ids import new_id


class OAuthStatus(models.TextChoices):
    """How far a run has come. What has ended stays ended: whoever wants another try starts another run."""

    WAITING = "waiting", _("waiting for consent")
    STARTED = "started", _("at the vendor")
    RETURNED = "returned", _("back from the vendor")
    CHOOSING = "choosing", _("choosing an account")
    CONNECTED = "connected", _("connected")
    DENIED = "denied", _("denied")
    FAILED = "failed", _("failed")


class OAuthAttempt(models.Model):
    """
    One run of a vendor's OAuth dialog, for one organization, by one person, in one browser.

    `start_digest` finds it by the address that asks for consent, `state_digest` by what the vendor brings back,
    `browser_digest` is of the cookie that the consent sets. `sealed_verifier` is the proof key of PKCE, `sealed_grant`
    the tokens while an account is chosen; both are emptied when the run ends. `vendor_origin` is where its dialog was
    opened. `integration_id` names what is reconnected.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(max_length=41)
    provider = models.CharField(max_length=40)
    app_id = models.UUIDField()
    environment = models.CharField(max_length=4)
    name = models.CharField(max_length=120, blank=True)
    integration_id = models.UUIDField(null=True, blank=True)
    redirect_url = models.CharField(max_length=500, blank=True)
    language = models.CharField(max_length=8, blank=True)
    actor_kind = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=80, blank=True)
    actor_label = models.CharField(max_length=160, blank=True)
    status = models.CharField(max_length=10, choices=OAuthStatus.choices, default=OAuthStatus.WAITING)
    start_digest = models.BinaryField(max_length=32, unique=True)
    state_digest = models.BinaryField(max_length=32, null=True, unique=True)
    browser_digest = models.BinaryField(max_length=32, null=True)
    vendor_origin = models.CharField(max_length=200, blank=True)
    sealed_verifier = models.BinaryField(null=True)
    sealed_grant = models.BinaryField(null=True)
    granted_scopes = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    missing_scopes = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    error_code = models.CharField(max_length=60, blank=True)
    connected_id = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("OAuth attempt")
        verbose_name_plural = _("OAuth attempts")
        constraints = [
            models.CheckConstraint(
                condition=Q(status=OAuthStatus.WAITING) | Q(browser_digest__isnull=False),
                name="oauth_attempt_has_browser",
            ),
            models.CheckConstraint(
                condition=Q(sealed_grant=None) | Q(status=OAuthStatus.CHOOSING), name="oauth_attempt_keeps_no_tokens"
            ),
        ]
        indexes = [
            models.Index(fields=["expires_at"], name="oauth_attempt_expiry"),
            models.Index(fields=["organization_schema", "-created_at"], name="oauth_attempt_by_org"),
        ]

    def __str__(self) -> str:
        return f"OAuth attempt at {self.provider} ({self.id})"

    @property
    def is_expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at <= clock.now()

    @property
    def has_ended(self) -> bool:
        """Whether it came to an end, well or not."""
        return self.ended_at is not None

    def mark_started(self, *, browser: bytes, state: bytes, vendor_origin: str, verifier: bytes | None) -> None:
        """The browser of this digest goes to the vendor, who brings the state of that digest back."""
        self.status = OAuthStatus.STARTED
        self.browser_digest, self.state_digest = browser, state
        self.vendor_origin, self.sealed_verifier = vendor_origin, verifier

    def mark_choosing(self, sealed_grant: bytes) -> None:
        """Several accounts came back: the tokens wait, sealed, until one is chosen."""
        self.status, self.sealed_grant = OAuthStatus.CHOOSING, sealed_grant

    def mark_ended(self, status: str, *, error_code: str = "") -> None:
        """End the run and forget what was sealed for it."""
        self.status, self.error_code, self.ended_at = status, error_code[:60], clock.now()
        self.sealed_verifier = self.sealed_grant = None
