"""Verifying all chains again and again, within the time that a worker has, and keeping their heads every day."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.core.cache import cache
from redis import RedisError

from audit import evidence
from audit.chain import Finding, Verification, all_chains, link_entries, verify

BUDGET_S = 45.0
"""Half of a task's soft time limit; chains that did not fit come first in the next hour."""

_PLACE = "audit.verified_to"
_PLACE_KEPT_S = 7 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What one round saw; `kept` is the file of evidence that it wrote, if it wrote one."""

    chains: int
    links: int
    findings: tuple[Finding, ...]
    is_tail_late: bool
    kept: str | None


def watch(*, budget_s: float = BUDGET_S) -> Watched:
    """
    Link what was committed hours late, verify chains until the time is up, and keep today's heads elsewhere.

    Heads are kept of damaged chains, too: what a chain was before its damage is in the files of earlier days.

    :raises EvidenceUnusable: EVIDENCE_URL cannot be used
    """
    link_entries(everything=True)
    known = evidence.known()
    seen = list(_verified(known, budget_s))
    return Watched(
        chains=len(seen),
        links=sum(found.links for found in seen),
        findings=(*known.forged, *(finding for found in seen for finding in found.findings)),
        is_tail_late=any(found.is_tail_late for found in seen),
        kept=evidence.keep_heads(),
    )


def _verified(known: evidence.Known, budget_s: float) -> Iterator[Verification]:
    """Verify one chain after the other, those that are known elsewhere and gone here among them."""
    heads = {head.chain: head for head in known.heads}
    end = time.monotonic() + budget_s
    for chain in _in_turn(sorted({*all_chains(), *heads})):
        yield verify(chain, known_heads=[heads[chain]] if chain in heads else [])
        _remember(chain)
        if time.monotonic() > end:
            return


def _in_turn(chains: Sequence[str]) -> list[str]:
    """Begin behind the chain that was verified last; without Redis, at the first."""
    try:
        last = cache.get(_PLACE, "")
    except RedisError:
        last = ""
    return [*(chain for chain in chains if chain > last), *(chain for chain in chains if chain <= last)]


def _remember(chain: str) -> None:
    try:
        cache.set(_PLACE, chain, timeout=_PLACE_KEPT_S)
    except RedisError:
        return  # the next round begins at the first chain, which costs nothing but order
