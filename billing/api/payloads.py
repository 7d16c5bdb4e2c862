"""What the events of billing say: the object as the API lists it, without client secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Model
from rest_framework.serializers import BaseSerializer

from billing.api.objects import DisputeSerializer, SubscriptionSerializer
from billing.api.serializers import PaymentSerializer, RefundSerializer
from billing.models import Dispute, Payment, Refund, Subscription
from notifications.endpoints.models import PublishedEvent
from notifications.endpoints.payloads import Payload


def payments(events: Sequence[PublishedEvent]) -> Mapping[UUID, Payload]:
    """Compose the payloads of events about a payment."""
    return _composed(events, Payment, PaymentSerializer)


def refunds(events: Sequence[PublishedEvent]) -> Mapping[UUID, Payload]:
    """Compose the payloads of events about a refund."""
    return _composed(events, Refund, RefundSerializer)


def subscriptions(events: Sequence[PublishedEvent]) -> Mapping[UUID, Payload]:
    """Compose the payloads of events about a subscription."""
    return _composed(events, Subscription, SubscriptionSerializer)


def disputes(events: Sequence[PublishedEvent]) -> Mapping[UUID, Payload]:
    """Compose the payloads of events about a dispute."""
    return _composed(events, Dispute, DisputeSerializer)


def _composed(
    events: Sequence[PublishedEvent], model: type[Model], serializer_class: type[BaseSerializer[Any]]
) -> Mapping[UUID, Payload]:
    """The status is the one that the event is about: the object may have got another since."""
    wanted = model._default_manager.select_related("integration")
    found: Mapping[str, Any] = {str(row.pk): row for row in wanted.filter(pk__in=[event.object_id for event in events])}
    return {
        event.id: Payload(
            environment=found[event.object_id].integration.environment,
            data={**serializer_class(found[event.object_id]).data, **_at_the_time(event)},
        )
        for event in events
        if event.object_id in found
    }


def _at_the_time(event: PublishedEvent) -> dict[str, Any]:
    return {name: value for name, value in event.details.items() if name == "status"}
