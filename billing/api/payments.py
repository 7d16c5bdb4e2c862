"""`/billing/payments/` and `/billing/refunds/`."""

from __future__ import annotations

from collections.abc import Mapping

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from billing import services
from billing.api.serializers import (
    EvidenceSerializer,
    PaymentDetailSerializer,
    PaymentInputSerializer,
    PaymentSerializer,
    RefundInputSerializer,
    RefundSerializer,
)
from billing.api.views import BillingView, filled, one_of
from billing.contract import CardToken, Method, PaymentStatus, RefundStatus
from billing.models import Evidence, Payment, Refund
from billing.services.rules import read_payer
from core.secret import Secret
from integrations.api.openapi import PAGING, page_of
from integrations.api.views import get_or_404

CLOSED_SETS: Mapping[str, frozenset[str]] = {
    "status": frozenset(PaymentStatus),
    "method": frozenset(Method),
}
_IDS = ("integration", "customer")
_SINCE = OpenApiParameter("since", OpenApiTypes.DATETIME, description="Made at or after this time.")


class PaymentsView(BillingView):
    """Payments."""

    filters = frozenset({*_IDS, *CLOSED_SETS, "external_id", "currency", "since"})

    @extend_schema(
        operation_id="billing_payments_list",
        parameters=[
            *PAGING,
            *(OpenApiParameter(name, OpenApiTypes.UUID) for name in _IDS),
            *(OpenApiParameter(name, str, enum=sorted(values)) for name, values in CLOSED_SETS.items()),
            OpenApiParameter("external_id", str),
            OpenApiParameter("currency", str),
            _SINCE,
        ],
        responses=page_of(PaymentSerializer),
    )
    def get(self, request: Request) -> Response:
        """List payments, the newest first; those made at the provider itself are among them."""
        for name, allowed in CLOSED_SETS.items():
            one_of(name, self.query.get(name, ""), allowed)
        return self.paginate(self.filtered(self.rows(Payment)), PaymentSerializer)

    @extend_schema(
        operation_id="billing_payments_create",
        request=PaymentInputSerializer,
        responses={201: PaymentDetailSerializer},
    )
    def post(self, request: Request) -> Response:
        """Make a payment: declined is `failed` with a reason; `processing` means that its end is still to come."""
        values = self.validated(PaymentInputSerializer)
        card = values.pop("card", None)
        payment = services.create_payment(
            self.get_integration(values.pop("integration")),
            **filled(values),
            payer=read_payer(values.get("payer", {})),
            card=CardToken(**{**card, "token": Secret(card["token"])}) if card else None,
            caller_key=self.caller_key,
            actor=self.actor,
        )
        return self.made(PaymentDetailSerializer(payment).data)


class PaymentView(BillingView):
    """One payment."""

    @extend_schema(operation_id="billing_payments_get", responses=PaymentDetailSerializer)
    def get(self, request: Request, payment_id: str) -> Response:
        """Return one payment with the newest claims about it; all of them are at `evidence/`."""
        return Response(PaymentDetailSerializer(self.get_payment(payment_id)).data)


class EvidenceView(BillingView):
    """Why a payment is what it is."""

    @extend_schema(
        operation_id="billing_payments_evidence", parameters=[*PAGING], responses=page_of(EvidenceSerializer)
    )
    def get(self, request: Request, payment_id: str) -> Response:
        """List what the provider said of a payment, and how far each claim came up the ladder of trust."""
        return self.paginate(Evidence.objects.filter(payment=self.get_payment(payment_id)), EvidenceSerializer)


class CancelView(BillingView):
    """Ending a payment that nobody has paid."""

    @extend_schema(operation_id="billing_payments_cancel", request=None, responses=PaymentDetailSerializer)
    def post(self, request: Request, payment_id: str) -> Response:
        """Cancel the payment at the provider; 409 when it was paid or is over."""
        payment = services.cancel_payment(self.get_payment(payment_id), actor=self.actor)
        return Response(PaymentDetailSerializer(payment).data)


class PaymentRefundsView(BillingView):
    """The refunds of one payment."""

    @extend_schema(
        operation_id="billing_payments_refunds_list", parameters=[*PAGING], responses=page_of(RefundSerializer)
    )
    def get(self, request: Request, payment_id: str) -> Response:
        """List the refunds of a payment, the newest first."""
        return self.paginate(self.rows(Refund).filter(payment=self.get_payment(payment_id)), RefundSerializer)

    @extend_schema(
        operation_id="billing_payments_refund", request=RefundInputSerializer, responses={201: RefundSerializer}
    )
    def post(self, request: Request, payment_id: str) -> Response:
        """Give back an amount, or all that is left; 409 when nothing is left, 422 above the rest."""
        payment = self.get_payment(payment_id)
        values = self.validated(RefundInputSerializer)
        refund = services.refund_payment(payment, **values, caller_key=self.caller_key, actor=self.actor)
        return Response(RefundSerializer(refund).data, status=status.HTTP_201_CREATED)


class RefundsView(BillingView):
    """Refunds of all payments."""

    filters = frozenset({"integration", "payment", "status", "since"})

    @extend_schema(
        operation_id="billing_refunds_list",
        parameters=[
            *PAGING,
            *(OpenApiParameter(name, OpenApiTypes.UUID) for name in ("integration", "payment")),
            OpenApiParameter("status", str, enum=sorted(RefundStatus)),
            _SINCE,
        ],
        responses=page_of(RefundSerializer),
    )
    def get(self, request: Request) -> Response:
        """List refunds, the newest first."""
        one_of("status", self.query.get("status", ""), frozenset(RefundStatus))
        return self.paginate(self.filtered(self.rows(Refund)), RefundSerializer)


class RefundView(BillingView):
    """One refund."""

    @extend_schema(operation_id="billing_refunds_get", responses=RefundSerializer)
    def get(self, request: Request, refund_id: str) -> Response:
        """Return one refund."""
        return Response(RefundSerializer(get_or_404(self.rows(Refund), refund_id)).data)
