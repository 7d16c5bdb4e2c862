"""What a vendor says of a dispute, applied to its row and to its payment."""

from __future__ import annotations

from collections.abc import Mapping

from billing.contract import DisputeState, DisputeStatus, ObjectKind
from billing.models import Dispute, Payment, Source
from billing.models.base import LONGEST_ID
from billing.services import payment_states, rows
from billing.services.ladder import Claim, climb, keep, stands
from billing.services.reading import read_later
from billing.services.rows import Age
from core.ids import new_id
from dispatch import outbox

_RANK: Mapping[str, int] = {
    DisputeStatus.OPEN: 0,
    DisputeStatus.UNDER_REVIEW: 1,
    DisputeStatus.WON: 2,
    DisputeStatus.LOST: 2,
}
CLOSED = frozenset({DisputeStatus.WON, DisputeStatus.LOST})


def apply(claim: Claim, state: DisputeState, row: Dispute | None) -> Dispute | None:
    """Apply one state; None when the claim was refused."""
    steps = climb(claim)
    payment = payment_states.find_by_any_id(claim.integration, state.payment)
    if not stands(steps):
        keep(claim, steps, payment=payment)
        return None
    if payment is None and state.payment and claim.source != Source.QUERY:
        read_later(claim.integration, ObjectKind.PAYMENT, state.payment)
    dispute = row or rows.find(Dispute, claim.integration, state)
    is_new = dispute is None
    dispute = dispute or rows.made(_new(claim, state))
    before = "" if is_new else dispute.status
    age = rows.age(state, dispute)
    if age is Age.SAME_MOMENT and (dispute.status, dispute.amount_minor) != (state.status, state.amount_minor):
        rows.ask_which(claim)
    if age is Age.OLDER or (age is Age.SAME_MOMENT and _RANK[state.status] < _RANK.get(before, 0)):
        keep(claim, steps, payment=payment, note="older than what is known")
        return dispute
    _write(dispute, payment, state)
    keep(claim, steps, payment=payment, note=f"dispute {dispute.status}")
    _tell(dispute, payment, before)
    return dispute


def _new(claim: Claim, state: DisputeState) -> Dispute:
    return Dispute(
        id=new_id(),
        integration=claim.integration,
        external_id=state.external_id[:LONGEST_ID],
        amount_minor=state.amount_minor,
        currency=state.currency,
    )


def _write(dispute: Dispute, payment: Payment | None, state: DisputeState) -> None:
    dispute.payment = payment or dispute.payment
    dispute.payment_external_id = state.payment[:LONGEST_ID]
    dispute.status, dispute.reason = state.status, state.reason[:120]
    dispute.amount_minor, dispute.currency = state.amount_minor, state.currency
    dispute.evidence_due_at = state.evidence_due_at or dispute.evidence_due_at
    rows.mark(dispute, state)
    dispute.save()


def _tell(dispute: Dispute, payment: Payment | None, before: str) -> None:
    environment, details = dispute.integration.environment, {"status": dispute.status}
    if not before:
        outbox.publish("dispute.opened", str(dispute.pk), environment=environment, details=details)
    if dispute.status in CLOSED and before not in CLOSED:
        outbox.publish("dispute.closed", str(dispute.pk), environment=environment, details=details)
    if payment is not None and dispute.status != before:
        payment_states.settle_disputes(payment)
        read_later(dispute.integration, ObjectKind.PAYMENT, payment.external_id)
