"""
Giving money back: the rest under the payment's lock, then the intent in a row, then the vendor.

A request whose answer is lost is sent again by the outbox, by the same key, so that the vendor pays back once.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NoReturn

from django.db import transaction
from django.db.models import Sum

from audit.services import Actor, Target, record
from billing.contract import ObjectKind, PaymentStatus, RefundRequest, RefundState, RefundStatus, TakesPayments
from billing.models import Payment, Refund, Source
from billing.services import rules
from billing.services.applying import apply_state
from billing.services.outcomes import Outcome, fail_refund, outcome_of, request_key, require_same
from billing.services.readiness import instance_now, require_usable, watching
from billing.services.reading import read_row_later
from billing.services.settling import LOOKS_S
from core import clock
from core.errors import Conflict, ValidationFailed
from core.fault_points import reach
from core.ids import new_id
from core.money import decimal_text
from core.pace import scaled
from dispatch import outbox
from integrations.contract import ProviderError
from integrations.outbound.mapping import NOT_SENT
from tenants.context import release_connection

SEND = "refund.send"

REMEMBERED_FOR = timedelta(hours=20)
"""How long a request is repeated: vendors remember an idempotency key for a day, then it would pay back again."""

PENDING_FOR = timedelta(seconds=scaled(3600))
"""When a refund that the vendor works on is asked for; most are done within minutes and told by webhook."""

LONGEST_REASON = 200

REFUNDABLE = frozenset({PaymentStatus.SUCCEEDED, PaymentStatus.PARTIALLY_REFUNDED})
NOT_GIVEN_BACK = frozenset({RefundStatus.FAILED, RefundStatus.CANCELED})


def refund_payment(
    payment: Payment, *, amount_minor: int | None = None, reason: str = "", caller_key: str = "", actor: Actor
) -> Refund:
    """
    Give back part of a payment, or all that is left of it, and return the refund's row.

    No transaction may be open: the intent is committed before the vendor is called.

    :raises ValidationFailed: the amount is none, or above the rest; the text names the rest
    :raises Conflict: the payment is not paid, or nothing is left; or the key was used for another refund
    :raises ProviderError: the vendor refused it, or was not reached; the row is kept as `failed`
    """
    require_usable(payment.integration)
    _check(amount_minor, reason)
    key = request_key(payment.integration, caller_key, use="refund")
    known = Refund.objects.filter(integration=payment.integration, request_key=key).first() if key else None
    if known is not None:
        same = (known.payment_id, known.reason) == (payment.pk, reason) and amount_minor in (None, known.amount_minor)
        require_same(same)
        if not _was_not_sent(known):
            return known
    provider = instance_now(payment.integration, TakesPayments, actor=actor)
    if known is None:
        refund = _intend(payment, amount_minor, reason=reason, key=key, actor=actor)
    elif not _intend_again(known, actor=actor):
        return Refund.objects.get(pk=known.pk)
    else:
        refund = Refund.objects.select_related("integration", "payment__integration").get(pk=known.pk)
    return _send(refund, provider)


def _send(refund: Refund, provider: TakesPayments) -> Refund:
    """Ask the vendor once, outside of transactions."""
    request = vendor_request(refund)
    release_connection()
    reach("refund.intended")
    try:
        with watching(refund.integration):
            state = provider.refund_payment(request)
    except ProviderError as error:
        return _after_error(refund, error)
    reach("refund.answered")
    return take_answer(refund, state)


def rest_of(payment: Payment) -> int:
    """Return what can still be given back, in minor units; exact while the payment is locked."""
    ours = Refund.objects.filter(payment=payment).exclude(status__in=NOT_GIVEN_BACK)
    promised = ours.aggregate(total=Sum("amount_minor"))["total"] or 0
    return max(0, payment.amount_received_minor - max(promised, payment.amount_refunded_minor))


def vendor_request(refund: Refund) -> RefundRequest:
    """Write a refund as its provider takes it; what is written twice is equal."""
    payment = refund.payment
    return RefundRequest(
        reference=str(refund.pk),
        idempotency_key=str(refund.pk),
        payment=payment.external_id,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
        is_full=refund.amount_minor == payment.amount_received_minor,
        reason=refund.reason,
        end_to_end_id=payment.end_to_end_id,
    )


def take_answer(refund: Refund, state: RefundState) -> Refund:
    """Apply what the vendor said of a refund of ours; one that is on its way is asked for later."""
    with transaction.atomic():
        apply_state(refund.integration, state, source=Source.ANSWER, is_fetched=True, row=refund)
        found = Refund.objects.select_related("integration", "payment").get(pk=refund.pk)
        if found.status == RefundStatus.PENDING:
            read_row_later(found, ObjectKind.REFUND, due_at=clock.now() + PENDING_FOR)
    return found


def is_forgotten(refund: Refund) -> bool:
    """Whether the vendor may have forgotten the request's key."""
    return clock.now() - (refund.intended_at or refund.created_at) > REMEMBERED_FOR


