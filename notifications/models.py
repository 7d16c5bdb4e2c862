"""Notes to people of an organization, how each of them wants mail, and the mail that is owed to them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core import clock
from core.ids import new_id
from notifications.endpoints import models as endpoints  # noqa: F401  its tables are this app's
from notifications.texts import said


class Notification(models.Model):
    """
    One note in the organization's admin. Texts hold no personal data: names of accounts and what to do.

    `text` and `next_action` are English texts of ours, `details` the values that they name as %(name)s. `page` is the
    name of the admin page where it is mended. `closed_at` says that what it tells is over.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(max_length=41, null=True)
    kind = models.CharField(max_length=60)
    title = models.CharField(max_length=340, blank=True, db_default="")
    text = models.TextField()
    next_action = models.TextField(blank=True, db_default="")
    details = models.JSONField(default=dict, blank=True, db_default={})
    provider = models.CharField(max_length=40, blank=True, db_default="")
    issue_id = models.UUIDField(null=True, blank=True)
    target_kind = models.CharField(max_length=40, blank=True)
    target_id = models.CharField(max_length=80, blank=True)
    page = models.CharField(max_length=60, blank=True, db_default="")
    created_at = models.DateTimeField(default=clock.now)
    read_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        indexes = [
            models.Index(fields=["organization_schema", "-created_at"], name="notification_recent"),
            models.Index(
                fields=["organization_schema"],
                name="notification_unread",
                condition=Q(read_at=None, closed_at=None),
            ),
            models.Index(fields=["issue_id"], name="notification_of_issue", condition=Q(issue_id__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def said(self) -> str:
        """What happened, in the language that is active."""
        return said(self.text, self.details)

    @property
    def said_action(self) -> str:
        """What to do, in the language that is active."""
        return said(self.next_action, self.details)


class MailMode(models.TextChoices):
    """How often a member wants mail."""

    IMMEDIATE = "immediate", _("At once")
    DAILY = "daily", _("Once a day, together")
    NEVER = "never", _("Never")


class MailPreference(models.Model):
    """How a member wants mail of one organization; who has none gets what the role has by default."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(max_length=41, db_index=True)
    user_id = models.UUIDField()
    mode = models.CharField(_("mail"), max_length=10, choices=MailMode.choices)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("notification settings")
        verbose_name_plural = _("notification settings")
        constraints = [models.UniqueConstraint(fields=["organization_schema", "user_id"], name="mail_preference_once")]

    def __str__(self) -> str:
        return f"{self.mode} for {self.user_id} in {self.organization_schema}"


class Mute(models.Model):
    """Until when nobody is mailed about an integration; its issues open all the same."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(max_length=41, db_index=True)
    link_id = models.UUIDField(unique=True)
    until = models.DateTimeField()
    by_label = models.CharField(max_length=254, blank=True)

    class Meta:
        verbose_name = _("mute")
        verbose_name_plural = _("mutes")

    def __str__(self) -> str:
        return f"mute of {self.link_id} until {self.until:%Y-%m-%d}"


class OwedMail(models.Model):
    """
    One note that one member is to be mailed about: once, together with what else is due then.

    `entry_id` is the outbox entry that took it. `closed_at` ends it: mailed, or dropped with the reason.
    """

    class Outcome(models.TextChoices):
        """How it ended."""

        WAITING = "", _("waiting")
        MAILED = "mailed", _("mailed")
        DROPPED = "dropped", _("dropped")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(max_length=41)
    note = models.ForeignKey(Notification, on_delete=models.CASCADE, related_name="owed")
    user_id = models.UUIDField()
    is_digest = models.BooleanField(default=False)
    due_at = models.DateTimeField()
    entry_id = models.UUIDField(null=True, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.WAITING, blank=True)
    reason = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("owed mail")
        verbose_name_plural = _("owed mail")
        constraints = [models.UniqueConstraint(fields=["note", "user_id"], name="owed_mail_once")]
        indexes = [
            models.Index(
                fields=["organization_schema", "user_id", "due_at"], name="owed_mail_open", condition=Q(closed_at=None)
            ),
            models.Index(
                fields=["due_at"],
                name="owed_mail_digest_due",
                condition=Q(closed_at=None, entry_id=None, is_digest=True),
            ),
        ]

    def __str__(self) -> str:
        return f"mail to {self.user_id} about {self.note_id}"
