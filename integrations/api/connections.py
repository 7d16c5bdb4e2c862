"""`/integrations/`: connecting accounts, testing, reconnecting and ending them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from core.errors import ValidationFailed
from dispatch.models import LinkHealth, LinkStatus
from integrations import registry
from integrations.api.openapi import PAGING, page_of
from integrations.api.serializers import (
    CredentialsInputSerializer,
    IntegrationChangeSerializer,
    IntegrationSerializer,
    TestResultSerializer,
)
from integrations.api.views import RegistryView
from integrations.contract import Category, FieldKind, ProviderSpec
from integrations.generate.serializers import ConnectSerializer
from integrations.models import Credential, Integration
from integrations.services import breakers, connect, health, lifecycle, rotation, tokens

FILTERS: Mapping[str, frozenset[str]] = {
    "category": frozenset(str(category) for category in Category),
    "status": frozenset(LinkStatus.values),
    "health": frozenset(LinkHealth.values),
}
"""Filters of the list whose values are a closed set; `provider` takes any key of the catalogue."""


class IntegrationsView(RegistryView):
    """All integrations of the key's environment."""

    scope = "integrations"
    filters = frozenset({"provider", *FILTERS})

    @extend_schema(
        operation_id="integrations_list",
        parameters=[*PAGING, *(OpenApiParameter(name, str) for name in ("provider", *FILTERS))],
        responses=page_of(IntegrationSerializer),
    )
    def get(self, request: Request) -> Response:
        """List integrations, the newest first."""
        return self.paginate(_filtered(_listed(self.environment), self.query), IntegrationSerializer)

    @extend_schema(
        operation_id="integrations_connect", request=ConnectSerializer, responses={201: IntegrationSerializer}
    )
    def post(self, request: Request) -> Response:
        """Connect an account after a live check; nothing is stored when a field or the vendor refuses."""
        values = self.validated(ConnectSerializer)
        self.provider_spec = registry.provider(values["provider"]).spec
        integration = connect.connect(
            provider=values["provider"],
            name=values["name"],
            environment=self._own_environment(values["environment"]),
            credentials=as_texts(values["credentials"], self.provider_spec),
            settings=values["settings"],
            actor=self.actor,
        )
        return Response(
            IntegrationSerializer(integration).data,
            status=status.HTTP_201_CREATED,
            headers={"Location": f"{request.path}{integration.id}/"},
        )

    def _own_environment(self, wanted: str) -> str:
        if wanted in {"", self.environment}:
            return self.environment
        if wanted not in {"test", "live"}:
            raise ValidationFailed("Some fields need another value.", errors={"environment": ["Use test or live."]})
        raise ValidationFailed(
            f"This is a {self.environment} key; it connects {self.environment} integrations only.",
            errors={"environment": [f"Use {self.environment}, or a {wanted} key (ir_{wanted}_…)."]},
        )


class IntegrationView(RegistryView):
    """One integration."""

    scope = "integrations"

    @extend_schema(operation_id="integrations_get", responses=IntegrationSerializer)
    def get(self, request: Request, integration_id: str) -> Response:
        """Return one integration."""
        return Response(IntegrationSerializer(self.get_integration(integration_id)).data)

    @extend_schema(
        operation_id="integrations_change", request=IntegrationChangeSerializer, responses=IntegrationSerializer
    )
    def patch(self, request: Request, integration_id: str) -> Response:
        """Give another name or other settings; new settings are checked live with the credential that serves."""
        integration = self.get_integration(integration_id)
        values = self.validated(IntegrationChangeSerializer)
        self.provider_spec = integration.provider_class.spec
        if "settings" in values:
            integration = connect.reconnect(integration, credentials={}, settings=values["settings"], actor=self.actor)
        if "name" in values:
            integration = lifecycle.rename(integration, name=values["name"], actor=self.actor)
        return Response(IntegrationSerializer(integration).data)

    @extend_schema(operation_id="integrations_disconnect", responses={204: None})
    def delete(self, request: Request, integration_id: str) -> Response:
        """Disconnect: the vendor's webhook is removed, the credential destroyed, the history kept."""
        lifecycle.disconnect(self.get_integration(integration_id), actor=self.actor)
        return Response(status=status.HTTP_204_NO_CONTENT)


