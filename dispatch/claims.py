"""
Claiming rows for work: `FOR UPDATE SKIP LOCKED`, at most 5 in work per link and 1 per object, oldest first.

Rows in work anywhere on the platform count, so a noisy link has five of the platform's hands however long its queue
is and however many workers there are. Links take turns: of outside work the first row of each comes before the second
of any; of deliveries the links with the fewest come first, then some links with all that they may have. Which of many
comes first is drawn by lot. Rows without a link take turns by organization. A row whose lease ended is claimed again:
its worker died.

Outside work whose Link is held (`Link.not_before`), or whose vendor's breaker is open, is passed over without a change
to its rows, so it goes on the moment the hold ends. What has reached its deadline is claimed all the same, to be
closed.

Two claims at one moment choose the same rows of a link, and one of them gets none of those.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, QuerySet

from core import clock
from core.ids import new_id
from dispatch.models import LEASE, DeliveryStatus, OutboxEntry, OutboxStatus, WebhookDelivery

BATCH = 100
PER_LINK = 5

MANY_LINKS = 200
"""Up to so many waiting links the five rows of each are looked at; beyond, a claim would read thousands."""

PER_PLATFORM = 25
"""Deliveries of the platform's own URLs belong to no link: they are split, in milliseconds, for all organizations."""

WINDOW = 500
"""
Due rows looked at per link to find five whose object is free: bounds a claim's cost where thousands wait for one
conversation. Other conversations of that link wait while more than this many rows are before theirs.
"""

_GROUPS = """
    {name} AS (
        (SELECT t.{key} AS key FROM {table} t WHERE {is_open} AND {of} ORDER BY t.{key}, {due_at}, t.id LIMIT 1)
        UNION ALL
        SELECT (SELECT t.{key} FROM {table} t WHERE {is_open} AND {of} AND t.{key} > {name}.key
                ORDER BY t.{key}, {due_at}, t.id LIMIT 1)
        FROM {name} WHERE {name}.key IS NOT NULL
    )
"""
"""Each key that has open rows, once: a step per key through the index, however many rows a key has."""

_CANDIDATES = """
    SELECT due.id, due.due_at, COALESCE(busy.rows, 0) + due.place AS turn, {groups}.key::text AS owner
    FROM {groups} LEFT JOIN busy ON busy.key = {groups}.key::text{holds}
    CROSS JOIN LATERAL (
        SELECT taken.id, taken.due_at, row_number() OVER (ORDER BY taken.due_at, taken.id) AS place FROM (
            SELECT s.id, s.due_at FROM (
                SELECT t.*, {due_at} AS due_at FROM {table} t
                WHERE {of} AND t.{key} = {groups}.key AND {is_due} ORDER BY {due_at}, t.id LIMIT {window}
            ) s
            WHERE {is_free} ORDER BY s.due_at, s.id LIMIT LEAST(
                (SELECT CASE WHEN count(*) > {many} THEN 1 ELSE {most} END FROM {groups}),
                GREATEST(0, {most} - COALESCE(busy.rows, 0)))
        ) taken
    ) due
    WHERE {groups}.key IS NOT NULL
"""
"""Where very many keys wait, one row of each is enough to choose from."""

_BY_TURN = "SELECT id, due_at, turn FROM candidates ORDER BY turn, random() LIMIT %(batch)s"
"""The first row of each key before the second of any; among equals by lot."""

_BY_OWNER = """
    SELECT id, due_at, turn FROM (
        SELECT c.*, count(*) OVER (PARTITION BY c.owner) AS waiting FROM candidates c
    ) c ORDER BY waiting >= {most}, hashtextextended(owner, %(lot)s), turn LIMIT %(batch)s
"""
"""
Those with the fewest rows first, and of the others a few with all they may have, drawn by lot: rows of one link are
cheaper together than apart, and whoever has little to do does not wait for those who have much.
"""

