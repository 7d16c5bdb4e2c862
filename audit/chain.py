"""
The chain over the audit trail: linking committed entries, and finding what was changed, removed or reordered.

Entries are inserted without a lock and linked later by one writer, because a lock at insert would make every action of
the platform wait for every other. Each organization has a chain of its own, so erasing one breaks no other. A cut tail
is invisible to the chain alone: `verify` compares with heads kept elsewhere (`evidence.py`). Where old entries
were pruned, the chain begins at a signed anchor (`pruning.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, Min, OuterRef, QuerySet

from audit import anchors
from audit.models import PLATFORM, AuditChainLink, AuditEntry
from core import clock

LINK_LOCK = 7_405_002
"""Advisory lock of the one writer; held for a transaction, so a dead writer never keeps it."""

BATCH = 1000
"""Entries linked per transaction and links verified per query."""

LOOK_BACK = timedelta(hours=2)
"""How far before the last linked entry the sweep looks: longer than any transaction here. `everything` looks at all."""

TAIL_MAY_BE = timedelta(seconds=30)
"""An entry unlinked for longer is a finding of operations, not of tampering: a stuck sweep or transaction."""

FIRST_PREVIOUS = bytes(32)

_EPOCH = datetime.fromtimestamp(0, UTC)

_UNLINKED = """
    SELECT entry.* FROM audit_auditentry AS entry
    WHERE entry.created_at >= %(since)s
      -- Older than the oldest open transaction, so nothing can still come before it. A transaction id that this
      -- server has not reached yet came with a restored backup.
      AND (entry.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
           OR (entry.transaction_id >= pg_snapshot_xmax(pg_current_snapshot())
               AND entry.transaction_id IS DISTINCT FROM pg_current_xact_id_if_assigned()))
      AND NOT EXISTS (SELECT FROM audit_auditchainlink AS link WHERE link.entry_id = entry.id)
    ORDER BY entry.transaction_id, entry.id
    LIMIT %(limit)s
"""

_COVERED = (
    "id", "organization_schema", "actor_kind", "actor_id", "actor_label", "action", "target_kind", "target_id",
    "target_label", "details", "request_id", "ip_digest", "created_at",
)  # fmt: skip
"""The columns of an entry that its link's digest covers, in its order."""

_WALK = f"""
    SELECT link.sequence, link.previous, link.digest, link.entry_id, {", ".join(f"entry.{name}" for name in _COVERED)}
    FROM audit_auditchainlink AS link LEFT JOIN audit_auditentry AS entry ON entry.id = link.entry_id
    WHERE {{chain}} AND link.sequence > %s AND link.sequence <= %s ORDER BY link.sequence
"""  # noqa: S608 - constants
"""
A page of a chain as plain rows: model instances would take three times as long. Its end is named, no LIMIT: the
row-level policy makes the planner expect few rows, and with a LIMIT it would read and sort the whole chain each time.
"""

_IS_PLATFORM: tuple[str, list[str]] = ("link.organization_schema IS NULL", [])

_HEADS = """
    SELECT DISTINCT ON (organization_schema) * FROM audit_auditchainlink
    WHERE coalesce(organization_schema, %(platform)s) = ANY(%(chains)s)
    ORDER BY organization_schema, sequence DESC
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The last link of a chain at some time; kept elsewhere, it proves that the chain reached it."""

    chain: str
    sequence: int
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    One place where the trail is not what was written.

    changed: the entry or its link differs · missing_entry, missing_link: removed · reordered: a link does not follow
    the one before it · cut: a head kept elsewhere is not in the chain any more · forged: an anchor, or what was kept
    elsewhere, does not carry our signature.
    """

    kind: Literal["changed", "missing_entry", "missing_link", "reordered", "cut", "forged"]
    chain: str
    sequence: int
    entry_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a verification saw. `unlinked` entries are the tail that no chain protects yet; `known` heads were given."""

    links: int
    known: int = 0
    findings: tuple[Finding, ...]
    heads: tuple[Head, ...]
    unlinked: int
    oldest_unlinked_at: datetime | None

    @property
    def is_intact(self) -> bool:
        """Whether nothing was changed, removed or reordered."""
        return not self.findings

    @property
    def is_tail_late(self) -> bool:
        """Whether linking lags behind more than it may."""
        return self.oldest_unlinked_at is not None and clock.now() - self.oldest_unlinked_at > TAIL_MAY_BE


