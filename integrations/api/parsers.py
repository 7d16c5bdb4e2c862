"""Reading JSON bodies: strict, capped, and holding nothing that the database could not store."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from core.errors import ValidationFailed

MAX_BYTES = 1024 * 1024
"""A megabyte of JSON is a thousand messages; files are uploaded as multipart."""

UNSTORABLE = "Texts must not hold NUL or half of a surrogate pair, numbers must be finite."


class StrictJSONParser(BaseParser):
    """Takes UTF-8 JSON only; refuses NaN, 1e400, endless nesting and characters that cannot be stored."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """
        Parse one body.

        :raises ParseError: it is not JSON
        :raises ValidationFailed: it is, but holds what cannot be stored
        :raises RequestDataTooBig: it is over 1 MB
        """
        raw = stream.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise RequestDataTooBig("a JSON body over 1 MB")
        try:
            value = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
            is_storable = _is_storable(value)
        except ValueError as error:
            raise ParseError(f"The body is not JSON: {_reason(error)}") from None
        except RecursionError:
            raise ParseError("The body is nested too deeply.") from None
        if not is_storable:
            raise ValidationFailed(UNSTORABLE, errors={"body": [UNSTORABLE]})
        return value


def is_storable_text(text: str) -> bool:
    """Whether PostgreSQL takes a text: no NUL, nothing that UTF-8 cannot say."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _is_storable(value: Any) -> bool:
    if isinstance(value, str):
        return is_storable_text(value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(is_storable_text(name) and _is_storable(item) for name, item in value.items())
    if isinstance(value, list):
        return all(_is_storable(item) for item in value)
    return True


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON value")


def _reason(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}."
    return "it is not UTF-8." if isinstance(error, UnicodeDecodeError) else f"{error}."
