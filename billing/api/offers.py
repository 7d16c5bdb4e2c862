"""Pages, prices, ways to pay, installments, static codes, and the links of connected accounts."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from billing import services
from billing.api.objects import (
    AccountLinkInputSerializer,
    AccountLinkSerializer,
    CheckoutInputSerializer,
    CheckoutSerializer,
    InstallmentSerializer,
    PaymentMethodSerializer,
    PortalInputSerializer,
    PriceSerializer,
    StaticCodeInputSerializer,
    StaticCodeSerializer,
    UrlSerializer,
)
from billing.api.views import BillingView, filled
from billing.contract import LineItem
from billing.models import CheckoutSession
from core.errors import ValidationFailed
from integrations.api.openapi import PAGING, page_of
from integrations.api.views import get_or_404
from integrations.models import Integration

_INTEGRATION = OpenApiParameter("integration", OpenApiTypes.UUID, required=True)


class AskedView(BillingView):
    """A list that the provider is asked for at each look: one page with all there is."""

    filters = frozenset({"integration"})

    def wanted(self) -> Integration:
        """
        Return the integration that the query names.

        :raises ValidationFailed: it names none
        """
        if "integration" not in self.query:
            raise ValidationFailed("Say whose.", errors={"integration": ["Give the id of an integration."]})
        return self.get_integration(self.query["integration"])

    def whole(self, results: Any) -> Response:
        """Answer with one page."""
        return Response({"next": None, "previous": None, "results": results})


class PricesView(AskedView):
    """What may be subscribed to."""

    @extend_schema(operation_id="billing_prices_list", parameters=[_INTEGRATION], responses=page_of(PriceSerializer))
    def get(self, request: Request) -> Response:
        """Ask the provider for its prices."""
        return self.whole(PriceSerializer(services.list_prices(self.wanted()), many=True).data)


class PaymentMethodsView(AskedView):
    """Ways to pay."""

    @extend_schema(
        operation_id="billing_payment_methods_list",
        parameters=[_INTEGRATION],
        responses=page_of(PaymentMethodSerializer),
    )
    def get(self, request: Request) -> Response:
        """Ask the provider what the account accepts now."""
        return self.whole(PaymentMethodSerializer(services.list_payment_methods(self.wanted()), many=True).data)


class InstallmentsView(AskedView):
    """What an amount costs in installments."""

    filters = frozenset({"integration", "amount_minor", "bin"})

    @extend_schema(
        operation_id="billing_installments_list",
        parameters=[
            _INTEGRATION,
            OpenApiParameter("amount_minor", int, required=True),
            OpenApiParameter("bin", str, required=True, description="The first 6 to 8 digits of the card."),
        ],
        responses=page_of(InstallmentSerializer),
    )
    def get(self, request: Request) -> Response:
        """Ask the provider for its table of installments."""
        given = self.query.get("amount_minor", "")
        amount: Any = int(given) if given.isascii() and given.isdigit() and len(given) < len(str(2**63)) else given
        found = services.quote_installments(self.wanted(), amount_minor=amount, bin=self.query.get("bin", ""))
        return self.whole(InstallmentSerializer(found, many=True).data)


class CheckoutSessionsView(BillingView):
    """Pages to pay on."""

    filters = frozenset({"integration", "payment", "external_id", "since"})

    @extend_schema(
        operation_id="billing_checkout_sessions_list",
        parameters=[
            *PAGING,
            *(OpenApiParameter(name, OpenApiTypes.UUID) for name in ("integration", "payment")),
            OpenApiParameter("external_id", str),
            OpenApiParameter("since", OpenApiTypes.DATETIME),
        ],
        responses=page_of(CheckoutSerializer),
    )
    def get(self, request: Request) -> Response:
        """List pages, the newest first."""
        return self.paginate(self.filtered(self.rows(CheckoutSession)), CheckoutSerializer)

    @extend_schema(
        operation_id="billing_checkout_sessions_create",
        request=CheckoutInputSerializer,
        responses={201: CheckoutSerializer},
    )
    def post(self, request: Request) -> Response:
        """Make a page; the payment appears when somebody pays there."""
        values = self.validated(CheckoutInputSerializer)
        lines = [LineItem(**{"quantity": 1, **line}) for line in values.pop("line_items")]
        session = services.create_checkout(
            self.get_integration(values.pop("integration")),
            **filled(values),
            line_items=lines,
            caller_key=self.caller_key,
            actor=self.actor,
        )
        return self.made(CheckoutSerializer(session).data)


class CheckoutSessionView(BillingView):
    """One page."""

    @extend_schema(operation_id="billing_checkout_sessions_get", responses=CheckoutSerializer)
    def get(self, request: Request, session_id: str) -> Response:
        """Return one page."""
        return Response(CheckoutSerializer(get_or_404(self.rows(CheckoutSession), session_id)).data)


class PortalSessionsView(BillingView):
    """Visits of a customer's own page."""

    @extend_schema(
        operation_id="billing_portal_sessions_create", request=PortalInputSerializer, responses={201: UrlSerializer}
    )
    def post(self, request: Request) -> Response:
        """Make the address of a customer's own page; it lives shortly."""
        values = self.validated(PortalInputSerializer)
        integration = self.get_integration(values.pop("integration"))
        return self.made({"url": services.create_portal(integration, **values, actor=self.actor)})


class StaticCodesView(BillingView):
    """Codes that anybody can pay any time; nobody tells whether they were."""

    @extend_schema(
        operation_id="billing_pix_static_codes_create",
        request=StaticCodeInputSerializer,
        responses={201: StaticCodeSerializer},
    )
    def post(self, request: Request) -> Response:
        """Make a static BR Code with its picture; nothing is kept."""
        values = filled(self.validated(StaticCodeInputSerializer))
        if "integration" in values:
            code = services.make_code_of(self.get_integration(values.pop("integration")), **values)
        else:
            code = services.make_static_code(**values)
        return self.made(StaticCodeSerializer(code).data)


class AccountLinksView(BillingView):
    """Where the owner of a connected account completes it."""

    @extend_schema(
        operation_id="billing_account_links_create",
        request=AccountLinkInputSerializer,
        responses={201: AccountLinkSerializer},
    )
    def post(self, request: Request, integration_id: str) -> Response:
        """Make a single-use address for the integration's own account; an account id is never taken from a body."""
        integration = self.get_integration(integration_id)
        values = self.validated(AccountLinkInputSerializer)
        url, ends_at = services.create_account_link(integration, **values, caller_key=self.caller_key, actor=self.actor)
        return self.made(AccountLinkSerializer({"url": url, "expires_at": ends_at}).data)
