"""Contacts, conversations, messages and templates of one organization, over all channels."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import clock
from integrations.models import Integration
from tenants.base import OrganizationModel


class Contact(OrganizationModel):
    """
    A person on the other side of one integration.

    Keyed by the vendor's own user id where there is one (`bsuid`), by the phone number otherwise; either may be
    missing and either may change, which the vendor tells by an event.
    """

    integration = models.ForeignKey(Integration, on_delete=models.PROTECT, related_name="contacts")
    bsuid = models.CharField(_("user id at the channel"), max_length=128, blank=True)
    phone = models.CharField(_("phone"), max_length=40, blank=True)
    username = models.CharField(_("username"), max_length=120, blank=True)
    name = models.CharField(_("name"), max_length=200, blank=True)
    marketing_stopped = models.BooleanField(_("wants no marketing"), default=False)
    marketing_changed_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(_("last told by the channel"), null=True, blank=True)
    blocked_reason = models.CharField(_("not reachable because"), max_length=60, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("contact")
        verbose_name_plural = _("contacts")
        constraints = [
            models.UniqueConstraint(
                fields=["integration", "bsuid"], condition=~models.Q(bsuid=""), name="contact_bsuid_once"
            ),
            models.UniqueConstraint(
                fields=["integration", "phone"], condition=~models.Q(phone=""), name="contact_phone_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label} ({self.id})"

    @property
    def label(self) -> str:
        """What a list shows."""
        return self.name or self.username or self.phone or self.bsuid or str(self.id)


class Conversation(OrganizationModel):
    """All messages with one contact, or in one group, over one integration."""

    integration = models.ForeignKey(Integration, on_delete=models.PROTECT, related_name="conversations")
    contact = models.ForeignKey(Contact, on_delete=models.PROTECT, related_name="conversations", null=True)
    group_id = models.CharField(_("group"), max_length=128, blank=True)
    last_message_at = models.DateTimeField(_("last message"), null=True, blank=True)
    last_inbound_at = models.DateTimeField(_("last from the customer"), null=True, blank=True)
    last_text = models.CharField(_("last text"), max_length=160, blank=True)
    unread_count = models.PositiveIntegerField(_("unread"), default=0)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        constraints = [
            models.UniqueConstraint(
                fields=["integration", "contact"], condition=models.Q(group_id=""), name="conversation_contact_once"
            ),
            models.UniqueConstraint(
                fields=["integration", "group_id"], condition=~models.Q(group_id=""), name="conversation_group_once"
            ),
        ]
        indexes = [models.Index(fields=["-last_message_at"], name="conversation_recent")]

    def __str__(self) -> str:
        return f"conversation {self.id}"

    def note(self, text: str, *, at: datetime, is_inbound: bool) -> None:
        """Show a new message in the list: the latest text and times; what the person wrote counts as unread."""
        if self.last_message_at is None or at >= self.last_message_at:
            self.last_message_at, self.last_text = at, text[:160]
        if is_inbound:
            self.unread_count += 1
            self.note_inbound(at)

    def note_inbound(self, at: datetime) -> None:
        """The person did something: the channel's window opens anew."""
        if self.last_inbound_at is None or at > self.last_inbound_at:
            self.last_inbound_at = at

    def take_over(self, other: Conversation) -> None:
        """Add what another conversation with the same person says."""
        if other.last_message_at:
            self.note(other.last_text, at=other.last_message_at, is_inbound=False)
        if other.last_inbound_at:
            self.note_inbound(other.last_inbound_at)
        self.unread_count += other.unread_count


class Direction(models.TextChoices):
    """Seen from the organization."""

    INBOUND = "inbound", _("received")
    OUTBOUND = "outbound", _("sent")


class MessageStatus(models.TextChoices):
    """The states of API.md; an inbound message is `delivered` on arrival and `read` once marked so."""

    QUEUED = "queued", _("queued")
    SENT = "sent", _("sent")
    DELIVERED = "delivered", _("delivered")
    READ = "read", _("read")
    FAILED = "failed", _("failed")
    EXPIRED = "expired", _("expired")


STATUS_RANK = {
    MessageStatus.QUEUED: 0,
    MessageStatus.SENT: 1,
    MessageStatus.DELIVERED: 2,
    MessageStatus.READ: 3,
}
"""Statuses never move down this ladder; `failed` is final unless a later delivered arrives (WhatsApp card)."""


class MediaState(models.TextChoices):
    """Where the file of a message is; empty for messages without one."""

    WAITING = "waiting", _("being fetched")
    KEPT = "kept", _("kept")
    FAILED = "failed", _("could not be fetched")


