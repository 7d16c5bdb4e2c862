"""
Exact money: whole minor units of ISO 4217, as text and as Decimal, never through a float.

`amount_minor` counts in the exponent of ISO 4217. Vendors differ (Stripe counts MGA without and ISK with two decimals,
MercadoPago takes whole COP): such a difference is a table in the vendor's module, not here.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

# What a database bigint holds; a longer amount is a mistake before it is money.
MOST_MINOR: Final = 2**63 - 1

# Active currencies and fund codes by their number of decimals.
# Source: ISO 4217 list one, as of 2026-11 (XCG replaced ANG in 2025, BGN left with the euro of 2026-01). Codes without
# a minor unit (metals, XDR, XTS, XXX) are not money here.
_BY_EXPONENT: Final[dict[int, str]] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW "
        "CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF "
        "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK "
        "MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP "
        "SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER "
        "ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
EXPONENTS: Final[dict[str, int]] = {code: digits for digits, codes in _BY_EXPONENT.items() for code in codes.split()}

# (thousands mark, decimal mark, what stands between symbol and number)
_MARKS: Final = {"en": (",", ".", ""), "pt": (".", ",", " ")}
_SYMBOLS: Final = {
    "en": {"BRL": "R$", "USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "MXN": "MX$"},
    "pt": {"BRL": "R$", "USD": "US$", "EUR": "€", "GBP": "£", "JPY": "JP¥", "MXN": "MX$"},
}
# Vendors' JSON is read into Decimal: nobody shall make us count a million zeros. The largest amount has 19 figures.
_MOST_FIGURES: Final = 40
_AMOUNT_TEXT: Final = re.compile(r"-?([0-9]{1,19})(?:\.([0-9]+))?", re.ASCII)


class MoneyError(ValueError):
    """The money cannot be written as whole minor units; the text says why, and holds no more than amount and code."""


class UnknownCurrency(MoneyError):
    """The code is not an active ISO 4217 currency in upper case."""


class InvalidAmount(MoneyError):
    """The amount is no plain number, too long, or finer than the currency's smallest unit."""


def exponent(currency: str) -> int:
    """
    Return the number of decimals of a currency: 2 for BRL, 0 for JPY.

    :raises UnknownCurrency: the code is unknown; codes are upper case
    """
    try:
        return EXPONENTS[currency]
    except (KeyError, TypeError) as error:
        raise UnknownCurrency(f"{str(currency)[:8]!r} is not an active ISO 4217 currency in upper case") from error


def to_decimal(amount_minor: int, currency: str) -> Decimal:
    """
    Return the amount in major units with exactly the currency's decimals: 5880 BRL is Decimal("58.80").

    :raises MoneyError: the currency is unknown, or the amount no whole number
    """
    digits = exponent(currency)
    _require_minor(amount_minor)
    text = str(abs(amount_minor))
    # Built from its digits: arithmetic would round to the precision of the caller's decimal context.
    return Decimal((int(amount_minor < 0), tuple(int(digit) for digit in text), -digits))


def to_minor(amount: Decimal | str | int, currency: str) -> int:
    """
    Return an amount of major units as whole minor units: "58.80" BRL is 5880, 58 BRL is 5800.

    Text is digits with at most one dot and at most the currency's decimals ("1.000" BRL is refused: it may mean a
    thousand). A Decimal is a number already, so zeros behind the last decimal do no harm. Nothing is rounded.

    :raises MoneyError: a float, NaN, an infinity, exponents, blanks, finer than the currency, or too large
    """
    digits = exponent(currency)
    sign, whole = _scaled(_as_decimal(amount, digits=digits), digits=digits, currency=currency)
    if whole > MOST_MINOR:
        raise InvalidAmount("the amount is too large")
    return -whole if sign else whole


def decimal_text(amount_minor: int, currency: str) -> str:
    """Return the amount as vendors take it in text: "58.80", "500" for JPY; :raises MoneyError: as `to_decimal`."""
    return f"{to_decimal(amount_minor, currency):f}"


def format_money(amount_minor: int, currency: str, language: str) -> str:
    """
    Return the amount for a screen: "R$ 58,80" for pt-BR, "R$58.80" for en; unknown languages read as English.

    A currency whose symbol would be ambiguous is written by its code: "ARS 1,250.00".

    :raises MoneyError: the currency is unknown, or the amount no whole number
    """
    spoken = language.lower().replace("_", "-").partition("-")[0]
    spoken = spoken if spoken in _MARKS else "en"
    thousands, point, gap = _MARKS[spoken]
    whole, _, decimals = decimal_text(abs(amount_minor), currency).partition(".")
    symbol = _SYMBOLS[spoken].get(currency)
    number = f"{int(whole):,}".replace(",", thousands) + (point + decimals if decimals else "")
    head = symbol + gap if symbol else currency + " "
    return f"{'-' if amount_minor < 0 else ''}{head}{number}"


def _require_minor(amount_minor: object) -> None:
    if isinstance(amount_minor, bool) or not isinstance(amount_minor, int):
        raise InvalidAmount(f"minor units are whole numbers, not {type(amount_minor).__name__}")
    if abs(amount_minor) > MOST_MINOR:
        raise InvalidAmount("the amount is too large")


def _as_decimal(amount: object, *, digits: int) -> Decimal:
    if isinstance(amount, bool) or not isinstance(amount, Decimal | str | int):
        raise InvalidAmount(f"an amount is Decimal, text or int, not {type(amount).__name__}")
    if isinstance(amount, Decimal):
        return amount
    found = _AMOUNT_TEXT.fullmatch(str(amount)) if isinstance(amount, str) or abs(amount) <= MOST_MINOR else None
    if found is None:
        raise InvalidAmount("an amount is digits with at most one dot, and not too large")
    if len(found[2] or "") > digits:
        raise InvalidAmount(f"the amount has more than {digits} decimals")
    return Decimal(found[0])


def _scaled(amount: Decimal, *, digits: int, currency: str) -> tuple[int, int]:
    """Return the sign (1 is negative) and the whole number of minor units, by integers alone."""
    sign, figures, power = amount.as_tuple()
    if not isinstance(power, int):
        raise InvalidAmount("an amount is a finite number")
    if len(figures) > _MOST_FIGURES or (amount and amount.adjusted() > _MOST_FIGURES):
        raise InvalidAmount("the amount is too large")
    while power < -digits and figures and figures[-1] == 0:
        figures, power = figures[:-1], power + 1
    if power < -digits and figures:
        raise InvalidAmount(f"{currency} has {digits} decimals, the amount has more")
    value = int("".join(map(str, figures)) or "0")
    return sign, value * 10 ** (power + digits) if value else 0
