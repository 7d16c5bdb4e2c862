"""The event types: a description and an example of each, and which of them an endpoint wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

ALL = "*"
TEST = "endpoint.test"
"""The type of a test event: sent by hand or to find out whether an endpoint works again, and subscribed by nobody."""

_ID = "0193f7a2-5d1c-7c3e-9b1f-6a2f0c1d8e01"
_OTHER = "0193f7a2-5d1c-7c3e-9b1f-6a2f0c1d8e02"
_AT = "2026-11-02T15:04:05.123Z"

_INTEGRATION = {"id": _ID, "provider": "whatsapp", "name": "Support line", "environment": "live", "status": "active",
                "health": "healthy", "created_at": _AT}  # fmt: skip
_ISSUE = {"id": _OTHER, "integration": _ID, "cause": "authentication_error", "who": "user",
          "next_action": "Reconnect the account with a valid credential.", "opened_at": _AT}  # fmt: skip
_MESSAGE = {"id": _OTHER, "integration": _ID, "direction": "inbound", "type": "text", "text": "Is the shop open today?",
            "status": "received", "created_at": _AT}  # fmt: skip
_POST = {"id": _OTHER, "integration": _ID, "kind": "image", "status": "published"}
_PAYMENT = {"id": _OTHER, "integration": _ID, "status": "succeeded", "amount_minor": 12990, "currency": "BRL"}
_REFUND = {"id": _OTHER, "payment": _ID, "status": "succeeded", "amount_minor": 12990, "currency": "BRL"}
_SUBSCRIPTION = {"id": _OTHER, "integration": _ID, "status": "active", "current_period_end": _AT}
_DISPUTE = {"id": _OTHER, "payment": _ID, "status": "needs_response", "amount_minor": 12990, "currency": "BRL"}
_BUDGET = {"id": _OTHER, "limit": "100.00", "spent": "80.00", "currency": "USD"}
_IMAGE = {"id": _OTHER, "integration": _ID, "status": "ready"}


@dataclass(frozen=True, slots=True)
class EventType:
    """One type: what happened, and the `data` of an example."""

    name: str
    description: str
    example: Mapping[str, Any]

    @property
    def sample(self) -> dict[str, Any]:
        """The whole body of an example."""
        return {"type": self.name, "timestamp": _AT, "data": dict(self.example)}


TYPES: Mapping[str, EventType] = MappingProxyType(
    {
        item.name: item
        for item in (
            EventType("integration.connected", "An account was connected.", _INTEGRATION),
            EventType(
                "integration.needs_reauth",
                "The provider refuses the credential; somebody must reconnect the account.",
                _INTEGRATION | {"status": "needs_reauth", "health": "failing"},
            ),
            EventType("integration.recovered", "An integration that was failing works again.", _INTEGRATION),
            EventType(
                "integration.disabled", "An integration was switched off.", _INTEGRATION | {"status": "disabled"}
            ),
            EventType(
                "integration.disconnected",
                "An account was disconnected; its credential is destroyed.",
                _INTEGRATION | {"status": "disconnected"},
            ),
            EventType("issue.opened", "A problem was found; it says who must do what.", _ISSUE),
            EventType("issue.resolved", "A problem is over.", _ISSUE | {"resolved_at": _AT}),
            EventType("message.received", "A message came in.", _MESSAGE),
            EventType(
                "message.status_changed",
                "A message that was sent has another status.",
                _MESSAGE | {"direction": "outbound", "status": "delivered"},
            ),
            EventType("post.published", "A post is public.", _POST),
            EventType("post.failed", "A post could not be published.", _POST | {"status": "failed"}),
            EventType(
                "comment.received", "Somebody commented on a post.", {"id": _OTHER, "post": _ID, "text": "Nice!"}
            ),
            EventType("payment.updated", "A payment has another status.", _PAYMENT),
            EventType("refund.updated", "A refund has another status.", _REFUND),
            EventType("subscription.updated", "A subscription changed.", _SUBSCRIPTION),
            EventType("dispute.opened", "A payer disputes a payment.", _DISPUTE),
            EventType("dispute.closed", "A dispute was decided.", _DISPUTE | {"status": "won"}),
            EventType("credential.rotated", "A credential was replaced by a new one.", _INTEGRATION),
            EventType("credential.expiring", "A credential ends soon and nobody renews it.", _INTEGRATION),
            EventType("budget.threshold_reached", "A part of a budget is spent.", _BUDGET),
            EventType("budget.exhausted", "A budget is spent; calls are refused.", _BUDGET | {"spent": "100.00"}),
            EventType("generation.image_ready", "An image was generated.", _IMAGE),
        )
    }
)
"""All types by name, in the order of the contract."""

PATTERNS: frozenset[str] = frozenset({ALL, *TYPES, *(f"{name.partition('.')[0]}.*" for name in TYPES)})
"""What an endpoint may ask for: a type, all types of a noun, everything."""


def unknown_patterns(patterns: Iterable[str]) -> list[str]:
    """Return what asks for nothing that exists."""
    return sorted(set(patterns) - PATTERNS)


def wants(patterns: Iterable[str], event_type: str) -> bool:
    """Whether an endpoint with these patterns is told of a type."""
    return bool({ALL, event_type, f"{event_type.partition('.')[0]}.*"} & set(patterns))
