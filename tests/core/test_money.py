"""Money stays exact: no float, no rounding, no digit lost, whatever the currency's exponent."""

from __future__ import annotations

import random
from decimal import Decimal, localcontext
from typing import Any

import pytest

from core.money import (
    EXPONENTS,
    MOST_MINOR,
    InvalidAmount,
    MoneyError,
    UnknownCurrency,
    decimal_text,
    exponent,
    format_money,
    to_decimal,
    to_minor,
)


class TestExponent:
    @pytest.mark.parametrize(
        ("currency", "digits"),
        [("BRL", 2), ("USD", 2), ("MGA", 2), ("JPY", 0), ("CLP", 0), ("ISK", 0), ("KWD", 3), ("TND", 3), ("CLF", 4)],
    )
    def test_is_the_one_of_iso_4217(self, currency: str, digits: int) -> None:
        assert exponent(currency) == digits

    @pytest.mark.parametrize("currency", ["brl", "XXX", "XAU", "BGN", "ANG", "", "R$", "BRLL", None, 986])
    def test_refuses_what_is_no_active_currency(self, currency: Any) -> None:
        with pytest.raises(UnknownCurrency):
            exponent(currency)

    def test_knows_each_code_once_and_only_in_upper_case(self) -> None:
        assert len(EXPONENTS) == 164
        assert all(len(code) == 3 and code.isascii() and code.isupper() for code in EXPONENTS)


class TestToMinor:
    @pytest.mark.parametrize(
        ("amount", "currency", "minor"),
        [
            ("58.80", "BRL", 5880), ("58.8", "BRL", 5880), ("58", "BRL", 5800), (58, "BRL", 5800), ("0.01", "BRL", 1),
            ("-12.30", "BRL", -1230), ("-0", "BRL", 0), ("500", "JPY", 500), ("1.234", "KWD", 1234),
            ("1.2345", "CLF", 12345), (Decimal("58.8"), "BRL", 5880), (Decimal("5.88E+1"), "BRL", 5880),
            (Decimal("5000.0"), "CLP", 5000), (Decimal("0E-9"), "JPY", 0), (Decimal("1E+3"), "JPY", 1000),
        ],
    )  # fmt: skip
    def test_counts_the_smallest_units(self, amount: Any, currency: str, minor: int) -> None:
        assert to_minor(amount, currency) == minor

    @pytest.mark.parametrize(
        ("amount", "currency"),
        [
            ("0.001", "BRL"), ("1.000", "BRL"), ("500.0", "JPY"), (Decimal("0.005"), "BRL"), (Decimal("1E-50"), "BRL"),
            (58.8, "BRL"), (True, "BRL"), (None, "BRL"), (Decimal("NaN"), "BRL"), (Decimal("sNaN"), "BRL"),
            (Decimal("Infinity"), "BRL"), (Decimal("-Infinity"), "BRL"), ("NaN", "BRL"), ("inf", "BRL"), ("1e3", "BRL"),
            ("1_000", "BRL"), ("1,50", "BRL"), ("1.", "BRL"), (".5", "BRL"), ("+1", "BRL"), (" 1", "BRL"),
            ("1\n", "BRL"), ("", "BRL"), ("\u0661\u0662", "BRL"), ("9" * 20, "BRL"), (Decimal("1E+999999"), "BRL"),
            (10**400, "BRL"), (Decimal("1." + "0" * 99), "BRL"), (MOST_MINOR, "BRL"),
        ],
    )  # fmt: skip
    def test_refuses_what_it_would_have_to_guess_or_round(self, amount: Any, currency: str) -> None:
        with pytest.raises(InvalidAmount):
            to_minor(amount, currency)

    def test_reaches_the_largest_number_of_a_bigint(self) -> None:
        assert to_minor(Decimal(MOST_MINOR), "JPY") == MOST_MINOR
        assert to_minor(decimal_text(MOST_MINOR, "BRL"), "BRL") == MOST_MINOR


class TestToDecimal:
    def test_has_exactly_the_decimals_of_the_currency(self) -> None:
        amounts = [
            str(to_decimal(minor, code)) for minor, code in [(5880, "BRL"), (5, "BRL"), (500, "JPY"), (5, "KWD")]
        ]

        assert amounts == ["58.80", "0.05", "500", "0.005"]

    @pytest.mark.parametrize("amount", [1.0, "100", True, None, Decimal(1), MOST_MINOR + 1])
    def test_refuses_what_is_no_whole_number_of_units(self, amount: Any) -> None:
        with pytest.raises(InvalidAmount):
            to_decimal(amount, "BRL")

    def test_ignores_the_precision_of_the_context(self) -> None:
        with localcontext() as context:
            context.prec = 3

            assert decimal_text(123_456_789, "BRL") == "1234567.89"
            assert to_minor(Decimal("1234567.89"), "BRL") == 123_456_789


class TestRoundTrip:
    def test_loses_nothing_in_any_currency(self) -> None:
        draw = random.Random(20261123)
        for currency in EXPONENTS:
            for _ in range(25):
                minor = draw.choice((-1, 1)) * draw.randrange(10 ** draw.randrange(1, 19))

                assert to_minor(decimal_text(minor, currency), currency) == minor
                assert to_minor(to_decimal(minor, currency), currency) == minor

    def test_adds_up_like_the_numbers_themselves(self) -> None:
        draw = random.Random(58)
        for _ in range(500):
            left, right = (draw.randrange(-(10**12), 10**12) for _ in range(2))

            assert to_decimal(left, "BRL") + to_decimal(right, "BRL") == to_decimal(left + right, "BRL")

    def test_any_digit_beyond_the_exponent_is_refused(self) -> None:
        draw = random.Random(7)
        for currency, digits in EXPONENTS.items():
            text = f"{draw.randrange(10**6)}.{draw.randrange(10**digits):0{digits}d}" if digits else "7."
            with pytest.raises(MoneyError):
                to_minor(Decimal(text + str(draw.randrange(1, 10))), currency)


class TestFormatMoney:
    @pytest.mark.parametrize(
        ("minor", "currency", "language", "text"),
        [
            (5880, "BRL", "pt-BR", "R$ 58,80"), (5880, "BRL", "pt-br", "R$ 58,80"), (5880, "BRL", "en", "R$58.80"),
            (123_456_789, "BRL", "pt_BR", "R$ 1.234.567,89"), (123_456_789, "BRL", "en-US", "R$1,234,567.89"),
            (-5, "BRL", "pt-BR", "-R$ 0,05"), (-5, "BRL", "en", "-R$0.05"), (500, "JPY", "en", "¥500"),
            (100, "USD", "pt-BR", "US$ 1,00"), (125_000, "ARS", "en", "ARS 1,250.00"),
            (125_000, "ARS", "pt-BR", "ARS 1.250,00"), (1234, "KWD", "pt-BR", "KWD 1,234"),
            (5880, "BRL", "fr", "R$58.80"), (0, "BRL", "pt", "R$ 0,00"),
        ],
    )  # fmt: skip
    def test_writes_as_the_language_does(self, minor: int, currency: str, language: str, text: str) -> None:
        assert format_money(minor, currency, language) == text

    def test_refuses_unknown_currencies_and_floats(self) -> None:
        with pytest.raises(UnknownCurrency):
            format_money(1, "XXX", "en")
        with pytest.raises(InvalidAmount):
            format_money(1.5, "BRL", "en")  # type: ignore[arg-type]
