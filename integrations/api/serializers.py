"""The objects of the framework's rooms, as API.md section 4 writes them. No secret is a field of any of them."""

from __future__ import annotations

import re
from typing import Any, cast

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from dispatch.models import BreakerState, DeliveryStatus, LinkHealth, LinkStatus, WebhookDelivery
from dispatch.vendors import open_incidents
from integrations.api.fields import ClosedSetField, EnvironmentField, OptionalText, TimeField
from integrations.contract import (
    AuthenticationFailed,
    Category,
    Misconfigured,
    NotFound,
    PermissionMissing,
    ProviderError,
    ProviderOutage,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    SignatureRefused,
    Unavailable,
    UnexpectedResponse,
)
from integrations.contract.errors import Who
from integrations.generate.strict import StrictSerializer
from integrations.models import Credential, Integration
from integrations.services import breakers
from integrations.services.incidents import NOTHING_TO_DO
from meter.models import Call, HealthCheck

Data = serializers.Serializer[Any]

INCIDENTS = "vendor_incidents"
"""Where an answer's open incidents are kept while it is written."""

FAILURE = {
    "type": ["object", "null"],
    "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
}
CODES = {
    kind.__name__: kind.api_code
    for kind in (
        AuthenticationFailed,
        Misconfigured,
        NotFound,
        PermissionMissing,
        ProviderOutage,
        QuotaExhausted,
        RateLimited,
        RequestRejected,
        SignatureRefused,
        Unavailable,
        UnexpectedResponse,
    )
}
"""Tables keep the name of an error's class, the contract speaks in codes."""


def code_of(error_class: str) -> str:
    """Return the stable code of a stored class name; a class of our own speaks for itself (worker_died)."""
    return CODES.get(error_class) or re.sub(r"(?<!^)(?=[A-Z])", "_", error_class).lower()


class IntegrationStatusField(ClosedSetField):
    """What an integration still can do."""

    values = tuple(LinkStatus.values)


class HealthField(ClosedSetField):
    """How an integration is doing."""

    values = tuple(LinkHealth.values)


class BreakerStateField(ClosedSetField):
    """Whether calls go out."""

    values = tuple(BreakerState.values)


class CategoryField(ClosedSetField):
    """One of the six categories."""

    values = tuple(str(category) for category in Category)


class DeliveryStatusField(ClosedSetField):
    """The life of a delivery."""

    values = tuple(DeliveryStatus.values)


class ChoiceSerializer(Data):
    """One value that a field takes."""

    value = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # DRF's own attribute of the same name


class ProviderFieldSerializer(Data):
    """One field of a provider's form."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # DRF's own attribute of the same name
    kind = serializers.CharField()
    required = serializers.BooleanField()  # type: ignore[assignment]
    secret = serializers.BooleanField()
    pattern = serializers.CharField()
    help = serializers.CharField()
    example = serializers.CharField()
    default = serializers.CharField()
    choices = ChoiceSerializer(many=True)


class LimitSerializer(Data):
    """One of a vendor's limits."""

    scope = serializers.CharField()
    count = serializers.IntegerField()
    per_s = serializers.FloatField()
    burst = serializers.IntegerField(allow_null=True)
    operations = serializers.ListField(child=serializers.CharField())


class ProviderSerializer(Data):
    """A provider of the catalogue."""

    key = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    category = CategoryField()
    api_version = serializers.CharField()
    auth = serializers.CharField()
    docs_url = serializers.URLField()
    credentials = ProviderFieldSerializer(many=True)
    settings = ProviderFieldSerializer(many=True)
    capabilities = serializers.ListField(child=serializers.CharField())
    webhook_events = serializers.ListField(child=serializers.CharField())
    limits = LimitSerializer(many=True)


class HealthDetailSerializer(Data):
    """Why the health is what it is, and what to do."""

    cause = OptionalText(source="health_cause")
    since = TimeField(source="health_since", allow_null=True)
    who = OptionalText(source="health_who")
    next_action = OptionalText(source="health_next_action")

    def to_representation(self, instance: Integration) -> dict[str, Any]:
        """Say that the vendor has trouble, unless the organization has something to mend itself."""
        shown: dict[str, Any] = super().to_representation(instance)
        answer = cast(dict[str, Any], self.context)
        if INCIDENTS not in answer:  # one query for an answer, however many integrations are in it
            answer[INCIDENTS] = open_incidents()
        incident = answer[INCIDENTS].get(instance.provider)
        if incident is None or instance.health_who == Who.USER:
            return shown
        since = TimeField().to_representation(incident.incident_since) if incident.incident_since else None
        return {"cause": incident.incident, "since": since, "who": Who.NOBODY.value, "next_action": NOTHING_TO_DO}


