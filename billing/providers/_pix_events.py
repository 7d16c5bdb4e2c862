"""
Webhooks of the Pix API, and rows of its list of payments, as events.

Nobody signs a webhook: its body says which payment to ask the bank about, and nothing else of it is believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from billing.contract import AnyState, EventType, PaymentEventData
from billing.providers._pix_states import END_TO_END_ID, moment_of, payment_state, refund_states
from integrations.contract import InboundEvent, UnexpectedResponse, read_json_object

MOST_PAYMENTS: Final = 500
"""In one webhook; each costs two calls to the bank, and whoever learned the address may post what they like."""

_LONGEST_KEY: Final = 200


def read_webhook(body: bytes) -> Sequence[InboundEvent]:
    """
    Turn one webhook into thin events, one for each payment.

    Shape: {"pix": [{endToEndId, txid, valor, horario, chave, infoPagador, devolucoes: [{id, status, …}]}]}. A body
    without `pix` (a bank's test call, recurring Pix) says nothing that is read here.

    :raises UnexpectedResponse: not JSON, or not of this shape
    """
    tree = read_json_object(body)
    rows = tree.get("pix", [])
    if not isinstance(rows, list) or len(rows) > MOST_PAYMENTS or not all(isinstance(row, dict) for row in rows):
        raise UnexpectedResponse(f"pix is no list of at most {MOST_PAYMENTS} payments")
    events = {event.key: event for event in map(thin_event, rows)}
    return list(events.values())


def thin_event(payment: Mapping[str, Any]) -> InboundEvent:
    """
    Make the event that asks for one payment.

    :raises UnexpectedResponse: it has no id of a payment, or a return without id and status
    """
    external_id = payment.get("endToEndId")
    if not isinstance(external_id, str) or not END_TO_END_ID.fullmatch(external_id):
        raise UnexpectedResponse("a payment has no endToEndId of 32 characters")
    return InboundEvent(
        type=EventType.PAYMENT_UPDATED.value,
        key=_key(external_id, payment),
        account_key="",
        occurred_at=moment_of(payment.get("horario")),
        data=_data(external_id, object_={}, is_fetched=False),
        raw=payment,
        object_key=f"pix:{external_id}",
        external_id=external_id,
        thin=True,
    )


def filled_event(event: InboundEvent, *, payment: Mapping[str, Any], charge: Mapping[str, Any] | None) -> InboundEvent:
    """Fill an event with what the bank says; its key is the bank's word too, whatever the webhook said."""
    return replace(
        event,
        thin=False,
        key=_key(event.external_id, payment),
        occurred_at=moment_of(payment.get("horario")),
        data=_data(event.external_id, object_={"pix": dict(payment), "charge": charge}, is_fetched=True),
        raw=payment,
    )


def states_of(event: InboundEvent) -> Sequence[AnyState]:
    """
    Return what a payment and its returns say of their charge.

    Money without a charge (a static code, a transfer by key) is nobody's payment here, whatever txid it names.

    :raises UnexpectedResponse: the charge is not of the documented shape
    """
    found = event.data["object"]
    charge, payment = found.get("charge"), found.get("pix")
    if not event.data["is_fetched"] or not isinstance(charge, dict) or not isinstance(payment, dict):
        return ()
    return (payment_state(charge, received=[payment]), *refund_states(charge, received=[payment]))


def _data(external_id: str, *, object_: dict[str, Any], is_fetched: bool) -> PaymentEventData:
    return PaymentEventData(
        vendor_type="pix",
        object_type="pix",
        object_id=external_id,
        object=object_,
        environment="",
        api_version="",
        is_fetched=is_fetched,
    )


def _key(external_id: str, payment: Mapping[str, Any]) -> str:
    """Name the payment and how far its returns are: a return is a change of the same payment."""
    rows = payment.get("devolucoes") or []
    if not isinstance(rows, list):
        raise UnexpectedResponse("the returns of a payment are no list")
    key = ":".join([external_id, *sorted(map(_change, rows))])
    return key if len(key) <= _LONGEST_KEY else f"{external_id}:{hashlib.sha256(key.encode()).hexdigest()}"


def _change(row: object) -> str:
    facts = row if isinstance(row, dict) else {}
    refund_id, status = facts.get("id"), facts.get("status")
    if not isinstance(refund_id, str) or not isinstance(status, str):
        raise UnexpectedResponse("a return has no id and status")
    return f"{refund_id}={status}"