def link_entries(*, everything: bool = False) -> int:
    """
    Link all committed entries that nothing can precede any more, and return how many.

    Skips when another writer is at work. `everything` also finds entries whose transaction took hours.
    """
    linked = 0
    while done := _link_batch(everything=everything):
        linked += done
    return linked


def verify(organization_schema: str | None = None, *, known_heads: Sequence[Head] = ()) -> Verification:
    """
    Recompute one organization's chain ("public": the platform's), or all that this schema may see.

    :param known_heads: heads kept elsewhere, each of which must still be in its chain
    """
    chains = [organization_schema] if organization_schema else all_chains()
    findings: list[Finding] = list(_cut(known_heads))
    walks = [Walk(chain) for chain in chains]
    for walk in walks:
        findings.extend(walk.findings())
    unlinked = _unlinked(organization_schema)
    return Verification(
        links=sum(walk.links for walk in walks),
        known=len(known_heads),
        findings=tuple(findings),
        heads=tuple(walk.head for walk in walks if walk.links),
        unlinked=unlinked.count(),
        oldest_unlinked_at=unlinked.order_by("created_at").values_list("created_at", flat=True).first(),
    )


def heads() -> list[Head]:
    """Return the last link of every chain that this schema may see, unverified."""
    return [Head(chain=link.chain, sequence=link.sequence, digest=bytes(link.digest)) for link in _heads(all_chains())]


def all_chains() -> list[str]:
    """Return the names of the chains that this schema may see."""
    schemas = AuditChainLink.objects.values_list("organization_schema", flat=True).distinct()
    return sorted(schema or PLATFORM for schema in schemas)


def link_digest(entry: AuditEntry, *, chain: str, sequence: int, previous: bytes) -> bytes:
    """Return the SHA-256 over a link's place, the digest before it and every value of its entry."""
    values = [getattr(entry, name) for name in _COVERED]
    return _digest(values, chain=chain, sequence=sequence, previous=previous)


class Walk:
    """One pass over a chain in the order of its links; a fault is reported once and the walk goes on behind it."""

    def __init__(self, chain: str) -> None:
        self.chain = chain
        self.sequence = 0
        self.previous = FIRST_PREVIOUS
        self.links = 0

    @property
    def head(self) -> Head:
        """The last link seen."""
        return Head(chain=self.chain, sequence=self.sequence, digest=self.previous)

    def findings(self) -> Iterator[Finding]:
        """Yield every fault of the chain."""
        yield from self._start()
        while page := self._page():
            for link, entry in page:
                yield from self._step(link, entry)

    def _start(self) -> Iterator[Finding]:
        """Begin behind what was pruned, if our signature says that it was."""
        anchor = anchors.latest(self.chain)
        if anchor is None:
            return
        self.sequence, self.previous = anchor.sequence, bytes(anchor.digest)
        if not anchors.is_ours(anchor):
            yield Finding(kind="forged", chain=self.chain, sequence=anchor.sequence)

    def _page(self) -> list[tuple[_Link, tuple[Any, ...]]]:
        """Return the next links with what their entries hold; nothing at the end of the chain."""
        found = self._between(self.sequence, self.sequence + BATCH)
        if found:
            return found
        later = AuditChainLink.objects.filter(organization_schema=_schema_of(self.chain), sequence__gt=self.sequence)
        after_gap = later.aggregate(Min("sequence"))["sequence__min"]
        return [] if after_gap is None else self._between(after_gap - 1, after_gap - 1 + BATCH)

    def _between(self, after: int, last: int) -> list[tuple[_Link, tuple[Any, ...]]]:
        schema = _schema_of(self.chain)
        chain, named = ("link.organization_schema = %s", [schema]) if schema else _IS_PLATFORM
        with connection.cursor() as cursor:
            cursor.execute(_WALK.format(chain=chain), [*named, after, last])
            rows = cursor.fetchall()
        width = len(_Link._fields)
        return [(_Link(row[0], bytes(row[1]), bytes(row[2]), row[3]), row[width:]) for row in rows]

    def _step(self, link: _Link, entry: tuple[Any, ...]) -> Iterator[Finding]:
        expected, previous = self.sequence + 1, self.previous
        self.sequence, self.previous, self.links = link.sequence, link.digest, self.links + 1
        if link.sequence != expected:
            yield Finding(kind="missing_link", chain=self.chain, sequence=expected)
        elif link.previous != previous:
            yield self._finding("reordered", link)
            return
        if entry[0] is None:
            yield self._finding("missing_entry", link)
        elif link.digest != _digest(entry, chain=self.chain, sequence=link.sequence, previous=link.previous):
            yield self._finding("changed", link)

    def _finding(self, kind: Literal["changed", "missing_entry", "reordered"], link: _Link) -> Finding:
        return Finding(kind=kind, chain=self.chain, sequence=link.sequence, entry_id=link.entry_id)


