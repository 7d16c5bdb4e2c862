"""What a vendor says of a refund, applied to its row and to its payment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from django.db.models import Sum

from billing.contract import ObjectKind, RefundState, RefundStatus
from billing.models import Payment, Refund, Source
from billing.models.base import LONGEST_ID
from billing.services import payment_states, rows
from billing.services.ladder import Claim, climb, keep, stands
from billing.services.reading import read_later
from billing.services.rows import Age
from core import clock
from core.ids import new_id
from core.pace import scaled
from dispatch import outbox
from integrations.models import Integration

AFTER_ITS_PAYMENT = timedelta(seconds=scaled(10))
"""How much later a refund is read than the payment that it is of, which was not known."""

_RANK: Mapping[str, int] = {
    RefundStatus.PENDING: 0,
    RefundStatus.REQUIRES_ACTION: 1,
    RefundStatus.SUCCEEDED: 2,
    RefundStatus.CANCELED: 3,
    RefundStatus.FAILED: 3,
}


def apply(claim: Claim, state: RefundState, row: Refund | None) -> Refund | None:
    """Apply one state; None when the claim was refused, or its payment is not known yet and is asked for."""
    steps = climb(claim)
    payment = _payment(claim.integration, state, row)
    if not stands(steps):
        keep(claim, steps, payment=payment)
        return None
    if payment is None:
        _ask_for_both(claim, state)
        return None
    refund = rows.locked(row) if row is not None else rows.find(Refund, claim.integration, state)
    refund = refund or rows.made(_new(payment, state))
    _take_over_twin(refund, state)
    before = refund.status
    age = rows.age(state, refund)
    if age is Age.SAME_MOMENT and _is_unlike(refund, state):
        rows.ask_which(claim)
    if age is Age.OLDER or (age is Age.SAME_MOMENT and _RANK[state.status] < _RANK[before]):
        keep(claim, steps, payment=payment, note="older than what is known")
        return refund
    _write(refund, state)
    keep(claim, steps, payment=payment, note=f"refund {refund.status}")
    if refund.status != before or age is Age.NEWER:
        _draw_consequences(payment, refund, is_change=refund.status != before)
    return refund


def _payment(integration: Integration, state: RefundState, row: Refund | None) -> Payment | None:
    """The payment is locked first, always: whoever changes a refund changes its payment, too."""
    if row is not None:
        return rows.locked(row.payment)
    return payment_states.find_by_any_id(integration, state.payment)


def _ask_for_both(claim: Claim, state: RefundState) -> None:
    if claim.source == Source.QUERY:
        return
    read_later(claim.integration, ObjectKind.PAYMENT, state.payment)
    due_at = clock.now() + AFTER_ITS_PAYMENT
    read_later(claim.integration, ObjectKind.REFUND, state.external_id, due_at=due_at)


def _new(payment: Payment, state: RefundState) -> Refund:
    return Refund(
        id=new_id(),
        integration=payment.integration,
        external_id=state.external_id[:LONGEST_ID],
        payment=payment,
        amount_minor=state.amount_minor,
        currency=state.currency,
        status=RefundStatus.PENDING,
    )


def _take_over_twin(refund: Refund, state: RefundState) -> None:
    """A refund of ours whose webhook came before its answer has been kept as a stranger: it is the same one."""
    twins = Refund.objects.filter(integration=refund.integration, external_id=state.external_id[:LONGEST_ID])
    twins.exclude(pk=refund.pk).delete()


def _is_unlike(refund: Refund, state: RefundState) -> bool:
    return (refund.status, refund.amount_minor, refund.currency) != (state.status, state.amount_minor, state.currency)


def _write(refund: Refund, state: RefundState) -> None:
    problem = state.problem
    refund.status = state.status
    refund.amount_minor, refund.currency = state.amount_minor, state.currency
    refund.error = problem and {"code": problem.code, "reason": problem.reason, "message": problem.message}
    refund.intended_at = None
    rows.mark(refund, state)
    refund.save()


def _draw_consequences(payment: Payment, refund: Refund, *, is_change: bool) -> None:
    """Count what went back for sure at once; the vendor's own sum is asked for."""
    if refund.status == RefundStatus.SUCCEEDED:
        done = Refund.objects.filter(payment=payment, status=RefundStatus.SUCCEEDED)
        total = done.aggregate(total=Sum("amount_minor"))["total"] or 0
        payment_states.settle_refunded(payment, max(payment.amount_refunded_minor, total))
    if is_change:
        read_later(payment.integration, ObjectKind.PAYMENT, payment.external_id)
        environment = payment.integration.environment
        outbox.publish("refund.updated", str(refund.pk), environment=environment, details={"status": refund.status})
