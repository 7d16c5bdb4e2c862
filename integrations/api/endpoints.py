"""Events out: endpoints that are told, what they answered, the feed of events and their types."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from django.utils.dateparse import parse_datetime
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from core.errors import ValidationFailed
from integrations.api.fields import ClosedSetField, EnvironmentField, OptionalText, TimeField
from integrations.api.openapi import PAGING, page_of
from integrations.api.pagination import RegistryPagination
from integrations.api.serializers import Data
from integrations.api.views import RegistryView, get_or_404
from integrations.generate.strict import StrictSerializer
from integrations.services import endpoints as calls
from notifications.endpoints import catalogue, services
from notifications.endpoints.deliveries import answer_of
from notifications.endpoints.models import DeliveryAttempt, DisabledBecause, EndpointStatus, EventEndpoint
from notifications.endpoints.services import NewEndpoint

LONGEST_URL = 2000
FIRST_YEAR, LAST_YEAR = 1970, 9998


class EndpointStatusField(ClosedSetField):
    """Whether an endpoint is told."""

    values = tuple(EndpointStatus.values)


class EventEndpointSerializer(Data):
    """A URL that is told of events. Its secret is no field of it."""

    id = serializers.UUIDField()
    url = serializers.CharField()
    description = serializers.CharField()
    event_types = serializers.ListField(child=serializers.CharField())
    environment = EnvironmentField()
    status = EndpointStatusField()
    disabled_because = OptionalText(help_text=f"One of: {', '.join(filter(None, DisabledBecause.values))}.")
    disabled_at = TimeField(allow_null=True)
    failing_since = TimeField(allow_null=True)
    created_at = TimeField()


class NewEventEndpointSerializer(EventEndpointSerializer):
    """An endpoint with its secret, shown in this answer alone."""

    secret = serializers.CharField()


class EventEndpointInputSerializer(StrictSerializer):
    """What a new endpoint is."""

    url = serializers.CharField(max_length=LONGEST_URL)
    event_types = serializers.ListField(child=serializers.CharField(max_length=60), min_length=1, max_length=60)
    description = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")


class EventEndpointChangeSerializer(StrictSerializer):
    """What may be changed of an endpoint."""

    url = serializers.CharField(max_length=LONGEST_URL, required=False)
    event_types = serializers.ListField(
        child=serializers.CharField(max_length=60), min_length=1, max_length=60, required=False
    )
    description = serializers.CharField(max_length=200, required=False, allow_blank=True)
    enabled = serializers.BooleanField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a change of nothing, which is a misspelled field."""
        if not attrs:
            raise serializers.ValidationError("Send url, event_types, description or enabled.")
        return attrs


class EndpointTestSerializer(Data):
    """What a test event came to; `error` names what went wrong, such as Timeout or http_500."""

    success = serializers.SerializerMethodField()
    status = serializers.IntegerField(allow_null=True)
    duration_ms = serializers.FloatField()
    error = OptionalText()

    @extend_schema_field({"type": "boolean"})
    def get_success(self, outcome: calls.Outcome) -> bool:
        """Whether it answered 2xx."""
        return not outcome.error


class AttemptSerializer(Data):
    """One call to an endpoint; `status` is null when no answer came. `answer` is the start of what it answered."""

    id = serializers.UUIDField()
    event = serializers.UUIDField(source="event_id")
    type = serializers.CharField(source="event_type")
    attempt = serializers.IntegerField(source="number")
    success = serializers.BooleanField(source="is_success")
    status = serializers.IntegerField(source="status_code", allow_null=True)
    error = OptionalText()
    duration_ms = serializers.FloatField()
    answer = serializers.SerializerMethodField()
    attempted_at = TimeField(source="created_at")

    @extend_schema_field({"type": "string"})
    def get_answer(self, attempt: DeliveryAttempt) -> str:
        """Open the start of the answer."""
        return answer_of(attempt)


