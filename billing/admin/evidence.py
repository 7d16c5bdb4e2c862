"""Claims that were not believed: what somebody hunts fraud in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.admin.base import BillingAdmin
from billing.admin.story import failed_rung, shown_claims, status_label
from billing.models import Evidence
from integrations.admin.sites import organization_site


class PaymentFilter(admin.SimpleListFilter):
    """Whether a claim named a payment of ours."""

    title = gettext_lazy("payment")
    parameter_name = "names"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """List both."""
        return (("none", gettext_lazy("of no payment here")), ("known", gettext_lazy("of a payment here")))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Evidence]) -> QuerySet[Evidence]:
        """Keep the chosen ones."""
        if self.value() not in ("none", "known"):
            return queryset
        return queryset.filter(payment__isnull=self.value() == "none")


@admin.register(Evidence, site=organization_site)
class EvidenceAdmin(BillingAdmin):
    """The list holds refused claims alone; the believed ones are on their payments' pages."""

    list_display = ("at", "shown_claim", "shown_failed", "shown_why", "source", "shown_integration", "external_id",
                    "shown_payment")  # fmt: skip
    list_filter = (PaymentFilter, "source", "integration", ("at", admin.DateFieldListFilter))
    search_fields = ("external_id", "source_id")
    list_select_related = ("integration", "payment")
    ordering = ("-at",)
    head_text = gettext_lazy(
        "What somebody said of payments and was not believed: each with the rung of the ladder on which it failed. "
        "None of these moved a payment. Many of one account or one hour are worth a question to the provider."
    )
    empty_hint = gettext_lazy("No refused claim: all that came was signed, of your own account, and confirmed.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Keep refused claims in the list; a page of any claim can be opened."""
        rows = super().get_queryset(request)
        name = request.resolver_match.url_name if request.resolver_match else ""
        return rows.filter(is_believed=False) if str(name).endswith("_changelist") else rows

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Call the list by what is in it."""
        return super().changelist_view(request, {"title": _("Refused claims"), **(extra_context or {})})

    @admin.display(description=gettext_lazy("claim"), ordering="claimed_status")
    def shown_claim(self, obj: Evidence) -> str:
        """What it says that the payment is."""
        return status_label(obj.claimed_status)

    @admin.display(description=gettext_lazy("failed at"))
    def shown_failed(self, obj: Evidence) -> str:
        """The rung on which it failed."""
        return failed_rung(obj).label

    @admin.display(description=gettext_lazy("why"))
    def shown_why(self, obj: Evidence) -> str:
        """Why it failed there."""
        rung = failed_rung(obj)
        return rung.detail or rung.words

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one claim on its ladder."""
        row: Evidence = self.find(request, object_id)
        return self.page(
            request,
            "registry/billing/claim.html",
            title=_("Claim: %(status)s") % {"status": status_label(row.claimed_status)},
            original=row,
            claim=shown_claims([row])[0],
            payment=row.payment,
            integration=row.integration,
        )
