"""Work to do outside for one integration: what waits, why, until when, and how it ended."""

from __future__ import annotations

from typing import Any, cast

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.errors import ValidationFailed
from dispatch.models import OutboxEntry, OutboxStatus
from integrations.api.fields import ClosedSetField, OptionalText, TimeField
from integrations.api.openapi import PAGING, page_of
from integrations.api.serializers import CODES, FAILURE, code_of
from integrations.api.views import RegistryView, get_or_404
from integrations.models import Integration
from integrations.services import outbox_actions
from integrations.services.outbox import Crashed, Expired, WorkerDied
from integrations.services.outbox_actions import Canceled

OURS = frozenset({kind.__name__ for kind in (Canceled, Crashed, Expired, WorkerDied)})
"""Ends of our own making, whose class's name is the code."""

INTERNAL = "internal_error"
"""The code of an error of ours that was met on the way; what exactly is not the customer's to know."""


class OutboxStatusField(ClosedSetField):
    """The life of work to do outside."""

    values = tuple(OutboxStatus.values)


class OutboxEntrySerializer(serializers.Serializer[Any]):
    """
    Work to do outside.

    `failed_over_from` is the integration that it was first for, where it moved to a second one.
    """

    id = serializers.UUIDField()
    kind = serializers.CharField()
    object = OptionalText(source="object_id")
    status = OutboxStatusField()
    attempts = serializers.IntegerField()
    next_attempt_at = serializers.SerializerMethodField()
    not_before = TimeField(allow_null=True)
    expires_at = TimeField(allow_null=True)
    error = serializers.SerializerMethodField()
    failed_over_from = serializers.UUIDField(allow_null=True)
    created_at = TimeField()
    done_at = TimeField(allow_null=True)

    @extend_schema_field({"type": ["string", "null"], "format": "date-time"})
    def get_next_attempt_at(self, entry: OutboxEntry) -> str | None:
        """Return when it is tried next; null while it is parked or done with."""
        is_waiting = entry.status == OutboxStatus.WAITING
        return TimeField().to_representation(entry.next_attempt_at) if is_waiting else None

    @extend_schema_field(FAILURE)
    def get_error(self, entry: OutboxEntry) -> dict[str, str] | None:
        """Say what stood in the way last; null when nothing did."""
        if not entry.error_class:
            return None
        is_known = entry.error_class in CODES or entry.error_class in OURS
        return {"code": code_of(entry.error_class) if is_known else INTERNAL, "message": entry.error_text}


class OutboxView(RegistryView):
    """Work to do outside for an integration."""

    scope = "integrations"
    filters = frozenset({"status"})

    @extend_schema(
        operation_id="integrations_outbox",
        parameters=[*PAGING, OpenApiParameter("status", str, enum=OutboxStatus.values)],
        responses=page_of(OutboxEntrySerializer),
    )
    def get(self, request: Request, integration_id: str) -> Response:
        """List work to do outside, the newest first; kept 180 days after its end."""
        wanted = self.query.get("status", "")
        if wanted and wanted not in OutboxStatus.values:
            known = ", ".join(OutboxStatus.values)
            raise ValidationFailed("A filter has an unknown value.", errors={"status": [f"Use one of: {known}."]})
        found = entries_of(self.get_integration(integration_id))
        return self.paginate(found.filter(**self.query), OutboxEntrySerializer)


class OutboxCancelView(RegistryView):
    """Canceling work that waits."""

    scope = "integrations"

    @extend_schema(operation_id="integrations_outbox_cancel", request=None, responses=OutboxEntrySerializer)
    def post(self, request: Request, integration_id: str, entry_id: str) -> Response:
        """Cancel work that waits or is parked; 409 when it is being done or has ended."""
        integration = self.get_integration(integration_id)
        entry = cast(OutboxEntry, get_or_404(entries_of(integration), entry_id))
        return Response(OutboxEntrySerializer(outbox_actions.cancel(entry, actor=self.actor)).data)


def entries_of(integration: Integration) -> QuerySet[OutboxEntry]:
    """Return the work of one integration of the entered organization."""
    return OutboxEntry.objects.filter(link_id=integration.id)
