"""What is true of a whole vendor now: whether it may be used, its breaker, its incident."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dispatch.models import BreakerState, Vendor


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorState:
    """
    One vendor now. `incident_class` is the class of error that strikes many organizations, empty when none does.

    `incident` is its text for people.
    """

    provider: str
    is_enabled: bool = True
    breaker: str = BreakerState.CLOSED
    breaker_until: datetime | None = None
    breaker_reason: str = ""
    incident: str = ""
    incident_class: str = ""
    incident_since: datetime | None = None

    @property
    def has_incident(self) -> bool:
        """Whether an incident is open."""
        return bool(self.incident_class)


_FIELDS = ("is_enabled", "breaker", "breaker_until", "breaker_reason", "incident", "incident_class", "incident_since")


def vendor_state(provider: str) -> VendorState:
    """Read one vendor's state; one that nothing was ever said of is enabled and well."""
    row = Vendor.objects.filter(provider=provider).values(*_FIELDS).first()
    return VendorState(provider=provider, **(row or {}))


def open_incidents() -> dict[str, VendorState]:
    """Read the state of every vendor that has an incident, by provider: one query, usually without a row."""
    rows = Vendor.objects.exclude(incident_class="").values("provider", *_FIELDS)
    return {row["provider"]: VendorState(**row) for row in rows}
