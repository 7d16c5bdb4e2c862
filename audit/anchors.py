"""Anchors: the signed beginnings of chains whose oldest entries were pruned."""

from __future__ import annotations

import hmac
import json

from django.db.models import QuerySet

from audit.models import PLATFORM, AuditAnchor
from vault import services as vault

_PURPOSE = "audit.anchor"


def latest(chain: str) -> AuditAnchor | None:
    """Return the anchor at which a chain begins now; None when nothing was pruned."""
    return _of(chain).order_by("-sequence").first()


def covers(chain: str, sequence: int, digest: bytes) -> bool:
    """
    Tell whether a head kept elsewhere was pruned since: it is older than a signed anchor, or is the anchor's own.

    The links between cannot be asked any more; that they once led to the anchor is what its signature says.
    """
    anchor = _of(chain).filter(sequence__gte=sequence).order_by("sequence").first()
    if anchor is None or not is_ours(anchor):
        return False
    return anchor.sequence > sequence or bytes(anchor.digest) == digest


def is_ours(anchor: AuditAnchor) -> bool:
    """Tell whether we signed an anchor; after the organization's keys were destroyed nothing of it is."""
    try:
        return hmac.compare_digest(bytes(anchor.signature), signature_of(anchor))
    except vault.KeysDestroyed:
        return False


def signature_of(anchor: AuditAnchor) -> bytes:
    """Return the signature of an anchor under the key of its organization, which no role of the database holds."""
    content = ["anchor/v1", anchor.chain, anchor.sequence, bytes(anchor.digest).hex(), anchor.entries]
    return vault.keyed_digest(
        json.dumps(content, separators=(",", ":")).encode(), organization_schema=anchor.chain, purpose=_PURPOSE
    )


def _of(chain: str) -> QuerySet[AuditAnchor]:
    return AuditAnchor.objects.filter(organization_schema=None if chain == PLATFORM else chain)
