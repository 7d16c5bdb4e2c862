"""Which class of error strikes a link now: pooled over organizations, it tells a vendor's incident."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from core import clock
from dispatch.models import Link

STRIKES = frozenset({"Unavailable", "ProviderOutage", "RateLimited", "AuthenticationFailed", "PermissionMissing",
                     "UnexpectedResponse"})  # fmt: skip
"""Classes that can be the vendor's doing; what a caller asked wrongly says nothing of the vendor."""


def note_failure(link_ids: Iterable[UUID], error_class: str) -> None:
    """Say that calls of these links failed now; classes that are the caller's doing are not kept."""
    if error_class in STRIKES:
        Link.objects.filter(pk__in=list(link_ids)).update(failing_class=error_class, failing_at=clock.now())


def note_success(link_ids: Iterable[UUID]) -> None:
    """Say that calls of these links succeeded; rows that did not fail are not written."""
    Link.objects.filter(pk__in=list(link_ids)).exclude(failing_class="").update(failing_class="", failing_at=None)
