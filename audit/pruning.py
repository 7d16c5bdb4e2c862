"""
Letting go of entries whose time is over, as the owner role: the application's role may delete nothing here.

Only the beginning of a chain goes, and only of an intact one; a signed anchor takes its place, so that `verify` still
proves everything behind it. The last link of a chain always stays: the next one must follow it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import connections, transaction
from django.db.models import Min, QuerySet

from audit import anchors
from audit.chain import verify
from audit.models import PLATFORM, AuditAnchor, AuditChainLink, AuditEntry
from audit.services import Actor, record_alone
from core import clock

log = structlog.get_logger(__name__)

KEEP = timedelta(days=5 * 365 + 2)
"""Five years (RELIABILITY section 7), leap days included."""

OWNER = "owner"

PRUNE_LOCK = 7_405_003
"""Advisory lock: one pruner at a time, who holds it for one transaction."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went from one chain."""

    chain: str
    entries: int


def prune(*, before: datetime | None = None) -> list[Pruned]:
    """
    Delete the entries recorded before a moment (five years ago) and their links; return what went, by chain.

    A damaged chain is left as it is: its beginning is evidence.
    """
    since = before or clock.now() - KEEP
    schemas = AuditEntry.objects.using(OWNER).filter(created_at__lt=since).values_list("organization_schema", flat=True)
    chains = sorted({schema or PLATFORM for schema in schemas.distinct()})
    return [pruned for chain in chains if (pruned := _prune_chain(chain, since)) is not None]


def _prune_chain(chain: str, since: datetime) -> Pruned | None:
    last = _last_to_go(chain, since)
    if last is None:
        return None
    if not verify(chain).is_intact:
        log.error("audit.not_pruned", chain=chain, reason="the chain is damaged")
        return None
    anchor = AuditAnchor(
        organization_schema=last.organization_schema, sequence=last.sequence, digest=bytes(last.digest), entries=0
    )
    if not _replace_by(anchor):
        return None
    details = {"entries": anchor.entries, "sequence": anchor.sequence}
    record_alone(
        action="audit_entry.pruned", actor=Actor.system("retention"), organization_schema=chain, details=details
    )
    return Pruned(chain, anchor.entries)


def _last_to_go(chain: str, since: datetime) -> AuditChainLink | None:
    """Return the last link in front of the first entry that stays; None when nothing goes."""
    links = _links(chain)
    head = links.order_by("-sequence").first()
    if head is None:
        return None
    kept = AuditEntry.objects.using(OWNER).filter(organization_schema=head.organization_schema, created_at__gte=since)
    first_kept = links.filter(entry_id__in=kept.values("id")).aggregate(Min("sequence"))["sequence__min"]
    return links.filter(sequence__lt=min(first_kept or head.sequence, head.sequence)).order_by("-sequence").first()


def _replace_by(anchor: AuditAnchor) -> bool:
    """Put the anchor where its links and their entries were; return whether it was done."""
    with transaction.atomic(using=OWNER):
        with connections[OWNER].cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [PRUNE_LOCK])
            if not cursor.fetchone()[0]:
                return False
        going = _links(anchor.chain).filter(sequence__lte=anchor.sequence)
        entries = AuditEntry.objects.using(OWNER).filter(id__in=going.values("entry_id"))
        anchor.entries = entries.delete()[0]
        going.delete()
        anchor.signature = anchors.signature_of(anchor)
        anchor.save(using=OWNER, force_insert=True)
    return anchor.entries > 0


def _links(chain: str) -> QuerySet[AuditChainLink]:
    return AuditChainLink.objects.using(OWNER).filter(organization_schema=None if chain == PLATFORM else chain)
