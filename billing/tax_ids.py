"""
Brazilian tax ids: CPF of persons, CNPJ of companies. Pure Python; nothing is asked of anybody.

Since 2026 a CNPJ may carry letters in its first twelve places (RFB 2229/2024): each character counts as its ASCII
code less 48, with the weights as before, and the two check digits stay digits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from core.errors import ValidationFailed

CPF_CHARS: Final = 11
CNPJ_CHARS: Final = 14
_MODULUS: Final = 11
# The weights of the second check digit; the first one's are the same without the first entry.
_CPF_WEIGHTS: Final = (11, 10, 9, 8, 7, 6, 5, 4, 3, 2)
_CNPJ_WEIGHTS: Final = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)
# People write 123.456.789-09 and 12.ABC.345/01DE-35; nothing else is taken away.
_PUNCTUATION: Final = str.maketrans("", "", "./- ")
_CPF: Final = re.compile(r"[0-9]{11}")
_CNPJ: Final = re.compile(r"[0-9A-Z]{12}[0-9]{2}")


class TaxIdKind(StrEnum):
    """Whose number it is."""

    CPF = "cpf"
    CNPJ = "cnpj"


class FieldRefused(ValidationFailed):
    """One value is not usable. `field` is its name in the public contract, `remedy` says what to do."""

    def __init__(self, detail: str, *, field: str, remedy: str) -> None:
        super().__init__(detail, errors={field: [remedy]})
        self.field = field
        self.remedy = remedy


class InvalidTaxId(FieldRefused):
    """The text is no CPF and no CNPJ; the error does not repeat it, for it is personal data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxId:
    """A checked number without punctuation, letters in upper case."""

    kind: TaxIdKind
    value: str

    @property
    def masked(self) -> str:
        """The number for screens and lists: enough to recognize, not enough to use."""
        mask = mask_cpf if self.kind is TaxIdKind.CPF else mask_cnpj
        return mask(self.value)


def read_tax_id(text: str, *, field: str = "tax_id") -> TaxId:
    """
    Read a CPF or CNPJ, with or without punctuation, by its length.

    :param field: the name under which an error is reported
    :raises InvalidTaxId: wrong length, wrong characters, wrong check digits, or one digit throughout
    """
    if len(_bare(text)) == CPF_CHARS:
        return TaxId(kind=TaxIdKind.CPF, value=read_cpf(text, field=field))
    return TaxId(kind=TaxIdKind.CNPJ, value=read_cnpj(text, field=field))


def read_cpf(text: str, *, field: str = "tax_id") -> str:
    """Return the eleven digits of a CPF; :raises InvalidTaxId: see `read_tax_id`."""
    bare = _bare(text)
    if _CPF.fullmatch(bare) is None or len(set(bare)) == 1 or not _adds_up(bare, _CPF_WEIGHTS):
        raise InvalidTaxId(
            "This is not a valid CPF.", field=field, remedy="Give the 11 digits of the CPF; the last two must match."
        )
    return bare


def read_cnpj(text: str, *, field: str = "tax_id") -> str:
    """Return the fourteen characters of a CNPJ, letters in upper case; :raises InvalidTaxId: see `read_tax_id`."""
    bare = _bare(text)
    if _CNPJ.fullmatch(bare) is None or len(set(bare)) == 1 or not _adds_up(bare, _CNPJ_WEIGHTS):
        raise InvalidTaxId(
            "This is not a valid CPF or CNPJ.",
            field=field,
            remedy="Give the 11 digits of a CPF or the 14 characters of a CNPJ; the last two digits must match.",
        )
    return bare


def mask_cpf(value: str) -> str:
    """Return ***.456.789-** for a CPF of eleven digits."""
    return f"***.{value[3:6]}.{value[6:9]}-**"


def mask_cnpj(value: str) -> str:
    """Return 12.***.***/0001-95 for a CNPJ of fourteen characters."""
    return f"{value[:2]}.***.***/{value[8:12]}-{value[12:]}"


def _bare(text: str) -> str:
    # Upper case only for ASCII: other alphabets have letters whose upper case is a plain one.
    return text.upper().translate(_PUNCTUATION) if text.isascii() else ""


def _adds_up(value: str, weights: Sequence[int]) -> bool:
    body = value[:-2]
    first = _check_digit(body, weights[1:])
    return value[-2:] == f"{first}{_check_digit(f'{body}{first}', weights)}"


def _check_digit(body: str, weights: Sequence[int]) -> int:
    rest = sum((ord(char) - ord("0")) * weight for char, weight in zip(body, weights, strict=True)) % _MODULUS
    return 0 if rest <= 1 else _MODULUS - rest
