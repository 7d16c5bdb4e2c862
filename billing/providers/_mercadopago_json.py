"""
MercadoPago's JSON without losing a digit, both ways.

Numbers with decimals are read as the text that came (58.8 is "58.8") and written from the text of a Decimal; a float is
never made. Text can also be stored and read again, which a Decimal in a JSON column cannot.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from core.money import MoneyError, to_decimal, to_minor
from integrations.contract import RequestRejected, UnexpectedResponse, read_json_object

WHOLE_CURRENCIES = frozenset({"CLP", "COP"})
"""Charged in whole units, whatever ISO 4217 says of COP. Source: provider card, as of 2026-11."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


def read_answer(body: bytes) -> Any:
    """
    Parse an answer; numbers with decimals become text.

    :raises UnexpectedResponse: not JSON, or not storable
    """
    try:
        tree = json.dumps({"answer": json.loads(body, parse_float=str)})
    except (ValueError, RecursionError):
        raise UnexpectedResponse("the answer is not JSON") from None
    return read_json_object(tree.encode())["answer"]


def write_body(value: Any) -> bytes:
    """
    Write a request's body; a Decimal becomes a JSON number of exactly its digits.

    :raises RequestRejected: a text is not valid Unicode
    """
    try:
        return _written(value).encode()
    except UnicodeEncodeError:
        raise RequestRejected("the body is not valid Unicode", reason="malformed_text") from None


def amount_number(amount_minor: int, currency: str) -> Decimal:
    """
    Return an amount as MercadoPago takes it: 5880 BRL is 58.80, 500000 COP is 5000.

    :raises RequestRejected: the currency is charged in whole units and the amount is none
    """
    amount = to_decimal(amount_minor, currency)
    if currency not in WHOLE_CURRENCIES:
        return amount
    if amount != amount.to_integral_value():
        raise RequestRejected(
            f"{currency} amounts are whole",
            field="amount_minor",
            reason="amount_not_whole",
            next_action=f"MercadoPago charges whole {currency} only: round the amount.",
        )
    return amount.to_integral_value()


def amount_minor(value: Any, currency: Any) -> int:
    """
    Read an amount of the vendor.

    :raises UnexpectedResponse: no number, or more digits than the currency has
    """
    try:
        return to_minor(Decimal(number_text(value)), text(currency))
    except (MoneyError, InvalidOperation):
        raise UnexpectedResponse("an amount of the answer is not money") from None


def number_text(value: Any) -> str:
    """Return a number's digits as they came; the empty text when it is none."""
    return text(value) if isinstance(value, str | int) else ""


def text(value: Any) -> str:
    """Read an id or a text: whole numbers become text, anything else the empty text."""
    return "" if isinstance(value, bool) else str(value) if isinstance(value, str | int) else ""


def obj(value: Any) -> Mapping[str, Any]:
    """Read an object; anything else is an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> Sequence[Mapping[str, Any]]:
    """Read the objects of a list; anything else has none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def required(value: Mapping[str, Any], name: str) -> str:
    """Read an id or a text that must be there; :raises UnexpectedResponse: it is not."""
    found = text(value.get(name))
    if not found:
        raise UnexpectedResponse(f"the answer has no {name}")
    return found


def segment(value: str, *, field: str = "id") -> str:
    """Return an id that may stand in a path; :raises RequestRejected: it is none of the vendor's ids."""
    if not _ID.fullmatch(value):
        raise RequestRejected("not an id of MercadoPago", field=field, reason="invalid_id")
    return value


def moment(value: Any) -> datetime | None:
    """Read an ISO 8601 time; what cannot be one is None."""
    try:
        found = datetime.fromisoformat(text(value))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def written_moment(at: datetime) -> str:
    """Write a time as the vendor wants it: milliseconds and an offset, 2026-11-23T20:00:00.000+00:00."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def _written(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(str(name))}:{_written(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_written(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