class CredentialsView(RegistryView):
    """The credential of an integration."""

    scope = "integrations"

    @extend_schema(
        operation_id="integrations_reconnect", request=CredentialsInputSerializer, responses=IntegrationSerializer
    )
    def put(self, request: Request, integration_id: str) -> Response:
        """Replace the credential in place: the new one is checked first, the old one serves until it passed."""
        integration = self.get_integration(integration_id)
        values = self.validated(CredentialsInputSerializer)
        self.provider_spec = integration.provider_class.spec
        changed = connect.reconnect(
            integration,
            credentials=as_texts(values["credentials"], self.provider_spec),
            settings=values.get("settings"),
            actor=self.actor,
        )
        return Response(IntegrationSerializer(changed).data)


class ConnectionTestView(RegistryView):
    """Testing an integration."""

    scope = "integrations"

    @extend_schema(operation_id="integrations_test", request=None, responses=TestResultSerializer)
    def post(self, request: Request, integration_id: str) -> Response:
        """Ask the vendor now; a failure is an answer, with what to do."""
        result = health.test_connection(self.get_integration(integration_id), actor=self.actor)
        return Response(TestResultSerializer(result).data)


class ChangeView(RegistryView):
    """An action that answers with the integration as it is then; a subclass must set `change`, a service."""

    scope = "integrations"
    change: ClassVar[Callable[..., Integration]]

    @extend_schema(request=None, responses=IntegrationSerializer)
    def post(self, request: Request, integration_id: str) -> Response:
        """Find the integration, call the service, answer."""
        changed = type(self).change(self.get_integration(integration_id), actor=self.actor)
        return Response(IntegrationSerializer(changed).data)


@extend_schema_view(post=extend_schema(operation_id="integrations_disable", description="Stop using it."))
class DisableView(ChangeView):
    """Switching off: webhooks are still kept, outgoing work waits."""

    change = staticmethod(lifecycle.disable)


@extend_schema_view(post=extend_schema(operation_id="integrations_enable", description="Use it again."))
class EnableView(ChangeView):
    """Switching on: work that waited goes on."""

    change = staticmethod(lifecycle.enable)


@extend_schema_view(post=extend_schema(operation_id="integrations_rotate", description="Make a new key at the vendor."))
class RotateView(ChangeView):
    """Replacing the key by one made at the vendor: minted, proved, switched, the old one retired."""

    change = staticmethod(rotation.rotate)


@extend_schema_view(post=extend_schema(operation_id="integrations_refresh", description="Renew the tokens now."))
class RefreshView(ChangeView):
    """Renewing the tokens before their time."""

    change = staticmethod(tokens.refresh)


def as_texts(values: Mapping[str, Any], spec: ProviderSpec) -> dict[str, Any]:
    """Turn JSON credentials (service accounts) that came as objects into the text that is sealed."""
    of_json = {item.name for item in spec.credentials if item.kind is FieldKind.JSON}
    return {
        name: json.dumps(value) if name in of_json and not isinstance(value, str) else value
        for name, value in values.items()
    }


def _listed(environment: str) -> QuerySet[Integration]:
    serving = Credential.objects.filter(state=Credential.State.CURRENT)
    found: QuerySet[Integration] = Integration.objects.with_last_check().of_environment(environment)
    return breakers.with_breakers(found).prefetch_related(Prefetch("credentials", queryset=serving, to_attr="serving"))


def _filtered(found: QuerySet[Integration], query: Mapping[str, str]) -> QuerySet[Integration]:
    for name, value in query.items():
        allowed = FILTERS.get(name)
        if allowed is not None and value not in allowed:
            raise ValidationFailed(
                "A filter has an unknown value.", errors={name: [f"Use one of: {', '.join(sorted(allowed))}."]}
            )
        if name == "category":
            keys = [key for key, provider in registry.providers().items() if str(provider.spec.category) == value]
            found = found.filter(provider__in=keys)
        else:
            found = found.filter(**{name: value})
    return found
