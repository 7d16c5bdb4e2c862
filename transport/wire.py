"""What goes out and what comes back, below any vendor's meaning."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from transport.errors import Phase, RequestInvalid, TransportError, UnknownEncoding
from transport.policy import EgressPolicy
from transport.target import Target
from transport.tls import ClientCertificate

DEFAULT_DEADLINE_S = 20.0
DEFAULT_MAX_BYTES = 5 * 1024 * 1024

Body = bytes | Iterable[bytes] | None

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[^\x00\r\n\u0100-\U0010ffff]*")

# The engine speaks for itself here: it frames bodies, decodes answers, and one connection serves many calls.
_OURS = frozenset({"host", "connection", "accept-encoding", "transfer-encoding", "proxy-authorization"})

# Headers that say how a body travelled, and those that no longer fit it once it is decoded.
_FRAMING = frozenset({"transfer-encoding", "connection", "set-cookie"})
_MEASURES = frozenset({"content-encoding", "content-length"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """
    What a call may reach and take.

    :param deadline_s: total time, from name resolution to the last byte of the answer
    :param idle_s: longest wait for anything, for streams that are long but never silent
    :param max_bytes: cap of the answer's body after decompression
    """

    policy: EgressPolicy
    deadline_s: float = DEFAULT_DEADLINE_S
    idle_s: float | None = None
    max_bytes: int = DEFAULT_MAX_BYTES
    certificate: ClientCertificate | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WireRequest:
    """
    One request. Its text form shows method and URL without the query, nothing else.

    `idle_s` is what an SDK asks for as its read timeout; it can only shorten the terms.
    """

    method: str
    target: Target
    headers: Sequence[tuple[str, str]] = field(default_factory=tuple)
    body: Body = None
    idle_s: float | None = None

    def __repr__(self) -> str:
        return f"<WireRequest {self.method} {self.target.shown}>"

    def checked_headers(self) -> dict[str, str]:
        """
        Return the caller's headers without those that belong to the engine.

        :raises RequestInvalid: the method or a header cannot be put on the wire
        """
        names_valid = all(_TOKEN.fullmatch(name) for name in (self.method, *(name for name, _ in self.headers)))
        if not names_valid or not all(_is_sendable(value) for _, value in self.headers):
            detail = "a method or header holds forbidden characters"
            raise RequestInvalid(self.target.origin.host, phase=Phase.CONNECT, detail=detail)
        return {name: value for name, value in self.headers if name.lower() not in _OURS}


class Answer:
    """
    A status, headers, and a body that is read once, decoded, under the caps of its call.

    Iterate over it for parts as they come, or `read()` it whole. `on_end` is told once: when the body ended,
    failed (with the error) or was closed early.
    """

    def __init__(self, *, status: int, headers: Sequence[tuple[str, str]], parts: Iterator[bytes]) -> None:
        self.status = status
        self.headers = headers
        self.received_bytes = 0
        self.on_end: Callable[[TransportError | None], None] | None = None
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        try:
            for part in self._parts:
                self.received_bytes += len(part)
                yield part
        except TransportError as error:
            self._end(error)
            raise
        finally:
            self.close()

    def read(self) -> bytes:
        """
        Read the rest of the body.

        :raises TransportError: it is late, too large, malformed or cut off
        """
        return b"".join(self)

    def buffer(self) -> bytes:
        """Read the body whole and keep it, so that whoever iterates later sees it again."""
        on_end, self.on_end = self.on_end, None
        try:
            body = self.read()
        except TransportError as error:
            self.on_end = on_end
            self._end(error)
            raise
        self.received_bytes = 0
        self.on_end = on_end
        self._parts = iter((body,) if body else ())
        return body

    def close(self) -> None:
        """Stop reading; a connection whose answer was not read to the end is closed with it."""
        close = getattr(self._parts, "close", None)
        if close is not None:
            close()
        self._end(None)

    def header(self, name: str) -> str | None:
        """Return the first value of a header, its name in any case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def sdk_headers(self) -> list[tuple[str, str]]:
        """Return the headers that are still true of a decoded body, without cookies: for responses of SDKs."""
        spent = _FRAMING | _MEASURES if self.header("content-encoding") else _FRAMING
        return [(name, value) for name, value in self.headers if name.lower() not in spent]

    def _end(self, error: TransportError | None) -> None:
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end(error)


Sender = Callable[[WireRequest], Answer]
"""Sends one request under terms that its maker chose, such as `functools.partial(transport.send, terms=…)`."""


def check_encoding(encoding: str | None, *, known: Iterable[str], host: str) -> None:
    """
    Refuse a content encoding that would reach the caller undecoded.

    :raises UnknownEncoding: the host used an encoding nobody asked for
    """
    names = [name.strip().lower() for name in (encoding or "").split(",") if name.strip()]
    if any(name not in {"identity", *known} for name in names):
        raise UnknownEncoding(host, phase=Phase.BODY)


def _is_sendable(value: str) -> bool:
    return _VALUE.fullmatch(value) is not None
