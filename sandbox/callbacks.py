"""Call the product's webhook addresses. Only this machine and private networks are ever called."""

from __future__ import annotations

import http.client
import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

# An answer is read only to be shown; the challenge is a few digits.
ANSWER_BYTES = 4096


class Unreachable(Exception):
    """The address cannot be called; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackAnswer:
    """What the receiver said."""

    status: int
    reason: str
    body: bytes


def call_back(
    url: str, *, method: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, timeout_s: float
) -> CallbackAnswer:
    """Make one HTTP call without following redirects; :raises Unreachable: no answer, or an address out of bounds."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unreachable("the address must start with http:// or https://")
    target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    try:
        _require_near(parts.hostname)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname, parts.port, timeout=timeout_s)
        try:
            connection.request(method, target, body=body, headers=dict(headers or {}))
            answer = connection.getresponse()
            return CallbackAnswer(status=answer.status, reason=answer.reason, body=answer.read(ANSWER_BYTES))
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(str(error) or type(error).__name__) from error


def _require_near(host: str) -> None:
    for *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM):
        found = ipaddress.ip_address(str(address[0]).partition("%")[0])
        if not (found.is_loopback or found.is_private):
            raise Unreachable(f"{host} is a public address; the sandbox calls this machine and private networks only")
