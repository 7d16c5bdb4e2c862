"""
Public tables that route work to organizations. Rows of an organization are under forced row-level security.

No foreign key leaves this schema; ids point the way and labels are kept beside them.
"""

from dispatch.models.breaker import BreakerState, Breaking
from dispatch.models.claimable import LEASE, Claimable
from dispatch.models.inbox import DeliveryStatus, InboxKey, RefusedRequest, WebhookDelivery
from dispatch.models.links import AccountClaim, Link, LinkHealth, LinkStatus, Rhythm, Route
from dispatch.models.oauth import OAuthAttempt, OAuthStatus
from dispatch.models.outbox import OutboxEntry, OutboxStatus
from dispatch.models.vendors import OAuthApp, ProviderIncident, Vendor

__all__ = [
    "LEASE", "AccountClaim", "BreakerState", "Breaking", "Claimable", "DeliveryStatus", "InboxKey", "Link",
    "LinkHealth", "LinkStatus", "OAuthApp", "OAuthAttempt", "OAuthStatus", "OutboxEntry", "OutboxStatus",
    "ProviderIncident", "RefusedRequest", "Rhythm", "Route", "Vendor", "WebhookDelivery",
]  # fmt: skip
