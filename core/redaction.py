"""
Redaction: what may be shown of headers, URLs and payloads.

Used for stored request logs, delivery details and log records. It errs on the side of hiding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

HIDDEN = "[hidden]"

SHOWN_HEADERS = frozenset(
    {
        "accept", "content-length", "content-type", "date", "host", "retry-after", "user-agent",
        "x-app-usage", "x-business-use-case-usage", "x-request-id", "stripe-version", "request-id",
    }
)  # fmt: skip
"""Header names whose values are shown; every other value is hidden."""

_SECRET_NAME = re.compile(
    r"(token|secret|password|passwd|pin|api_?key|authorization|signature|credential|private|cookie|dsn|code_verifier)",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"(ir_(?:live|test)_\w+|[sr]k_(?:live|test)_\w+|whsec_[\w+/=]+|EAA\w{20,}|Bearer\s+[\w.\-~+/]+=*)"
)


def redact_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Keep the names of all headers and the values of harmless ones."""
    return {name: value if name.lower() in SHOWN_HEADERS else HIDDEN for name, value in headers.items()}


def redact_url(url: str) -> str:
    """Drop the query, the fragment and any user part of a URL."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    netloc = f"{host}:{parts.port}" if parts.port else host
    return urlunsplit((parts.scheme, netloc, parts.path, "", ""))


def redact_text(text: str) -> str:
    """Hide whatever in a text looks like a key of ours or of a vendor."""
    return _SECRET_VALUE.sub(HIDDEN, text)


def redact(value: Any) -> Any:
    """Walk a JSON-like value and hide entries whose name or shape says secret."""
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if isinstance(key, str) and _SECRET_NAME.search(key) else redact(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    if isinstance(value, str):
        return redact_text(value)
    return value
