"""Lists of what else the vendors keep: customers, refunds, invoices, disputes, payouts and pages to pay on."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.admin.base import BillingAdmin, external
from billing.admin.words import masked, money, reason_of
from billing.models import CheckoutSession, Customer, Dispute, Invoice, Payout, Refund
from core import clock
from integrations.admin.show import badge, provider_label
from integrations.admin.sites import organization_site

CREATED = ("created_at", admin.DateFieldListFilter)


@admin.register(Customer, site=organization_site)
class CustomerAdmin(BillingAdmin):
    """Customers, who may be charged again."""

    list_display = ("created_at", "shown_name", "email", "shown_integration", "external_id", "shown_kept")
    list_filter = ("integration", "is_deleted", CREATED)
    search_fields = ("email", "name", "external_id")
    empty_hint = gettext_lazy(
        "No customer yet. A program makes one by the API; Stripe's own customers appear when something happens to them."
    )
    fields = ("shown_name", "email", "phone", "shown_tax_id", "shown_kept", "shown_integration", "external_id",
              "created_at", "vendor_at", "shown_payload")  # fmt: skip
    readonly_fields = fields

    @admin.display(description=gettext_lazy("name"), ordering="name")
    def shown_name(self, obj: Customer) -> str:
        """The name, or a dash."""
        return obj.name or "-"

    @admin.display(description=gettext_lazy("tax id"))
    def shown_tax_id(self, obj: Customer) -> str:
        """The end of the tax id."""
        return masked(obj.tax_id) or "-"

    @admin.display(description=gettext_lazy("state"), ordering="is_deleted")
    def shown_kept(self, obj: Customer) -> SafeString:
        """Kept or deleted at the vendor."""
        return badge("disabled", _("deleted")) if obj.is_deleted else badge("active", _("kept"))


@admin.register(Refund, site=organization_site)
class RefundAdmin(BillingAdmin):
    """Money on its way back."""

    list_display = ("created_at", "shown_amount", "shown_status", "shown_payment", "reason", "shown_integration")
    list_filter = ("status", "integration", CREATED)
    search_fields = ("external_id", "payment__external_id", "reason")
    list_select_related = ("integration", "payment")
    empty_hint = gettext_lazy("No refund yet. Open a paid payment to give money back.")
    fields = ("shown_amount", "shown_status", "shown_payment", "reason", "shown_error", "shown_integration",
              "external_id", "vendor_status", "vendor_at", "created_at", "shown_payload")  # fmt: skip
    readonly_fields = fields

    @admin.display(description=gettext_lazy("error"))
    def shown_error(self, obj: Refund) -> str:
        """Why it failed."""
        return reason_of(obj.error) or "-"


@admin.register(Invoice, site=organization_site)
class InvoiceAdmin(BillingAdmin):
    """Invoices of subscriptions, or of their own."""

    list_display = ("created_at", "shown_number", "shown_due", "shown_paid", "shown_status", "due_at",
                    "shown_integration")  # fmt: skip
    list_filter = ("status", "integration", CREATED)
    search_fields = ("external_id", "number", "subscription_external_id", "customer_external_id")
    empty_hint = gettext_lazy(
        "No invoice yet. Subscriptions make them at the provider; they appear here by themselves."
    )
    fields = ("shown_number", "shown_due", "shown_paid", "shown_status", "due_at", "shown_url", "shown_integration",
              "external_id", "subscription_external_id", "customer_external_id", "vendor_status", "vendor_at",
              "created_at", "shown_payload")  # fmt: skip
    readonly_fields = fields

    @admin.display(description=gettext_lazy("number"), ordering="number")
    def shown_number(self, obj: Invoice) -> str:
        """The number on the paper, else the vendor's id."""
        return obj.number or obj.external_id

    @admin.display(description=gettext_lazy("due"), ordering="amount_due_minor")
    def shown_due(self, obj: Invoice) -> str:
        """What is asked."""
        return money(obj.amount_due_minor, obj.currency)

    @admin.display(description=gettext_lazy("paid"), ordering="amount_paid_minor")
    def shown_paid(self, obj: Invoice) -> str:
        """What came."""
        return money(obj.amount_paid_minor, obj.currency)

    @admin.display(description=gettext_lazy("page"))
    def shown_url(self, obj: Invoice) -> SafeString | str:
        """The vendor's page of the invoice."""
        return external(obj.url, _("Open the provider's page"))


