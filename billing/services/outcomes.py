"""What an error of a vendor means for money: refused, certainly not sent, or nobody knows."""

from __future__ import annotations

from enum import Enum
from uuid import UUID

import vault.services as vault
from billing.contract import PaymentStatus, RefundStatus
from billing.models import Payment, Refund
from core.errors import Conflict
from core.ids import new_id
from dispatch import outbox
from integrations.contract import NotFound, ProviderError, RequestRejected, Unavailable, UnexpectedResponse
from integrations.contract.strategies import NOT_CALLED
from integrations.models import Integration
from integrations.outbound.mapping import NOT_SENT
from tenants.context import require_organization

DECLINED = "payment_declined"
"""The reason of a payment that the payer's bank refused: an answer, not an error."""

NOT_CREATED = "not_created"
"""The reason of a payment whose answer was lost, and which the vendor does not know."""

KEY_WAS_USED = frozenset({"idempotency_mismatch", "idempotency_conflict"})
"""Reasons of refusals that prove that the key came before: what became of that request is not told."""

_BEFORE_SENDING = NOT_CALLED | {NOT_SENT}


class Outcome(Enum):
    """What became of a request."""

    DECLINED = "declined"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


def outcome_of(error: ProviderError) -> Outcome:
    """
    Say what an error means for the request that met it.

    What the vendor turned away at its door (credential, permission, rate) was not carried out: it may be tried again.
    """
    if isinstance(error, Unavailable | UnexpectedResponse):
        return Outcome.NOT_SENT if error.reason in _BEFORE_SENDING else Outcome.UNKNOWN
    if error.reason in KEY_WAS_USED:
        return Outcome.UNKNOWN
    if error.reason == DECLINED:
        return Outcome.DECLINED
    return Outcome.REFUSED if isinstance(error, RequestRejected | NotFound) else Outcome.NOT_SENT


def fail_payment(payment: Payment, error: ProviderError, *, reason: str) -> Payment:
    """Write that a payment failed without a state of the vendor's; a later word of the vendor's still wins."""
    locked = Payment.objects.select_for_update(of=("self",)).select_related("integration").get(pk=payment.pk)
    if locked.external_id or locked.status != PaymentStatus.PROCESSING:
        return locked  # a webhook was faster
    locked.status, locked.error, locked.intended_at = PaymentStatus.FAILED, error_data(error, reason), None
    locked.save()
    outbox.publish(
        "payment.updated",
        str(locked.pk),
        environment=locked.integration.environment,
        details={"status": locked.status},
    )
    return locked


def fail_refund(refund: Refund, error: ProviderError, *, reason: str) -> Refund:
    """Write that a refund failed without a state of the vendor's."""
    locked = Refund.objects.select_for_update(of=("self",)).select_related("integration").get(pk=refund.pk)
    if locked.external_id or locked.status != RefundStatus.PENDING:
        return locked
    locked.status, locked.error, locked.intended_at = RefundStatus.FAILED, error_data(error, reason), None
    locked.save()
    outbox.publish(
        "refund.updated",
        str(locked.pk),
        environment=locked.integration.environment,
        details={"status": locked.status},
    )
    return locked


def error_data(error: ProviderError, reason: str) -> dict[str, str]:
    """Return {code, reason, message} as rows keep it; the vendor's own words where there are any."""
    return {
        "code": error.vendor_code or error.api_code,
        "reason": reason or error.api_code,
        "message": error.vendor_detail or f"{error.message} {error.advice}",
    }


def request_key(integration: Integration, caller_key: str, *, use: str) -> str:
    """
    Return the digest under which a row remembers its caller's key, 64 characters; "" without one.

    :param use: what is made, such as "payment": one key may serve for a customer and for their payment
    """
    if not caller_key:
        return ""
    data = f"{use}:{integration.pk}:{caller_key}".encode()
    schema = require_organization()
    return vault.keyed_digest(data, organization_schema=schema, purpose="billing.request_key").hex()


def idempotency_key(integration: Integration, caller_key: str, *, use: str, fallback: str) -> str:
    """Return what goes to the vendor for a request that no row remembers: the same for the same caller's key."""
    return request_key(integration, caller_key, use=use) or fallback


def row_id(key: str) -> UUID:
    """Return the id of a row that a caller's key makes: the same for the same key, so that a repetition finds it."""
    return UUID(hex=key[:32]) if key else new_id()


def require_same(is_same: bool) -> None:
    """
    Refuse a key that comes again with another request.

    :raises Conflict: idempotency_conflict
    """
    if not is_same:
        raise Conflict(
            "This Idempotency-Key was used for another request. Use a new key for a new request.",
            code="idempotency_conflict",
        )
