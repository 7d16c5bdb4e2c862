"""
Pix keys as the directory of the central bank (DICT) writes them. Pure Python; whether a key exists, only a bank knows.

Source: BCB, DICT key formats, and the alphanumeric CNPJ of Pix API 2.9.0, as of 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from billing.tax_ids import FieldRefused, InvalidTaxId, mask_cnpj, mask_cpf, read_cnpj, read_cpf

EMAIL_CHARS: Final = 77
BRAZIL: Final = "+55"
_BRAZILIAN_PHONE: Final = re.compile(r"\+55[1-9][1-9][0-9]{8,9}")
_PHONE: Final = re.compile(r"\+[1-9][0-9]{7,14}")
_EMAIL: Final = re.compile(
    r"[a-z0-9.!#$'*+/=?^_`{|}~-]+@[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+"
)
_RANDOM: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PHONE_MARKS: Final = str.maketrans("", "", " ()-.")


class KeyType(StrEnum):
    """The five kinds of key."""

    CPF = "cpf"
    CNPJ = "cnpj"
    PHONE = "phone"
    EMAIL = "email"
    RANDOM = "random"


class InvalidPixKey(FieldRefused):
    """The text is no key of the named kind, or of any. The error does not repeat it."""


class AmbiguousPixKey(InvalidPixKey):
    """The text may be a CPF or a phone number: `key_type` decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixKey:
    """One key in the directory's own writing."""

    key_type: KeyType
    value: str

    @property
    def masked(self) -> str:
        """The key for screens and audit entries."""
        return _MASKS[self.key_type](self.value)


def read_key(text: str, key_type: KeyType | str | None = None) -> PixKey:
    """
    Read a key the way people write it and return it the way the directory does.

    Without `key_type` the kind is found by the shape: "@", a plus, a UUID, or the punctuation of CPF, CNPJ or phone.
    A phone number without a country is Brazilian.

    :raises AmbiguousPixKey: eleven bare digits without `key_type`
    :raises InvalidPixKey: no such kind, or not a key of this kind
    """
    text = text.strip()
    kind = _kind_of(text) if not key_type else _named(key_type)
    try:
        return PixKey(key_type=kind, value=_READERS[kind](text))
    except InvalidTaxId as error:
        raise InvalidPixKey(error.detail, field="key", remedy=error.remedy) from error


def _named(key_type: str) -> KeyType:
    try:
        return KeyType(key_type)
    except ValueError as error:
        known = ", ".join(KeyType)
        raise InvalidPixKey("There is no such kind of key.", field="key_type", remedy=f"Use one of {known}.") from error


def _kind_of(text: str) -> KeyType:
    if re.fullmatch(r"[0-9]{11}", text):
        raise AmbiguousPixKey(
            "Eleven digits may be a CPF or a phone number.",
            field="key_type",
            remedy="Say key_type cpf or phone, or write the phone number with +55.",
        )
    found = next((kind for shape, kind in _SHAPES if shape.fullmatch(text)), None)
    if found is None:
        raise _refused("a CPF, CNPJ, phone number with +55, e-mail address or random key")
    return found


def _read_phone(text: str) -> str:
    bare = text.translate(_PHONE_MARKS)
    if re.fullmatch(r"55[0-9]{10,11}", bare):
        bare = f"+{bare}"
    elif re.fullmatch(r"[0-9]{10,11}", bare):
        bare = BRAZIL + bare
    if (_BRAZILIAN_PHONE if bare.startswith(BRAZIL) else _PHONE).fullmatch(bare) is None:
        raise _refused("a phone number such as +5511955501234")
    return bare


def _read_email(text: str) -> str:
    bare = text.lower() if text.isascii() else ""
    if len(bare) > EMAIL_CHARS or _EMAIL.fullmatch(bare) is None:
        raise _refused(f"an e-mail address of at most {EMAIL_CHARS} characters, without accents")
    return bare


def _read_random(text: str) -> str:
    bare = text.lower() if text.isascii() else ""
    if _RANDOM.fullmatch(bare) is None:
        raise _refused("a random key such as 9f1b6c1e-2d70-4f0a-8a44-1c5d3b7e9a02")
    return bare


def _refused(wanted: str) -> InvalidPixKey:
    return InvalidPixKey("This is not a valid Pix key.", field="key", remedy=f"Give {wanted}.")


def _mask_phone(value: str) -> str:
    return f"{value[:-8]}****{value[-4:]}"


def _mask_email(value: str) -> str:
    name, _, domain = value.rpartition("@")
    return f"{name[:1]}***@{domain}"


def _mask_random(value: str) -> str:
    return f"{value[:8]}-****-****-****-********{value[-4:]}"


# Tried in this order; what fits none is refused.
_SHAPES: Final[tuple[tuple[re.Pattern[str], KeyType], ...]] = (
    (re.compile(r".*@.*"), KeyType.EMAIL),
    (re.compile(r"\+.*"), KeyType.PHONE),
    (re.compile(_RANDOM.pattern, re.IGNORECASE), KeyType.RANDOM),
    (re.compile(r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}"), KeyType.CPF),
    (re.compile(r"\([0-9]{2}\) ?[0-9]{4,5}[- ]?[0-9]{4}"), KeyType.PHONE),
    (re.compile(r"[0-9A-Za-z]{2}\.?[0-9A-Za-z]{3}\.?[0-9A-Za-z]{3}/?[0-9A-Za-z]{4}-?[0-9]{2}"), KeyType.CNPJ),
)
_READERS: Final[dict[KeyType, Callable[[str], str]]] = {
    KeyType.CPF: lambda text: read_cpf(text, field="key"),
    KeyType.CNPJ: lambda text: read_cnpj(text, field="key"),
    KeyType.PHONE: _read_phone,
    KeyType.EMAIL: _read_email,
    KeyType.RANDOM: _read_random,
}
_MASKS: Final[dict[KeyType, Callable[[str], str]]] = {
    KeyType.CPF: mask_cpf,
    KeyType.CNPJ: mask_cnpj,
    KeyType.PHONE: _mask_phone,
    KeyType.EMAIL: _mask_email,
    KeyType.RANDOM: _mask_random,
}
