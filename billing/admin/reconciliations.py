"""Days compared with the vendors' own lists, to the last cent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.admin.base import BillingAdmin
from billing.admin.story import status_label
from billing.admin.words import money, reason_of, state
from billing.models import Payment, Reconciliation
from billing.models.reconciliations import ReconciliationStatus
from billing.services import reconciliation
from billing.services.rows import as_uuid
from integrations.admin.base import actor_of
from integrations.admin.sites import organization_site

CHANGE = "billing.change_reconciliation"

SHOWN = 200
"""Differences on a page; a day with more of them needs no list but a look at the integration."""

KINDS: Mapping[str, Any] = {
    "missing_here": gettext_lazy("was missing here"),
    "missing_there": gettext_lazy("is not in the provider's list"),
    "status": gettext_lazy("another status"),
    "amount": gettext_lazy("another amount"),
    "currency": gettext_lazy("another currency"),
}
"""Kind of a difference -> words."""

NEXT: Mapping[str, Any] = {
    ReconciliationStatus.EQUAL: gettext_lazy("Nothing to do: every payment and every cent is the same on both sides."),
    ReconciliationStatus.REPAIRED: gettext_lazy(
        "Nothing to do: what a webhook had missed was read from the provider and is right now."
    ),
    ReconciliationStatus.DIFFERENT: gettext_lazy(
        "Look at each line below that is not repaired, and compare it with the provider's own dashboard."
    ),
    ReconciliationStatus.FAILED: gettext_lazy("The provider's list could not be read; it is tried again by itself."),
}
"""Result -> what whoever reads the page does next."""


@admin.register(Reconciliation, site=organization_site)
class ReconciliationAdmin(BillingAdmin):
    """One line per integration and day (UTC)."""

    list_display = ("day", "shown_integration", "shown_status", "vendor_count", "our_count", "repaired_count",
                    "different_count", "compared_at")  # fmt: skip
    list_filter = ("status", "integration", ("day", admin.DateFieldListFilter))
    ordering = ("-day", "-id")
    head_text = gettext_lazy(
        "Each day (UTC) is compared with the provider's own list, without tolerance: one payment or one cent too many "
        "or too few is a difference."
    )
    empty_hint = gettext_lazy(
        "No day was compared yet. The first comparison runs the night after an account is connected."
    )

    def get_urls(self) -> list[URLPattern]:
        """Add comparing again."""
        view = self.admin_site.admin_view
        own = path("<uuid:object_id>/compare/", view(self.compare_view), name="reconciliation_compare")
        return [own, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one day: the sums of both sides and each difference."""
        row: Reconciliation = self.find(request, object_id)
        day = date_format(row.day, "SHORT_DATE_FORMAT")
        return self.page(
            request,
            "registry/billing/reconciliation.html",
            title=f"{row.integration.name}, {day}",
            original=row,
            reconciliation=row,
            status_badge=state(row),
            next_step=NEXT.get(row.status, ""),
            error=reason_of(row.error),
            totals=[_total(currency, sums) for currency, sums in sorted(row.totals.items())],
            differences=_differences(row),
            hidden=max(0, len(row.differences) - SHOWN),
            may_compare=request.user.has_perm(CHANGE),
        )

    def compare_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Compare the day again, now."""
        row: Reconciliation = self.find(request, object_id)
        self.demand(request, CHANGE)
        actor = actor_of(request)
        return self.act(
            request,
            row,
            lambda: reconciliation.compare(row.integration, row.day, actor=actor),
            done=_("The day was compared again; its result is on this page."),
        )


def _total(currency: str, sums: Mapping[str, Any]) -> dict[str, Any]:
    difference = int(sums.get("difference_minor") or 0)
    return {
        "vendor": money(sums.get("vendor_minor"), currency),
        "ours": money(sums.get("ours_minor"), currency),
        "difference": money(difference, currency),
        "is_different": difference != 0,
    }


def _differences(row: Reconciliation) -> list[dict[str, Any]]:
    """Put the differences into words, each with the payment here; one query."""
    shown = row.differences[:SHOWN]
    ids = {str(item.get("external_id")) for item in shown}
    ours = [found for name in ids if (found := as_uuid(name)) is not None]
    known = Payment.objects.filter(Q(external_id__in=ids) | Q(pk__in=ours), integration=row.integration)
    payments = {
        name: pk for external_id, pk in known.values_list("external_id", "id") for name in (external_id, str(pk))
    }
    return [
        {
            "external_id": item.get("external_id"),
            "payment": payments.get(str(item.get("external_id"))),
            "kind": KINDS.get(str(item.get("kind")), item.get("kind")),
            "vendor": _side(item.get("vendor")),
            "ours": _side(item.get("ours")),
            "is_repaired": bool(item.get("repaired")),
        }
        for item in shown
    ]


def _side(facts: Mapping[str, Any] | None) -> str:
    """Write one side of a difference in words; a dash where the payment is not."""
    if not facts:
        return "-"
    currency, asked = str(facts.get("currency") or ""), facts.get("amount_minor")
    parts = [status_label(str(facts.get("status") or "")), money(asked, currency)]
    for name, text in _SUMS.items():
        if facts.get(name) not in (None, 0, asked):
            parts.append(str(text) % {"amount": money(facts[name], currency)})
    return " · ".join(part for part in parts if part)


_SUMS: Mapping[str, Any] = {
    "amount_received_minor": gettext_lazy("%(amount)s received"),
    "amount_refunded_minor": gettext_lazy("%(amount)s given back"),
}
"""Sum of one side -> words, where it is not simply what was asked."""
