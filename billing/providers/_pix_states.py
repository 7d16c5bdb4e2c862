"""
What a bank's charges (cob, cobv), payments (pix) and returns (devolucao) say, in the words of the house. Pure.

Source: bacen/pix-api 2.9.0 (openapi.yaml), as of 2026-11.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any, Final
from uuid import UUID

from billing.brcode import qr_png
from billing.contract import (
    ActionKind,
    NextAction,
    PaymentState,
    PaymentStatus,
    Problem,
    RefundState,
    RefundStatus,
)
from core import clock
from core.money import to_minor
from integrations.contract import UnexpectedResponse

CURRENCY: Final = "BRL"

ACTIVE, COMPLETED = "ATIVA", "CONCLUIDA"

CHARGE_STATUSES: Final[Mapping[str, PaymentStatus]] = {
    ACTIVE: PaymentStatus.REQUIRES_ACTION,
    COMPLETED: PaymentStatus.SUCCEEDED,
    "REMOVIDA_PELO_USUARIO_RECEBEDOR": PaymentStatus.CANCELED,
    "REMOVIDA_PELO_PSP": PaymentStatus.CANCELED,
}
"""Status of a charge -> ours; an active one waits for the payer, or is over, which the API has no word for."""

REFUND_STATUSES: Final[Mapping[str, RefundStatus]] = {
    "EM_PROCESSAMENTO": RefundStatus.PENDING,
    "DEVOLVIDO": RefundStatus.SUCCEEDED,
    "NAO_REALIZADO": RefundStatus.FAILED,
}
"""Status of a devolucao -> ours."""

CHARGE_ID: Final = re.compile(r"[a-zA-Z0-9]{26,35}")
"""The txid of a charge; that of a static code has at most 25 characters, so that neither is taken for the other."""

END_TO_END_ID: Final = re.compile(r"[a-zA-Z0-9]{32}")
REFUND_ID: Final = re.compile(r"[a-zA-Z0-9]{1,35}")

_CNPJ: Final = re.compile(r"[0-9A-Za-z]{14}")
_AMOUNT: Final = re.compile(r"[0-9]{1,10}\.[0-9]{2}")
_BRASILIA: Final = timezone(timedelta(hours=-3))
"""Due dates are days of Brasilia, which has had no summer time since 2019."""

_DAYS_PAYABLE: Final = 30
"""Of validadeAposVencimento, where a due-date charge does not say."""


def payment_state(
    charge: Mapping[str, Any],
    *,
    received: Sequence[Mapping[str, Any]] = (),
    at: datetime | None = None,
    with_code: bool = False,
) -> PaymentState:
    """
    Read a charge with the payments that came for it.

    Shape: {txid, chave, status, valor: {original}, calendario: {criacao, expiracao}, pixCopiaECola, pix: [payment]};
    a due-date charge has calendario {dataDeVencimento, validadeAposVencimento}.

    :param received: payments known from elsewhere; those that the charge lists are not counted twice
    :param at: the moment for which it is asked whether the time is over; None does not ask
    :param with_code: draw the picture of the code, which takes some 30 ms
    :raises UnexpectedResponse: the charge is not of this shape
    """
    pix = _all_payments(charge, received)
    vendor_status, expires_at = _text(charge, "status"), _expires_at(_object(charge, "calendario"))
    status = _status(vendor_status, expires_at=expires_at, at=at)
    returns = [row for payment in pix for row in _rows(payment, "devolucoes") if row.get("status") == "DEVOLVIDO"]
    ids = tuple(_text(payment, "endToEndId") for payment in pix)
    txid = _text(charge, "txid")
    return PaymentState(
        external_id=txid,
        vendor_status=vendor_status,
        vendor_at=_told_at(charge, pix),
        account=account_of(charge),
        reference=reference_of(txid),
        object=charge,
        status=status,
        amount_minor=_minor(_object(charge, "valor").get("original")),
        currency=CURRENCY,
        amount_received_minor=sum(_minor(payment.get("valor")) for payment in pix),
        amount_refunded_minor=sum(_minor(row.get("valor")) for row in returns),
        method="pix",
        next_action=_next_action(charge, expires_at) if with_code and status is PaymentStatus.REQUIRES_ACTION else None,
        expires_at=expires_at,
        paid_at=min(filter(None, (moment_of(payment.get("horario")) for payment in pix)), default=None),
        end_to_end_id=ids[0] if ids else "",
        aliases=ids,
    )


def refund_states(charge: Mapping[str, Any], *, received: Sequence[Mapping[str, Any]] = ()) -> Iterable[RefundState]:
    """Read all returns of the payments that came for a charge; :raises UnexpectedResponse: a wrong shape."""
    for payment in _all_payments(charge, received):
        for row in _rows(payment, "devolucoes"):
            yield refund_state(
                row,
                end_to_end_id=_text(payment, "endToEndId"),
                payment=_text(charge, "txid"),
                account=account_of(charge),
            )


def refund_state(row: Mapping[str, Any], *, end_to_end_id: str, payment: str, account: str = "") -> RefundState:
    """
    Read one return. A bank numbers them per payment, so both ids together are its id here.

    Shape: {id, rtrId, valor, horario: {solicitacao, liquidacao}, status, motivo}.

    :raises UnexpectedResponse: it is not of this shape
    """
    vendor_status, refund_id, times = _text(row, "status"), _text(row, "id"), _object(row, "horario")
    status = REFUND_STATUSES.get(vendor_status)
    if status is None:
        raise UnexpectedResponse(f"a return has the unknown status {vendor_status[:40]}")
    reason = row.get("motivo")
    message = reason if isinstance(reason, str) and reason else "The bank did not carry out the refund."
    return RefundState(
        external_id=f"{end_to_end_id}:{refund_id}",
        vendor_status=vendor_status,
        vendor_at=moment_of(times.get("liquidacao")) or moment_of(times.get("solicitacao")),
        account=account,
        reference=reference_of(refund_id),
        object=row,
        status=status,
        payment=payment,
        amount_minor=_minor(row.get("valor")),
        currency=CURRENCY,
        problem=Problem(code=vendor_status, reason="refund_failed", message=message[:300])
        if status is RefundStatus.FAILED
        else None,
    )


def account_of(found: Mapping[str, Any]) -> str:
    """Return the key that a charge or payment is for, as the directory writes it; "" where it does not say."""
    written = found.get("chave")
    if not isinstance(written, str):
        return ""
    bare = written.strip()
    return bare.upper() if _CNPJ.fullmatch(bare) else bare.lower()


def reference_of(vendor_id: str) -> str:
    """Return our id that a txid or the id of a return carries: a UUID without hyphens; "" for ids of others."""
    if not re.fullmatch(r"[0-9a-f]{32}", vendor_id):
        return ""
    return str(UUID(vendor_id))


def moment_of(value: object) -> datetime | None:
    """Read a moment of the API (RFC 3339); None when there is none that can be read."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=_BRASILIA)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _all_payments(charge: Mapping[str, Any], received: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Put the payments of a charge together with those known from elsewhere, each once; the latter are newer."""
    found = {_text(payment, "endToEndId"): payment for payment in (*_rows(charge, "pix"), *received)}
    return list(found.values())


