"""
What a refresh that failed means, and when the next one is tried: a refused grant is judged before anybody is told.

A refusal says nothing when the credential was replaced meanwhile, warns while the present access token still works,
and asks for a reconnect only when the vendor refuses that one, too.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from types import MappingProxyType
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext_noop

from core import clock
from core.pace import scaled
from dispatch.models import Link, LinkStatus
from integrations.contract import AuthenticationFailed, ProviderError, UnexpectedResponse, errors
from integrations.models import Integration
from integrations.services import credentials, issues
from integrations.services.credentials import Purpose
from integrations.services.providers import provider_for

NOT_RENEWED = "token_not_renewed"
"""The cause of the issue that warns while the integration still works."""

WORKS_UNTIL = gettext_noop("The provider refuses to renew this connection. It still works until %(until)s.")
WORKS_FOR_NOW = gettext_noop("The provider refuses to renew this connection. How long it still works is not known.")
RECONNECT_BEFORE = gettext_noop("Reconnect the account before then: nothing is interrupted if you do.")

RETRY_S, RETRY_LONGEST_S = scaled(60.0), scaled(900.0)
"""Doubled with each try; a margin before the end is a quarter of an hour or more, and holds several."""

RETRY_OF_BROKEN_S = scaled(3600.0)
"""What only a person or a release can mend is tried hourly: it costs one call and recovers without anybody's help."""

RETRY_OF_REFUSED_S, RETRY_OF_REFUSED_LONGEST_S = scaled(600.0), scaled(86_400.0)
"""While the access token works: half-way to its end, so that a vendor's mistake mends itself and the end is noticed."""

_KEPT = ("internal", "next_action", "vendor_code", "vendor_detail", "retry_after_s", "field", "reason", "trace_id")


class Verdict(Enum):
    """What follows from a failed refresh."""

    PASSING = "passing"
    BROKEN = "broken"
    REPLACED = "replaced"
    STILL_WORKS = "still_works"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    """An attempt that failed, under the lock of its integration's row; `tries` counts failures in a row."""

    integration: Integration
    error: ProviderError
    tries: int
    expires_at: datetime | None


def note(errand_id: UUID, integration: Integration, version: int | None, error: ProviderError) -> None:
    """
    End an attempt that failed: say when the next one is and who must know.

    :param version: of the credential that was used; None when none could be opened
    """
    verdict = _judge(integration, version, error)
    with transaction.atomic():
        fresh = Integration.objects.select_for_update().get(pk=integration.pk)
        current = fresh.current_credential
        if current is None:
            end(errand_id, next_refresh_at=None, refresh_failure=as_row(error, version=version))
        elif verdict is Verdict.REPLACED or current.version != version:
            end(errand_id)
        else:
            tries = _tries(fresh, current.version) + 1
            failed = _Failed(integration=fresh, error=error, tries=tries, expires_at=current.expires_at)
            due = _FOLLOWS[verdict](failed)
            row = as_row(error, version=version, tries=tries)
            end(errand_id, next_refresh_at=due, refresh_failure=row)


def note_crash(errand_id: UUID) -> None:
    """End an attempt in which our own code failed; the next one is in an hour."""
    due = clock.now() + timedelta(seconds=_spread(RETRY_OF_BROKEN_S))
    crashed = UnexpectedResponse("the refresh crashed, see the log")
    end(errand_id, next_refresh_at=due, refresh_failure=as_row(crashed, version=None))


def end(errand_id: UUID, **changes: Any) -> None:
    """Close an attempt, if it is still out, with what else changes in the row; who waits sees the count move."""
    closed = {
        "refresh_id": None,
        "refresh_until": None,
        "refresh_courier": None,
        "refresh_asked_at": None,
        "refresh_failure": None,
        "refresh_count": F("refresh_count") + 1,
    }
    Link.objects.filter(refresh_id=errand_id).update(**closed | changes)


def as_row(error: ProviderError, *, version: int | None, tries: int = 1) -> dict[str, Any]:
    """Write down for those who wait in other processes how the tokens of a version were not renewed."""
    return {"class": error.name, "version": version, "tries": tries, **{name: getattr(error, name) for name in _KEPT}}


def from_row(row: Mapping[str, Any]) -> ProviderError:
    """Make the error of an attempt again; each who waited raises one of their own."""
    found = getattr(errors, row["class"], UnexpectedResponse)
    error: ProviderError = found(**{name: row[name] for name in _KEPT})
    return error


def _judge(integration: Integration, version: int | None, error: ProviderError) -> Verdict:
    if not isinstance(error, AuthenticationFailed):
        return Verdict.PASSING if error.retryable else Verdict.BROKEN
    if credentials.require_current(integration).version != version:
        return Verdict.REPLACED
    try:
        provider_for(integration, Purpose.CHECK).check()
    except AuthenticationFailed:
        return Verdict.REFUSED
    except ProviderError:
        return Verdict.PASSING  # nothing is known of the access token: asked again before anybody is alarmed
    return Verdict.STILL_WORKS


def _tries(integration: Integration, version: int) -> int:
    before = Link.objects.filter(pk=integration.pk).values_list("refresh_failure", flat=True).get() or {}
    return int(before.get("tries", 0)) if before.get("version") == version else 0


def _after_passing(failed: _Failed) -> datetime:
    grown = min(RETRY_S * 2.0 ** min(failed.tries - 1, 10), RETRY_LONGEST_S)
    return clock.now() + timedelta(seconds=_spread(failed.error.retry_after_s or grown))


def _after_broken(failed: _Failed) -> datetime:
    issues.open_issue_for(failed.integration, failed.error)
    return clock.now() + timedelta(seconds=_spread(RETRY_OF_BROKEN_S))


def _after_refused_but_working(failed: _Failed) -> datetime:
    issues.open_issue(
        failed.integration,
        cause=NOT_RENEWED,
        text=WORKS_UNTIL if failed.expires_at else WORKS_FOR_NOW,
        who="user",
        next_action=RECONNECT_BEFORE,
        details={"until": f"{failed.expires_at:%Y-%m-%d %H:%M} UTC"} if failed.expires_at else None,
    )
    rest_s = (failed.expires_at - clock.now()).total_seconds() / 2 if failed.expires_at else RETRY_OF_REFUSED_LONGEST_S
    wait_s = min(max(rest_s, RETRY_OF_REFUSED_S), RETRY_OF_REFUSED_LONGEST_S)
    return clock.now() + timedelta(seconds=_spread(wait_s))


def _after_refused(failed: _Failed) -> datetime | None:
    issues.resolve_issues(failed.integration, causes=[NOT_RENEWED])
    issues.require_reconnect(failed.integration, failed.error)
    is_vendors_trouble = failed.integration.status == LinkStatus.ACTIVE  # it refuses everybody: nobody was asked
    return _after_passing(failed) if is_vendors_trouble else None


def _spread(seconds: float) -> float:
    return seconds * random.uniform(1.0, 1.2)  # noqa: S311  spreads what failed together


_FOLLOWS: Mapping[Verdict, Callable[[_Failed], datetime | None]] = MappingProxyType(
    {
        Verdict.PASSING: _after_passing,
        Verdict.BROKEN: _after_broken,
        Verdict.STILL_WORKS: _after_refused_but_working,
        Verdict.REFUSED: _after_refused,
    }
)
"""What is done and when the next attempt is due; a credential that was replaced has nothing to follow."""
