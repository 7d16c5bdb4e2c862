"""Counters of the ingress, for /metrics: received, repeated, refused by reason."""

from __future__ import annotations

from prometheus_client import Counter

RECEIVED = Counter("registry_webhooks_received", "Verified webhooks that were stored", ["provider"])
REPEATED = Counter("registry_webhooks_repeated", "Verified webhooks that were seen before", ["provider"])
REFUSED = Counter("registry_webhooks_refused", "Webhooks that were refused", ["provider", "reason"])


def received(provider: str, *, is_new: bool) -> None:
    """Count a verified webhook."""
    (RECEIVED if is_new else REPEATED).labels(provider).inc()


def refused(provider: str, reason: str) -> None:
    """Count a refused webhook."""
    REFUSED.labels(provider, reason).inc()
