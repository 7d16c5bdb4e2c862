"""
Charges of one Pix key at its bank: made, read, listed, removed, given back.

A charge's txid and a return's id are ours, so that a PUT may be repeated: the bank refuses the second one, and what
the first one made is read instead. Source: bacen/pix-api 2.9.0, as of 2026-11.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from billing.contract import Method, PaymentRequest, PaymentState, PaymentStatus, RefundRequest, RefundState
from billing.providers._pix_bank import Bank
from billing.providers._pix_states import (
    ACTIVE,
    CHARGE_ID,
    COMPLETED,
    CURRENCY,
    END_TO_END_ID,
    REFUND_ID,
    account_of,
    moment_of,
    payment_state,
    refund_state,
)
from billing.tax_ids import InvalidTaxId, read_tax_id
from core import clock
from core.money import decimal_text
from integrations.contract import NotFound, PermissionMissing, RequestRejected, UnexpectedResponse

REMOVED: Final = "REMOVIDA_PELO_USUARIO_RECEBEDOR"

LASTS: Final = timedelta(days=1)
"""The standard's default, sent with each charge, for not every bank keeps it."""

MOST_MINOR: Final = 999_999_999_999
DESCRIPTION_CHARS: Final = 140
NAME_CHARS: Final = 200

FOREIGN: Final = "foreign_account"
"""The reason of a refusal: the bank says that the money is for another key than this integration's."""

_Rule = tuple[Callable[[PaymentRequest], bool], str, str, str]

_RULES: Final[tuple[_Rule, ...]] = (
    (lambda r: r.method is not Method.PIX, "method", "unsupported", "A bank's Pix API takes pix alone."),
    (lambda r: r.currency != CURRENCY, "currency", "unsupported", "PIX is paid in BRL."),
    (lambda r: not 0 < r.amount_minor <= MOST_MINOR, "amount_minor", "invalid_amount",
     f"Give centavos from 1 to {MOST_MINOR}."),
    (lambda r: r.installments != 1, "installments", "unsupported", "PIX is paid at once: leave installments at 1."),
    (lambda r: r.card is not None, "card", "unsupported", "PIX takes no card: leave it out."),
    (lambda r: bool(r.customer), "customer", "unsupported", "A bank keeps no customers: give the payer instead."),
    (lambda r: len(r.description) > DESCRIPTION_CHARS, "description", "too_long",
     f"The payer's bank shows at most {DESCRIPTION_CHARS} characters: shorten it."),
    (lambda r: r.expires_at is not None and r.expires_at <= clock.now(), "expires_in_s", "expired",
     "Give a time to pay of at least one second."),
    (lambda r: bool(r.payer.tax_id) and not r.payer.name.strip(), "payer.name", "missing",
     "Give the payer's name with the tax id, or neither."),
    (lambda r: len(r.payer.name) > NAME_CHARS, "payer.name", "too_long", f"Use at most {NAME_CHARS} characters."),
)  # fmt: skip
"""What is wrong with a request, with the field of the public contract, the reason and what to do."""


