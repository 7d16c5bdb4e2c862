"""An organization's configured link to a provider."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Environment
from core import clock
from dispatch.models import Link, LinkHealth, LinkStatus
from tenants.base import OrganizationModel

if TYPE_CHECKING:
    from integrations.contract import Provider
    from integrations.models.credential import Credential


class IntegrationQuerySet(models.QuerySet["Integration"]):
    """Filters over integrations."""

    def active(self) -> IntegrationQuerySet:
        """Those that may be used."""
        return self.filter(status=LinkStatus.ACTIVE)

    def connected(self) -> IntegrationQuerySet:
        """Those that were not disconnected."""
        return self.exclude(status=LinkStatus.DISCONNECTED)

    def with_last_check(self) -> IntegrationQuerySet:
        """Fetch with each row when a check last ran: the clock keeps that on the public link alone."""
        checked = Link.objects.filter(pk=models.OuterRef("pk")).values("last_checked_at")
        return self.annotate(link_checked_at=models.Subquery(checked))

    def of_environment(self, environment: str) -> IntegrationQuerySet:
        """Those that a key of this environment may see."""
        return self.filter(environment=environment)


class Integration(OrganizationModel):
    """
    One configured link to a provider. Its public mirror is the `Link` of the same id.

    Only the methods here assign status and health; `services.links.mirror` copies them to the Link in the same
    transaction.
    """

    provider = models.CharField(_("provider"), max_length=40)
    name = models.CharField(_("name"), max_length=120)
    environment = models.CharField(_("environment"), max_length=4, choices=Environment.choices)
    settings = models.JSONField(_("settings"), default=dict, blank=True)
    status = models.CharField(_("status"), max_length=12, choices=LinkStatus.choices, default=LinkStatus.ACTIVE)
    health = models.CharField(_("health"), max_length=12, choices=LinkHealth.choices, default=LinkHealth.UNVERIFIED)
    health_cause = models.TextField(_("cause"), blank=True)
    health_since = models.DateTimeField(_("since"), null=True, blank=True)
    health_who = models.CharField(_("who must act"), max_length=10, blank=True)
    health_next_action = models.TextField(_("what to do"), blank=True)
    account_external_id = models.CharField(_("account"), max_length=200, blank=True)
    account_label = models.CharField(_("account name"), max_length=200, blank=True)
    account_keys = models.JSONField(default=list, blank=True)
    capabilities = models.JSONField(_("capabilities"), default=list, blank=True)
    facts = models.JSONField(_("facts"), default=dict, blank=True)
    webhook_url = models.CharField(_("webhook URL"), max_length=300, blank=True)
    webhook_registered = models.BooleanField(_("webhook registered"), default=False)
    webhook_verified_at = models.DateTimeField(_("webhook verified at"), null=True, blank=True)
    webhook_last_received_at = models.DateTimeField(_("last webhook"), null=True, blank=True)
    last_tested_at = models.DateTimeField(_("last tested"), null=True, blank=True)
    created_at = models.DateTimeField(_("connected at"), default=clock.now)
    updated_at = models.DateTimeField(auto_now=True)

    objects = IntegrationQuerySet.as_manager()
    link_checked_at: datetime | None

    class Meta:
        verbose_name = _("integration")
        verbose_name_plural = _("integrations")
        constraints = [
            # One organization connects an account once per environment; across organizations, routes see to it.
            models.UniqueConstraint(
                fields=["provider", "environment", "account_external_id"],
                condition=~models.Q(status="disconnected") & ~models.Q(account_external_id=""),
                name="integration_account_once",
            )
        ]
        indexes = [models.Index(fields=["provider", "status"], name="integration_provider_status")]

    def __str__(self) -> str:
        return f"{self.name} ({self.provider}, {self.id})"

    @property
    def provider_class(self) -> type[Provider]:
        """The provider's class, from the registry."""
        from integrations import registry

        return registry.provider(self.provider)

    @property
    def category(self) -> str:
        """The provider's category."""
        return str(self.provider_class.spec.category)

    @property
    def current_credential(self) -> Credential | None:
        """The credential that serves now."""
        return self.credentials.filter(state="current").first()

    @property
    def tested_at(self) -> datetime | None:
        """When a live check last ran; lists fetch it with `with_last_check`, others ask here."""
        if "link_checked_at" not in self.__dict__:
            self.link_checked_at = Link.objects.filter(pk=self.pk).values_list("last_checked_at", flat=True).first()
        return max(filter(None, (self.link_checked_at, self.last_tested_at)), default=None)

    def mark_health(self, health: str, *, cause: str = "", who: str = "", next_action: str = "") -> None:
        """Set health with its cause; `health_since` moves only when the health changes."""
        if self.health != health or self.health_since is None:
            self.health_since = clock.now()
        self.health, self.health_cause, self.health_who, self.health_next_action = health, cause, who, next_action

    def mark_needs_reauth(self, *, cause: str, next_action: str) -> None:
        """The vendor no longer accepts the credential; the organization must reconnect."""
        self.status = LinkStatus.NEEDS_REAUTH
        self.mark_health(LinkHealth.FAILING, cause=cause, who="user", next_action=next_action)

    def mark_connected(self) -> None:
        """A live check passed with the current credential."""
        self.status = LinkStatus.ACTIVE

    def mark_disabled(self) -> None:
        """The organization switched it off; webhooks are still kept."""
        self.status = LinkStatus.DISABLED

    def mark_disconnected(self) -> None:
        """Ended: no credential, no webhook; the history stays."""
        self.status = LinkStatus.DISCONNECTED
        self.webhook_registered = False
        self.mark_health(LinkHealth.UNVERIFIED)