@admin.register(Dispute, site=organization_site)
class DisputeAdmin(BillingAdmin):
    """Payments that a bank takes back, or tries to."""

    list_display = ("created_at", "shown_amount", "shown_status", "evidence_due_at", "reason", "shown_payment",
                    "shown_integration")  # fmt: skip
    list_filter = ("status", "integration", CREATED)
    search_fields = ("external_id", "payment_external_id", "reason")
    list_select_related = ("integration", "payment")
    empty_hint = gettext_lazy("No dispute. If a payer's bank takes money back, it is here with the day to answer by.")
    fields = ("shown_what_to_do", "shown_amount", "shown_status", "evidence_due_at", "reason", "shown_payment",
              "shown_integration", "external_id", "vendor_status", "vendor_at", "created_at",
              "shown_payload")  # fmt: skip
    readonly_fields = fields

    @admin.display(description=gettext_lazy("what to do"))
    def shown_what_to_do(self, obj: Dispute) -> str:
        """Who must do what, and where."""
        if obj.status != "open":
            return _("Nothing to do here: the payer's bank decides, or has decided.")
        if obj.evidence_due_at and obj.evidence_due_at < clock.now():
            return _("The time to answer is over; the payer's bank decides.")
        where = provider_label(obj.integration.provider)
        return _("Answer it in the dashboard of %(provider)s, under this dispute's id.") % {"provider": where}


@admin.register(Payout, site=organization_site)
class PayoutAdmin(BillingAdmin):
    """Money on its way to the organization's bank."""

    list_display = ("created_at", "shown_amount", "shown_status", "arrives_at", "shown_integration", "external_id")
    list_filter = ("status", "integration", CREATED)
    search_fields = ("external_id",)
    empty_hint = gettext_lazy("No payout yet. They appear when the provider pays out to your bank and tells of it.")
    fields = ("shown_amount", "shown_status", "arrives_at", "shown_integration", "external_id", "vendor_status",
              "vendor_at", "created_at", "shown_payload")  # fmt: skip
    readonly_fields = fields


@admin.register(CheckoutSession, site=organization_site)
class CheckoutSessionAdmin(BillingAdmin):
    """Pages of the vendor's to pay on."""

    list_display = ("created_at", "shown_mode", "shown_open", "shown_payment", "expires_at", "shown_integration")
    list_filter = ("is_open", "mode", "integration", CREATED)
    search_fields = ("external_id", "subscription_external_id")
    list_select_related = ("integration", "payment")
    empty_hint = gettext_lazy("No page yet. A program makes one by the API and sends the payer there.")
    fields = ("shown_mode", "shown_open", "shown_url", "shown_payment", "subscription_external_id", "expires_at",
              "shown_integration", "external_id", "vendor_status", "vendor_at", "created_at",
              "shown_payload")  # fmt: skip
    readonly_fields = fields

    @admin.display(description=gettext_lazy("mode"), ordering="mode")
    def shown_mode(self, obj: CheckoutSession) -> str:
        """What is paid there."""
        return {"payment": _("one payment"), "subscription": _("subscription")}.get(obj.mode, obj.mode)

    @admin.display(description=gettext_lazy("state"), ordering="is_open")
    def shown_open(self, obj: CheckoutSession) -> SafeString:
        """Open or closed."""
        return badge("active", _("open")) if obj.is_open else badge("disabled", _("closed"))

    @admin.display(description=gettext_lazy("address"))
    def shown_url(self, obj: CheckoutSession) -> SafeString | str:
        """The page, while it is open."""
        return external(obj.url, _("Open the provider's page")) if obj.is_open else "-"
