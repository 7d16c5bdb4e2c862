"""What an integration's page tells of its health: the last checks as bars, and when the state changed and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Q, Window
from django.db.models.functions import Lag

from core import clock
from dispatch.models import LinkHealth
from integrations.models import Integration
from meter.models import HealthCheck
from tenants.context import require_organization

BARS = 48
CHANGES = 8

LOOKED_BACK = timedelta(days=30)
"""A month of checks is read within a few milliseconds; all that is kept (90 days) is in the list of checks."""

_LABELS: Mapping[str, Any] = dict(LinkHealth.choices)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of state: when, from what to what, and the cause as the check told it."""

    at: datetime
    before: str
    after: str
    cause: str

    @property
    def before_label(self) -> Any:
        """The state before, for people."""
        return _LABELS.get(self.before, self.before)

    @property
    def after_label(self) -> Any:
        """The state after, for people."""
        return _LABELS.get(self.after, self.after)


def health_context(integration: Integration) -> dict[str, Any]:
    """Return what `registry/parts/health.html` shows; `told` is the check whose verdicts still hold."""
    newest = list(_checks(integration).order_by("-at")[:BARS])
    last = newest[0] if newest else None
    # The clock's probes say that all is as before, and have no verdicts of their own.
    told = next((check for check in newest if check.verdicts), None) if last and last.is_ok else None
    return {"checks": newest[::-1], "last_check": last, "told": told, "changes": changes(integration)}


def changes(integration: Integration) -> list[Change]:
    """List the latest changes of state, the newest first."""
    before = Window(Lag("health"), order_by=F("at").asc())
    since = clock.now() - LOOKED_BACK
    checks = _checks(integration).filter(at__gte=since, day__gte=since.date()).exclude(health="")
    changed = checks.annotate(before=before).filter(~Q(health=F("before"))).order_by("-at")
    return [
        Change(at=check.at, before=check.before, after=check.health, cause=check.detail) for check in changed[:CHANGES]
    ]


def _checks(integration: Integration) -> Any:
    return HealthCheck.objects.filter(organization_schema=require_organization(), link_id=integration.pk)