class ReplayInputSerializer(StrictSerializer):
    """From when to when; `until` itself is not included."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField()


class ReplayedSerializer(Data):
    """How many events are told again."""

    events = serializers.IntegerField()


class PublishedEventSerializer(Data):
    """One published fact; `data` is the object as it is now, null once it is gone."""

    id = serializers.UUIDField()
    type = serializers.CharField()
    object = serializers.CharField(source="object_id")
    occurred_at = TimeField()
    data = serializers.SerializerMethodField()  # type: ignore[assignment]  # DRF's own attribute of the same name

    @extend_schema_field({"type": ["object", "null"]})
    def get_data(self, event: Any) -> Any:
        """Take what was composed for the whole page."""
        payload = self.context["payloads"].get(event.id)
        return payload.data if payload else None


class EventTypeSerializer(Data):
    """One type that an endpoint may ask for."""

    type = serializers.CharField(source="name")
    description = serializers.CharField()
    example = serializers.DictField(source="sample")


class EndpointsView(RegistryView):
    """Endpoints of the key's environment."""

    scope = "events"

    @extend_schema(
        operation_id="event_endpoints_list", parameters=[*PAGING], responses=page_of(EventEndpointSerializer)
    )
    def get(self, request: Request) -> Response:
        """List endpoints, the newest first."""
        return self.paginate(services.endpoints_of(self.environment), EventEndpointSerializer)

    @extend_schema(
        operation_id="event_endpoints_create",
        request=EventEndpointInputSerializer,
        responses={201: NewEventEndpointSerializer},
    )
    def post(self, request: Request) -> Response:
        """Make an endpoint that is told of events from now on; its secret is shown once."""
        values = self.validated(EventEndpointInputSerializer)
        made = services.create(**values, environment=self.environment, actor=self.actor)
        return Response(
            _with_secret(made),
            status=status.HTTP_201_CREATED,
            headers={"Location": f"{request.path}{made.endpoint.id}/"},
        )


class OneEndpointView(RegistryView):
    """The base of what is about one endpoint."""

    scope = "events"

    def get_endpoint(self, endpoint_id: str) -> EventEndpoint:
        """
        Find an endpoint that this key may see.

        :raises NotFoundHere: unknown, malformed, another environment's or another organization's
        """
        return cast(EventEndpoint, get_or_404(services.endpoints_of(self.environment), endpoint_id))


class EndpointView(OneEndpointView):
    """One endpoint."""

    @extend_schema(operation_id="event_endpoints_get", responses=EventEndpointSerializer)
    def get(self, request: Request, endpoint_id: str) -> Response:
        """Return one endpoint."""
        return Response(EventEndpointSerializer(self.get_endpoint(endpoint_id)).data)

    @extend_schema(
        operation_id="event_endpoints_change", request=EventEndpointChangeSerializer, responses=EventEndpointSerializer
    )
    def patch(self, request: Request, endpoint_id: str) -> Response:
        """Change URL, types or description, or switch the endpoint off or on; what it missed can be replayed."""
        endpoint = self.get_endpoint(endpoint_id)
        values = self.validated(EventEndpointChangeSerializer)
        return Response(EventEndpointSerializer(services.change(endpoint, values, actor=self.actor)).data)

    @extend_schema(operation_id="event_endpoints_delete", responses={204: None})
    def delete(self, request: Request, endpoint_id: str) -> Response:
        """Delete the endpoint and its attempts; the events stay in the feed."""
        services.delete(self.get_endpoint(endpoint_id), actor=self.actor)
        return Response(status=status.HTTP_204_NO_CONTENT)


class RotateSecretView(OneEndpointView):
    """Another secret."""

    @extend_schema(operation_id="event_endpoints_rotate_secret", request=None, responses=NewEventEndpointSerializer)
    def post(self, request: Request, endpoint_id: str) -> Response:
        """Replace the secret and show the new one once; the old one signs beside it for 24 hours."""
        return Response(_with_secret(services.rotate_secret(self.get_endpoint(endpoint_id), actor=self.actor)))


