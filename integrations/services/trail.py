"""Watching the audit trail: what is found is logged and told to the platform's staff, once a day for each place."""

from __future__ import annotations

import structlog

from audit.chain import Finding
from audit.evidence import EvidenceUnusable
from audit.watch import Watched, watch
from notifications.services import notify_staff

log = structlog.get_logger(__name__)

DAMAGED = "audit.damaged"
LATE = "audit.tail_late"
UNUSABLE = "audit.evidence_unusable"

REPORTED_AT_MOST = 20
"""Findings in one note: a trail that is damaged in more places needs `verify_audit`, not a longer note."""


def sweep() -> Watched | None:
    """Watch once and tell what is wrong; None when there is no place for evidence that can be used."""
    try:
        seen = watch()
    except (EvidenceUnusable, OSError) as error:
        log.error("audit.evidence_unusable", error=type(error).__name__)
        text = str(error) if isinstance(error, EvidenceUnusable) else "The place of EVIDENCE_URL cannot be written to."
        notify_staff(kind=UNUSABLE, text=text)
        return None
    if seen.findings:
        _report(seen.findings)
    if seen.is_tail_late:
        log.warning("audit.tail_late")
        notify_staff(kind=LATE, text="Audit entries wait longer than 30 s to be linked: is the worker running?")
    return seen


def _report(findings: tuple[Finding, ...]) -> None:
    for finding in findings[:REPORTED_AT_MOST]:
        log.error(
            "audit.damaged", finding=finding.kind, chain=finding.chain, sequence=finding.sequence,
            entry_id=str(finding.entry_id or ""),
        )  # fmt: skip
    chains = sorted({finding.chain for finding in findings})
    notify_staff(
        kind=DAMAGED,
        text=f"The audit trail is damaged in {len(findings)} places ({', '.join(chains[:REPORTED_AT_MOST])}). "
        "Run verify_audit and keep the database and the evidence as they are.",
        target=("audit_chain", chains[0]),
    )