_CLAIM = """
    WITH RECURSIVE {linked_groups}, {unlinked_groups},
    busy AS (
        SELECT COALESCE(t.link_id::text, t.{unlinked_key}) AS key, count(*) AS rows FROM {table} t
        WHERE t.status = '{working}' AND t.leased_until > %(now)s GROUP BY 1
    ),
    candidates AS ({linked_candidates} UNION ALL {unlinked_candidates}),
    chosen AS ({choice}),
    locked AS (
        SELECT t.id FROM {table} t
        WHERE t.id = ANY(ARRAY(SELECT id FROM chosen)) AND CASE WHEN {is_due} THEN TRUE ELSE FALSE END
        FOR UPDATE SKIP LOCKED
    )
    UPDATE {table} t SET
        crashes = t.crashes + CASE WHEN t.status = '{working}' THEN 1 ELSE 0 END,
        status = '{working}', attempts = t.attempts + 1, leased_until = %(until)s, lease_id = %(lease)s
    WHERE t.id = ANY(ARRAY(SELECT id FROM locked))
    RETURNING (SELECT turn FROM chosen WHERE chosen.id = t.id), {due_at},
        t.id, t.organization_schema, t.link_id, t.crashes, {waits_for}
"""

# The CASE around what is due in `locked` keeps PostgreSQL from looking these 100 rows up in the index of due times.
_THROUGH_INDEXES = """
    SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off; SET LOCAL jit = off;
"""
"""
The statistics of a queue are old whenever they matter: of a table that was empty an hour ago PostgreSQL would read
20,000 rows and sort them, per link. In the order of an index five are read. These end with the transaction.
"""

_DUE_AT = "GREATEST(t.next_attempt_at, t.not_before)"
"""As the indexes have it; rows that are held back for longer are not even looked at."""

_IS_FREE = """
    (s.object_key = '' OR NOT EXISTS (
        SELECT 1 FROM {table} o WHERE {same_owner} AND o.object_key = s.object_key AND o.object_key <> ''
        AND o.id < s.id AND o.status IN {open}))
"""