class TestView(OneEndpointView):
    """Trying an endpoint."""

    @extend_schema(operation_id="event_endpoints_test", request=None, responses=EndpointTestSerializer)
    def post(self, request: Request, endpoint_id: str) -> Response:
        """Send a test event now; a failure is an answer."""
        return Response(EndpointTestSerializer(calls.test(self.get_endpoint(endpoint_id), actor=self.actor)).data)


class AttemptsView(OneEndpointView):
    """Calls to an endpoint."""

    @extend_schema(operation_id="event_endpoints_attempts", parameters=[*PAGING], responses=page_of(AttemptSerializer))
    def get(self, request: Request, endpoint_id: str) -> Response:
        """List attempts, the newest first; kept 30 days."""
        return self.paginate(self.get_endpoint(endpoint_id).attempts.all(), AttemptSerializer)


class ReplayView(OneEndpointView):
    """Telling again."""

    @extend_schema(
        operation_id="event_endpoints_replay", request=ReplayInputSerializer, responses={202: ReplayedSerializer}
    )
    def post(self, request: Request, endpoint_id: str) -> Response:
        """Tell the endpoint again of all events of a time that it wants, delivered ones too; the ids are the same."""
        endpoint = self.get_endpoint(endpoint_id)
        told = services.replay(endpoint, **self.validated(ReplayInputSerializer), actor=self.actor)
        return Response({"events": told}, status=status.HTTP_202_ACCEPTED)


class EventsView(RegistryView):
    """The feed of published facts."""

    scope = "events"
    filters = frozenset({"type", "since"})

    @extend_schema(
        operation_id="events_list",
        parameters=[
            *PAGING,
            OpenApiParameter("type", str, enum=list(catalogue.TYPES)),
            OpenApiParameter("since", OpenApiTypes.DATETIME, description="Happened at or after this time."),
        ],
        responses=page_of(PublishedEventSerializer),
    )
    def get(self, request: Request) -> Response:
        """List events, the newest first; kept 90 days."""
        pagination = RegistryPagination(request)
        page = pagination.page_of(services.events_of(self.environment).filter(**self._conditions()))
        payloads = calls.payloads_of(page.rows)
        shown: Any = PublishedEventSerializer(page.rows, many=True, context={"payloads": payloads}).data
        return Response(pagination.envelope(page, shown))

    def _conditions(self) -> dict[str, Any]:
        wanted = self.query.get("type", "")
        if wanted and wanted not in catalogue.TYPES:
            known = ", ".join(catalogue.TYPES)
            raise ValidationFailed("A filter has an unknown value.", errors={"type": [f"Use one of: {known}."]})
        conditions: dict[str, Any] = {"type": wanted} if wanted else {}
        if "since" in self.query:
            conditions["occurred_at__gte"] = _moment(self.query["since"])
        return conditions


class EventTypesView(RegistryView):
    """The types of events."""

    required_scopes = {"GET": "events:read"}

    @extend_schema(operation_id="event_types_list", responses=page_of(EventTypeSerializer))
    def get(self, request: Request) -> Response:
        """List all types with an example each; there is one page."""
        shown = EventTypeSerializer(list(catalogue.TYPES.values()), many=True).data
        return Response({"next": None, "previous": None, "results": shown})


def _with_secret(made: NewEndpoint) -> dict[str, Any]:
    return {**EventEndpointSerializer(made.endpoint).data, "secret": made.secret.reveal()}


def _moment(value: str) -> datetime:
    """Read a time of the query, where a plus may have become a space."""
    try:
        found = parse_datetime(value.replace(" ", "+") if "T" in value else value)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise ValidationFailed(
            "A filter has an unknown value.", errors={"since": ["Use a time such as 2026-11-02T15:04:05Z."]}
        )
    return found