def _status(vendor_status: str, *, expires_at: datetime | None, at: datetime | None) -> PaymentStatus:
    status = CHARGE_STATUSES.get(vendor_status)
    if status is None:
        raise UnexpectedResponse(f"a charge has the unknown status {vendor_status[:40]}")
    is_over = vendor_status == ACTIVE and at is not None and expires_at is not None and expires_at <= at
    return PaymentStatus.EXPIRED if is_over else status


def _expires_at(calendar: Mapping[str, Any]) -> datetime | None:
    """Return when a charge ends: its creation and its seconds, or the last moment of the last day it may be paid."""
    try:
        if due := calendar.get("dataDeVencimento"):
            days = calendar.get("validadeAposVencimento", _DAYS_PAYABLE)
            last = date.fromisoformat(due) + timedelta(days=int(days))
            return datetime.combine(last + timedelta(days=1), time(), tzinfo=_BRASILIA).astimezone(UTC)
        created_at, seconds = moment_of(calendar.get("criacao")), calendar.get("expiracao")
        return created_at + timedelta(seconds=int(seconds)) if created_at and seconds else None
    except (TypeError, ValueError, OverflowError):
        raise UnexpectedResponse("the calendar of a charge cannot be read") from None


def _told_at(charge: Mapping[str, Any], pix: Sequence[Mapping[str, Any]]) -> datetime | None:
    """
    Return the bank's own time of the state: of the last payment or return, else of the charge's creation.

    Removal and end have no time of their own in the API. They keep that of the creation, so that money, which is
    always later, can never look older than either.
    """
    times = [moment_of(_object(charge, "calendario").get("criacao"))]
    for payment in pix:
        times.append(moment_of(payment.get("horario")))
        for row in _rows(payment, "devolucoes"):
            times += [moment_of(value) for value in _object(row, "horario").values()]
    return max(filter(None, times), default=None)


def _next_action(charge: Mapping[str, Any], expires_at: datetime | None) -> NextAction | None:
    text = charge.get("pixCopiaECola")
    if not isinstance(text, str) or not text:
        return None
    details = {
        "qr_code": text,
        "qr_code_base64": base64.b64encode(qr_png(text)).decode(),
        "ticket_url": None,
        "expires_at": clock.iso(expires_at),
    }
    return NextAction(kind=ActionKind.PIX_QR, details=details)


def _minor(value: object) -> int:
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value):
        raise UnexpectedResponse("an amount is not digits, a dot and two decimals")
    return to_minor(value, CURRENCY)


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _rows(value: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = value.get(name)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    if not isinstance(found, str) or not found:
        raise UnexpectedResponse(f"the bank's object has no {name}")
    return found
