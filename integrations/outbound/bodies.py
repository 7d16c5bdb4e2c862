"""What a provider passes as query, JSON, form or files, put into bytes."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from urllib3.filepost import encode_multipart_formdata

from integrations.contract.errors import RequestRejected

Encoded = tuple[bytes | None, str]
"""A body and its content type; None and empty when there is no body."""


def encode_body(*, json: Any, data: Mapping[str, Any] | bytes | None, files: Mapping[str, Any] | None) -> Encoded:
    """
    Encode a body: `files` (with `data` as further fields) as multipart, `json` compactly, `data` as a form or raw.

    A file is bytes, an open binary file, or a tuple (name, content[, content type]).

    :raises RequestRejected: a text is not valid Unicode, or a number not a JSON number
    """
    if files is not None:
        fields = dict(_pairs(data)) if isinstance(data, Mapping) else {}
        return encode_multipart_formdata({**fields, **{name: _file(name, value) for name, value in files.items()}})
    if json is not None:
        return _encode_json(json), "application/json"
    if isinstance(data, bytes):
        return data, ""
    if data is not None:
        return encode_query(data).encode(), "application/x-www-form-urlencoded"
    return None, ""


def encode_query(params: Mapping[str, Any]) -> str:
    """
    Encode parameters: None is left out, true and false in lower case, a list once for each item.

    :raises RequestRejected: a text is not valid Unicode
    """
    try:
        return urlencode(_pairs(params))
    except UnicodeEncodeError:
        raise RequestRejected("a parameter is not valid Unicode", reason="malformed_text") from None


def _pairs(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in params.items():
        values = value if isinstance(value, list | tuple) else [value]
        pairs += [(name, _plain(item)) for item in values if item is not None]
    return pairs


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _encode_json(value: Any) -> bytes:
    try:
        return jsonlib.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        raise RequestRejected("the body is not representable as JSON", reason="malformed_text") from None


def _file(name: str, value: Any) -> tuple[str, bytes, str]:
    parts = value if isinstance(value, tuple) else (name, value)
    content = parts[1]
    if hasattr(content, "read"):
        content = content.read()
    content_type = parts[2] if len(parts) > 2 and parts[2] else "application/octet-stream"  # noqa: PLR2004 - a triple
    return str(parts[0]), content.encode() if isinstance(content, str) else bytes(content), content_type
