"""Subscriptions: the list, and the page of each, where it can be ended now or with its period."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import services
from billing.admin.base import BillingAdmin, external
from billing.admin.words import money, state
from billing.contract import SubscriptionStatus
from billing.models import Invoice, Subscription
from billing.services.subscriptions import OVER
from core.redaction import redact
from integrations.admin.base import actor_of
from integrations.admin.show import code
from integrations.admin.sites import organization_site

CHANGE = "billing.change_subscription"
INVOICES = 12

NEXT: Mapping[str, Any] = {
    SubscriptionStatus.INCOMPLETE: gettext_lazy("The first payment is missing: send the payer to confirm it."),
    SubscriptionStatus.INCOMPLETE_EXPIRED: gettext_lazy("The first payment never came. Begin a new subscription."),
    SubscriptionStatus.TRIALING: gettext_lazy("Nothing to do: the first payment comes when the trial ends."),
    SubscriptionStatus.ACTIVE: gettext_lazy("Nothing to do: the provider charges each period."),
    SubscriptionStatus.PAST_DUE: gettext_lazy("A payment failed; the provider tries again. Tell the payer."),
    SubscriptionStatus.UNPAID: gettext_lazy("The provider has stopped trying. Ask the payer for another way to pay."),
    SubscriptionStatus.PAUSED: gettext_lazy("It is paused at the provider; nothing is charged."),
    SubscriptionStatus.CANCELED: gettext_lazy("It has ended; nothing is charged any more."),
}
"""Status -> what whoever reads the page does next."""


@admin.register(Subscription, site=organization_site)
class SubscriptionAdmin(BillingAdmin):
    """Subscriptions of all integrations."""

    list_display = ("created_at", "shown_customer", "shown_amount", "shown_status", "current_period_end", "shown_end",
                    "shown_integration")  # fmt: skip
    list_filter = ("status", "cancel_at_period_end", "integration", ("created_at", admin.DateFieldListFilter))
    search_fields = ("external_id", "price", "customer__email", "customer__name")
    list_select_related = ("integration", "customer")
    empty_hint = gettext_lazy("No subscription yet. A program begins one by the API, or a payer on a page to pay on.")

    @admin.display(description=gettext_lazy("customer"), ordering="customer__email")
    def shown_customer(self, obj: Subscription) -> str:
        """Who pays."""
        return (obj.customer.name or obj.customer.email) if obj.customer else "-"

    @admin.display(description=gettext_lazy("ends"), ordering="cancel_at_period_end")
    def shown_end(self, obj: Subscription) -> str:
        """Whether it ends with its period."""
        return _("with the period") if obj.cancel_at_period_end else "-"

    def get_urls(self) -> list[URLPattern]:
        """Add the two ways to end it, and taking one of them back."""
        view = self.admin_site.admin_view
        own = [
            path("<uuid:object_id>/cancel/", view(self.cancel_view), name="subscription_cancel"),
            path("<uuid:object_id>/period-end/", view(self.period_end_view), name="subscription_period_end"),
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one subscription with its invoices."""
        row: Subscription = self.find(request, object_id)
        invoices = Invoice.objects.filter(
            integration=row.integration, subscription_external_id=row.external_id or "-"
        ).defer("vendor_payload")
        return self.page(
            request,
            "registry/billing/subscription.html",
            title=_name(row),
            original=row,
            subscription=row,
            status_badge=state(row),
            amount=money(row.amount_minor, row.currency),
            next_step=NEXT.get(row.status, ""),
            page_to_confirm=external(row.url, _("Page to confirm on")) if row.url else "",
            invoices=[_invoice(item) for item in invoices.order_by("-created_at")[:INVOICES]],
            payload=code(redact(row.vendor_payload)) if row.vendor_payload else "",
            may_end=request.user.has_perm(CHANGE) and row.status not in OVER and bool(row.external_id),
        )

    def cancel_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Ask once, then end it now."""
        row: Subscription = self.find(request, object_id)
        self.demand(request, CHANGE)
        if request.method != "POST":
            return self._confirm(
                request,
                row,
                title=_("End this subscription now"),
                text=_("%(name)s is charged no more. Ending it cannot be undone; what was paid is not given back."),
                button=_("End it now"),
            )
        actor = actor_of(request)
        return self.act(
            request, row, lambda: services.cancel_subscription(row, actor=actor), done=_("The subscription has ended.")
        )

    def period_end_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Let it end with the period that is paid, or take that back; sent twice, it stays as it was wanted."""
        row: Subscription = self.find(request, object_id)
        self.demand(request, CHANGE)
        if request.method != "POST":
            text = _("%(name)s is charged no more after %(day)s. Until then you can take it back.")
            title = _("End with the period")
            return self._confirm(request, row, title=title, text=text, button=title, hidden={"ends": "yes"})
        ends, actor = request.POST.get("ends") == "yes", actor_of(request)
        return self.act(
            request,
            row,
            lambda: services.update_subscription(row, cancel_at_period_end=ends, actor=actor),
            done=_("It ends with its period.") if ends else _("It goes on after its period."),
        )

    def _confirm(
        self,
        request: HttpRequest,
        row: Subscription,
        *,
        title: str,
        text: str,
        button: str,
        hidden: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        day = date_format(row.current_period_end, "SHORT_DATE_FORMAT") if row.current_period_end else "-"
        return self.page(
            request,
            "registry/billing/confirm.html",
            title=title,
            text=text % {"name": _name(row), "day": day},
            button=button,
            hidden=hidden or {},
            keep=_("Keep it"),
            back=self.url_of(row),
        )


def _name(row: Subscription) -> str:
    known = row.customer
    return (known.name or known.email if known else "") or row.external_id or str(row.pk)


def _invoice(row: Invoice) -> tuple[Invoice, str, SafeString]:
    return row, money(row.amount_due_minor, row.currency), state(row)
