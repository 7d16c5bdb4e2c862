"""Verify the audit trail."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.evidence import EvidenceUnusable, verify_with_evidence
from audit.services import Verification
from tenants.models import Organization


class Command(BaseCommand):
    """Recompute the chain of one organization or of all, and compare it with the heads kept at EVIDENCE_URL."""

    help = "Recompute the audit chain and say what was changed, removed, reordered or cut; exit 1 if anything was."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take an organization's slug."""
        parser.add_argument("--organization", metavar="SLUG", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify, print one line for each finding, fail if there is one."""
        try:
            found = verify_with_evidence(_schema_name(options["organization"]))
        except EvidenceUnusable as error:
            raise CommandError(str(error)) from None
        for finding in found.findings:
            self.stderr.write(f"{finding.kind}: link {finding.sequence} of {finding.chain}, entry {finding.entry_id}")
        self.stdout.write(_summary(found))
        if not found.is_intact:
            raise CommandError(f"The audit trail is damaged in {len(found.findings)} places.")


def _schema_name(slug: str) -> str | None:
    if not slug:
        return None
    organization = Organization.objects.filter(slug=slug).first()
    if organization is None:
        raise CommandError(f"There is no organization {slug!r}.")
    return str(organization.schema_name)


def _summary(found: Verification) -> str:
    late = ", later than it should be: is the sweep running?" if found.is_tail_late else ""
    kept = f"{found.known} compared with heads kept elsewhere; " if found.known else ""
    return (
        f"{found.links} links in {len(found.heads)} chains verified; {kept}"
        f"{found.unlinked} entries not linked yet{late}."
    )
