"""
Making a payment: rules, then the intent in a row, then the vendor, then what it said.

A request whose answer is lost is never repeated: the payment stays `processing`, and the outbox asks the vendor what
became of it (`billing.services.settling`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction

from audit.services import Actor, Target, record
from billing.contract import (
    CardToken,
    Method,
    ObjectKind,
    Payer,
    PaymentRequest,
    PaymentState,
    PaymentStatus,
    TakesPayments,
)
from billing.models import Origin, Payment, Source
from billing.services import card_pages, customers, rules
from billing.services.applying import apply_state
from billing.services.outcomes import Outcome, fail_payment, outcome_of, request_key, require_same
from billing.services.payment_states import OPEN
from billing.services.readiness import class_with, instance_now, refusing, require_usable, watching
from billing.services.reading import read_on, read_row_later
from billing.services.rules import PaymentDraft
from billing.services.settling import settle_later
from core import clock
from core.errors import Conflict
from core.fault_points import reach
from core.ids import new_id
from integrations.contract import ProviderError, RequestRejected
from integrations.models import Integration
from integrations.outbound.mapping import NOT_SENT
from tenants.base import insert_new
from tenants.context import release_connection


def create_payment(
    integration: Integration,
    *,
    amount_minor: int,
    currency: str,
    method: str,
    customer: str = "",
    payer: Payer | None = None,
    card: CardToken | None = None,
    description: str = "",
    installments: int = 1,
    expires_in_s: int | None = None,
    metadata: Mapping[str, str] | None = None,
    return_url: str = "",
    caller_key: str = "",
    origin: Origin = Origin.API,
    actor: Actor,
) -> Payment:
    """
    Make a payment at the vendor and return its row: declined is `failed`, a lost answer is `processing`.

    No transaction may be open: the intent is committed before the vendor is called.

    :param customer: our id of a customer, or the vendor's
    :param caller_key: the caller's idempotency key; a request that comes again with it returns the payment there is
    :raises ValidationFailed: a rule of ours or of the vendor forbids it; nothing was stored or sent
    :raises NotReady: the integration cannot be used
    :raises Conflict: the key was used for another payment
    :raises ProviderError: the vendor refused it, or was not reached; the row is kept as `failed`
    """
    require_usable(integration)
    draft = rules.checked(
        PaymentDraft(
            amount_minor=amount_minor,
            currency=currency,
            method=method,
            customer=customers.find_customer(integration, customer) if customer else None,
            payer=payer or Payer(),
            card=card,
            description=description,
            installments=installments,
            expires_in_s=expires_in_s,
            metadata=metadata or {},
            return_url=return_url,
        ),
        class_with(integration, TakesPayments),
    )
    row = _row(integration, draft, origin=origin, key=request_key(integration, caller_key, use="payment"))
    known = _repeated(row)
    if known is not None and not _was_not_sent(known):
        return known
    if card_pages.serves(integration, method=method, card=card, return_url=return_url):
        return card_pages.begin(row, vendor_request(row), actor=actor)
    return _make(row, known=known, card=card, actor=actor)


def cancel_payment(payment: Payment, *, actor: Actor) -> Payment:
    """
    Cancel a payment that nobody has paid.

    One that failed or whose time is over may still be payable at the vendor: there the vendor decides.

    :raises Conflict: it was paid, is over, or the vendor has not confirmed it yet
    :raises ProviderError: the vendor could not be asked; what became of it is read later
    """
    if card_pages.waits(payment) and card_pages.close(payment, status=PaymentStatus.CANCELED, actor=actor):
        return Payment.objects.select_related("integration", "customer").get(pk=payment.pk)
    if payment.status not in OPEN and not (payment.status in _MAY_BE_PAYABLE and payment.external_id):
        raise Conflict(f"This payment is {payment.status}: only one that nobody has paid can be canceled.")
    if not payment.external_id:
        raise Conflict("The provider has not confirmed this payment yet. Ask again shortly.")
    provider = instance_now(payment.integration, TakesPayments, actor=actor)
    with transaction.atomic():
        _record("payment.cancel_requested", payment, actor)
    release_connection()
    try:
        with watching(payment.integration):
            state = provider.cancel_payment(payment.external_id, idempotency_key=str(new_id()))
    except ProviderError as error:
        read_row_later(payment, ObjectKind.PAYMENT, due_at=clock.now())
        if isinstance(error, RequestRejected):
            raise Conflict(
                f"The provider no longer cancels this payment. {error.vendor_detail}".strip(), internal=error.internal
            ) from error
        raise
    return take_answer(payment, state)


_MAY_BE_PAYABLE = frozenset({PaymentStatus.FAILED, PaymentStatus.EXPIRED})
"""States of ours in which the vendor may still take money: at Stripe an intent waits for another card."""


def vendor_request(payment: Payment, *, card: CardToken | None = None) -> PaymentRequest:
    """Write a payment as its provider takes it; what is written twice is equal, but for the card."""
    integration = payment.integration
    is_told = class_with(integration, TakesPayments).needs_notification_url
    return PaymentRequest(
        reference=str(payment.pk),
        idempotency_key=str(payment.pk),
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        method=Method(payment.method),
        description=payment.description,
        customer=payment.customer.external_id if payment.customer else "",
        payer=rules.read_payer(payment.payer),
        card=card,
        installments=payment.installments,
        expires_at=payment.expires_at,
        return_url=payment.return_url,
        metadata=payment.metadata,
        notification_url=integration.webhook_url if is_told else "",
    )


def take_answer(payment: Payment, state: PaymentState, *, source: Source = Source.ANSWER) -> Payment:
    """Apply what the vendor said of a payment of ours, and look again when its time is over."""
    with transaction.atomic():
        apply_state(payment.integration, state, source=source, is_fetched=True, row=payment)
        found = Payment.objects.select_related("integration", "customer").get(pk=payment.pk)
        read_on(found)
    return found


def _row(integration: Integration, draft: PaymentDraft, *, origin: Origin, key: str) -> Payment:
    now = clock.now()
    return Payment(
        id=new_id(),
        integration=integration,
        customer=draft.customer,
        origin=origin,
        status=PaymentStatus.PROCESSING,
        amount_minor=draft.amount_minor,
        currency=draft.currency,
        method=draft.method,
        description=draft.description,
        payer=rules.payer_data(draft.payer),
        installments=draft.installments,
        return_url=draft.return_url,
        metadata=dict(draft.metadata),
        request_key=key,
        expires_at=now + timedelta(seconds=draft.expires_in_s) if draft.expires_in_s else None,
        intended_at=now,
        created_at=now,
    )


_SAME = (
    "customer_id", "amount_minor", "currency", "method", "description", "payer", "installments", "metadata",
    "return_url",
)  # fmt: skip
"""What makes two requests the same one; a card token is not kept."""


def _repeated(row: Payment) -> Payment | None:
    """
    Return the payment that this request made before, if any.

    :raises Conflict: the key was used for another payment
    """
    if not row.request_key:
        return None
    rows = Payment.objects.select_related("integration", "customer")
    known = rows.filter(integration=row.integration, request_key=row.request_key).first()
    if known is not None:
        require_same(all(getattr(known, name) == getattr(row, name) for name in _SAME))
    return known


def _was_not_sent(payment: Payment) -> bool:
    return payment.status == PaymentStatus.FAILED and (payment.error or {}).get("reason") == NOT_SENT


def _make(row: Payment, *, known: Payment | None, card: CardToken | None, actor: Actor) -> Payment:
    """Ask the vendor once, if this process is the one that may."""
    if known is not None:
        row.pk = known.pk
    provider = instance_now(row.integration, TakesPayments, actor=actor)
    request = vendor_request(row, card=card)
    with refusing():
        provider.check_payment(request)
    if not _intend(row, known=known, actor=actor):
        rows = Payment.objects.select_related("integration", "customer")
        return rows.get(integration=row.integration, request_key=row.request_key)
    release_connection()
    reach("payment.intended")
    try:
        with watching(row.integration):
            state = provider.create_payment(request)
    except ProviderError as error:
        return _after_error(row, error)
    reach("payment.answered")
    return take_answer(row, state)


@transaction.atomic
def _intend(row: Payment, *, known: Payment | None, actor: Actor) -> bool:
    """Commit that the vendor is about to be asked; of several that repeat one request, one may."""
    if known is None:
        is_ours = bool(insert_new([row]))
    else:
        unsent = Payment.objects.filter(pk=row.pk, status=PaymentStatus.FAILED, error__reason=NOT_SENT)
        facts: dict[str, Any] = {"intended_at": row.intended_at, "expires_at": row.expires_at}
        is_ours = unsent.update(status=PaymentStatus.PROCESSING, error=None, **facts) == 1
    if is_ours:
        settle_later(row)
        _record("payment.created", row, actor)
    return is_ours


def _after_error(payment: Payment, error: ProviderError) -> Payment:
    """Write what an error means; raise it where the caller must act."""
    outcome = outcome_of(error)
    if outcome is Outcome.UNKNOWN:
        return payment
    reason = NOT_SENT if outcome is Outcome.NOT_SENT else error.reason
    with transaction.atomic():
        failed = fail_payment(payment, error, reason=reason)
    if outcome is Outcome.DECLINED:
        return failed
    raise error


def _record(action: str, payment: Payment, actor: Actor) -> None:
    record(
        action=action,
        actor=actor,
        target=Target(kind="payment", id=str(payment.pk), label=f"{payment.amount_minor} {payment.currency}"),
        details={"integration": str(payment.integration_id), "method": payment.method},
    )
