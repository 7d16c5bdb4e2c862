"""What a comparison of a day leaves behind: its row, an issue while the day is different, an entry in the trail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_noop

from audit.services import Actor, record
from billing.models import Reconciliation, ReconciliationStatus
from billing.services.comparing import Comparison
from core import clock
from core.money import decimal_text
from integrations.models import Issue
from integrations.services import issues
from integrations.services.credentials import audit_target

MOST_KEPT = 1000
"""Differences of one day that its row keeps, what is still unlike first."""

DIFFERENT = gettext_noop(
    "The payments of %(day)s (UTC) are not the same here and at %(provider)s: %(count)s differ. Received: %(sums)s."
)
LOOK_AT_THEM = gettext_noop(
    "Open the reconciliation of %(day)s and look at each payment in it at %(provider)s. Give back there what was paid "
    "wrongly, or settle it with the payer; the day is compared again daily, and at once when you ask for it."
)


@transaction.atomic
def save(run: Comparison, *, error: Mapping[str, Any] | None, actor: Actor) -> Reconciliation:
    """
    Write what a run found into its day's row, and tell of it where it must be told.

    :param error: {code, message, compared_until, part_s} where the day was not compared to its end
    """
    Reconciliation.objects.get_or_create(
        integration=run.integration, day=run.day, defaults={"status": ReconciliationStatus.FAILED}
    )
    row = Reconciliation.objects.select_for_update().get(integration=run.integration, day=run.day)
    row.totals, differences = _totals(run), _merged(run, row)
    row.vendor_count, row.our_count = run.vendor_count, run.our_count
    row.repaired_count = sum(found["repaired"] for found in differences)
    row.different_count = len(differences) - row.repaired_count
    row.differences = sorted(differences, key=lambda found: found["repaired"])[:MOST_KEPT]
    row.status = _status(run, row, is_failed=error is not None)
    row.error, row.compared_at = error and dict(error), clock.now()
    row.save()
    _tell(run, row)
    if run.found:
        counts = {"repaired": row.repaired_count, "different": row.different_count}
        details = {"day": run.day.isoformat(), **counts}
        record(action="payments.reconciled", actor=actor, target=audit_target(run.integration), details=details)
    return row


def _totals(run: Comparison) -> dict[str, dict[str, int]]:
    return {
        name: {
            "vendor_minor": run.vendor_minor[name],
            "ours_minor": run.our_minor[name],
            "difference_minor": run.vendor_minor[name] - run.our_minor[name],
        }
        for name in sorted({*run.vendor_minor, *run.our_minor})
    }


def _merged(run: Comparison, row: Reconciliation) -> list[dict[str, Any]]:
    """
    Return what was found now and before, each as it was first seen.

    What was unlike before and is not found again by a run that began anew is equal by now.
    """
    merged = {
        (found["external_id"], found["kind"]): {**found, "repaired": found["repaired"] or not run.is_resumed}
        for found in row.differences
    }
    for found in run.found:
        fresh = found.as_json()
        key = (fresh["external_id"], fresh["kind"])
        merged[key] = {**merged.get(key, fresh), "repaired": fresh["repaired"]}
    return list(merged.values())


def _status(run: Comparison, row: Reconciliation, *, is_failed: bool) -> ReconciliationStatus:
    if is_failed:
        return ReconciliationStatus.FAILED
    if row.different_count or any(sums["difference_minor"] for sums in row.totals.values()):
        return ReconciliationStatus.DIFFERENT
    return ReconciliationStatus.REPAIRED if run.found else ReconciliationStatus.EQUAL


def _tell(run: Comparison, row: Reconciliation) -> None:
    """Open an issue for a day that is different, and resolve it when the day no longer is."""
    cause = f"payments_differ:{run.day.isoformat()}"
    if row.status == ReconciliationStatus.DIFFERENT:
        details = {
            "day": run.day.isoformat(),
            "provider": run.integration.provider_class.spec.label,
            "count": str(row.different_count),
            "sums": _said(row.totals),
        }
        issues.open_issue(
            run.integration, cause=cause, text=DIFFERENT, who="user", next_action=LOOK_AT_THEM, details=details
        )
    elif row.status != ReconciliationStatus.FAILED:
        is_open = Issue.objects.filter(integration=run.integration, cause=cause, resolved_at=None).exists()
        if is_open:
            issues.resolve_issues(run.integration, causes=[cause])


def _said(totals: Mapping[str, Mapping[str, int]]) -> str:
    """Write sums with the exact decimals of their currencies: BRL 19.90 there, 0.00 here."""
    parts = [
        f"{name} {decimal_text(sums['vendor_minor'], name)} there, {decimal_text(sums['ours_minor'], name)} here"
        for name, sums in totals.items()
    ]
    return "; ".join(parts) or "0"