class Charges:
    """The charges of one key, as the directory writes it; objects of other keys are refused, not shown."""

    def __init__(self, bank: Bank, key: str) -> None:
        self._bank = bank
        self._key = key

    def create(self, request: PaymentRequest) -> PaymentState:
        """Make a charge, once for a reference."""
        txid = charge_id(request.reference)
        body = charge_body(request, self._key)
        try:
            made = self._bank.call("PUT", f"/cob/{txid}", operation="create_payment", json=body)
        except RequestRejected:
            found = self._bank.find(f"/cob/{txid}", operation="find_payment")
            if found is None or found.get("valor", {}).get("original") != body["valor"]["original"]:
                raise
            made = found
        return self._state(made, with_code=True)

    def find(self, request: PaymentRequest) -> PaymentState | None:
        """Read the charge of a request; None when the bank never got it."""
        found = self._bank.find(f"/cob/{charge_id(request.reference)}", operation="find_payment")
        return None if found is None else self._state(found, with_code=True)

    def fetch(self, txid: str) -> PaymentState:
        """Read a charge with its code; :raises NotFound: the bank has none."""
        return self._state(self.read(txid), with_code=True)

    def read(self, txid: str) -> dict[str, Any]:
        """Read an immediate or due-date charge of this key; :raises NotFound: there is none."""
        charge = self._find(txid)
        if charge is None:
            raise NotFound("the bank has no such charge")
        self.require_ours(charge)
        return charge

    def cancel(self, txid: str) -> PaymentState:
        """
        Remove a charge that nobody has paid.

        :raises RequestRejected: reason "already_paid": it was paid before
        """
        try:
            charge = self._bank.call(
                "PATCH", f"/cob/{_named(txid)}", operation="cancel_payment", json={"status": REMOVED}
            )
        except RequestRejected as refusal:
            charge = self.read(txid)
            if charge.get("status") == COMPLETED:
                raise RequestRejected(
                    "the charge was paid", reason="already_paid", next_action="It was paid: refund it instead."
                ) from refusal
            if charge.get("status") == ACTIVE:
                raise
        return self._state(charge)

    def refund(self, request: RefundRequest) -> RefundState:
        """Give back part or all, once for a reference."""
        payment_id = request.end_to_end_id or self._only_payment(request.payment)
        path = f"/pix/{_payment_named(payment_id)}/devolucao/{refund_id(request.reference)}"
        amount = decimal_text(request.amount_minor, CURRENCY)
        try:
            row = self._bank.call("PUT", path, operation="refund_payment", json={"valor": amount})
        except RequestRejected:
            found = self._bank.find(path, operation="find_refund")
            if found is None or found.get("valor") != amount:
                raise
            row = found
        return refund_state(row, end_to_end_id=payment_id, payment=request.payment, account=self._key)

    def fetch_refund(self, external_id: str) -> RefundState:
        """Read a return by the ids of its payment and its own; :raises NotFound: there is none."""
        payment_id, _, own_id = external_id.partition(":")
        if not REFUND_ID.fullmatch(own_id):
            raise NotFound("not the ids of a payment and of its return")
        path = f"/pix/{_payment_named(payment_id)}/devolucao/{own_id}"
        row = self._bank.call("GET", path, operation="fetch_refund")
        return refund_state(row, end_to_end_id=payment_id, payment=payment_id, account=self._key)

    def listed(self, *, since: datetime, until: datetime) -> Iterator[PaymentState]:
        """List charges made in a time, and others that money came for in it; due-date charges only so."""
        seen = set()
        for charge in self._bank.rows("/cob", "cobs", operation="list_charges", since=since, until=until):
            seen.add(charge.get("txid"))
            if self.is_ours(charge):
                yield self._state(charge)
        for payment in self.payments(since=since, until=until):
            txid = payment.get("txid")
            if not isinstance(txid, str) or txid in seen:
                continue
            seen.add(txid)
            paid = self._find(txid)
            if paid is not None and self.is_ours(paid):
                yield self._state(paid)

    def payments(self, *, since: datetime, until: datetime) -> Iterator[dict[str, Any]]:
        """List the payments that came in a time, for this key where they name one, charges' and others'."""
        rows = self._bank.rows("/pix", "pix", operation="list_payments", since=since, until=until)
        return (row for row in rows if self.is_ours(row))

    def read_payment(self, payment_id: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """
        Ask the bank for a payment and its charge; None for money that no charge asked for.

        :raises NotFound: the bank knows no such payment
        :raises RequestRejected: reason "foreign_account": it is another key's
        """
        payment = self._bank.call("GET", f"/pix/{_payment_named(payment_id)}", operation="fetch_payment")
        if payment.get("endToEndId") != payment_id:
            raise UnexpectedResponse("the bank answered with another payment than it was asked for")
        txid = payment.get("txid")
        charge = self._find(txid) if isinstance(txid, str) else None
        for found in filter(None, (payment, charge)):
            self.require_ours(found)
        return payment, charge

    def is_ours(self, found: Mapping[str, Any]) -> bool:
        """Whether a charge or payment is for this key, or does not say for which."""
        return account_of(found) in ("", self._key)

    def require_ours(self, found: Mapping[str, Any]) -> None:
        """Refuse what names another key; :raises RequestRejected: reason "foreign_account"."""
        if not self.is_ours(found):
            raise RequestRejected(
                "the charge or payment is for another Pix key",
                reason=FOREIGN,
                next_action="Look for it at the integration of the key that it is for.",
            )

    def _find(self, txid: str) -> dict[str, Any] | None:
        """Read an immediate charge, else a due-date charge; clients without cobv.read have none of those."""
        if not CHARGE_ID.fullmatch(txid):
            return None
        found = self._bank.find(f"/cob/{txid}", operation="fetch_charge")
        if found is not None:
            return found
        try:
            return self._bank.find(f"/cobv/{txid}", operation="fetch_due_charge")
        except PermissionMissing:
            return None

    def _state(self, charge: Mapping[str, Any], *, with_code: bool = False) -> PaymentState:
        self.require_ours(charge)
        received = self._received(charge) if charge.get("status") == COMPLETED and not charge.get("pix") else ()
        return payment_state(charge, received=received, at=clock.now(), with_code=with_code)

    def _received(self, charge: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """List the payments of a charge whose bank does not write them into it."""
        calendar, txid = charge.get("calendario"), str(charge.get("txid"))
        made_at = moment_of(calendar.get("criacao")) if isinstance(calendar, dict) else None
        since = made_at or clock.now() - timedelta(days=30)
        found = self._bank.rows("/pix", "pix", operation="list_payments", since=since, until=clock.now(), txid=txid)
        return [row for row in found if row.get("txid") == txid]

    def _only_payment(self, txid: str) -> str:
        state = self._state(self.read(txid))
        if state.status is not PaymentStatus.SUCCEEDED or len(state.aliases) != 1:
            raise RequestRejected(
                "not one payment to give back",
                reason="not_refundable",
                next_action="Refund a charge that was paid once.",
            )
        return state.end_to_end_id


def check(request: PaymentRequest) -> None:
    """Check a request; :raises RequestRejected: names the first rule that it breaks."""
    for is_broken, field, reason, remedy in _RULES:
        if is_broken(request):
            raise RequestRejected(f"{field}: {reason}", field=field, reason=reason, next_action=remedy)
    _debtor(request)


def charge_body(request: PaymentRequest, key: str) -> dict[str, Any]:
    """Write a charge; amounts are exact text, and nothing empty is sent."""
    ends_at = request.expires_at or clock.now() + LASTS
    seconds = max(1, math.ceil((ends_at - clock.now()).total_seconds()))
    body: dict[str, Any] = {
        "calendario": {"expiracao": seconds},
        "valor": {"original": decimal_text(request.amount_minor, CURRENCY)},
        "chave": key,
    }
    if debtor := _debtor(request):
        body["devedor"] = debtor
    if request.description.strip():
        body["solicitacaoPagador"] = request.description.strip()
    return body


def charge_id(reference: str) -> str:
    """Return the txid of a reference: a UUID without hyphens, else 32 characters of a digest, always the same."""
    bare = refund_id(reference)
    return bare if CHARGE_ID.fullmatch(bare) else _digest(reference)


def refund_id(reference: str) -> str:
    """Return the id of a return for a reference, 1 to 35 letters and digits, always the same."""
    bare = reference.replace("-", "")
    return bare if REFUND_ID.fullmatch(bare) else _digest(reference)


def _digest(reference: str) -> str:
    return hashlib.sha256(reference.encode()).hexdigest()[:32]


def _debtor(request: PaymentRequest) -> dict[str, str]:
    """Name the payer by CPF or CNPJ; the API takes no name without one."""
    if not request.payer.tax_id:
        return {}
    try:
        found = read_tax_id(request.payer.tax_id, field="payer.tax_id")
    except InvalidTaxId as refusal:
        raise RequestRejected(
            "payer.tax_id: invalid", field="payer.tax_id", reason="invalid_tax_id", next_action=refusal.remedy
        ) from None
    return {found.kind.value: found.value, "nome": request.payer.name.strip()}


def _named(txid: str) -> str:
    if not CHARGE_ID.fullmatch(txid):
        raise NotFound("not the txid of a charge")
    return txid


def _payment_named(payment_id: str) -> str:
    if not END_TO_END_ID.fullmatch(payment_id):
        raise NotFound("not an endToEndId")
    return payment_id
