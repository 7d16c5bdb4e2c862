"""What was counted: hourly buckets, summed as the caller asks."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import F, QuerySet, Sum
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.errors import ValidationFailed
from integrations.api.openapi import page_of
from integrations.api.serializers import Data
from integrations.api.views import RegistryView
from integrations.models import Integration
from meter.models import UsageRecord, today

LONGEST = timedelta(days=92)
"""A quarter: days, units and integrations multiply, and an answer should fit a page of a report."""

UNIT = "unit"
GROUPS = ("day", "integration", "provider", UNIT)
"""What usage can be summed by; the unit is always kept, for a sum of messages and bytes says nothing."""


@extend_schema_field({"type": "number"})
class QuantityField(serializers.Field[Decimal, Any, int | float, Any]):
    """A count as the number it is; whole ones, which all but a few units are, stay exact."""

    def to_representation(self, value: Decimal) -> int | float:
        """Write no decimals where there are none."""
        return int(value) if value == value.to_integral_value() else float(value)


class UsageSerializer(Data):
    """A quantity of one unit; of `day`, `integration` and `provider` the row has those that it is summed by."""

    day = serializers.DateField(required=False)
    integration = serializers.UUIDField(required=False)
    provider = serializers.CharField(required=False)
    unit = serializers.CharField()
    quantity = QuantityField()


class UsageView(RegistryView):
    """What was counted."""

    scope = "usage"
    filters = frozenset({"from", "to", "group_by", "integration", UNIT, "provider"})

    @extend_schema(
        operation_id="usage_list",
        parameters=[
            OpenApiParameter("from", date, description="First day (UTC); default 30 days before the last."),
            OpenApiParameter("to", date, description=f"Last day; default today. At most {LONGEST.days} days in all."),
            OpenApiParameter(
                "group_by",
                str,
                description=f"One of {', '.join(GROUPS)}, or several with commas; default all four. Rows always name "
                "their unit, so that group_by=unit gives the totals.",
            ),
            *(OpenApiParameter(name, str) for name in ("integration", "provider", UNIT)),
        ],
        responses=page_of(UsageSerializer),
    )
    def get(self, request: Request) -> Response:
        """Sum usage, the newest day first; always one page."""
        groups = _groups(self.query.get("group_by", ""))
        rows = self._counted().values(*groups).annotate(quantity=Sum("quantity"))
        order = ["-day" if name == "day" else name for name in groups]
        results = UsageSerializer(rows.order_by(*order), many=True).data
        return Response({"next": None, "previous": None, "results": results})

    def _counted(self) -> QuerySet[UsageRecord]:
        query = self.query
        first, last = _days(query.get("from", ""), query.get("to", ""))
        own = Integration.objects.of_environment(self.environment)
        if wanted := query.get("integration"):
            own = own.filter(id=self.get_integration(wanted).id)
        exact = {name: query[name] for name in (UNIT, "provider") if name in query}
        links = list(own.values_list("id", flat=True))
        found = UsageRecord.objects.filter(day__range=(first, last), link_id__in=links, **exact)
        return found.annotate(integration=F("link_id"))


def _groups(text: str) -> list[str]:
    asked = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := sorted(set(asked) - set(GROUPS)):
        raise ValidationFailed(
            "Usage cannot be summed by this.",
            errors={"group_by": [f"Unknown: {', '.join(unknown)}. Use {', '.join(GROUPS)}."]},
        )
    return [name for name in GROUPS if not asked or name in asked or name == UNIT]


def _days(first_text: str, last_text: str) -> tuple[date, date]:
    last: date = _day("to", last_text) if last_text else today()
    first = _day("from", first_text) if first_text else max(date.min + timedelta(days=30), last) - timedelta(days=30)
    if not timedelta(0) <= last - first <= LONGEST:
        text = f"Use a range of at most {LONGEST.days} days, from before to."
        raise ValidationFailed("The range of days cannot be used.", errors={"from": [text]})
    return first, last


def _day(name: str, text: str) -> Any:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValidationFailed("A day cannot be read.", errors={name: ["Use a day such as 2026-11-02."]}) from None
