"""Payments: the list, and the page of each with its ladder, its timeline and what can be done with it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import services
from billing.admin.charging import ChargePages, payment_providers
from billing.admin.refunding import RefundPages
from billing.admin.story import claims_of, timeline
from billing.admin.words import METHODS, masked, method_label, money, payer_label, reason_of, state, warning_label
from billing.brcode import qr_png
from billing.contract import ObjectKind, PaymentStatus, ReadsBilling, RefundStatus
from billing.models import Payment
from billing.services.payment_states import OPEN, WRONG_AMOUNT
from billing.services.reading import read_row_later
from billing.services.refunds import REFUNDABLE, rest_of
from billing.services.rows import as_uuid
from core import clock
from core.redaction import redact
from integrations import registry
from integrations.admin.base import actor_of
from integrations.admin.show import code, provider_label
from integrations.admin.sites import Panel, organization_site
from integrations.models import Integration

PANEL = 6

CHANGE = "billing.change_payment"

NEXT: Mapping[str, Any] = {
    PaymentStatus.PENDING: gettext_lazy("The payer has not paid yet. This page shows it by itself when they do."),
    PaymentStatus.REQUIRES_ACTION: gettext_lazy("The payer has a step to take. This page shows it when they did."),
    PaymentStatus.PROCESSING: gettext_lazy(
        "The provider works on it, or has not answered yet; it is asked by itself. Do not charge a second time."
    ),
    PaymentStatus.SUCCEEDED: gettext_lazy("Nothing to do: the money came."),
    PaymentStatus.FAILED: gettext_lazy("Nothing was charged. Make a new payment, or offer another way to pay."),
    PaymentStatus.CANCELED: gettext_lazy("Nobody can pay it any more. Make a new payment if it is still wanted."),
    PaymentStatus.EXPIRED: gettext_lazy("Its time is over and nobody paid. Make a new payment if it is still wanted."),
    PaymentStatus.REFUNDED: gettext_lazy("Nothing to do: all of it went back to the payer."),
    PaymentStatus.PARTIALLY_REFUNDED: gettext_lazy("Nothing to do: part of it went back to the payer."),
    PaymentStatus.CHARGED_BACK: gettext_lazy(
        "The payer's bank took the money back. Look at the dispute below, and do not deliver what was not delivered."
    ),
}
"""Status -> what whoever reads the page does next."""

NEXT_WRONG_AMOUNT = gettext_lazy(
    "Another amount came than was asked, so it does not count as paid. Ask the payer for the rest, or give the money "
    "back in the provider's own dashboard."
)


class MethodFilter(admin.SimpleListFilter):
    """The ways to pay, by their names."""

    title = gettext_lazy("method")
    parameter_name = "pays_by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """List all of the contract."""
        return METHODS.items()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        """Keep the chosen one's."""
        return queryset.filter(method=self.value()) if self.value() in METHODS else queryset


class WarningFilter(admin.SimpleListFilter):
    """Payments that somebody should look at."""

    title = gettext_lazy("warning")
    parameter_name = "marked"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """List the one choice."""
        return (("yes", gettext_lazy("with a warning")),)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        """Keep those with one."""
        return queryset.exclude(warning="") if self.value() == "yes" else queryset


