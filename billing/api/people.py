"""`/billing/customers/` and `/billing/subscriptions/`."""

from __future__ import annotations

from typing import cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from billing import services
from billing.api.objects import (
    CustomerInputSerializer,
    CustomerSerializer,
    SubscriptionChangeSerializer,
    SubscriptionDetailSerializer,
    SubscriptionInputSerializer,
    SubscriptionSerializer,
)
from billing.api.views import BillingView, filled, one_of
from billing.contract import SubscriptionStatus
from billing.models import Customer, Subscription
from billing.services.rules import read_payer
from integrations.api.openapi import PAGING, page_of
from integrations.api.views import get_or_404

_INTEGRATION = OpenApiParameter("integration", OpenApiTypes.UUID)


class CustomersView(BillingView):
    """Those who may be charged again."""

    filters = frozenset({"integration", "email", "external_id", "since"})

    @extend_schema(
        operation_id="billing_customers_list",
        parameters=[
            *PAGING,
            _INTEGRATION,
            OpenApiParameter("email", str),
            OpenApiParameter("external_id", str),
            OpenApiParameter("since", OpenApiTypes.DATETIME),
        ],
        responses=page_of(CustomerSerializer),
    )
    def get(self, request: Request) -> Response:
        """List customers, the newest first."""
        return self.paginate(self.filtered(self.rows(Customer)), CustomerSerializer)

    @extend_schema(
        operation_id="billing_customers_create", request=CustomerInputSerializer, responses={201: CustomerSerializer}
    )
    def post(self, request: Request) -> Response:
        """Make a customer at the provider."""
        values = self.validated(CustomerInputSerializer)
        customer = services.create_customer(
            self.get_integration(values.pop("integration")), **values, caller_key=self.caller_key, actor=self.actor
        )
        return self.made(CustomerSerializer(customer).data)


class CustomerView(BillingView):
    """One customer."""

    @extend_schema(operation_id="billing_customers_get", responses=CustomerSerializer)
    def get(self, request: Request, customer_id: str) -> Response:
        """Return one customer."""
        return Response(CustomerSerializer(get_or_404(self.rows(Customer), customer_id)).data)


class SubscriptionsView(BillingView):
    """Payments that repeat."""

    filters = frozenset({"integration", "customer", "status", "external_id", "since"})

    @extend_schema(
        operation_id="billing_subscriptions_list",
        parameters=[
            *PAGING,
            _INTEGRATION,
            OpenApiParameter("customer", OpenApiTypes.UUID),
            OpenApiParameter("status", str, enum=sorted(SubscriptionStatus)),
            OpenApiParameter("external_id", str),
            OpenApiParameter("since", OpenApiTypes.DATETIME),
        ],
        responses=page_of(SubscriptionSerializer),
    )
    def get(self, request: Request) -> Response:
        """List subscriptions, the newest first."""
        one_of("status", self.query.get("status", ""), frozenset(SubscriptionStatus))
        return self.paginate(self.filtered(self.rows(Subscription)), SubscriptionSerializer)

    @extend_schema(
        operation_id="billing_subscriptions_create",
        request=SubscriptionInputSerializer,
        responses={201: SubscriptionDetailSerializer},
    )
    def post(self, request: Request) -> Response:
        """Begin a subscription; nothing is charged before the payer confirms with the client secret."""
        values = self.validated(SubscriptionInputSerializer)
        subscription = services.create_subscription(
            self.get_integration(values.pop("integration")),
            **filled(values),
            payer=read_payer(values.get("payer", {})),
            caller_key=self.caller_key,
            actor=self.actor,
        )
        return self.made(SubscriptionDetailSerializer(subscription).data)


class SubscriptionView(BillingView):
    """One subscription."""

    @extend_schema(operation_id="billing_subscriptions_get", responses=SubscriptionDetailSerializer)
    def get(self, request: Request, subscription_id: str) -> Response:
        """Return one subscription."""
        return Response(SubscriptionDetailSerializer(self._found(subscription_id)).data)

    @extend_schema(
        operation_id="billing_subscriptions_change",
        request=SubscriptionChangeSerializer,
        responses=SubscriptionDetailSerializer,
    )
    def patch(self, request: Request, subscription_id: str) -> Response:
        """Change price, quantity, end or metadata at the provider."""
        subscription = self._found(subscription_id)
        values = self.validated(SubscriptionChangeSerializer)
        changed = services.update_subscription(subscription, **values, caller_key=self.caller_key, actor=self.actor)
        return Response(SubscriptionDetailSerializer(changed).data)

    @extend_schema(operation_id="billing_subscriptions_cancel", responses={200: SubscriptionDetailSerializer})
    def delete(self, request: Request, subscription_id: str) -> Response:
        """End the subscription now; `cancel_at_period_end` of a PATCH ends it with its period."""
        canceled = services.cancel_subscription(self._found(subscription_id), actor=self.actor)
        return Response(SubscriptionDetailSerializer(canceled).data, status=status.HTTP_200_OK)

    def _found(self, subscription_id: str) -> Subscription:
        return cast(Subscription, get_or_404(self.rows(Subscription), subscription_id))