class BreakerSerializer(Data):
    """Whether calls are held back after many that failed: until when, and why; null and empty while it is closed."""

    state = BreakerStateField()
    until = TimeField(allow_null=True)
    reason = serializers.CharField()


class AccountSerializer(Data):
    """The account at the vendor."""

    external_id = OptionalText(source="account_external_id")
    label = OptionalText(source="account_label")  # type: ignore[assignment]


class CredentialSerializer(Data):
    """What may be known of a credential: never its values."""

    version = serializers.IntegerField()
    fields = serializers.ListField(child=serializers.CharField())  # type: ignore[assignment]
    fingerprint = serializers.CharField()
    last4 = OptionalText()
    expires_at = TimeField(allow_null=True)
    rotated_at = serializers.SerializerMethodField()

    @extend_schema_field({"type": ["string", "null"], "format": "date-time"})
    def get_rotated_at(self, credential: Credential) -> str | None:
        """Return when this version replaced another; null for the first."""
        return TimeField().to_representation(credential.created_at) if credential.version > 1 else None


class WebhookSerializer(Data):
    """The integration's own webhook URL."""

    url = OptionalText(source="webhook_url")
    registered = serializers.BooleanField(source="webhook_registered")
    verified_at = TimeField(source="webhook_verified_at", allow_null=True)
    last_received_at = TimeField(source="webhook_last_received_at", allow_null=True)


class IntegrationSerializer(Data):
    """An integration."""

    id = serializers.UUIDField()
    provider = serializers.CharField()
    category = CategoryField()
    name = serializers.CharField()
    environment = EnvironmentField()
    status = IntegrationStatusField()
    health = HealthField()
    health_detail = HealthDetailSerializer(source="*")
    breaker = serializers.SerializerMethodField()
    account = AccountSerializer(source="*")
    capabilities = serializers.ListField(child=serializers.CharField())
    settings = serializers.DictField()
    credential = serializers.SerializerMethodField()
    webhook = WebhookSerializer(source="*")
    last_tested_at = TimeField(source="tested_at", allow_null=True)
    created_at = TimeField()

    @extend_schema_field(BreakerSerializer)
    def get_breaker(self, integration: Integration) -> dict[str, Any]:
        """Describe what holds calls back now: the integration's own breaker, or else its provider's."""
        return dict(BreakerSerializer(breakers.describe_integration(integration)).data)

    @extend_schema_field(CredentialSerializer(allow_null=True))
    def get_credential(self, integration: Integration) -> dict[str, Any] | None:
        """Describe the credential that serves; null where it was destroyed. A list fetches all in one query."""
        if "serving" in integration.__dict__:
            credential = next(iter(integration.__dict__["serving"]), None)
        else:
            credential = integration.current_credential
        return dict(CredentialSerializer(credential).data) if credential else None


class CredentialsInputSerializer(StrictSerializer):
    """New values; secret fields left out keep theirs. The fields may also stand bare, without `credentials`."""

    credentials = serializers.DictField(child=serializers.JSONField())
    settings = serializers.DictField(child=serializers.JSONField(), required=False)

    def to_internal_value(self, data: Any) -> Any:
        """Read the body; the address says already that credentials come."""
        is_bare = isinstance(data, dict) and bool(data) and not set(data) & set(self.fields)
        return super().to_internal_value({"credentials": data} if is_bare else data)


