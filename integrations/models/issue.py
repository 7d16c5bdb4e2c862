"""An open problem of an integration: its cause, since when, who must act and what to do."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import clock
from integrations.models.integration import Integration
from notifications.texts import filled, said
from tenants.base import OrganizationModel


class Issue(OrganizationModel):
    """
    Opened once per integration and cause, resolved once.

    `text` and `next_action` are English texts of ours, `details` the values that they name as %(name)s; or a vendor's
    words, without values.
    """

    integration = models.ForeignKey(Integration, on_delete=models.PROTECT, related_name="issues")
    cause = models.CharField(_("cause"), max_length=60)
    text = models.TextField(_("what happened"))
    who = models.CharField(_("who must act"), max_length=10)
    next_action = models.TextField(_("what to do"))
    details = models.JSONField(default=dict, blank=True, db_default={})
    opened_at = models.DateTimeField(_("since"), default=clock.now)
    last_seen_at = models.DateTimeField(_("last seen"), default=clock.now)
    count = models.PositiveIntegerField(_("times"), default=1)
    resolved_at = models.DateTimeField(_("resolved at"), null=True, blank=True)

    class Meta:
        verbose_name = _("issue")
        verbose_name_plural = _("issues")
        constraints = [
            models.UniqueConstraint(
                fields=["integration", "cause"], condition=models.Q(resolved_at=None), name="issue_open_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.cause} {self.id}"

    @property
    def said(self) -> str:
        """What happened, in the language that is active."""
        return said(self.text, self.details)

    @property
    def said_action(self) -> str:
        """What to do, in the language that is active."""
        return said(self.next_action, self.details)

    @property
    def english(self) -> str:
        """What happened, in English: for programs."""
        return filled(self.text, self.details)

    @property
    def english_action(self) -> str:
        """What to do, in English: for programs."""
        return filled(self.next_action, self.details)

    def mark_seen_again(self) -> None:
        """The same cause struck again; the integration's row is locked, so nobody else counts."""
        self.last_seen_at = clock.now()
        self.count += 1
        self.save(update_fields=["last_seen_at", "count"])

    def mark_reopened(self, *, text: str, who: str, next_action: str, details: Mapping[str, str]) -> None:
        """The cause came back soon after it was gone; the issue goes on, and says what is true now."""
        self.resolved_at = None
        self.text, self.who, self.next_action, self.details = text, who, next_action, dict(details)
        self.last_seen_at = clock.now()
        self.count += 1
        self.save(update_fields=["resolved_at", "text", "who", "next_action", "details", "last_seen_at", "count"])

    def mark_resolved(self) -> None:
        """The cause is gone."""
        self.resolved_at = clock.now()
        self.save(update_fields=["resolved_at"])
