"""`/oauth/{provider}/start/`: where a person connects an account by the vendor's login."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.errors import Conflict, ValidationFailed
from integrations.api.fields import EnvironmentField, TimeField
from integrations.api.serializers import Data
from integrations.api.views import RegistryView
from integrations.generate.strict import StrictSerializer
from integrations.models import Integration
from integrations.services import oauth


class OAuthStartInputSerializer(StrictSerializer):
    """What is to be connected; with an integration, that one is reconnected and must prove the same account."""

    name = serializers.CharField(max_length=120, required=False, default="", allow_blank=True)
    environment = EnvironmentField(required=False)
    redirect_url = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)
    integration = serializers.UUIDField(required=False)


class OAuthStartSerializer(Data):
    """An address of ours that asks once, then leads to the vendor; for one person and one browser."""

    authorize_url = serializers.URLField(source="url")
    expires_at = TimeField()


class OAuthStartView(RegistryView):
    """Beginning to connect an account by login."""

    scope = "integrations"

    @extend_schema(operation_id="oauth_start", request=OAuthStartInputSerializer, responses={200: OAuthStartSerializer})
    def post(self, request: Request, provider: str) -> Response:
        """Return the address to send a person to; it lives ten minutes and serves one browser."""
        values = self.validated(OAuthStartInputSerializer)
        started = oauth.start(
            oauth.Wanted(
                provider=provider,
                environment=self._own_environment(values.get("environment", "")),
                name=values["name"],
                redirect_url=values["redirect_url"],
                integration=self._reconnected(provider, values),
            ),
            actor=self.actor,
        )
        return Response(OAuthStartSerializer(started).data)

    def _reconnected(self, provider: str, values: dict[str, Any]) -> Integration | None:
        if "integration" not in values:
            return None
        found = self.get_integration(str(values["integration"]))
        if found.provider != provider:
            raise Conflict("This integration is of another provider.", code="other_provider")
        return found

    def _own_environment(self, wanted: str) -> str:
        if wanted in {"", self.environment}:
            return self.environment
        raise ValidationFailed(
            f"This is a {self.environment} key; it connects {self.environment} integrations only.",
            errors={"environment": [f"Use {self.environment}, or a {wanted} key (ir_{wanted}_…)."]},
        )
