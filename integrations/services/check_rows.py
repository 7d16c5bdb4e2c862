"""Keeping the outcome of a live check as a row of its history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from integrations.contract import ProviderError, Verdict
from integrations.models import Integration
from meter.models import HealthCheck
from tenants.context import require_organization


def keep_check(
    integration: Integration,
    *,
    at: datetime,
    duration_ms: float,
    verdicts: Sequence[Verdict],
    error: ProviderError | None = None,
) -> HealthCheck:
    """Keep one check of an integration, in the transaction that writes what it changed."""
    return HealthCheck.objects.create(
        organization_schema=require_organization(),
        link_id=integration.id,
        provider=integration.provider,
        at=at,
        is_ok=error is None,
        duration_ms=duration_ms,
        error_class=error.name if error else "",
        detail=error.message if error else integration.health_cause,
        verdicts=[{"capability": v.capability, "ok": v.ok, "detail": v.detail} for v in verdicts],
    )