class IntegrationChangeSerializer(StrictSerializer):
    """What may be changed beside the credential."""

    name = serializers.CharField(max_length=120, required=False)
    settings = serializers.DictField(child=serializers.JSONField(), required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a change of nothing, which is a misspelled field."""
        if not attrs:
            raise serializers.ValidationError("Send a name or settings.")
        return attrs


class VerdictSerializer(Data):
    """Whether one capability works."""

    capability = serializers.CharField()
    ok = serializers.BooleanField()
    detail = serializers.CharField()


class ProviderErrorSerializer(Data):
    """A vendor's refusal in our words."""

    code = serializers.CharField(source="api_code")
    message = serializers.SerializerMethodField()
    who = serializers.CharField()
    next_action = serializers.CharField()

    def get_message(self, error: ProviderError) -> str:
        """Say what happened, with the vendor's own explanation where there is one."""
        return f"{error.message} {error.vendor_detail}".strip()


class TestResultSerializer(Data):
    """The answer of a test."""

    success = serializers.BooleanField()
    checked_at = TimeField()
    duration_ms = serializers.FloatField()
    verdicts = VerdictSerializer(many=True)
    error = ProviderErrorSerializer(allow_null=True)


class HealthCheckSerializer(Data):
    """One live check of the past."""

    id = serializers.UUIDField()
    checked_at = TimeField(source="at")
    success = serializers.BooleanField(source="is_ok")
    health = serializers.SerializerMethodField()
    duration_ms = serializers.FloatField()
    verdicts = VerdictSerializer(many=True)
    error = serializers.SerializerMethodField()

    @extend_schema_field(HealthField(allow_null=True))
    def get_health(self, check: HealthCheck) -> str | None:
        """Say what the check led to; null for checks of before that was kept."""
        return check.health or None

    @extend_schema_field(FAILURE)
    def get_error(self, check: HealthCheck) -> dict[str, str] | None:
        """Say what failed; null for a good check."""
        return None if check.is_ok else {"code": code_of(check.error_class), "message": check.detail}


class IssueSerializer(Data):
    """A problem, open until `resolved_at`."""

    id = serializers.UUIDField()
    cause = serializers.CharField()
    text = serializers.CharField(source="english")
    who = serializers.CharField()
    next_action = serializers.CharField(source="english_action")
    count = serializers.IntegerField()
    opened_at = TimeField()
    last_seen_at = TimeField()
    resolved_at = TimeField(allow_null=True)


class EventSerializer(Data):
    """A parsed fact."""

    id = serializers.UUIDField()
    type = serializers.CharField()
    external_id = OptionalText()
    occurred_at = TimeField(allow_null=True)
    received_at = TimeField()
    object = OptionalText()
    data = serializers.DictField()  # type: ignore[assignment]


class DeliverySerializer(Data):
    """A verified webhook."""

    id = serializers.UUIDField()
    received_at = TimeField()
    status = DeliveryStatusField()
    attempts = serializers.IntegerField()
    next_attempt_at = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    events = serializers.ListField(child=serializers.UUIDField(), source="event_ids")

    @extend_schema_field({"type": ["string", "null"], "format": "date-time"})
    def get_next_attempt_at(self, delivery: WebhookDelivery) -> str | None:
        """Return when it is tried next; null when nothing is left to do."""
        is_waiting = delivery.status in {DeliveryStatus.RECEIVED, DeliveryStatus.FAILED}
        return TimeField().to_representation(delivery.next_attempt_at) if is_waiting else None

    @extend_schema_field(FAILURE)
    def get_error(self, delivery: WebhookDelivery) -> dict[str, str] | None:
        """Say what stood in the way; null when nothing did."""
        if not delivery.error_class and not delivery.error_text:
            return None
        return {"code": code_of(delivery.error_class), "message": delivery.error_text}


class DeliveryDetailSerializer(DeliverySerializer):
    """A verified webhook with its redacted headers; the body is there for keys with deliveries:body alone."""

    size_bytes = serializers.IntegerField(source="body_bytes")
    headers = serializers.DictField(child=serializers.CharField())
    body = serializers.CharField(required=False, allow_null=True, help_text="Only with deliveries:body.")
    body_encoding = serializers.CharField(required=False, help_text="utf-8, or base64 for what is no text.")


class CallSerializer(Data):
    """One call to the vendor: no query, no body."""

    id = serializers.UUIDField()
    started_at = TimeField(source="at")
    operation = serializers.CharField()
    method = serializers.CharField()
    url = serializers.CharField()
    status = serializers.IntegerField(allow_null=True)
    duration_ms = serializers.FloatField()
    error = serializers.SerializerMethodField()
    vendor_code = OptionalText()
    trace_id = OptionalText()
    request_bytes = serializers.IntegerField()
    response_bytes = serializers.IntegerField()

    @extend_schema_field({"type": ["string", "null"]})
    def get_error(self, call: Call) -> str | None:
        """Return the code of what failed; null for a good answer."""
        return code_of(call.error_class) or None