def send_later(refund: Refund, *, look: int = 0) -> None:
    """Have a refund sent again if its answer does not come, in the transaction of its intent."""
    wait_s = scaled(LOOKS_S[min(look, len(LOOKS_S) - 1)])
    due_at = clock.now() + timedelta(seconds=wait_s)
    details = {"look": look}
    outbox.add(SEND, link_id=refund.integration_id, object_id=str(refund.pk), details=details, due_at=due_at)


def read_payment_later(refund: Refund) -> None:
    """Have the payment read, whose own sum says what went back."""
    read_row_later(refund.payment, ObjectKind.PAYMENT, due_at=clock.now())


def _check(amount_minor: int | None, reason: str) -> None:
    asked = [] if amount_minor is None else [*rules.check_amount(amount_minor)]
    rules.refuse_if([*rules.check_length(reason, LONGEST_REASON, name="reason"), *asked])


@transaction.atomic
def _intend(payment: Payment, amount_minor: int | None, *, reason: str, key: str, actor: Actor) -> Refund:
    """Commit that so much is about to be given back; the lock lets nobody promise the same money twice."""
    locked = Payment.objects.select_for_update(of=("self",)).select_related("integration").get(pk=payment.pk)
    amount = _amount(locked, amount_minor)
    now = clock.now()
    refund = Refund.objects.create(
        id=new_id(),
        integration=locked.integration,
        payment=locked,
        amount_minor=amount,
        currency=locked.currency,
        reason=reason,
        request_key=key,
        intended_at=now,
        created_at=now,
    )
    send_later(refund)
    _record(refund, actor)
    return refund


@transaction.atomic
def _intend_again(refund: Refund, *, actor: Actor) -> bool:
    """
    Commit that a refund that never left us is sent after all; of several that repeat the request, one may.

    :raises Conflict: the money was given back meanwhile
    :raises ValidationFailed: less is left than that
    """
    locked = Payment.objects.select_for_update(of=("self",)).get(pk=refund.payment_id)
    unsent = Refund.objects.filter(pk=refund.pk, status=RefundStatus.FAILED, error__reason=NOT_SENT)
    if not unsent.exists():
        return False
    _amount(locked, refund.amount_minor)
    unsent.update(status=RefundStatus.PENDING, error=None, intended_at=clock.now())
    send_later(refund)
    _record(refund, actor)
    return True


def _was_not_sent(refund: Refund) -> bool:
    return refund.status == RefundStatus.FAILED and (refund.error or {}).get("reason") == NOT_SENT


def _record(refund: Refund, actor: Actor) -> None:
    label = f"{refund.amount_minor} {refund.currency}"
    record(
        action="refund.created",
        actor=actor,
        target=Target(kind="payment", id=str(refund.payment_id), label=label),
        details={"refund": str(refund.pk), "integration": str(refund.integration_id)},
    )


def _amount(payment: Payment, amount_minor: int | None) -> int:
    """
    Return how much goes back, all that is left unless told.

    :raises Conflict: nothing can be given back
    :raises ValidationFailed: more than is left
    """
    rest = rest_of(payment)
    if payment.status == PaymentStatus.REFUNDED or (payment.status in REFUNDABLE and rest == 0):
        raise Conflict("Nothing of this payment is left to refund.", code="already_refunded")
    if payment.status not in REFUNDABLE:
        raise Conflict(f"This payment is {payment.status}: only money that came can be refunded.")
    if amount_minor is not None and amount_minor > rest:
        _refuse_amount(rest, payment.currency)
    return rest if amount_minor is None else amount_minor


def _refuse_amount(rest: int, currency: str) -> NoReturn:
    text = f"At most {rest} is left to refund ({decimal_text(rest, currency)} {currency})."
    raise ValidationFailed(text, errors={"amount_minor": [text]})


def _after_error(refund: Refund, error: ProviderError) -> Refund:
    """Write what an error means; raise it unless the answer is still to come."""
    outcome = outcome_of(error)
    if outcome is Outcome.UNKNOWN:
        return refund
    with transaction.atomic():
        fail_refund(refund, error, reason=NOT_SENT if outcome is Outcome.NOT_SENT else error.reason)
    raise error
