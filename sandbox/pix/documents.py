"""Check CPF and CNPJ as a bank does before it accepts a payer."""

from __future__ import annotations

import re

from sandbox.fields import FieldProblem

WEIGHTS = {11: (11, 10, 9, 8, 7, 6, 5, 4, 3, 2), 14: (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)}
SHAPES = {11: r"[0-9]{11}", 14: r"[0-9A-Z]{12}[0-9]{2}"}


def cpf(value: object, path: str) -> None:
    """Accept eleven digits that add up."""
    _check(value, path, size=11)


def cnpj(value: object, path: str) -> None:
    """Accept fourteen characters that add up; letters count as ASCII less 48 since API 2.9.0."""
    _check(value, path, size=14)


def _check(value: object, path: str, *, size: int) -> None:
    if not isinstance(value, str) or not re.fullmatch(SHAPES[size], value) or len(set(value)) == 1:
        raise FieldProblem("invalid", path, "wrong form")
    body = value[:-2]
    for weights in (WEIGHTS[size][1:], WEIGHTS[size]):
        total = sum((ord(char) - 48) * weight for char, weight in zip(body, weights, strict=True))
        body += str((11 - total % 11) % 11 % 10)
    if body != value:
        raise FieldProblem("invalid", path, "wrong check digits")
