"""Why a payment is what it is: each claim of a vendor, and how far up the ladder of trust it came."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from billing.models.base import LONGEST_ID
from billing.models.payments import Payment
from core import clock
from integrations.models import Integration
from tenants.base import OrganizationModel


class Rung(models.TextChoices):
    """The rungs of the ladder; only a claim that stands on all of them may say that money came."""

    RECEIVED = "received", _("received")
    SIGNATURE = "signature", _("signature")
    ACCOUNT = "account", _("account")
    CONFIRMED = "confirmed", _("confirmed by the vendor")
    AMOUNT = "amount", _("amount")


class Source(models.TextChoices):
    """How a claim came."""

    WEBHOOK = "webhook", _("webhook")
    ANSWER = "answer", _("answer to our request")
    QUERY = "query", _("our question")
    RECONCILIATION = "reconciliation", _("reconciliation")


class Evidence(OrganizationModel):
    """
    One claim about one payment, stored whether it was believed or not.

    `rungs` is a list of {rung, ok, detail} in order, up to the first that failed. `payment` is empty where a claim was
    refused before any payment of ours was found; `external_id` is what it named. `source_id` is the Event of a webhook
    or the call.
    """

    integration = models.ForeignKey(Integration, on_delete=models.PROTECT, related_name="+")
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="evidence", null=True, blank=True)
    external_id = models.CharField(_("vendor's id"), max_length=LONGEST_ID, blank=True)
    source = models.CharField(_("came by"), max_length=14, choices=Source.choices)
    source_id = models.CharField(max_length=64, blank=True)
    vendor_status = models.CharField(_("vendor's status"), max_length=120, blank=True)
    claimed_status = models.CharField(_("claims"), max_length=20, blank=True)
    claimed_at = models.DateTimeField(_("as of"), null=True, blank=True)
    rungs = models.JSONField(_("ladder"), default=list)
    is_believed = models.BooleanField(_("believed"))
    moved_to = models.CharField(_("moved the payment to"), max_length=20, blank=True)
    at = models.DateTimeField(_("at"), default=clock.now)

    class Meta:
        verbose_name = _("evidence")
        verbose_name_plural = _("evidence")
        indexes = [
            models.Index(fields=["payment", "at"], name="evidence_of_payment"),
            models.Index(fields=["-at"], name="evidence_refused", condition=models.Q(is_believed=False)),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.claimed_status} {self.external_id}"
