"""
Applying what a vendor says to the rows: one effect in any order, however often it is said.

A state carries the vendor's own time. What is older than the row changes nothing; what is of the same moment but
unlike it goes by rank, and the vendor is asked once more, since vendors stamp by the second.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from billing.contract import (
    AnyState,
    CheckoutState,
    CustomerState,
    DisputeState,
    InvoiceState,
    PaymentState,
    PayoutState,
    RefundState,
    SubscriptionState,
)
from billing.models import Source, VendorObject
from billing.services import disputes, objects, payment_states, refund_states
from billing.services.ladder import Claim
from integrations.models import Integration

if TYPE_CHECKING:
    from typing import Any

    Apply = Callable[[Claim, Any, Any], VendorObject | None]


def apply_state(
    integration: Integration,
    state: AnyState,
    *,
    source: Source,
    source_id: str = "",
    is_signed: bool = False,
    is_fetched: bool = False,
    asked_at: datetime | None = None,
    row: VendorObject | None = None,
) -> VendorObject | None:
    """
    Apply one state to its row, made if it is new; returns the row, None where the claim was refused.

    Runs in the caller's transaction, or in one of its own.

    :param asked_at: when the vendor was asked for it, where that is known
    :param source_id: the Event of a webhook, or whatever else shows where it came from
    :param row: the row that it is about, where the caller made it
    """
    webhook = integration.provider_class.spec.webhook
    claim = Claim(
        integration=integration,
        state=state,
        source=source,
        source_id=source_id,
        is_signed=is_signed,
        signs_body=is_signed and webhook is not None and webhook.signs_body,
        is_fetched=is_fetched,
        asked_at=asked_at,
    )
    with transaction.atomic(savepoint=False):
        return _APPLY[type(state)](claim, state, row)


_APPLY: dict[type, Apply] = {
    PaymentState: payment_states.apply,
    RefundState: refund_states.apply,
    DisputeState: disputes.apply,
    CustomerState: objects.apply_customer,
    SubscriptionState: objects.apply_subscription,
    InvoiceState: objects.apply_invoice,
    PayoutState: objects.apply_payout,
    CheckoutState: objects.apply_checkout,
}
