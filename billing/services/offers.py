"""What an account offers, asked of the vendor at each look: prices, ways to pay, installments. Nothing is kept."""

from __future__ import annotations

import re
from collections.abc import Sequence

from billing.contract import (
    Installment,
    ListsPaymentMethods,
    PaymentMethod,
    Price,
    QuotesInstallments,
    SellsSubscriptions,
)
from billing.services import rules
from billing.services.readiness import calling, class_with
from integrations.models import Integration
from tenants.context import release_connection

_BIN = re.compile(r"[0-9]{6,8}")


def list_prices(integration: Integration) -> Sequence[Price]:
    """List what may be subscribed to; :raises ProviderError: what the vendor made of it."""
    class_with(integration, SellsSubscriptions)
    with calling(integration, SellsSubscriptions) as provider:
        release_connection()
        return provider.list_prices()


def list_payment_methods(integration: Integration) -> Sequence[PaymentMethod]:
    """List the ways to pay that are active now; :raises ProviderError: what the vendor made of it."""
    class_with(integration, ListsPaymentMethods)
    with calling(integration, ListsPaymentMethods) as provider:
        release_connection()
        return provider.list_payment_methods()


def quote_installments(integration: Integration, *, amount_minor: int, bin: str) -> Sequence[Installment]:
    """
    Return the vendor's table for an amount and a card.

    :param bin: the first 6 to 8 digits of a card, never more
    :raises ValidationFailed: a field cannot be used, or this provider has no such table
    :raises ProviderError: what the vendor made of it
    """
    class_with(integration, QuotesInstallments)
    is_bin = _BIN.fullmatch(bin) is not None
    rules.refuse_if(
        [
            *rules.check_amount(amount_minor),
            *([] if is_bin else [("bin", "Give the first 6 to 8 digits of the card, never more.")]),
        ]
    )
    with calling(integration, QuotesInstallments) as provider:
        release_connection()
        return provider.quote_installments(amount_minor=amount_minor, bin=bin)
