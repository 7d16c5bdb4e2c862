"""Tax numbers of Brazil and Argentina: shape and check digits."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from sandbox.mercadopago.sites import Site

# Receita Federal counts letters of the new CNPJ as their ASCII code minus 48, which is the digit itself for digits.
ASCII_ZERO = 48
CPF_WEIGHTS = (range(10, 1, -1), range(11, 1, -1))
CNPJ_FIRST = (5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)
CNPJ_WEIGHTS = (CNPJ_FIRST, (6, *CNPJ_FIRST))
CUIT_WEIGHTS = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)


def is_cpf(number: str) -> bool:
    """Say whether eleven digits are a CPF; eleven equal ones are none."""
    return bool(re.fullmatch(r"\d{11}", number)) and len(set(number)) > 1 and _checks(number, CPF_WEIGHTS)


def is_cnpj(number: str) -> bool:
    """Say whether fourteen characters are a CNPJ; since July 2026 the first twelve may be letters."""
    return bool(re.fullmatch(r"[0-9A-Z]{12}\d{2}", number)) and len(set(number)) > 1 and _checks(number, CNPJ_WEIGHTS)


def is_cuit(number: str) -> bool:
    """Say whether eleven digits are a CUIT or CUIL."""
    if not re.fullmatch(r"\d{11}", number):
        return False
    rest = 11 - sum(int(digit) * weight for digit, weight in zip(number, CUIT_WEIGHTS, strict=False)) % 11
    return {11: 0, 10: 9}.get(rest, rest) == int(number[-1])


CHECKS: dict[str, Callable[[str], bool]] = {"CPF": is_cpf, "CNPJ": is_cnpj, "CUIT": is_cuit, "CUIL": is_cuit}


def is_document(site: Site, kind: str, number: str) -> bool:
    """Say whether the number is of the kind, and the kind of the country."""
    for known, _, least, most in site.documents:
        if known == kind:
            shape = bool(re.fullmatch(rf"[0-9A-Z]{{{least},{most}}}", number))
            return shape and CHECKS.get(kind, str.isalnum)(number)
    return False


def _checks(number: str, weights: Sequence[Sequence[int]]) -> bool:
    for weight in weights:
        length = len(weight)
        rest = sum((ord(char) - ASCII_ZERO) * factor for char, factor in zip(number, weight, strict=False)) % 11
        if int(number[length]) != (0 if rest < 2 else 11 - rest):  # noqa: PLR2004 - the rule of the tax office
            return False
    return True
