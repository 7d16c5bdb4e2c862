"""What happened to one integration: checks, issues, events, deliveries, calls."""

from __future__ import annotations

import base64
from typing import Any, cast

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.roles import scope_allows
from audit.services import Target, record_alone
from core.errors import ValidationFailed
from core.redaction import redact_headers
from dispatch.models import DeliveryStatus, WebhookDelivery
from integrations.api.openapi import PAGING, page_of
from integrations.api.serializers import (
    CallSerializer,
    DeliveryDetailSerializer,
    DeliverySerializer,
    EventSerializer,
    HealthCheckSerializer,
    IssueSerializer,
)
from integrations.api.views import RegistryView, get_or_404
from integrations.contract.errors import Who
from integrations.models import Integration
from integrations.services import deliveries
from meter.models import Call, HealthCheck

BODY_SCOPE = "deliveries:body"


class HealthChecksView(RegistryView):
    """Past checks."""

    scope = "integrations"

    @extend_schema(
        operation_id="integrations_health_checks", parameters=[*PAGING], responses=page_of(HealthCheckSerializer)
    )
    def get(self, request: Request, integration_id: str) -> Response:
        """List checks, the newest first; kept 90 days."""
        integration = self.get_integration(integration_id)
        return self.paginate(HealthCheck.objects.filter(link_id=integration.id), HealthCheckSerializer)


class IssuesView(RegistryView):
    """Problems, open and resolved."""

    scope = "integrations"
    filters = frozenset({"open", "resolved", "cause", "who"})

    @extend_schema(
        operation_id="integrations_issues",
        parameters=[
            *PAGING,
            OpenApiParameter("open", bool, description="true: open ones only"),
            OpenApiParameter("resolved", bool, description="true: resolved ones only"),
            OpenApiParameter("cause", str, description="The cause, such as authentication_error"),
            OpenApiParameter("who", str, enum=[str(who) for who in Who], description="Who must act"),
        ],
        responses=page_of(IssueSerializer),
    )
    def get(self, request: Request, integration_id: str) -> Response:
        """List issues, the newest first."""
        columns = {name: value for name, value in self.query.items() if name in {"cause", "who"}}
        found = self.get_integration(integration_id).issues.filter(**columns)
        for name, is_open in (("open", True), ("resolved", False)):
            if wanted := self.query.get(name):
                found = found.filter(resolved_at__isnull=_truth(name, wanted) == is_open)
        return self.paginate(found, IssueSerializer)


class EventsView(RegistryView):
    """Parsed facts."""

    scope = "integrations"
    filters = frozenset({"type"})

    @extend_schema(
        operation_id="integrations_events",
        parameters=[*PAGING, OpenApiParameter("type", str)],
        responses=page_of(EventSerializer),
    )
    def get(self, request: Request, integration_id: str) -> Response:
        """List events, the newest first."""
        return self.paginate(self.get_integration(integration_id).events.filter(**self.query), EventSerializer)


class CallsView(RegistryView):
    """Calls to the vendor."""

    scope = "integrations"
    filters = frozenset({"operation"})

    @extend_schema(
        operation_id="integrations_calls",
        parameters=[*PAGING, OpenApiParameter("operation", str)],
        responses=page_of(CallSerializer),
    )
    def get(self, request: Request, integration_id: str) -> Response:
        """List calls, the newest first: without query and body; kept 30 days."""
        integration = self.get_integration(integration_id)
        return self.paginate(Call.objects.filter(link_id=integration.id, **self.query), CallSerializer)


class DeliveriesView(RegistryView):
    """Verified webhooks."""

    scope = "deliveries"
    filters = frozenset({"status"})

    @extend_schema(
        operation_id="integrations_deliveries",
        parameters=[*PAGING, OpenApiParameter("status", str, enum=DeliveryStatus.values)],
        responses=page_of(DeliverySerializer),
    )
    def get(self, request: Request, integration_id: str) -> Response:
        """List deliveries, the newest first."""
        wanted = self.query.get("status", "")
        if wanted and wanted not in DeliveryStatus.values:
            known = ", ".join(DeliveryStatus.values)
            raise ValidationFailed("A filter has an unknown value.", errors={"status": [f"Use one of: {known}."]})
        found = deliveries_of(self.get_integration(integration_id)).defer("sealed_body")
        return self.paginate(found.filter(**self.query), DeliverySerializer)


class DeliveryView(RegistryView):
    """One verified webhook."""

    scope = "deliveries"

    @extend_schema(operation_id="integrations_delivery", responses=DeliveryDetailSerializer)
    def get(self, request: Request, integration_id: str, delivery_id: str) -> Response:
        """Return one delivery; the body by the scope deliveries:body, which leaves an audit entry."""
        integration = self.get_integration(integration_id)
        delivery = cast(WebhookDelivery, get_or_404(deliveries_of(integration), delivery_id))
        delivery.headers = redact_headers(delivery.headers)
        answer: dict[str, Any] = dict(DeliverySerializer(delivery).data)
        answer |= {"size_bytes": delivery.body_bytes, "headers": delivery.headers}
        if scope_allows(self.api_key.scopes, BODY_SCOPE):
            answer |= self._opened(delivery)
        return Response(answer)

    def _opened(self, delivery: WebhookDelivery) -> dict[str, str | None]:
        if delivery.sealed_body is None:
            return {"body": None, "body_encoding": "utf-8"}
        record_alone(
            action="delivery.body_opened",
            actor=self.actor,
            target=Target(kind="delivery", id=str(delivery.id), label=delivery.provider),
        )
        raw = deliveries.body_of(delivery)
        try:
            return {"body": raw.decode("utf-8"), "body_encoding": "utf-8"}
        except UnicodeDecodeError:
            return {"body": base64.b64encode(raw).decode(), "body_encoding": "base64"}


class ReplayView(RegistryView):
    """Processing a delivery again."""

    scope = "deliveries"

    @extend_schema(operation_id="integrations_replay", request=None, responses={202: DeliverySerializer})
    def post(self, request: Request, integration_id: str, delivery_id: str) -> Response:
        """Process again; events that were handled stay handled once."""
        integration = self.get_integration(integration_id)
        delivery = cast(WebhookDelivery, get_or_404(deliveries_of(integration), delivery_id))
        deliveries.replay(delivery, actor=self.actor)
        delivery.refresh_from_db()
        return Response(DeliverySerializer(delivery).data, status=status.HTTP_202_ACCEPTED)


def _truth(name: str, value: str) -> bool:
    """
    Read a filter that is true or false.

    :raises ValidationFailed: it is neither
    """
    if value not in {"true", "false"}:
        raise ValidationFailed("A filter has an unknown value.", errors={name: ["Use true or false."]})
    return value == "true"


def deliveries_of(integration: Integration) -> QuerySet[WebhookDelivery]:
    """Return the deliveries of one integration of the entered organization."""
    return WebhookDelivery.objects.filter(link_id=integration.id)
