"""Payments and what hangs on them: customers, refunds, disputes, checkout pages, payouts."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.utils.translation import gettext_lazy as _

from billing.contract import DisputeStatus, Method, PaymentStatus, PayoutStatus, RefundStatus
from billing.models.base import LONGEST_ID, VendorObject, amount, currency, external_id_once, request_key_once


class Origin(models.TextChoices):
    """Where a payment was first seen."""

    API = "api", _("API")
    ADMIN = "admin", _("admin")
    VENDOR = "vendor", _("vendor")


class Customer(VendorObject):
    """Somebody whom the vendor keeps, so that they may be charged again."""

    email = models.EmailField(_("e-mail"), max_length=254, blank=True)
    name = models.CharField(_("name"), max_length=200, blank=True)
    phone = models.CharField(_("phone"), max_length=40, blank=True)
    tax_id = models.CharField(_("tax id"), max_length=30, blank=True)
    is_deleted = models.BooleanField(_("deleted at the vendor"), default=False)

    class Meta:
        verbose_name = _("customer")
        verbose_name_plural = _("customers")
        constraints = [external_id_once("customer")]
        indexes = [models.Index(fields=["-created_at"], name="customer_recent")]


class PaymentStatusChoices(models.TextChoices):
    """The states of the public contract, with their names on screens."""

    PENDING = PaymentStatus.PENDING.value, _("pending")
    REQUIRES_ACTION = PaymentStatus.REQUIRES_ACTION.value, _("waits for the payer")
    PROCESSING = PaymentStatus.PROCESSING.value, _("processing")
    SUCCEEDED = PaymentStatus.SUCCEEDED.value, _("paid")
    FAILED = PaymentStatus.FAILED.value, _("failed")
    CANCELED = PaymentStatus.CANCELED.value, _("canceled")
    REFUNDED = PaymentStatus.REFUNDED.value, _("refunded")
    PARTIALLY_REFUNDED = PaymentStatus.PARTIALLY_REFUNDED.value, _("partly refunded")
    EXPIRED = PaymentStatus.EXPIRED.value, _("expired")
    CHARGED_BACK = PaymentStatus.CHARGED_BACK.value, _("charged back")


class RefundStatusChoices(models.TextChoices):
    """The states of a refund, with their names on screens."""

    PENDING = RefundStatus.PENDING.value, _("pending")
    REQUIRES_ACTION = RefundStatus.REQUIRES_ACTION.value, _("waits for the payer")
    SUCCEEDED = RefundStatus.SUCCEEDED.value, _("given back")
    FAILED = RefundStatus.FAILED.value, _("failed")
    CANCELED = RefundStatus.CANCELED.value, _("canceled")


class DisputeStatusChoices(models.TextChoices):
    """The states of a dispute, with their names on screens."""

    OPEN = DisputeStatus.OPEN.value, _("open")
    UNDER_REVIEW = DisputeStatus.UNDER_REVIEW.value, _("under review")
    WON = DisputeStatus.WON.value, _("won")
    LOST = DisputeStatus.LOST.value, _("lost")


class PayoutStatusChoices(models.TextChoices):
    """The states of a payout, with their names on screens."""

    PENDING = PayoutStatus.PENDING.value, _("on its way")
    PAID = PayoutStatus.PAID.value, _("paid")
    FAILED = PayoutStatus.FAILED.value, _("failed")
    CANCELED = PayoutStatus.CANCELED.value, _("canceled")


class Payment(VendorObject):
    """
    One payment. Its status moves by the vendor's truth alone, each move with its `Evidence`.

    `amount_minor` is what was asked; a payment of another amount is never `succeeded` but carries a `warning`.
    `next_action` is as in the public contract, without the client secret, which is sealed beside it. `error` is
    {code, reason, message}. `aliases` are other ids of the vendor for it. `intended_at` is when a request left us whose
    answer is not known yet. `request_key` is a digest of the caller's idempotency key: a request that is repeated after
    its first process died finds this row instead of charging again.
    """

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="payments", null=True, blank=True)
    origin = models.CharField(_("made by"), max_length=6, choices=Origin.choices, default=Origin.API)
    status = models.CharField(
        _("status"), max_length=20, choices=PaymentStatusChoices.choices, default=PaymentStatus.PROCESSING.value
    )
    amount_minor = amount(_("amount"))
    amount_received_minor = amount(_("received"), default=0)
    amount_refunded_minor = amount(_("refunded"), default=0)
    currency = currency()
    method = models.CharField(_("method"), max_length=20, default=Method.AUTOMATIC.value)
    description = models.CharField(_("description"), max_length=500, blank=True)
    payer = models.JSONField(_("payer"), default=dict, blank=True)
    installments = models.PositiveSmallIntegerField(_("installments"), default=1)
    return_url = models.CharField(max_length=2000, blank=True)
    next_action = models.JSONField(_("next step"), null=True, blank=True)
    sealed_client_secret = models.BinaryField(null=True, blank=True)
    error = models.JSONField(_("error"), null=True, blank=True)
    warning = models.CharField(_("warning"), max_length=40, blank=True)
    aliases = ArrayField(models.CharField(max_length=LONGEST_ID), default=list, blank=True)
    end_to_end_id = models.CharField(_("PIX end-to-end id"), max_length=40, blank=True)
    request_key = models.CharField(max_length=64, blank=True)
    intended_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    paid_at = models.DateTimeField(_("paid at"), null=True, blank=True)

    class Meta:
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        constraints = [
            external_id_once("payment"),
            request_key_once("payment"),
            models.CheckConstraint(condition=models.Q(amount_minor__gt=0), name="payment_amount_positive"),
            models.CheckConstraint(condition=models.Q(amount_refunded_minor__gte=0), name="payment_refunded_positive"),
        ]
        indexes = [
            models.Index(fields=["-created_at"], name="payment_recent"),
            models.Index(fields=["integration", "-created_at"], name="payment_of_integration"),
            models.Index(fields=["status", "-created_at"], name="payment_by_status"),
            GinIndex(fields=["aliases"], name="payment_aliases"),
        ]


class Refund(VendorObject):
    """Part or all of a payment on its way back to the payer."""

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    amount_minor = amount(_("amount"))
    currency = currency()
    status = models.CharField(
        _("status"), max_length=20, choices=RefundStatusChoices.choices, default=RefundStatus.PENDING.value
    )
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    error = models.JSONField(_("error"), null=True, blank=True)
    request_key = models.CharField(max_length=64, blank=True)
    intended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        constraints = [
            external_id_once("refund"),
            request_key_once("refund"),
            models.CheckConstraint(condition=models.Q(amount_minor__gt=0), name="refund_amount_positive"),
        ]
        indexes = [models.Index(fields=["-created_at"], name="refund_recent")]


class Dispute(VendorObject):
    """A payer's bank takes a payment back, or tries to. The payment may not be known here yet."""

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="disputes", null=True, blank=True)
    payment_external_id = models.CharField(max_length=LONGEST_ID, blank=True)
    amount_minor = amount(_("amount"))
    currency = currency()
    status = models.CharField(
        _("status"), max_length=20, choices=DisputeStatusChoices.choices, default=DisputeStatus.OPEN.value
    )
    reason = models.CharField(_("reason"), max_length=120, blank=True)
    evidence_due_at = models.DateTimeField(_("answer until"), null=True, blank=True)

    class Meta:
        verbose_name = _("dispute")
        verbose_name_plural = _("disputes")
        constraints = [external_id_once("dispute")]
        indexes = [models.Index(fields=["-created_at"], name="dispute_recent")]


class Payout(VendorObject):
    """Money on its way from the vendor to the organization's bank."""

    amount_minor = amount(_("amount"))
    currency = currency()
    status = models.CharField(
        _("status"), max_length=20, choices=PayoutStatusChoices.choices, default=PayoutStatus.PENDING.value
    )
    arrives_at = models.DateTimeField(_("arrives at"), null=True, blank=True)

    class Meta:
        verbose_name = _("payout")
        verbose_name_plural = _("payouts")
        constraints = [external_id_once("payout")]
        indexes = [models.Index(fields=["-created_at"], name="payout_recent")]


class CheckoutSession(VendorObject):
    """A page of the vendor's to pay on. `payment` and `subscription_external_id` are known once somebody used it."""

    mode = models.CharField(_("mode"), max_length=12)
    url = models.CharField(_("address"), max_length=2000, blank=True)
    is_open = models.BooleanField(_("open"), default=True)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="checkouts", null=True, blank=True)
    subscription_external_id = models.CharField(max_length=LONGEST_ID, blank=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)

    class Meta:
        verbose_name = _("checkout page")
        verbose_name_plural = _("checkout pages")
        constraints = [external_id_once("checkout")]
        indexes = [models.Index(fields=["-created_at"], name="checkout_recent")]
