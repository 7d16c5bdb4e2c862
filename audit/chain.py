"""
The chain over the audit trail: linking committed entries, and finding what was changed, removed or reordered.

Entries are inserted without a lock and linked later by one writer, because a lock at insert would make every action of
the platform wait for every other. Each organization has a chain of its own, so erasing one breaks no other. A cut tail
is invisible to the chain alone: `verify` compares with heads that were kept elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet

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
    the one before it · cut: a head kept elsewhere is not in the chain any more.
    """

    kind: Literal["changed", "missing_entry", "missing_link", "reordered", "cut"]
    chain: str
    sequence: int
    entry_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a verification saw. `unlinked` entries are the tail that no chain protects yet."""

    links: int
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
    chains = [organization_schema] if organization_schema else _all_chains()
    findings: list[Finding] = list(_cut(known_heads))
    walks = [_Walk(chain) for chain in chains]
    for walk in walks:
        findings.extend(walk.findings())
    unlinked = _unlinked(organization_schema)
    return Verification(
        links=sum(walk.links for walk in walks),
        findings=tuple(findings),
        heads=tuple(walk.head for walk in walks if walk.links),
        unlinked=unlinked.count(),
        oldest_unlinked_at=unlinked.order_by("created_at").values_list("created_at", flat=True).first(),
    )


def link_digest(entry: AuditEntry, *, chain: str, sequence: int, previous: bytes) -> bytes:
    """Return the SHA-256 over a link's place, the digest before it and every value of its entry."""
    content = [
        "audit/v1",
        chain,
        sequence,
        previous.hex(),
        str(entry.id),
        entry.organization_schema,
        entry.actor_kind,
        entry.actor_id,
        entry.actor_label,
        entry.action,
        entry.target_kind,
        entry.target_id,
        entry.target_label,
        entry.details,
        entry.request_id,
        entry.ip_digest,
        clock.iso(entry.created_at),
        entry.created_at.microsecond,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).digest()


class _Walk:
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
        links = AuditChainLink.objects.filter(organization_schema=_schema_of(self.chain)).order_by("sequence")
        while page := list(links.filter(sequence__gt=self.sequence)[:BATCH]):
            entries = AuditEntry.objects.in_bulk([link.entry_id for link in page])
            for link in page:
                yield from self._step(link, entries.get(link.entry_id))

    def _step(self, link: AuditChainLink, entry: AuditEntry | None) -> Iterator[Finding]:
        expected, previous = self.sequence + 1, self.previous
        self.sequence, self.previous, self.links = link.sequence, bytes(link.digest), self.links + 1
        if link.sequence != expected:
            yield Finding(kind="missing_link", chain=self.chain, sequence=expected)
        elif bytes(link.previous) != previous:
            yield self._finding("reordered", link)
            return
        if entry is None:
            yield self._finding("missing_entry", link)
        elif self.previous != link_digest(
            entry, chain=self.chain, sequence=link.sequence, previous=bytes(link.previous)
        ):
            yield self._finding("changed", link)

    def _finding(self, kind: Literal["changed", "missing_entry", "reordered"], link: AuditChainLink) -> Finding:
        return Finding(kind=kind, chain=self.chain, sequence=link.sequence, entry_id=link.entry_id)


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
        if not links.filter(digest=head.digest).exists():
            yield Finding(kind="cut", chain=head.chain, sequence=head.sequence)


def _all_chains() -> list[str]:
    schemas = AuditChainLink.objects.values_list("organization_schema", flat=True).distinct()
    return sorted(schema or PLATFORM for schema in schemas)


def _unlinked(organization_schema: str | None) -> QuerySet[AuditEntry]:
    entries = AuditEntry.objects.filter(~Exists(AuditChainLink.objects.filter(entry_id=OuterRef("pk"))))
    return entries.filter(organization_schema=_schema_of(organization_schema)) if organization_schema else entries


def _schema_of(chain: str) -> str | None:
    return None if chain == PLATFORM else chain
