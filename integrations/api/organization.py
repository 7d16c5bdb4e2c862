"""What belongs to the whole organization: API keys, the audit trail."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import ApiKey
from accounts.roles import scope_allows
from audit.models import AuditEntry
from audit.services import verify
from core import clock
from core.errors import Forbidden, ValidationFailed
from integrations.api.fields import EnvironmentField, OptionalText, TimeField
from integrations.api.openapi import PAGING, page_of
from integrations.api.serializers import Data
from integrations.api.views import RegistryView, get_or_404
from integrations.generate.strict import StrictSerializer
from integrations.models import Integration
from integrations.services import people
from tenants.context import require_organization


class ApiKeySerializer(Data):
    """A key without its text."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    environment = EnvironmentField()
    scopes = serializers.ListField(child=serializers.CharField())
    last4 = serializers.CharField()
    created_by = OptionalText(source="created_by_label")
    created_at = TimeField()
    expires_at = TimeField(allow_null=True)
    revoked_at = TimeField(allow_null=True)
    last_used_at = TimeField(allow_null=True)


class NewApiKeySerializer(ApiKeySerializer):
    """A fresh key; its text is shown in this answer alone."""

    key = serializers.CharField()


class ApiKeyInputSerializer(StrictSerializer):
    """What a new key is."""

    name = serializers.CharField(max_length=80)
    scopes = serializers.ListField(child=serializers.CharField(max_length=40), min_length=1, max_length=40)
    environment = EnvironmentField(required=False)
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)

    def validate_expires_at(self, value: datetime | None) -> datetime | None:
        """Refuse a moment that is over: the key would never work."""
        if value is not None and value <= clock.now():
            raise serializers.ValidationError("Use a time that is still to come.")
        return value


class PartySerializer(Data):
    """Who acted, or what was acted upon."""

    kind = serializers.CharField()
    id = OptionalText()
    label = OptionalText()  # type: ignore[assignment]


class AuditEntrySerializer(Data):
    """One thing that somebody did."""

    id = serializers.UUIDField()
    created_at = TimeField()
    action = serializers.CharField()
    actor = serializers.SerializerMethodField()
    target = serializers.SerializerMethodField()
    details = serializers.DictField()
    request_id = OptionalText()

    def get_actor(self, entry: AuditEntry) -> PartySerializer:
        """Name who acted."""
        return _party(entry.actor_kind, entry.actor_id, entry.actor_label)

    def get_target(self, entry: AuditEntry) -> PartySerializer:
        """Name what was acted upon."""
        return _party(entry.target_kind, entry.target_id, entry.target_label)


class FindingSerializer(Data):
    """One place where the trail is not what was written."""

    kind = serializers.CharField()
    sequence = serializers.IntegerField()
    entry_id = serializers.UUIDField(allow_null=True)


class VerificationSerializer(Data):
    """What a verification of the trail saw."""

    intact = serializers.BooleanField(source="is_intact")
    links = serializers.IntegerField()
    unlinked = serializers.IntegerField()
    findings = FindingSerializer(many=True)


class ApiKeysView(RegistryView):
    """Keys of the same environment as the key that asks."""

    scope = "api_keys"

    @extend_schema(operation_id="api_keys_list", parameters=[*PAGING], responses=page_of(ApiKeySerializer))
    def get(self, request: Request) -> Response:
        """List keys, revoked ones too, the newest first."""
        return self.paginate(keys_of(self.environment), ApiKeySerializer)

    @extend_schema(operation_id="api_keys_create", request=ApiKeyInputSerializer, responses={201: NewApiKeySerializer})
    def post(self, request: Request) -> Response:
        """Create a key that may do no more than the key that asks; its text is shown once."""
        values = self.validated(ApiKeyInputSerializer)
        environment = values.get("environment", self.environment)
        self._refuse_more_than_own(values["scopes"], environment)
        self._refuse_longer_than_own(values["expires_at"])
        api_key, text = people.make_api_key(
            name=values["name"],
            environment=environment,
            scopes=values["scopes"],
            expires_at=values["expires_at"],
            actor=self.actor,
        )
        return Response({**ApiKeySerializer(api_key).data, "key": text}, status=status.HTTP_201_CREATED)

    def _refuse_more_than_own(self, scopes: list[str], environment: str) -> None:
        own = self.api_key.scopes
        if environment != self.environment:
            raise ValidationFailed(
                f"This is a {self.environment} key; it makes {self.environment} keys only.",
                errors={"environment": [f"Use {self.environment}, or make the key in the admin."]},
            )
        lacking = sorted(scope for scope in scopes if not scope_allows(own, scope))
        if lacking:
            raise Forbidden(f"A key cannot give what it lacks: {', '.join(lacking)}.")

    def _refuse_longer_than_own(self, expires_at: datetime | None) -> None:
        own = self.api_key.expires_at
        if own is not None and (expires_at is None or expires_at > own):
            raise ValidationFailed(
                "A key cannot make one that lives longer.",
                errors={"expires_at": [f"Use {clock.iso(own)} or earlier, or make the key in the admin."]},
            )


class ApiKeyView(RegistryView):
    """One key."""

    scope = "api_keys"

    @extend_schema(operation_id="api_keys_revoke", responses={204: None})
    def delete(self, request: Request, key_id: str) -> Response:
        """Revoke: calls with the key are refused from the next one on."""
        people.revoke_api_key(cast(ApiKey, get_or_404(keys_of(self.environment), key_id)), actor=self.actor)
        return Response(status=status.HTTP_204_NO_CONTENT)


class AuditEntriesView(RegistryView):
    """The audit trail."""

    scope = "audit"
    filters = frozenset({"action", "target_kind", "target_id", "actor_id"})

    @extend_schema(
        operation_id="audit_entries_list",
        parameters=[
            *PAGING,
            *(OpenApiParameter(name, str) for name in ("action", "target_kind", "target_id", "actor_id")),
        ],
        responses=page_of(AuditEntrySerializer),
    )
    def get(self, request: Request) -> Response:
        """List what was done, the newest first; what was done to the other environment's integrations is not shown."""
        others = Integration.objects.exclude(environment=self.environment).values_list("id", flat=True)
        found = AuditEntry.objects.filter(organization_schema=require_organization(), **self.query)
        found = found.exclude(target_kind="integration", target_id__in=[str(other) for other in others])
        return self.paginate(found, AuditEntrySerializer)


class AuditVerificationView(RegistryView):
    """Whether the trail is what was written."""

    scope = "audit"

    @extend_schema(operation_id="audit_entries_verify", responses=VerificationSerializer)
    def get(self, request: Request) -> Response:
        """Recompute the organization's chain."""
        return Response(VerificationSerializer(verify(require_organization())).data)


def keys_of(environment: str) -> QuerySet[ApiKey]:
    """Return the keys of one environment of the entered organization."""
    return ApiKey.objects.filter(organization_schema=require_organization(), environment=environment)


def _party(kind: str, party_id: str, label: str) -> Any:
    return PartySerializer({"kind": kind, "id": party_id, "label": label}).data
