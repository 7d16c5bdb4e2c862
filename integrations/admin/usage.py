"""What an organization used: totals and a chart of the days for each unit, and the hourly buckets."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import Min, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import formats
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations import registry
from integrations.admin.records import LinkedRowsAdmin, OfIntegration
from integrations.admin.sites import organization_site
from meter.models import UsageRecord, today
from tenants.context import require_organization

DAYS = 30
API_CALLS = "api_calls"


@admin.register(UsageRecord, site=organization_site)
class UsageRecordAdmin(LinkedRowsAdmin):
    """What was used, by unit and hour."""

    list_display = ("at", "shown_integration", "shown_unit", "shown_quantity")
    list_filter = ("unit", OfIntegration, ("day", admin.DateFieldListFilter))
    list_before_template = "registry/usage.html"
    ordering = ("-at",)
    fields = ("at", "shown_integration", "shown_unit", "shown_quantity")
    readonly_fields = fields

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the last days of each unit above the list, of one integration where the list is filtered by it."""
        charts = usage_charts(link_id=request.GET.get(OfIntegration.parameter_name, ""))
        return super().changelist_view(request, {**(extra_context or {}), "charts": charts, "days": DAYS})

    @admin.display(description=gettext_lazy("unit"), ordering="unit")
    def shown_unit(self, obj: UsageRecord) -> str:
        """The unit by its label."""
        return unit_label(obj.provider, obj.unit)

    @admin.display(description=gettext_lazy("quantity"), ordering="quantity")
    def shown_quantity(self, obj: UsageRecord) -> str:
        """The quantity without empty decimals."""
        return _plain(obj.quantity)


def usage_charts(*, link_id: str = "") -> list[dict[str, Any]]:
    """Return one chart for each unit of the entered organization: label, total, and the days as chart data."""
    first = today() - timedelta(days=DAYS - 1)
    found = UsageRecord.objects.filter(organization_schema=require_organization(), day__gte=first)
    if link_id in {str(known) for known in found.values_list("link_id", flat=True).distinct()}:
        found = found.filter(link_id=link_id)
    by_unit: dict[str, dict[date, Decimal]] = defaultdict(dict)
    labels: dict[str, str] = {}
    for row in found.values("unit", "day").annotate(total=Sum("quantity"), of=Min("provider")).order_by("unit"):
        by_unit[row["unit"]][row["day"]] = row["total"]
        labels.setdefault(row["unit"], unit_label(row["of"], row["unit"]))
    return [_chart(labels[unit], per_day, first) for unit, per_day in by_unit.items()]


def unit_label(provider: str, unit: str) -> str:
    """Return the name of a unit as its provider's spec gives it, in the person's language."""
    if unit == API_CALLS:
        return _("Calls to the provider")
    found = registry.find(provider)
    labels = {declared.name: declared.label for declared in found.spec.usage} if found else {}
    return _(labels.get(unit, unit))


def _chart(label: str, per_day: Mapping[date, Decimal], first: date) -> dict[str, Any]:
    days = [first + timedelta(days=offset) for offset in range(DAYS)]
    values = [float(per_day.get(day, 0)) for day in days]
    data = {
        "labels": [formats.date_format(day, "j M") for day in days],
        "datasets": [{"label": label, "data": values, "backgroundColor": "var(--color-primary-600)"}],
    }
    return {"label": label, "total": _plain(sum(per_day.values(), Decimal(0))), "data": json.dumps(data)}


def _plain(quantity: Decimal) -> str:
    text = f"{quantity.normalize():f}"
    return formats.number_format(text, use_l10n=True, force_grouping=True)
