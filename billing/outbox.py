"""
The outside work of billing: what became of a request whose answer was lost, and what an object is now.

No kind names a second integration: money never moves to another account by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.contract import AnyState, ObjectKind, PaymentState, ReadsBilling, RefundState, TakesPayments
from billing.models import Origin, Payment, Refund, Source, VendorObject
from billing.services import payments, refunds, settling
from billing.services.applying import apply_state
from billing.services.outcomes import NOT_CREATED, Outcome, fail_payment, fail_refund, outcome_of
from billing.services.readiness import instance_with
from billing.services.reading import MODELS, read_on
from core import clock
from core.fault_points import reach
from dispatch.models import OutboxEntry
from integrations.contract import NotFound, ProviderError, RequestRejected, Unavailable
from integrations.models import Integration
from tenants.context import release_connection


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look at the vendor found; nothing was asked where the answer came by itself meanwhile."""

    was_asked: bool
    state: PaymentState | None = None


class SettlePayment:
    """Look for a payment whose answer was lost: apply what is found, look again while it may come, then fail it."""

    def call(self, entry: OutboxEntry, integration: Integration | None) -> Looked:
        """
        Ask the vendor; only reads.

        :raises ProviderError: the vendor could not be asked
        """
        payment = _payment(entry)
        if integration is None or payment.intended_at is None or payment.external_id:
            return Looked(was_asked=False)
        provider = instance_with(integration, TakesPayments)
        request = payments.vendor_request(payment)
        release_connection()
        try:
            found = provider.find_payment(request, since=payment.created_at - settling.CLOCKS_DIFFER)
        except NotFound:
            found = None
        return Looked(was_asked=True, state=found)

    def settle(self, entry: OutboxEntry, integration: Integration | None, result: Looked) -> None:
        """Apply what was found; a payment that no look found was never made."""
        if not result.was_asked:
            return
        payment = _payment(entry)
        if result.state is not None and not _is_anothers(payment, result.state):
            payments.take_answer(payment, result.state, source=Source.QUERY)
        elif settling.is_last(entry):
            fail_payment(payment, NotFound("no look found it", next_action=_MAKE_ANEW), reason=NOT_CREATED)
        else:
            settling.look_again(payment, entry)

    def give_up(self, entry: OutboxEntry, integration: Integration | None, error: ProviderError) -> None:
        """Nobody could be asked, so nothing is known: keep looking, for days if need be."""
        settling.look_again(_payment(entry), entry, counts=False)


class SendRefund:
    """Ask for the same refund again, by the same key: the vendor does it once and says what became of it."""

    def call(self, entry: OutboxEntry, integration: Integration | None) -> RefundState | None:
        """
        Repeat the request while the vendor surely remembers its key.

        :raises ProviderError: its class decides about another try
        """
        refund = _refund(entry)
        if integration is None or refund.intended_at is None or refund.external_id:
            return None
        if refunds.is_forgotten(refund):
            raise Unavailable("the key may be forgotten by now: a repetition could pay twice", reason="too_late")
        provider = instance_with(integration, TakesPayments)
        request = refunds.vendor_request(refund)
        release_connection()
        reach("refund.intended")
        return provider.refund_payment(request)

    def settle(self, entry: OutboxEntry, integration: Integration | None, result: RefundState | None) -> None:
        """Apply the vendor's answer."""
        if result is not None:
            refunds.take_answer(_refund(entry), result)

    def give_up(self, entry: OutboxEntry, integration: Integration | None, error: ProviderError) -> None:
        """A refusal is an answer; what nobody answered is asked again, then left to the vendor's own news."""
        refund = _refund(entry)
        if isinstance(error, RequestRejected) and outcome_of(error) is not Outcome.UNKNOWN:
            fail_refund(refund, error, reason=error.reason)
        elif not refunds.is_forgotten(refund):
            refunds.send_later(refund, look=int(entry.details.get("look", 0)) + 1)
        refunds.read_payment_later(refund)


@dataclass(frozen=True, slots=True)
class Seen:
    """What an object was at the vendor, asked at a time of ours."""

    state: AnyState
    asked_at: datetime


class ReadObject:
    """Read one object and apply what it says."""

    def call(self, entry: OutboxEntry, integration: Integration | None) -> Seen | None:
        """
        Ask the vendor; only reads.

        :raises ProviderError: its class decides about another try
        """
        kind = ObjectKind(entry.details["kind"])
        row = _row(entry, kind)
        external_id = row.external_id if row is not None else str(entry.details.get("external_id", ""))
        if integration is None or not external_id:
            return None
        provider = instance_with(integration, ReadsBilling)
        release_connection()
        asked_at = clock.now()
        return Seen(state=provider.fetch_object(kind, external_id), asked_at=asked_at)

    def settle(self, entry: OutboxEntry, integration: Integration | None, result: Seen | None) -> None:
        """Apply the answer; a charge whose end the vendor has not said yet is looked at again."""
        kind = ObjectKind(entry.details["kind"])
        row = _row(entry, kind)
        if result is not None and integration is not None:
            row = _applied(integration, result, row) or row
        if isinstance(row, Payment):
            read_on(row)

    def give_up(self, entry: OutboxEntry, integration: Integration | None, error: ProviderError) -> None:
        """The entry's own status says it; webhooks and the reconciliation say the rest."""


_MAKE_ANEW = "The provider has no such payment: make a new one."


def _payment(entry: OutboxEntry) -> Payment:
    return Payment.objects.select_related("integration", "customer").get(pk=entry.object_id)


def _is_anothers(payment: Payment, state: PaymentState) -> bool:
    """Whether a search by our reference found a card that was declined before this one (card pages)."""
    others = Payment.objects.filter(integration=payment.integration, external_id=state.external_id)
    return others.exclude(pk=payment.pk).exclude(origin=Origin.VENDOR).exists()


def _refund(entry: OutboxEntry) -> Refund:
    return Refund.objects.select_related("integration", "payment__integration").get(pk=entry.object_id)


def _applied(integration: Integration, seen: Seen, row: VendorObject | None) -> VendorObject | None:
    return apply_state(
        integration, seen.state, source=Source.QUERY, is_fetched=True, asked_at=seen.asked_at, row=row
    )  # fmt: skip


def _row(entry: OutboxEntry, kind: ObjectKind) -> VendorObject | None:
    """Return the row that an entry names by our id; it may be gone, merged with the vendor's own."""
    found: Any = MODELS[kind]._default_manager.filter(pk=entry.details.get("row")).first()
    return found if isinstance(found, VendorObject) else None


SETTLE_PAYMENT = SettlePayment()
SEND_REFUND = SendRefund()
READ_OBJECT = ReadObject()
