"""
What can go wrong between us and a host. Each error says in which phase, and whether the request may have arrived.

The texts name a host at most: never a path, a query, a header or a body.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Phase(StrEnum):
    """How far a call had come."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    SEND = "send"
    HEADERS = "headers"
    BODY = "body"


_AFTER_SEND = frozenset({Phase.SEND, Phase.HEADERS, Phase.BODY})


class TransportError(Exception):
    """
    Root of what a call can fail with, apart from an answer the caller does not like.

    `sent` is true when the vendor may have received the request, wholly or in part: an effect must then be
    reconciled, not blindly repeated.
    """

    text: ClassVar[str] = "The call failed."

    def __init__(self, host: str, *, phase: Phase, detail: str = "") -> None:
        parts = [self.text, f"host={host}", f"phase={phase}"]
        super().__init__(" ".join([*parts, detail] if detail else parts))
        self.host = host
        self.phase = phase
        self.detail = detail

    @property
    def sent(self) -> bool:
        """Whether the request may have reached the host."""
        return self.phase in _AFTER_SEND


class Timeout(TransportError):
    """The call's whole time was used up, or the host was silent for too long."""

    text = "The deadline passed."


class DnsFailed(TransportError):
    """The host's name has no address."""

    text = "The host's name could not be resolved."


class AddressRefused(TransportError):
    """Our own rules forbid this destination: its scheme, or an address its name leads to."""

    text = "The destination is not allowed."


class ConnectFailed(TransportError):
    """No address of the host accepted a connection."""

    text = "No connection could be made."


class TlsFailed(TransportError):
    """The TLS handshake failed or the certificate is not the host's."""

    text = "No trusted TLS connection could be made."


class CertificateUnusable(TransportError):
    """The integration's client certificate and key are not a PEM pair that fits together."""

    text = "The client certificate cannot be used."


class ResetByPeer(TransportError):
    """The connection broke off before the answer was complete."""

    text = "The connection broke off."


class MalformedAnswer(TransportError):
    """What came back is not HTTP, or cannot be decompressed."""

    text = "The answer is not valid HTTP."


class UnknownEncoding(MalformedAnswer):
    """The body is compressed in a way we did not ask for and cannot read."""

    text = "The answer's content encoding is unknown."


class BodyTooLarge(TransportError):
    """The answer exceeds the byte cap, before or after decompression."""

    text = "The answer is larger than allowed."


class RequestInvalid(TransportError):
    """The request cannot be put on the wire: a bad URL, method or header. Nothing was sent."""

    text = "The request is not valid HTTP."