_HOLDS = """
    LEFT JOIN LATERAL (
        SELECT GREATEST(l.not_before, v.breaker_until) AS until, COALESCE(l.not_before <= %(now)s, TRUE) AS may_move
        FROM dispatch_link l
        LEFT JOIN dispatch_vendor v ON v.provider = l.provider AND v.breaker <> 'closed' AND v.breaker_until > %(now)s
        WHERE l.id = links.key AND (l.not_before > %(now)s OR v.breaker_until > %(now)s)
    ) held ON TRUE
"""
"""
What holds a link, if anything does: read here once per link, where writing it into its rows took seconds for 20,000.
While only the vendor's breaker is open, work with a second integration is claimed, because it may move there.
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """
    A claimed row: whose it is and the lease that must still hold when the work is done.

    `waits_for` names who is waited for: the provider, or the kind of work where no integration is behind it. `crashes`
    counts the workers that died while they had the row.
    """

    id: UUID
    organization_schema: str | None
    link_id: UUID | None
    lease_id: UUID
    waits_for: str = ""
    crashes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """What differs between the two tables of work; every value is a constant of this module."""

    name: str
    open: str
    working: str
    unlinked_key: str
    unlinked_most: int
    waits_for: str
    may_begin_link: str = ""
    holds: str = ""
    is_held: str = ""
    may_begin_unlinked: str = ""
    has_objects: bool = False
    choice: str = _BY_TURN
    many: str = "%(batch)s"

    def sql(self) -> str:
        """Compose the statement."""
        common: dict[str, str | int] = {
            "table": self.name,
            "open": self.open,
            "due_at": _DUE_AT,
            "many": self.many,
            "window": WINDOW,
            "is_open": f"t.status IN {self.open}",
            "is_due": f"t.status IN {self.open} AND {_DUE_AT} <= %(now)s AND (t.status <> '{self.working}'"
            " OR t.leased_until IS NULL OR t.leased_until <= %(now)s)",
        }
        linked: dict[str, str | int] = {"key": "link_id", "of": "t.link_id IS NOT NULL", "most": PER_LINK}
        unlinked: dict[str, str | int] = {
            "key": self.unlinked_key, "of": "t.link_id IS NULL", "most": self.unlinked_most,
        }  # fmt: skip
        owner = f"o.link_id IS NULL AND o.{self.unlinked_key} = s.{self.unlinked_key}"
        return _CLAIM.format(
            **common,
            choice=self.choice.format(most=PER_LINK),
            working=self.working,
            unlinked_key=self.unlinked_key,
            waits_for=self.waits_for,
            linked_groups=_GROUPS.format(name="links", **common, **linked),
            unlinked_groups=_GROUPS.format(name="owners", **common, **unlinked),
            linked_candidates=self._candidates(
                "links", common | linked | {"holds": self.holds}, "o.link_id = s.link_id", self.is_held
            )
            + self.may_begin_link,
            unlinked_candidates=self._candidates(
                "owners", common | unlinked | {"of": f"t.link_id IS NULL{self.may_begin_unlinked}"}, owner
            ),
        )

    def _candidates(self, groups: str, values: dict[str, str | int], same_owner: str, is_held: str = "") -> str:
        is_free = _IS_FREE.format(same_owner=same_owner, **values) if self.has_objects else "TRUE"
        return _CANDIDATES.format(**{"holds": ""} | values, groups=groups, is_free=is_free + is_held)


_DELIVERIES = _Table(
    name="dispatch_webhookdelivery",
    open="('received', 'failed', 'processing')",
    working="processing",
    unlinked_key="provider",
    unlinked_most=PER_PLATFORM,
    waits_for="t.provider",
    choice=_BY_OWNER,
    many=str(MANY_LINKS),
).sql()

_OUTBOX = _Table(
    name="dispatch_outboxentry",
    open="('waiting', 'working')",
    working="working",
    unlinked_key="organization_schema",
    unlinked_most=PER_LINK,
    waits_for="COALESCE((SELECT l.provider FROM dispatch_link l WHERE l.id = t.link_id), t.kind)",
    may_begin_link=" AND NOT EXISTS (SELECT 1 FROM dispatch_link l WHERE l.id = links.key"
    " AND l.provider = ANY(%(passed_over)s))",
    may_begin_unlinked=" AND t.kind <> ALL(%(passed_over)s)",
    holds=_HOLDS,
    is_held=" AND (held.until IS NULL OR s.expires_at <= %(now)s OR held.may_move AND s.failover_link_id IS NOT NULL)",
    has_objects=True,
).sql()


def claim_deliveries(*, batch: int = BATCH) -> list[Claim]:
    """Claim deliveries that are due."""
    return _claim(_DELIVERIES, batch=batch)


def claim_outbox(*, batch: int = BATCH, passed_over: Collection[str] = ()) -> list[Claim]:
    """
    Claim outbox entries that are due; of one object only the oldest open entry, so that its order is kept.

    :param passed_over: providers and kinds of which nothing is claimed now
    """
    return _claim(_OUTBOX, batch=batch, passed_over=passed_over)


def give_back_deliveries(claims: Sequence[Claim], *, due_at: datetime | None = None) -> None:
    """Return claimed deliveries that were not begun; they count as neither tried nor crashed."""
    rows = WebhookDelivery.objects.filter(status=DeliveryStatus.PROCESSING)
    _give_back(rows, claims, status=DeliveryStatus.RECEIVED, due_at=due_at)


def give_back_outbox(claims: Sequence[Claim], *, due_at: datetime | None = None) -> None:
    """Return claimed entries that were not begun; they count as neither tried nor crashed."""
    rows = OutboxEntry.objects.filter(status=OutboxStatus.WORKING)
    _give_back(rows, claims, status=OutboxStatus.WAITING, due_at=due_at)


def _give_back(rows: QuerySet[Any], claims: Sequence[Claim], *, status: str, due_at: datetime | None) -> None:
    """A row that was claimed again since has another lease and is left alone."""
    if not claims:
        return
    ours = rows.filter(pk__in=[claim.id for claim in claims], lease_id__in={claim.lease_id for claim in claims})
    ours.update(
        status=status, attempts=F("attempts") - 1, leased_until=None, next_attempt_at=due_at or F("next_attempt_at")
    )


def _claim(statement: str, *, batch: int, passed_over: Collection[str] = ()) -> list[Claim]:
    """Claim in one statement; the rows in the order in which they should be begun."""
    lease, now = new_id(), clock.now()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _THROUGH_INDEXES + statement,
            {
                "now": now, "until": now + LEASE, "lease": lease, "batch": batch, "passed_over": list(passed_over),
                "lot": lease.int % 2**31,
            },
        )  # fmt: skip
        while cursor.nextset():  # each SET has a result, too; the last is the claim's
            pass
        rows = sorted(cursor.fetchall(), key=lambda row: row[:3])
    return [Claim(id_, schema, link, lease, waits_for, crashes) for _, _, id_, schema, link, crashes, waits_for in rows]
