"""What the provider tells: invoices, disputes, payouts; and the days that were compared with it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.objects import DisputeSerializer, InvoiceSerializer, PayoutSerializer, ReconciliationSerializer
from billing.api.views import BillingView, one_of
from billing.contract import DisputeStatus, InvoiceStatus, PayoutStatus
from billing.models import Dispute, Invoice, Payout, Reconciliation, ReconciliationStatus
from core.errors import ValidationFailed
from integrations.api.openapi import PAGING, page_of
from integrations.api.views import get_or_404

_SINCE = OpenApiParameter("since", OpenApiTypes.DATETIME, description="Made at or after this time.")
_EXTERNAL_ID = OpenApiParameter("external_id", str)


def _parameters(statuses: Collection[str], *more: OpenApiParameter) -> list[Any]:
    status = OpenApiParameter("status", str, enum=sorted(statuses))
    return [*PAGING, OpenApiParameter("integration", OpenApiTypes.UUID), status, *more]


class RecordsView(BillingView):
    """A list of rows that have a status; a subclass must set `statuses`."""

    filters = frozenset({"integration", "status", "external_id", "since"})
    statuses: ClassVar[Collection[str]]

    def listed(self, model: type[Any], serializer_class: type[Any]) -> Response:
        """Answer with one page of a model's rows."""
        one_of("status", self.query.get("status", ""), frozenset(self.statuses))
        return self.paginate(self.filtered(self.rows(model)), serializer_class)


class InvoicesView(RecordsView):
    """Invoices."""

    statuses = frozenset(InvoiceStatus)

    @extend_schema(
        operation_id="billing_invoices_list",
        parameters=_parameters(statuses, _EXTERNAL_ID, _SINCE),
        responses=page_of(InvoiceSerializer),
    )
    def get(self, request: Request) -> Response:
        """List invoices, the newest first."""
        return self.listed(Invoice, InvoiceSerializer)


class InvoiceView(BillingView):
    """One invoice."""

    @extend_schema(operation_id="billing_invoices_get", responses=InvoiceSerializer)
    def get(self, request: Request, invoice_id: str) -> Response:
        """Return one invoice."""
        return Response(InvoiceSerializer(get_or_404(self.rows(Invoice), invoice_id)).data)


class DisputesView(RecordsView):
    """Disputes."""

    filters = RecordsView.filters | {"payment"}
    statuses = frozenset(DisputeStatus)

    @extend_schema(
        operation_id="billing_disputes_list",
        parameters=_parameters(statuses, OpenApiParameter("payment", OpenApiTypes.UUID), _EXTERNAL_ID, _SINCE),
        responses=page_of(DisputeSerializer),
    )
    def get(self, request: Request) -> Response:
        """List disputes, the newest first."""
        return self.listed(Dispute, DisputeSerializer)


class DisputeView(BillingView):
    """One dispute."""

    @extend_schema(operation_id="billing_disputes_get", responses=DisputeSerializer)
    def get(self, request: Request, dispute_id: str) -> Response:
        """Return one dispute."""
        return Response(DisputeSerializer(get_or_404(self.rows(Dispute), dispute_id)).data)


class PayoutsView(RecordsView):
    """Payouts."""

    statuses = frozenset(PayoutStatus)

    @extend_schema(
        operation_id="billing_payouts_list",
        parameters=_parameters(statuses, _EXTERNAL_ID, _SINCE),
        responses=page_of(PayoutSerializer),
    )
    def get(self, request: Request) -> Response:
        """List payouts, the newest first."""
        return self.listed(Payout, PayoutSerializer)


class PayoutView(BillingView):
    """One payout."""

    @extend_schema(operation_id="billing_payouts_get", responses=PayoutSerializer)
    def get(self, request: Request, payout_id: str) -> Response:
        """Return one payout."""
        return Response(PayoutSerializer(get_or_404(self.rows(Payout), payout_id)).data)


class ReconciliationsView(RecordsView):
    """Days that were compared with the provider."""

    filters = frozenset({"integration", "status", "day"})
    statuses = frozenset(ReconciliationStatus.values)

    @extend_schema(
        operation_id="billing_reconciliations_list",
        parameters=_parameters(statuses, OpenApiParameter("day", OpenApiTypes.DATE)),
        responses=page_of(ReconciliationSerializer),
    )
    def get(self, request: Request) -> Response:
        """List comparisons, the newest first; `different` names what nobody could repair."""
        return self.listed(Reconciliation, ReconciliationSerializer)

    def _condition(self, name: str, value: str) -> dict[str, Any]:
        if name == "day":
            return {"day": _day(value)}
        return super()._condition(name, value)


def _day(text: str) -> Any:
    from django.utils.dateparse import parse_date

    try:
        found = parse_date(text)
    except ValueError:
        found = None
    if found is None:
        raise ValidationFailed("A filter has an unknown value.", errors={"day": ["Use a day such as 2026-11-02."]})
    return found
