"""Read bodies of webhooks so that whatever comes out can be stored: guarded JSON for every provider's `parse`."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from integrations.contract.errors import UnexpectedResponse

MAX_DEPTH = 64
"""The deepest documented webhook has about 15 levels; deep nesting ends parsers and databases by recursion."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def read_json_object(body: bytes) -> dict[str, Any]:
    """
    Parse a body into an object that PostgreSQL's jsonb takes.

    NUL and lone surrogates in texts become U+FFFD. Numbers are finite.

    :raises UnexpectedResponse: not JSON, not an object, not finite, or nested deeper than MAX_DEPTH
    """
    try:
        tree = json.loads(body, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        raise UnexpectedResponse("the webhook's body is not JSON that can be stored") from None
    if not isinstance(tree, dict):
        raise UnexpectedResponse("the webhook's body is JSON, but no object")
    return {_clean(name): _storable(item, depth=1) for name, item in tree.items()}


def _storable(value: Any, *, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise UnexpectedResponse(f"the webhook's body is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, dict):
        return {_clean(name): _storable(item, depth=depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_storable(item, depth=depth + 1) for item in value]
    return value


def _clean(value: str) -> str:
    return _UNSTORABLE.sub("\ufffd", value)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("out of range")
    return number
