"""An open problem of an integration: its cause, since when, who must act and what to do."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import clock
from integrations.models.integration import Integration
from tenants.base import OrganizationModel


class Issue(OrganizationModel):
    """Opened once per integration and cause, resolved once."""

    integration = models.ForeignKey(Integration, on_delete=models.PROTECT, related_name="issues")
    cause = models.CharField(_("cause"), max_length=60)
    text = models.TextField(_("what happened"))
    who = models.CharField(_("who must act"), max_length=10)
    next_action = models.TextField(_("what to do"))
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

    def mark_seen_again(self) -> None:
        """The same cause struck again; the integration's row is locked, so nobody else counts."""
        self.last_seen_at = clock.now()
        self.count += 1
        self.save(update_fields=["last_seen_at", "count"])

    def mark_reopened(self, *, text: str, who: str, next_action: str) -> None:
        """The cause came back soon after it was gone; the issue goes on, and says what is true now."""
        self.resolved_at = None
        self.text, self.who, self.next_action = text, who, next_action
        self.last_seen_at = clock.now()
        self.count += 1
        self.save(update_fields=["resolved_at", "text", "who", "next_action", "last_seen_at", "count"])

    def mark_resolved(self) -> None:
        """The cause is gone."""
        self.resolved_at = clock.now()
        self.save(update_fields=["resolved_at"])