class _Link(NamedTuple):
    """A link as it is walked over."""

    sequence: int
    previous: bytes
    digest: bytes
    entry_id: UUID


_ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
_DECODE = json.JSONDecoder().raw_decode  # the database writes no space around its JSON


def _digest(values: Sequence[Any], *, chain: str, sequence: int, previous: bytes) -> bytes:
    """Digest an entry's covered values in their order; `details` may still be the text that a cursor returns."""
    entry_id, *texts, details, request_id, ip_digest, created_at = values
    parsed = _DECODE(details)[0] if isinstance(details, str) else details
    at = (clock.iso(created_at), created_at.microsecond)
    content = ["audit/v1", chain, sequence, previous.hex(), str(entry_id), *texts, parsed, request_id, ip_digest, *at]
    return hashlib.sha256(_ENCODE(content).encode()).digest()


def _link_batch(*, everything: bool) -> int:
    with transaction.atomic(durable=True):
        if not _take_lock():
            return 0
        since = _EPOCH if everything else _since()
        entries = list(AuditEntry.objects.raw(_UNLINKED, {"since": since, "limit": BATCH}))
        AuditChainLink.objects.bulk_create(_links(entries))
    return len(entries)


def _take_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LINK_LOCK])
        return bool(cursor.fetchone()[0])


def _since() -> datetime:
    """Return from when on an unlinked entry may have been recorded."""
    last = AuditChainLink.objects.order_by("-pk").values("entry_id")[:1]
    created_at = AuditEntry.objects.filter(pk__in=last).values_list("created_at", flat=True).first()
    return created_at - LOOK_BACK if created_at else _EPOCH


def _links(entries: Iterable[AuditEntry]) -> list[AuditChainLink]:
    """Make the links of a batch, in its order, each behind the head of its chain."""
    entries = list(entries)
    heads = {head.chain: head for head in _heads({entry.chain for entry in entries})}
    links: list[AuditChainLink] = []
    for entry in entries:
        head = heads.get(entry.chain)
        sequence = head.sequence + 1 if head else 1
        previous = bytes(head.digest) if head else FIRST_PREVIOUS
        link = AuditChainLink(
            organization_schema=entry.organization_schema,
            sequence=sequence,
            entry_id=entry.id,
            previous=previous,
            digest=link_digest(entry, chain=entry.chain, sequence=sequence, previous=previous),
        )
        links.append(link)
        heads[entry.chain] = link
    return links


def _heads(chains: Iterable[str]) -> Iterable[AuditChainLink]:
    return AuditChainLink.objects.raw(_HEADS, {"platform": PLATFORM, "chains": list(chains)})


def _cut(known_heads: Sequence[Head]) -> Iterator[Finding]:
    for head in known_heads:
        links = AuditChainLink.objects.filter(organization_schema=_schema_of(head.chain), sequence=head.sequence)
        if not links.filter(digest=head.digest).exists() and not anchors.covers(head.chain, head.sequence, head.digest):
            yield Finding(kind="cut", chain=head.chain, sequence=head.sequence)


def _unlinked(organization_schema: str | None) -> QuerySet[AuditEntry]:
    entries = AuditEntry.objects.filter(~Exists(AuditChainLink.objects.filter(entry_id=OuterRef("pk"))))
    return entries.filter(organization_schema=_schema_of(organization_schema)) if organization_schema else entries


def _schema_of(chain: str) -> str | None:
    return None if chain == PLATFORM else chain
