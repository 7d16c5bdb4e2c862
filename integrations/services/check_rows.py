"""Keeping the outcome of a live check: a row of the link's history, the calls that it took, the link's own mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from dispatch.models import Link
from integrations.contract import CallReport, ProviderError, Verdict
from integrations.models import Integration
from meter.models import Call, HealthCheck
from tenants.context import require_organization


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """When one check ended, how long it took, what it found or what went wrong."""

    at: datetime
    duration_ms: float
    verdicts: Sequence[Verdict] = ()
    error: ProviderError | None = None


def check_row(
    checked: Checked, *, organization_schema: str, link_id: UUID, provider: str, health: str, cause: str = ""
) -> HealthCheck:
    """Describe a check as a row that is not stored yet; `health` and `cause` are what it led to."""
    error = checked.error
    return HealthCheck(
        organization_schema=organization_schema,
        link_id=link_id,
        provider=provider,
        at=checked.at,
        day=checked.at.date(),
        is_ok=error is None,
        health=health,
        duration_ms=checked.duration_ms,
        error_class=error.name if error else "",
        detail=error.message if error else cause,
        verdicts=[{"capability": v.capability, "ok": v.ok, "detail": v.detail} for v in checked.verdicts],
    )


def call_row(report: CallReport, *, organization_schema: str, link_id: UUID, provider: str) -> Call:
    """Describe a call as a row that is not stored yet; texts are cut to what the table holds."""
    return Call(
        organization_schema=organization_schema,
        link_id=link_id,
        provider=provider,
        at=report.started_at,
        day=report.started_at.date(),
        operation=report.operation[:60],
        method=report.method,
        url=report.url[:500],
        status=report.status,
        duration_ms=report.duration_ms,
        error_class=report.error[:40],
        vendor_code=report.vendor_code[:40],
        trace_id=report.trace_id[:120],
        request_bytes=report.request_bytes,
        response_bytes=report.response_bytes,
    )


def keep_check(
    integration: Integration,
    *,
    at: datetime,
    duration_ms: float,
    verdicts: Sequence[Verdict],
    error: ProviderError | None = None,
) -> HealthCheck:
    """Keep one check of an integration, in the transaction that writes what it changed."""
    row = check_row(
        Checked(at=at, duration_ms=duration_ms, verdicts=verdicts, error=error),
        organization_schema=require_organization(),
        link_id=integration.id,
        provider=integration.provider,
        health=integration.health,
        cause=integration.health_cause,
    )
    row.save(force_insert=True)
    Link.objects.filter(pk=integration.pk).update(last_checked_at=at)
    return row