OUTCOME_UNKNOWN = "outcome_unknown"
"""The reason of a failure after which the vendor may have sent the message all the same."""


class Message(OrganizationModel):
    """One message, in or out. `content` is the channel-neutral content of its type (see `channels_app.contract`)."""

    integration = models.ForeignKey(Integration, on_delete=models.PROTECT, related_name="messages")
    conversation = models.ForeignKey(Conversation, on_delete=models.PROTECT, related_name="messages")
    contact = models.ForeignKey(Contact, on_delete=models.PROTECT, related_name="messages", null=True)
    direction = models.CharField(_("direction"), max_length=8, choices=Direction.choices)
    type = models.CharField(_("type"), max_length=30)
    text = models.TextField(_("text"), blank=True)
    content = models.JSONField(_("content"), default=dict)
    reply_to = models.CharField(_("reply to"), max_length=300, blank=True)
    reactions = models.JSONField(_("reactions"), default=dict, blank=True)
    status = models.CharField(_("status"), max_length=10, choices=MessageStatus.choices, default=MessageStatus.QUEUED)
    external_id = models.CharField(_("vendor's id"), max_length=300, blank=True)
    error = models.JSONField(_("error"), null=True, blank=True)
    pricing = models.JSONField(null=True, blank=True)
    media_file_id = models.UUIDField(null=True, blank=True)
    media_state = models.CharField(max_length=12, blank=True, choices=MediaState.choices)
    is_echo = models.BooleanField(_("sent from the phone"), default=False)
    is_deleted = models.BooleanField(_("deleted by the sender"), default=False)
    edited_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), default=clock.now)
    occurred_at = models.DateTimeField(_("at"), default=clock.now)
    sent_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = [
            models.UniqueConstraint(
                fields=["integration", "external_id"], condition=~models.Q(external_id=""), name="message_external_once"
            )
        ]
        indexes = [
            models.Index(fields=["conversation", "-occurred_at"], name="message_in_conversation"),
            models.Index(fields=["-created_at"], name="message_recent"),
            models.Index(fields=["integration", "reply_to"], name="message_answers", condition=~models.Q(reply_to="")),
        ]

    def __str__(self) -> str:
        return f"{self.direction} {self.type} {self.id}"

    def move_to(self, status: str, *, at: datetime | None = None) -> bool:
        """
        Move forward to a status and stamp its time; return whether it moved.

        Rank sent < delivered < read; `failed` yields only to a later delivered or read, and to sent where nobody
        knew what became of the message. Times are kept even when the status itself came out of order.
        """
        moment = at or clock.now()
        stamp = f"{status}_at"
        if hasattr(self, stamp) and getattr(self, stamp) is None:
            setattr(self, stamp, moment)
        if not self._may_move_to(status):
            return False
        if self.status == MessageStatus.FAILED:
            self.error = None  # what was reported later proves the failure wrong
        self.status = status
        return True

    def _may_move_to(self, status: str) -> bool:
        if self.status == MessageStatus.FAILED:
            was_guessed = (self.error or {}).get("reason") == OUTCOME_UNKNOWN
            return status in {MessageStatus.DELIVERED, MessageStatus.READ} or (
                was_guessed and status == MessageStatus.SENT
            )
        if status == MessageStatus.FAILED:
            return self.status in {MessageStatus.QUEUED, MessageStatus.SENT}
        if status == MessageStatus.EXPIRED:
            return self.status == MessageStatus.QUEUED
        return STATUS_RANK[MessageStatus(status)] > STATUS_RANK.get(MessageStatus(self.status), -1)


class Template(OrganizationModel):
    """A message template as the vendor knows it, with the state of its review."""

    integration = models.ForeignKey(Integration, on_delete=models.PROTECT, related_name="templates")
    external_id = models.CharField(_("vendor's id"), max_length=64, blank=True)
    name = models.CharField(_("name"), max_length=512)
    language = models.CharField(_("language"), max_length=15)
    category = models.CharField(_("category"), max_length=30)
    status = models.CharField(_("status"), max_length=30)
    components = models.JSONField(_("components"), default=list)
    quality = models.CharField(_("quality"), max_length=20, blank=True)
    reason = models.TextField(_("reason"), blank=True)
    changed_at = models.DateTimeField(_("changed at"), null=True, blank=True)
    synced_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name = _("template")
        verbose_name_plural = _("templates")
        constraints = [
            models.UniqueConstraint(fields=["integration", "name", "language"], name="template_name_language_once")
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.language} ({self.id})"
