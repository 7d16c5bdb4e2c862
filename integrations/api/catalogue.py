"""`/providers/`: what can be connected."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core.errors import NotFoundHere
from integrations import registry
from integrations.api.openapi import page_of
from integrations.api.serializers import ProviderSerializer
from integrations.api.views import RegistryView
from integrations.generate.catalogue import describe


class ProvidersView(RegistryView):
    """The catalogue."""

    scope = "integrations"

    @extend_schema(operation_id="providers_list", responses=page_of(ProviderSerializer))
    def get(self, request: Request) -> Response:
        """List all providers, the most used first; there are few, so all stand on one page."""
        results = [describe(found) for found in registry.providers().values()]
        return Response({"next": None, "previous": None, "results": results})


class ProviderView(RegistryView):
    """One provider."""

    scope = "integrations"

    @extend_schema(operation_id="providers_get", responses=ProviderSerializer)
    def get(self, request: Request, key: str) -> Response:
        """Describe one provider: its fields, capabilities, webhook events and limits."""
        found = registry.find(key)
        if found is None:
            raise NotFoundHere("There is no such provider.")
        return Response(describe(found))