@admin.register(Payment, site=organization_site)
class PaymentAdmin(ChargePages, RefundPages):
    """Payments of all integrations; charging is in `charging.py`, giving back in `refunding.py`."""

    list_display = ("created_at", "shown_amount", "shown_state", "shown_method", "shown_payer", "shown_integration",
                    "external_id")  # fmt: skip
    list_filter = ("status", MethodFilter, "integration", WarningFilter, ("created_at", admin.DateFieldListFilter))
    search_fields = ("external_id", "end_to_end_id", "description", "payer__email", "payer__name", "customer__email",
                     "customer__name")  # fmt: skip
    search_help_text = gettext_lazy("Our id, the provider's id, the payer's e-mail or name, or the description")
    list_select_related = ("integration", "customer")
    empty_hint = gettext_lazy(
        "No payment yet. Payments appear when a program makes one by the API, when somebody pays on a page of the "
        "provider's, or when you charge somebody here."
    )

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def shown_state(self, obj: Payment) -> str:
        """The status, colored, and a warning beside it."""
        warning = warning_label(obj)
        return state(obj) if not warning else _with_warning(state(obj), warning)

    @admin.display(description=gettext_lazy("method"), ordering="method")
    def shown_method(self, obj: Payment) -> str:
        """The way to pay, in words."""
        return method_label(obj.method)

    @admin.display(description=gettext_lazy("payer"))
    def shown_payer(self, obj: Payment) -> str:
        """Who pays."""
        return payer_label(obj)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find by our id, and by the vendor's other ids, too."""
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        term = search_term.strip()
        if not term:
            return found, may_repeat
        ours = as_uuid(term)
        ids = Q(aliases__contains=[term]) | (Q(pk=ours) if ours else Q())
        return found | queryset.filter(ids), may_repeat

    def get_urls(self) -> list[URLPattern]:
        """Add what the page offers."""
        view = self.admin_site.admin_view
        own = [
            path("<uuid:object_id>/live/", view(self.live_view), name="payment_live"),
            path("<uuid:object_id>/cancel/", view(self.cancel_view), name="payment_cancel"),
            path("<uuid:object_id>/ask/", view(self.ask_view), name="payment_ask"),
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show everything about one payment."""
        payment: Payment = self.find(request, object_id)
        return self.page(
            request,
            "registry/billing/payment.html",
            title=money(payment.amount_minor, payment.currency),
            original=payment,
            payment=payment,
            provider=provider_label(payment.integration.provider),
            method=method_label(payment.method),
            status_badge=state(payment),
            warning=warning_label(payment),
            reason=reason_of(payment.error),
            next_step=_next_step(payment),
            action=_action(payment),
            payer=_payer_facts(payment),
            amounts=_amounts(payment),
            claims=claims_of(payment),
            timeline=timeline(payment),
            refunds=[(row, money(row.amount_minor, row.currency), state(row), reason_of(row.error))
                     for row in payment.refunds.order_by("-id")],
            disputes=[(row, money(row.amount_minor, row.currency), state(row))
                      for row in payment.disputes.order_by("-id")],
            payload=code(redact(payment.vendor_payload)) if payment.vendor_payload else "",
            version=_version(payment),
            is_over=_is_over(payment),
            may=_may(request, payment),
        )  # fmt: skip

    def live_view(self, request: HttpRequest, object_id: object) -> JsonResponse:
        """Answer the page's question whether anything changed since it was shown."""
        payment: Payment = self.find(request, object_id)
        return JsonResponse({"version": _version(payment), "is_over": _is_over(payment)})

    def cancel_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Ask once, then have the provider cancel a payment that nobody has paid."""
        payment: Payment = self.find(request, object_id)
        self.demand(request, CHANGE)
        if request.method != "POST":
            return self.page(
                request,
                "registry/billing/confirm.html",
                title=_("Cancel this payment"),
                text=_("%(payer)s can no longer pay %(amount)s then. Canceling cannot be undone.")
                % {"payer": payer_label(payment), "amount": money(payment.amount_minor, payment.currency)},
                button=_("Cancel the payment"),
                keep=_("Keep it"),
                back=self.url_of(payment),
            )
        actor = actor_of(request)
        done = _("The provider was asked to cancel it; its answer is on this page.")
        return self.act(request, payment, lambda: services.cancel_payment(payment, actor=actor), done=done)

    def ask_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Have the provider asked what this payment is now."""
        payment: Payment = self.find(request, object_id)
        self.demand(request, CHANGE)

        def ask() -> None:
            with transaction.atomic():
                read_row_later(payment, ObjectKind.PAYMENT, due_at=clock.now())

        return self.act(request, payment, ask, done=_("The provider is asked; its answer appears here in a moment."))


def latest_payments(request: HttpRequest) -> dict[str, Any]:
    """Fill the panel of the start page; nothing while no payment account was ever connected."""
    rows = Payment.objects.select_related("integration", "customer").defer("vendor_payload").order_by("-created_at")
    shown = [
        {"payment": row, "amount": money(row.amount_minor, row.currency), "status": state(row),
         "payer": payer_label(row), "warning": warning_label(row)}
        for row in rows[:PANEL]
    ]  # fmt: skip
    is_shown = bool(shown) or Integration.objects.connected().filter(provider__in=payment_providers()).exists()
    return {"rows": shown, "is_shown": is_shown}


LATEST = Panel("registry/billing/panel.html", latest_payments)


def _with_warning(badge: Any, warning: str) -> str:
    return format_html('{} <span class="rg-badge rg-bad">{}</span>', badge, warning)


def _next_step(payment: Payment) -> Any:
    return NEXT_WRONG_AMOUNT if payment.warning == WRONG_AMOUNT else NEXT.get(payment.status, "")


def _action(payment: Payment) -> dict[str, Any]:
    """Return what the payer does next, drawn where it is a code; never a client secret."""
    action = payment.next_action or {}
    kind = str(action.get("kind", ""))
    details = action.get("pix" if kind == "pix_qr" else kind) or {}
    if not kind or payment.status not in OPEN or not isinstance(details, Mapping):
        return {}
    shown = {"kind": kind, "ends_at": payment.expires_at, "url": details.get("url") or details.get("ticket_url")}
    if text := str(details.get("qr_code") or ""):
        return {**shown, "code": text, "picture": base64.b64encode(qr_png(text)).decode()}
    return {**shown, "barcode": str(details.get("barcode") or "")}


def _payer_facts(payment: Payment) -> list[tuple[str, str]]:
    payer = payment.payer or {}
    facts = [
        (_("Name"), payer.get("name")), (_("E-mail"), payer.get("email")), (_("Phone"), payer.get("phone")),
        (_("Tax id"), masked(payer.get("tax_id"))),
    ]  # fmt: skip
    return [(label, str(value)) for label, value in facts if value]


def _amounts(payment: Payment) -> list[tuple[str, str]]:
    facts = [(_("Asked"), payment.amount_minor), (_("Received"), payment.amount_received_minor)]
    if payment.amount_refunded_minor:
        facts.append((_("Given back"), payment.amount_refunded_minor))
    return [(label, money(value, payment.currency)) for label, value in facts]


def _may(request: HttpRequest, payment: Payment) -> dict[str, bool]:
    """Tell the page which buttons to show: what the role allows and the payment's state has a use for."""
    may_change = bool(request.user.has_perm(CHANGE))
    provider = registry.find(payment.integration.provider)
    return {
        "refund": bool(request.user.has_perm("billing.add_refund"))
        and payment.status in REFUNDABLE
        and rest_of(payment) > 0,
        "cancel": may_change
        and payment.status in OPEN
        and bool(payment.external_id)
        and not payment.amount_received_minor,
        "ask": may_change and bool(payment.external_id) and provider is not None and issubclass(provider, ReadsBilling),
    }


def _is_over(payment: Payment) -> bool:
    """Whether nothing is expected to change by itself any more."""
    return payment.status not in OPEN and not payment.refunds.filter(status=RefundStatus.PENDING).exists()


def _version(payment: Payment) -> str:
    """Return what changes when the page would show something else."""
    latest = payment.evidence.order_by("-id").values_list("id", flat=True).first()
    refunds = payment.refunds.order_by("-updated_at").values_list("updated_at", flat=True).first()
    return hashlib.sha256(f"{payment.status}:{payment.updated_at}:{latest}:{refunds}".encode()).hexdigest()[:16]
