"""`/channels/accounts/` and `/channels/templates/`: what the vendor keeps for the business."""

from __future__ import annotations

from typing import cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from channels_app import services
from channels_app.api.serializers import (
    AccountReportSerializer,
    ProfileChangeSerializer,
    ProfileSerializer,
    TemplateInputSerializer,
    TemplateSerializer,
)
from channels_app.api.views import ChannelView
from channels_app.contract import BusinessProfile
from channels_app.models import Template
from integrations.api.openapi import PAGING, page_of
from integrations.api.views import get_or_404


class AccountView(ChannelView):
    """How an account stands."""

    scope = "integrations"

    @extend_schema(operation_id="channels_accounts_report", responses=AccountReportSerializer)
    def get(self, request: Request, integration_id: str) -> Response:
        """Ask the vendor for quality, limits and whether messages can be sent."""
        return Response(AccountReportSerializer(services.report_account(self.get_integration(integration_id))).data)


class ProfileView(ChannelView):
    """The business profile."""

    scope = "integrations"

    @extend_schema(operation_id="channels_profile_get", responses=ProfileSerializer)
    def get(self, request: Request, integration_id: str) -> Response:
        """Ask the vendor for the profile."""
        return Response(ProfileSerializer(services.get_profile(self.get_integration(integration_id))).data)

    @extend_schema(operation_id="channels_profile_change", request=ProfileChangeSerializer, responses=ProfileSerializer)
    def patch(self, request: Request, integration_id: str) -> Response:
        """Change fields of the profile at the vendor and return the whole."""
        values = self.validated(ProfileChangeSerializer)
        if "websites" in values:
            values["websites"] = tuple(values["websites"])
        profile = services.update_profile(
            self.get_integration(integration_id), BusinessProfile(**values), actor=self.actor
        )
        return Response(ProfileSerializer(profile).data)


class TemplatesView(ChannelView):
    """Message templates."""

    scope = "templates"
    filters = frozenset({"integration", "status", "name"})

    @extend_schema(
        operation_id="channels_templates_list",
        parameters=[
            *PAGING,
            OpenApiParameter(
                "integration",
                OpenApiTypes.UUID,
                description="Asks the vendor as well, at most every half minute.",
            ),
            OpenApiParameter("status", str),
            OpenApiParameter("name", str),
        ],
        responses=page_of(TemplateSerializer),
    )
    def get(self, request: Request) -> Response:
        """List templates with the state of their review, the newest first."""
        if wanted := self.query.get("integration"):
            services.refresh_templates(self.get_integration(wanted), actor=self.actor)
        return self.paginate(self.filtered(self.templates()), TemplateSerializer)

    @extend_schema(
        operation_id="channels_templates_create", request=TemplateInputSerializer, responses={201: TemplateSerializer}
    )
    def post(self, request: Request) -> Response:
        """Submit a template for review; its approval arrives as an event."""
        values = self.validated(TemplateInputSerializer)
        integration = self.get_integration(values.pop("integration"))
        template = services.create_template(integration, **values, actor=self.actor)
        return Response(TemplateSerializer(template).data, status=status.HTTP_201_CREATED)


class TemplateView(ChannelView):
    """One template."""

    scope = "templates"

    @extend_schema(operation_id="channels_templates_get", responses=TemplateSerializer)
    def get(self, request: Request, template_id: str) -> Response:
        """Return one template."""
        return Response(TemplateSerializer(get_or_404(self.templates(), template_id)).data)

    @extend_schema(operation_id="channels_templates_delete", responses={204: None})
    def delete(self, request: Request, template_id: str) -> Response:
        """Delete this language of the template at the vendor and here."""
        services.delete_template(cast(Template, get_or_404(self.templates(), template_id)), actor=self.actor)
        return Response(status=status.HTTP_204_NO_CONTENT)
