"""
Stripe's way of counting money, converted in this one place.

Stripe counts in a currency's smallest unit, with other decimals than ISO 4217 for three of them.
Source: docs.stripe.com/currencies (zero-decimal, three-decimal and special-case currencies), as of 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.providers._stripe_json import text, whole
from core.money import EXPONENTS, MOST_MINOR, InvalidAmount, UnknownCurrency, exponent
from integrations.contract import RequestRejected, UnexpectedResponse

_DECIMALS: Mapping[str, int] = {"MGA": 0, "ISK": 2, "UGX": 2}
"""Decimals that Stripe counts with where ISO 4217 has others: 1 ISK is 100 at Stripe, 100 minor units of MGA are 1."""

_LAST_DIGIT_ZERO = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""Currencies of three decimals, of which cards carry two."""


def to_stripe(amount_minor: int, currency: str) -> int:
    """
    Return minor units of ISO 4217 as Stripe counts them.

    :raises MoneyError: the currency is unknown, or the amount is finer than Stripe can charge
    """
    step = exponent(currency) - _DECIMALS.get(currency, exponent(currency))
    if currency in _LAST_DIGIT_ZERO and amount_minor % 10:
        raise InvalidAmount(f"the last digit of an amount in {currency} must be 0")
    if step <= 0:
        return int(amount_minor * 10**-step)
    amount, rest = divmod(amount_minor, 10**step)
    if rest:
        raise InvalidAmount(f"Stripe takes whole {currency} only")
    return int(amount)


def from_stripe(amount: int, currency: str) -> int:
    """
    Return an amount of Stripe's in minor units of ISO 4217.

    :raises MoneyError: the currency is unknown, or the amount is no whole number of minor units
    """
    step = exponent(currency) - _DECIMALS.get(currency, exponent(currency))
    if step >= 0:
        return int(amount * 10**step)
    minor, rest = divmod(amount, 10**-step)
    if rest:
        raise InvalidAmount(f"{currency} has no fractions")
    return int(minor)


def require_chargeable(amount_minor: int, currency: str) -> None:
    """
    Refuse what Stripe cannot charge, before anybody asks it.

    :raises RequestRejected: with the field to blame and what to do
    """
    try:
        to_stripe(amount_minor, currency)
    except UnknownCurrency:
        remedy = "Give an ISO 4217 code in upper case, such as BRL."
        raise RequestRejected("currency", field="currency", reason="unknown_currency", next_action=remedy) from None
    except InvalidAmount as error:
        digits = "0" if currency in _LAST_DIGIT_ZERO else "00"
        remedy = f"Round the amount so that amount_minor ends in {digits}: {error}."
        raise RequestRejected(
            "the amount is finer than Stripe's", field="amount_minor", reason="amount_too_fine", next_action=remedy
        ) from None


def read_currency(value: Mapping[str, Any]) -> str:
    """
    Return an object's currency in upper case.

    :raises UnexpectedResponse: it has none that we know
    """
    code = text(value, "currency").upper()
    if code not in EXPONENTS:
        raise UnexpectedResponse("an object of Stripe's has no currency that we know")
    return code


def read_amount(value: Mapping[str, Any], name: str, *, default: int | None = None) -> int:
    """
    Return an amount of an object in minor units of its currency.

    :raises UnexpectedResponse: it is absent and has no default, or is no whole number of minor units
    """
    amount = whole(value, name)
    if amount is None and default is not None:
        return default
    if amount is None:
        raise UnexpectedResponse(f"an object of Stripe's has no {name}")
    try:
        return from_stripe(_require_storable(amount), read_currency(value))
    except InvalidAmount as error:
        raise UnexpectedResponse(f"{name} of an object of Stripe's: {error}") from None


def _require_storable(amount: int) -> int:
    if abs(amount) > MOST_MINOR // 100:
        raise UnexpectedResponse("an amount of Stripe's is too large to be money")
    return amount
