"""What the events of integrations, credentials and issues say: the objects as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from integrations.api.serializers import IntegrationSerializer, IssueSerializer
from integrations.models import Integration, Issue
from notifications.endpoints.models import PublishedEvent
from notifications.endpoints.payloads import Payload


def integrations(events: Sequence[PublishedEvent]) -> Mapping[UUID, Payload]:
    """Compose the payloads of events about an integration or its credential."""
    wanted = Integration.objects.with_last_check().filter(pk__in=[event.object_id for event in events])
    found = {str(integration.pk): integration for integration in wanted}
    shown = {key: IntegrationSerializer(integration).data for key, integration in found.items()}
    return {
        event.id: Payload(environment=found[event.object_id].environment, data=shown[event.object_id])
        for event in events
        if event.object_id in found
    }


def issues(events: Sequence[PublishedEvent]) -> Mapping[UUID, Payload]:
    """Compose the payloads of events about an issue; which integration has it is named beside."""
    wanted = Issue.objects.select_related("integration").filter(pk__in=[event.object_id for event in events])
    found = {str(issue.pk): issue for issue in wanted}
    return {
        event.id: Payload(
            environment=found[event.object_id].integration.environment, data=_issue(found[event.object_id])
        )
        for event in events
        if event.object_id in found
    }


def _issue(issue: Issue) -> dict[str, Any]:
    return {**IssueSerializer(issue).data, "integration": str(issue.integration_id)}
