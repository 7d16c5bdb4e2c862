"""What a vendor says of a payment, applied to its row: up the ladder first, then forward only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Q

from billing import usage
from billing.contract import DisputeStatus, NextAction, PaymentState, PaymentStatus
from billing.models import CheckoutSession, Customer, Dispute, Evidence, Origin, Payment, Refund
from billing.models.base import LONGEST_ID
from billing.services import client_secrets, rows
from billing.services.ladder import MONEY_IN, Claim, Step, climb, keep, stands, weigh
from billing.services.rows import Age
from core.ids import new_id
from dispatch import outbox
from integrations.models import Integration

WRONG_AMOUNT = "amount_mismatch"
"""The warning at a payment for which another amount came than was asked."""

OPEN = frozenset({PaymentStatus.PENDING, PaymentStatus.REQUIRES_ACTION, PaymentStatus.PROCESSING})
"""States in which the payer may still have something to do."""

_RANK: Mapping[str, int] = {
    PaymentStatus.PENDING: 0,
    PaymentStatus.REQUIRES_ACTION: 1,
    PaymentStatus.PROCESSING: 2,
    PaymentStatus.FAILED: 3,
    PaymentStatus.CANCELED: 4,
    PaymentStatus.EXPIRED: 4,
    PaymentStatus.SUCCEEDED: 5,
    PaymentStatus.PARTIALLY_REFUNDED: 6,
    PaymentStatus.REFUNDED: 7,
    PaymentStatus.CHARGED_BACK: 8,
}
"""Which of two states of the same moment is the later one; the vendor is asked all the same."""


def apply(claim: Claim, state: PaymentState, row: Payment | None) -> Payment | None:
    """Apply one state; None when the claim was refused. The evidence is kept in any case."""
    steps = climb(claim)
    payment = rows.locked(row) if row is not None else _find(claim.integration, state)
    if not stands(steps) or (payment is None and state.amount_minor <= 0):
        keep(claim, steps, payment=payment)
        return None
    if payment is None:
        payment = _fresh(claim.integration, state)
    else:
        _name(payment, state)
    return _move(claim, steps, payment, state)


def find_by_any_id(integration: Integration, external_id: str) -> Payment | None:
    """Return the locked payment that the vendor means by an id: its own, or that of its charge or order."""
    if not external_id:
        return None
    name = external_id[:LONGEST_ID]
    ours = Payment.objects.select_for_update().filter(integration=integration)
    return ours.filter(external_id=name).first() or ours.filter(aliases__contains=[name]).first()


def settle_refunded(payment: Payment, refunded_minor: int) -> None:
    """Write what went back, and the state that follows; the payment is locked."""
    before = _shown(payment)
    payment.amount_refunded_minor = refunded_minor
    if payment.status in MONEY_IN:
        payment.status = _money_status(payment, PaymentStatus(payment.status), refunded_minor)
    payment.save()
    _tell(payment, before)


def settle_disputes(payment: Payment) -> None:
    """Write what the payment's disputes make of it; the payment is locked. One that was won is asked for elsewhere."""
    if payment.status not in MONEY_IN or not _has_lost(payment):
        return
    before = _shown(payment)
    payment.status = PaymentStatus.CHARGED_BACK
    payment.save()
    _tell(payment, before)


def _find(integration: Integration, state: PaymentState) -> Payment | None:
    """Return the locked row of a state: by the vendor's id, by ours that the vendor carries, or by an alias."""
    names, ours = _ids(state), rows.as_uuid(state.reference)
    wanted = Q(external_id__in=names) | Q(aliases__overlap=names) | Q(pk=ours, external_id="")
    found = list(Payment.objects.select_for_update().filter(wanted, integration=integration))
    return min(found, key=lambda row: (row.external_id != names[0], row.pk != ours), default=None)


def _fresh(integration: Integration, state: PaymentState) -> Payment:
    """Begin the row of a payment that was not made through us."""
    return Payment(
        id=new_id(),
        integration=integration,
        external_id=state.external_id[:LONGEST_ID],
        origin=Origin.VENDOR,
        status=PaymentStatus.PENDING,
        amount_minor=state.amount_minor,
        currency=state.currency,
    )


