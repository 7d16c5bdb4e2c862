"""Charging the card of a page: one claim, one call by a key of this card alone, and what the answer means."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from audit.services import Actor
from billing.contract import CardToken, Payer, PaymentState, PaymentStatus, TakesPayments
from billing.models import Payment
from billing.services import card_pages, rules
from billing.services.outcomes import Outcome, error_data, outcome_of
from billing.services.payments import take_answer, vendor_request
from billing.services.readiness import instance_now, refusing, watching
from core.errors import Conflict
from core.fault_points import reach
from integrations.contract import ProviderError
from integrations.outbound.mapping import NOT_SENT
from tenants.context import release_connection

PAYER = Actor.system("card page")


def finish(payment: Payment, *, card: CardToken, installments: int, tax_id: str = "") -> Payment:
    """
    Charge a card once and return the payment: `requires_action` again, with its error, where another card may be tried.

    No transaction may be open. The card token's digest is part of the vendor's idempotency key: the same token again is
    the same request, another token another one, which is made only after the last one certainly was not charged.

    :param tax_id: of the payer, where the payment names none; goes to the vendor and is not kept
    :raises ValidationFailed: a field cannot be used; nothing was sent
    :raises Conflict: the payment no longer waits for a card, or another card is being charged
    :raises NotReady: the integration cannot be used
    """
    payer = _payer(payment, tax_id)
    provider = instance_now(payment.integration, TakesPayments, actor=PAYER)
    request = replace(
        vendor_request(payment, card=card),
        idempotency_key=_key(payment, card),
        payer=payer,
        installments=installments,
    )
    with refusing():
        provider.check_payment(request)
    if not card_pages.claim(payment, installments=installments, actor=PAYER):
        raise Conflict("This payment does not wait for a card now.")
    release_connection()
    reach("card_page.claimed")
    try:
        with watching(payment.integration):
            state = provider.create_payment(request)
    except ProviderError as error:
        return _after_error(payment, error)
    reach("card_page.answered")
    return _after_answer(payment, state)


def _after_answer(payment: Payment, state: PaymentState) -> Payment:
    """Apply what the vendor said; a declined card leaves the page open for another one."""
    found = take_answer(payment, state)
    if state.status != PaymentStatus.FAILED or found.status != PaymentStatus.FAILED:
        return found
    return card_pages.reopen(found, found.error or {})


def _after_error(payment: Payment, error: ProviderError) -> Payment:
    """Leave what may have been charged in work; let the payer try again where it certainly was not."""
    outcome = outcome_of(error)
    if outcome is Outcome.UNKNOWN:
        return Payment.objects.select_related("integration", "customer").get(pk=payment.pk)
    reason = NOT_SENT if outcome is Outcome.NOT_SENT else error.reason
    return card_pages.reopen(payment, error_data(error, reason))


def _payer(payment: Payment, tax_id: str) -> Payer:
    """Return who pays; the document is asked for only where the payment has none."""
    payer = rules.read_payer(payment.payer)
    if payer.tax_id or not tax_id:
        return payer
    rules.refuse_if(rules.check_tax_id(tax_id, currency=payment.currency, name="tax_id"))
    return replace(payer, tax_id="".join(char for char in tax_id if char.isalnum()))


def _key(payment: Payment, card: CardToken) -> str:
    digest = hashlib.sha256(card.token.reveal().encode()).hexdigest()
    return f"{payment.pk.hex}:{digest[:24]}"
