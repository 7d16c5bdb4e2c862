"""
Which links the clock checks now, and what is written of them in public: one statement for a batch, never one for a row.

A claimed link is due again when its lease ends, so a sweep that was killed costs two minutes. Several sweeps at once
claim different links.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from core import clock
from core.pace import scaled
from dispatch.models import LEASE, Link, LinkStatus, Vendor
from integrations import registry
from integrations.contract.health import FIRST_RETRY_S, POSTPONED_PERIODS, Health, incident_round
from integrations.services.links import jitter

CHECKED = (LinkStatus.ACTIVE, LinkStatus.NEEDS_REAUTH)

ORGANIZATIONS = 24
"""A claim takes what is due of so many organizations, the longest waiting first: they are read one by one."""

_FIELDS = (
    "id", "organization_schema", "provider", "status", "health", "good_checks", "bad_checks", "open_issues",
    "last_event_at", "last_checked_at", "next_check_at",
)  # fmt: skip

_CLAIM = """
    WITH longest AS (
        SELECT organization_schema FROM dispatch_link
        WHERE next_check_at <= %(now)s AND status = ANY(%(checked)s)
        ORDER BY next_check_at LIMIT %(organizations)s FOR UPDATE SKIP LOCKED
    ), due AS (
        SELECT id FROM dispatch_link
        WHERE organization_schema IN (SELECT organization_schema FROM longest)
            AND next_check_at <= %(now)s AND status = ANY(%(checked)s)
        ORDER BY next_check_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
    )
    UPDATE dispatch_link link SET next_check_at = %(lease)s FROM due WHERE link.id = due.id
    RETURNING {fields}
"""

_TRAFFIC = """
    SELECT known.id, (
        SELECT max(call.at) FROM meter_call call
        WHERE call.link_id = known.id AND call.at > known.since AND call.error_class = ''
            AND call.day >= %(first_day)s AND call.day <= %(today)s
    )
    FROM unnest(%(ids)s::uuid[], %(since)s::timestamptz[]) AS known (id, since)
"""

_PLACES = """
    SELECT id, place, count FROM (
        SELECT id, row_number() OVER (ORDER BY id) AS place, count(*) OVER () AS count
        FROM dispatch_link
        WHERE provider = %(provider)s AND status = ANY(%(checked)s) AND next_check_at IS NOT NULL
    ) known WHERE id = ANY(%(ids)s)
"""

_MOVE = """
    UPDATE dispatch_link link SET
        last_checked_at = coalesce(done.at, link.last_checked_at),
        good_checks = coalesce(done.good, link.good_checks), bad_checks = coalesce(done.bad, link.bad_checks),
        next_check_at = CASE WHEN link.next_check_at = done.lease THEN done.due ELSE link.next_check_at END
    FROM unnest(%(ids)s::uuid[], %(at)s::timestamptz[], %(good)s::int[], %(bad)s::int[], %(lease)s::timestamptz[],
        %(due)s::timestamptz[]) AS done (id, at, good, bad, lease, due)
    WHERE link.id = done.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """
    What becomes of a claimed link; `due` counts only while nobody else moved it since the claim.

    Left out times and counters stay as they are.
    """

    link: Link
    due: datetime | None
    at: datetime | None = None
    good: int | None = None
    bad: int | None = None


def claim(batch: int) -> list[Link]:
    """Claim links that are due, and postpone those that need no check now; return the rest."""
    now = clock.now()
    with transaction.atomic():
        claimed = _claimed(now, batch)
        if not claimed:
            return []
        postponed = _postponed(claimed, now)
        move([Move(link=link, due=due) for link in claimed if (due := postponed.get(link.id, now)) != now])
    return [link for link in claimed if link.id not in postponed]


def is_any_due() -> bool:
    """Whether a link is due now; reads the index alone."""
    return Link.objects.filter(status__in=CHECKED, next_check_at__lte=clock.now()).exists()


def move(moves: Sequence[Move]) -> None:
    """Write what a batch led to, in one statement."""
    if not moves:
        return
    columns: dict[str, list[Any]] = {
        "ids": [item.link.id for item in moves],
        "at": [item.at for item in moves],
        "good": [item.good for item in moves],
        "bad": [item.bad for item in moves],
        "lease": [item.link.next_check_at for item in moves],
        "due": [item.due for item in moves],
    }
    with connection.cursor() as cursor:
        cursor.execute(_MOVE, columns)