def _attach_disputes(payment: Payment, state: PaymentState) -> None:
    """Give a new payment the disputes that came before it."""
    unattached = Dispute.objects.filter(integration=payment.integration, payment=None)
    if unattached.filter(payment_external_id__in=_ids(state)).update(payment=payment):
        settle_disputes(payment)


def _name(payment: Payment, state: PaymentState) -> None:
    """Let a payment of ours take the vendor's id, and all that came under that id before our answer did."""
    name = state.external_id[:LONGEST_ID]
    if payment.external_id in (name, "") and payment.external_id != name:
        twin = Payment.objects.select_for_update().filter(integration=payment.integration, external_id=name).first()
        if twin is not None:
            for model in (Refund, Evidence, Dispute, CheckoutSession):
                model._default_manager.filter(payment=twin).update(payment=payment)
            twin.delete()


def _move(claim: Claim, climbed: list[Step], payment: Payment, state: PaymentState) -> Payment:
    age = _age(claim, payment, state)
    if age is Age.OLDER:
        keep(claim, climbed, payment=payment, note="older than what is known")
        return payment
    _follow_vendor(payment, state)
    steps = [*climbed, weigh(state, payment)]
    before, is_new = _shown(payment), payment._state.adding
    if not stands(steps):
        _write_wrong_amount(payment, state, steps[-1])
    elif age is Age.SAME_MOMENT and _is_behind(claim, payment, state):
        keep(claim, steps, payment=payment, note="of the same moment as what is known, and behind it")
        return payment
    else:
        _write(payment, state)
    rows.mark(payment, state)
    if is_new and (faster := rows.made(payment)) is not payment:
        return _move(claim, climbed, faster, state)
    if not is_new:
        payment.save()
    _link_page(payment, state)
    keep(claim, steps, payment=payment, moved_to=payment.status if payment.status != before["status"] else "")
    _tell(payment, before)
    if is_new:
        _attach_disputes(payment, state)
    return payment


def _age(claim: Claim, payment: Payment, state: PaymentState) -> Age:
    """Money that is said to have come is never dropped for its stamp: the vendor is asked, and its word now counts."""
    age = rows.age(state, payment)
    if age is not Age.OLDER or state.status not in MONEY_IN or payment.status in MONEY_IN:
        return age
    rows.ask_which(claim)
    return Age.SAME_MOMENT if claim.is_word_now else age


def _is_behind(claim: Claim, payment: Payment, state: PaymentState) -> bool:
    """
    Of two unlike states of the same moment the higher one stays, and the vendor says which it was.

    What it says then is what is, though money that went back may have come again; unless the row changed meanwhile.
    """
    status = _status(payment, state)
    if status == payment.status and not _is_other_money(payment, state):
        return False
    if claim.is_word_now and claim.asked_at is not None:
        if claim.asked_at >= payment.updated_at:
            return False
        rows.ask_again(claim)
    else:
        rows.ask_which(claim)
    return _RANK[status] < _RANK[payment.status]


def _is_other_money(payment: Payment, state: PaymentState) -> bool:
    said = (state.amount_received_minor, _refunded(payment, state))
    return state.status in MONEY_IN and said != (payment.amount_received_minor, payment.amount_refunded_minor)


def _follow_vendor(payment: Payment, state: PaymentState) -> None:
    """A payment that the vendor's own pages made has the amount that it has there, until money came for it."""
    if payment.origin != Origin.VENDOR or payment.status in MONEY_IN:
        return
    came = state.amount_received_minor if state.status in MONEY_IN else 0
    payment.amount_minor, payment.currency = came or state.amount_minor or payment.amount_minor, state.currency


def _write_wrong_amount(payment: Payment, state: PaymentState, step: Step) -> None:
    if state.currency == payment.currency:
        payment.amount_received_minor = state.amount_received_minor
    payment.warning = WRONG_AMOUNT
    payment.error = {"code": WRONG_AMOUNT, "reason": WRONG_AMOUNT, "message": step.detail}
    if payment.status not in MONEY_IN:
        payment.status = PaymentStatus.PROCESSING
    _write_ids(payment, state)


