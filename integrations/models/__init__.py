"""Tables of one organization: its integrations, their credentials, events and issues."""

from integrations.models.credential import Credential
from integrations.models.event import Event
from integrations.models.integration import Integration
from integrations.models.issue import Issue

__all__ = ["Credential", "Event", "Integration", "Issue"]