def after_incident(provider: str) -> int:
    """
    Make all links of a vendor due again; return how many. Runs in public.

    Spread so that within one period all are well: what was failing needs a second good check, a minute after the first.
    """
    period_s = registry.provider(provider).spec.health.period_s
    spread_s = scaled(max(period_s / 2, period_s - 2 * FIRST_RETRY_S))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE dispatch_link SET next_check_at = %s + random() * make_interval(secs => %s)"
            " WHERE provider = %s AND status = ANY(%s) AND next_check_at IS NOT NULL",
            [clock.now(), spread_s, provider, list(CHECKED)],
        )
        return cursor.rowcount


def _claimed(now: datetime, batch: int) -> list[Link]:
    values: dict[str, Any] = {
        "now": now, "checked": list(CHECKED), "organizations": ORGANIZATIONS, "batch": batch, "lease": now + LEASE,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM.format(fields=", ".join(f"link.{name}" for name in _FIELDS)), values)
        return [Link(**dict(zip(_FIELDS, row, strict=True))) for row in cursor.fetchall()]


def _postponed(claimed: Sequence[Link], now: datetime) -> dict[UUID, datetime | None]:
    """When each link that needs no check now is looked at again; never, where the clock does not check it."""
    paid = {link.id: None for link in claimed if not registry.provider(link.provider).spec.health.is_free}
    rest = [link for link in claimed if link.id not in paid]
    slowed = _slowed_by_incident(rest, now)
    rest = [link for link in rest if link.id not in slowed]
    return {**paid, **slowed, **_proved_by_traffic(rest, now)}


def _slowed_by_incident(links: Sequence[Link], now: datetime) -> dict[UUID, datetime]:
    """When the turn of each link comes whose vendor has an incident; left out are those whose turn it is."""
    providers = {link.provider for link in links}
    struck = Vendor.objects.filter(provider__in=providers).exclude(incident_class="")
    slowed = {}
    for provider, since in struck.values_list("provider", "incident_since"):
        of_vendor = [link for link in links if link.provider == provider]
        for link, turn, round_ in _turns(provider, of_vendor, now):
            seen = max(filter(None, (link.last_checked_at, since)), default=None)
            if seen is not None and turn <= seen:
                slowed[link.id] = turn + round_
    return slowed


def _turns(provider: str, links: Sequence[Link], now: datetime) -> Iterator[tuple[Link, datetime, timedelta]]:
    """
    Yield links with the last moment at which it was their turn, and how long a round takes.

    The turns of a vendor's links are spread evenly, so that the next answer never is further away than a period or so,
    and one link whose own credential is broken does not speak for all.
    """
    with connection.cursor() as cursor:
        cursor.execute(_PLACES, {"provider": provider, "checked": list(CHECKED), "ids": [link.id for link in links]})
        places = {link_id: (place, count) for link_id, place, count in cursor.fetchall()}
    period_s = scaled(registry.provider(provider).spec.health.period_s)
    for link in links:
        if link.id in places:
            place, count = places[link.id]
            round_s = period_s * incident_round(count)
            since_turn_s = (now.timestamp() - round_s * place / count) % round_s
            yield link, now - timedelta(seconds=since_turn_s), timedelta(seconds=round_s)


def _proved_by_traffic(links: Iterable[Link], now: datetime) -> dict[UUID, datetime]:
    """A webhook that verified or a call that succeeded within the period proves a healthy link as a check does."""
    may_wait = [link for link in links if _may_wait(link, now)]
    last_calls = _last_good_calls(may_wait, now)
    proved = {}
    for link in may_wait:
        seen = max(filter(None, (link.last_event_at, last_calls.get(link.id))), default=None)
        if seen is not None and link.last_checked_at is not None and seen > link.last_checked_at:
            last = link.last_checked_at + _periods(link, POSTPONED_PERIODS)
            proved[link.id] = min(seen + _periods(link, 1.0), last)
    return {link_id: due for link_id, due in proved.items() if due > now}


def _may_wait(link: Link, now: datetime) -> bool:
    if link.health != Health.HEALTHY or link.status != LinkStatus.ACTIVE or link.last_checked_at is None:
        return False
    return now - link.last_checked_at < _periods(link, POSTPONED_PERIODS)


def _last_good_calls(links: Sequence[Link], now: datetime) -> dict[UUID, datetime | None]:
    """Find each link's last good call since its last check, the check's own calls not counted."""
    if not links:
        return {}
    since = [link.last_checked_at for link in links]
    values: dict[str, Any] = {
        "ids": [link.id for link in links], "since": since,
        "first_day": min(filter(None, since)).date(), "today": now.date(),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_TRAFFIC, values)
        return dict(cursor.fetchall())


def _periods(link: Link, count: float) -> timedelta:
    period_s = registry.provider(link.provider).spec.health.period_s
    return timedelta(seconds=scaled(period_s) * count * jitter(link.id))
