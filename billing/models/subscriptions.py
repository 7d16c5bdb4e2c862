"""Payments that repeat, and their invoices."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from billing.contract import InvoiceStatus, SubscriptionStatus
from billing.models.base import LONGEST_ID, VendorObject, amount, currency, external_id_once
from billing.models.payments import Customer


class SubscriptionStatusChoices(models.TextChoices):
    """The states of a subscription, with their names on screens."""

    INCOMPLETE = SubscriptionStatus.INCOMPLETE.value, _("waits for the first payment")
    INCOMPLETE_EXPIRED = SubscriptionStatus.INCOMPLETE_EXPIRED.value, _("never paid")
    TRIALING = SubscriptionStatus.TRIALING.value, _("in trial")
    ACTIVE = SubscriptionStatus.ACTIVE.value, _("active")
    PAST_DUE = SubscriptionStatus.PAST_DUE.value, _("past due")
    UNPAID = SubscriptionStatus.UNPAID.value, _("unpaid")
    PAUSED = SubscriptionStatus.PAUSED.value, _("paused")
    CANCELED = SubscriptionStatus.CANCELED.value, _("canceled")


class InvoiceStatusChoices(models.TextChoices):
    """The states of an invoice, with their names on screens."""

    DRAFT = InvoiceStatus.DRAFT.value, _("draft")
    OPEN = InvoiceStatus.OPEN.value, _("open")
    PAID = InvoiceStatus.PAID.value, _("paid")
    UNCOLLECTIBLE = InvoiceStatus.UNCOLLECTIBLE.value, _("uncollectible")
    VOID = InvoiceStatus.VOID.value, _("void")


class Subscription(VendorObject):
    """A subscription. `price` is the vendor's id of what is subscribed to."""

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    status = models.CharField(
        _("status"), max_length=20, choices=SubscriptionStatusChoices.choices,
        default=SubscriptionStatus.INCOMPLETE.value,
    )  # fmt: skip
    price = models.CharField(_("price"), max_length=LONGEST_ID, blank=True)
    quantity = models.PositiveIntegerField(_("quantity"), default=1)
    amount_minor = amount(_("amount"), null=True, blank=True)
    currency = currency(blank=True)
    current_period_start = models.DateTimeField(_("period begins"), null=True, blank=True)
    current_period_end = models.DateTimeField(_("period ends"), null=True, blank=True)
    trial_end = models.DateTimeField(_("trial ends"), null=True, blank=True)
    cancel_at_period_end = models.BooleanField(_("ends with the period"), default=False)
    sealed_client_secret = models.BinaryField(null=True, blank=True)
    url = models.CharField(_("page to confirm on"), max_length=2000, blank=True)

    class Meta:
        verbose_name = _("subscription")
        verbose_name_plural = _("subscriptions")
        constraints = [external_id_once("subscription")]
        indexes = [models.Index(fields=["-created_at"], name="subscription_recent")]


class Invoice(VendorObject):
    """An invoice of a subscription or of its own. Ids of other objects are the vendor's: they may come later."""

    subscription_external_id = models.CharField(max_length=LONGEST_ID, blank=True)
    customer_external_id = models.CharField(max_length=LONGEST_ID, blank=True)
    payment_external_ids = models.JSONField(default=list, blank=True)
    status = models.CharField(
        _("status"), max_length=20, choices=InvoiceStatusChoices.choices, default=InvoiceStatus.DRAFT.value
    )
    amount_due_minor = amount(_("due"))
    amount_paid_minor = amount(_("paid"), default=0)
    currency = currency()
    number = models.CharField(_("number"), max_length=100, blank=True)
    url = models.CharField(_("page"), max_length=2000, blank=True)
    due_at = models.DateTimeField(_("due at"), null=True, blank=True)

    class Meta:
        verbose_name = _("invoice")
        verbose_name_plural = _("invoices")
        constraints = [external_id_once("invoice")]
        indexes = [models.Index(fields=["-created_at"], name="invoice_recent")]