def _write(payment: Payment, state: PaymentState) -> None:
    payment.status = _status(payment, state)
    if state.status in MONEY_IN:
        payment.amount_received_minor = state.amount_received_minor
        payment.amount_refunded_minor = _refunded(payment, state)
        payment.paid_at = payment.paid_at or state.paid_at or rows.stamp(state)
        payment.error, payment.warning = None, ""
    elif payment.status not in MONEY_IN:
        problem = state.problem
        payment.error = problem and {"code": problem.code, "reason": problem.reason, "message": problem.message}
    _write_next_action(payment, state.next_action)
    _write_ids(payment, state)


def _write_ids(payment: Payment, state: PaymentState) -> None:
    payment.aliases = sorted({*payment.aliases, *(name[:LONGEST_ID] for name in state.aliases)})
    payment.end_to_end_id = state.end_to_end_id[:40] or payment.end_to_end_id
    payment.expires_at = state.expires_at or payment.expires_at
    payment.intended_at = None
    if state.method and payment.origin == Origin.VENDOR:
        payment.method = state.method
    if state.customer and payment.customer_id is None:
        known = Customer.objects.filter(integration=payment.integration, external_id=state.customer)
        payment.customer = known.first()


def _link_page(payment: Payment, state: PaymentState) -> None:
    """Name a saved payment at the checkout page that it was made on; one that was paid replaces one that was not."""
    if not (page := rows.as_uuid(state.reference)):
        return
    free = Q(payment=None)
    if payment.status in MONEY_IN:
        free |= ~Q(payment__status__in=MONEY_IN)
    CheckoutSession.objects.filter(free, pk=page, integration=payment.integration).update(payment=payment)


def _write_next_action(payment: Payment, action: NextAction | None) -> None:
    if payment.status not in OPEN:
        payment.next_action, payment.sealed_client_secret = None, None
    elif action is not None:
        payment.next_action = action.as_json()
        if action.client_secret is not None:
            client_secrets.seal(payment, action.client_secret)


def _status(payment: Payment, state: PaymentState) -> str:
    """Return the state that follows; a vendor may hold money that came, but not make it never have come."""
    if state.status in MONEY_IN:
        return _money_status(payment, state.status, _refunded(payment, state))
    return payment.status if payment.status in MONEY_IN else state.status


def _refunded(payment: Payment, state: PaymentState) -> int:
    return payment.amount_refunded_minor if state.amount_refunded_minor is None else state.amount_refunded_minor


def _money_status(payment: Payment, status: PaymentStatus, refunded_minor: int) -> str:
    """Which state of paid it is: taken back by a bank, given back whole or in part, or neither."""
    if status is PaymentStatus.CHARGED_BACK or _is_lost(payment):
        return PaymentStatus.CHARGED_BACK
    if refunded_minor >= payment.amount_minor or (status is PaymentStatus.REFUNDED and not refunded_minor):
        return PaymentStatus.REFUNDED
    return PaymentStatus.PARTIALLY_REFUNDED if refunded_minor else PaymentStatus.SUCCEEDED


def _is_lost(payment: Payment) -> bool:
    """Whether a bank took it back; asked only when it may be: a lost dispute settles a payment that was paid."""
    if payment._state.adding or payment.status in MONEY_IN - {PaymentStatus.CHARGED_BACK}:
        return False
    return _has_lost(payment)


def _has_lost(payment: Payment) -> bool:
    return Dispute.objects.filter(payment=payment, status=DisputeStatus.LOST).exists()


def _ids(state: PaymentState) -> list[str]:
    return [name[:LONGEST_ID] for name in (state.external_id, *state.aliases)]


def _shown(payment: Payment) -> dict[str, Any]:
    names = ("status", "amount_received_minor", "amount_refunded_minor", "warning")
    return {name: getattr(payment, name) for name in names}


def _tell(payment: Payment, before: Mapping[str, Any]) -> None:
    """Publish what changed, and count money that came, once."""
    if _shown(payment) == before:
        return
    if payment.status in MONEY_IN and before["status"] not in MONEY_IN:
        usage.count_payment(payment.integration)
    environment = payment.integration.environment
    outbox.publish("payment.updated", str(payment.pk), environment=environment, details={"status": payment.status})
