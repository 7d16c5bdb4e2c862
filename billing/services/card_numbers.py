"""
Finding what may be a card's number, so that none is stored, logged or sent on (docs/decisions/0014).

A number of 13 to 19 digits whose Luhn sum is right counts as one wherever it stands: in values and in names of members,
in numbers, inside longer text, with single blanks or dashes between its digits. Texts that have digits by another rule
(ids of ours, tokens in hexadecimal, phone numbers, tax ids and PIX keys in the fields made for them) are told apart.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from itertools import accumulate
from typing import Any

from billing.tax_ids import FieldRefused, read_tax_id
from core.errors import RegistryError

SHORTEST, LONGEST = 13, 19

HIDDEN = "[card number]"

_MOST_FIGURES = 40
"""A number with a longer exponent is no card's; writing it out would cost a megabyte."""

# Groups of digits with one blank or dash between them; what stands around does not matter.
_RUN = re.compile(r"\d+(?:[\s\-\u2010-\u2015\u2212]\d+)*")
_DIGITS = re.compile(r"\d+")
_OURS = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE)
_HEXADECIMAL = re.compile(r"\b(?=[0-9]*[a-f])(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})\b", re.IGNORECASE)
_E164 = re.compile(r"\+[1-9][0-9]{7,14}", re.ASCII)
_PHONE_MARKS = str.maketrans("", "", " ()-.")


class CardNumberRefused(RegistryError):
    """A card's number is in a request; it went no further, and the error does not repeat it."""

    code = "card_number_refused"
    title = "A card number was refused"


def refuse_card_numbers(value: Any) -> None:
    """
    Refuse a JSON-like value, or the data of a form, that holds what may be a card's number.

    :raises CardNumberRefused: naming the first field that holds one
    """
    path = find_card_number(value)
    if path is None:
        return
    remedy = (
        "Leave out card numbers: the provider's script in the payer's browser makes a token of one. Write a phone"
        " number with its plus; put letters between the digits of any other number."
    )
    raise CardNumberRefused(
        "This request holds what may be a card number; nothing was stored.", errors={path: [remedy]}
    )


def refuse_in_body(raw: bytes) -> None:
    """
    Refuse a body of a request, whatever it is: JSON is read member by member, repeated ones included.

    :raises CardNumberRefused: see `refuse_card_numbers`
    """
    refuse_card_numbers(_read(raw))


def find_card_number(value: Any, path: str = "") -> str | None:
    """Return the dotted path of the first field that may hold a card's number, "body" for the whole; None for none."""
    return next((found or "body" for found in _walk(value, path)), None)


class _Members(list[tuple[str, Any]]):
    """The members of one JSON object in their order; a name may come twice."""


def _read(raw: bytes) -> Any:
    try:
        text = raw.decode("utf-8")
        return json.loads(text, object_pairs_hook=_Members, parse_float=Decimal, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):  # refused later for what it is
        return raw.decode("utf-8", "replace")


def _walk(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, _Members | Mapping):
        for name, item in value.items() if isinstance(value, Mapping) else value:
            shown = HIDDEN if _holds(str(name)) else str(name)
            step = f"{path}.{shown}".lstrip(".")
            if shown is HIDDEN:
                yield step
            yield from _walk(item, step)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _walk(item, f"{path}.{index}".lstrip("."))
    elif _holds(_text(value)) and not _is_meant(path, _text(value)):
        yield path


def _text(value: Any) -> str:
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        is_short = value.is_finite() and abs(value.adjusted()) < _MOST_FIGURES
        return f"{value:f}" if is_short else ""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _holds(text: str) -> bool:
    bare = _HEXADECIMAL.sub("x", _OURS.sub("x", text))
    return any(_has_card(run) for run in _RUN.findall(bare))


def _has_card(run: str) -> bool:
    """
    Look at each row of neighboring groups that is as long as a card's number.

    A body may be one run of thousands of groups: sums are kept from the run's start, so that each row costs two looks.
    """
    groups = _DIGITS.findall(run)
    if sum(map(len, groups)) < SHORTEST:
        return False
    ends = [0, *accumulate(len(group) for group in groups)]
    sums = _luhn_sums("".join(groups))
    for first, start in enumerate(ends):
        for end in ends[first + 1 : first + 1 + LONGEST]:
            if end - start > LONGEST:
                break
            total = sums[end % 2][end] - sums[end % 2][start]
            if end - start >= SHORTEST and total and total % 10 == 0:  # nothing but zeros is no card
                return True
    return False


def _luhn_sums(digits: str) -> tuple[list[int], list[int]]:
    """Return Luhn's sums from the start to each place, for rows that end at an even place and at an odd one."""
    values = [unicodedata.digit(char) for char in digits]
    doubled = [2 * value - 9 if value > 4 else 2 * value for value in values]  # noqa: PLR2004 - two digits from five on
    even = [doubled[place] if place % 2 == 0 else value for place, value in enumerate(values)]
    odd = [doubled[place] if place % 2 else value for place, value in enumerate(values)]
    return [0, *accumulate(even)], [0, *accumulate(odd)]


def _is_meant(path: str, text: str) -> bool:
    """Whether a field that is made for other numbers holds one of those, and nothing beside it."""
    meant = _MEANT.get(path.rpartition(".")[2])
    return meant is not None and meant(text)


def _is_phone(text: str) -> bool:
    return _E164.fullmatch(text.translate(_PHONE_MARKS)) is not None


def _is_tax_id(text: str) -> bool:
    try:
        read_tax_id(text)
    except FieldRefused:
        return False
    return True


_MEANT: Mapping[str, Callable[[str], bool]] = {
    "phone": _is_phone,
    "tax_id": _is_tax_id,
    "key": lambda text: _is_phone(text) or _is_tax_id(text),
}
"""Field -> what it is made for. A CNPJ has 14 digits and a phone number of Brazil 13: a tenth of either passes Luhn."""
