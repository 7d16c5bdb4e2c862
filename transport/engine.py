"""The one HTTP engine: a request and its terms in, an answer under caps out. No state survives a call but sockets."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterable, Iterator

from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.exceptions import DecodeError, HTTPError

from transport.connections import Connection, ConnectionPool, PoolKey, open_connection
from transport.deadline import Budget
from transport.errors import (
    BodyTooLarge,
    MalformedAnswer,
    Phase,
    RequestInvalid,
    ResetByPeer,
    TlsFailed,
    TransportError,
)
from transport.resolver import Resolver, system_resolver
from transport.tls import ClientCertificate, client_context, refuses_certificate
from transport.wire import Answer, Body, Terms, WireRequest, check_encoding

USER_AGENT = "IntegrationsRegistry/0.1"

_ACCEPTED_ENCODINGS = ("gzip", "deflate")
_READ_BYTES = 64 * 1024
# Framing (status, headers, chunk sizes) comes on top of a body; honest hosts stay far below this.
_FRAMING_BYTES = 1024 * 1024
# A warm connection that the host closed just now may be replaced by a fresh one, where repeating is harmless.
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})
# Contexts with client certificates are few per process; past this many the oldest is forgotten.
_CERTIFICATE_CONTEXTS = 256


class Transport:
    """
    Sends requests. Thread-safe and fork-safe; one per process is enough (`shared()`).

    :param resolver: turns names into addresses; the system's when left out
    :param ca_file: PEM file of the authorities to trust; the public ones when left out
    """

    def __init__(self, *, resolver: Resolver = system_resolver, ca_file: str | None = None) -> None:
        self._resolver = resolver
        self._ca_file = ca_file
        self._pool = ConnectionPool()
        self._contexts: dict[str, ssl.SSLContext] = {}

    def send(self, request: WireRequest, terms: Terms) -> Answer:
        """
        Send one request and return its answer when the headers are in; redirects are answers like any other.

        :raises TransportError: no proper answer came; `sent` says whether the host may have the request
        """
        origin = request.target.origin
        headers = _prepared(request)
        raw_bytes = 2 * terms.max_bytes + _FRAMING_BYTES
        idle_s = min(filter(None, (terms.idle_s, request.idle_s)), default=None)
        budget = Budget(origin.host, total_s=terms.deadline_s, idle_s=idle_s, raw_bytes=raw_bytes)
        certificate = terms.certificate.key if terms.certificate else ""
        key = PoolKey(origin=origin, policy=terms.policy, certificate=certificate)
        connection = self._pool.take(key) or self._open(key, terms, budget)
        try:
            response = _exchange(connection, request, headers=headers, budget=budget)
        except ResetByPeer:
            if not connection.used or request.method not in _REPEATABLE or budget.received_bytes:
                raise
            connection = self._open(key, terms, budget)
            response = _exchange(connection, request, headers=headers, budget=budget)
        return self._answer(connection, response, request=request, budget=budget, max_bytes=terms.max_bytes)

    def close(self) -> None:
        """Close all idle connections."""
        self._pool.close()

    def _open(self, key: PoolKey, terms: Terms, budget: Budget) -> Connection:
        context = self._context(terms.certificate) if key.origin.scheme == "https" else None
        return open_connection(key, resolver=self._resolver, context=context, budget=budget)

    def _context(self, certificate: ClientCertificate | None) -> ssl.SSLContext:
        key = certificate.key if certificate else ""
        context = self._contexts.get(key)
        if context is None:
            context = client_context(ca_file=self._ca_file, certificate=certificate)
            if len(self._contexts) >= _CERTIFICATE_CONTEXTS:
                self._contexts.clear()
            self._contexts[key] = context
        return context

    def _answer(
        self,
        connection: Connection,
        response: http.client.HTTPResponse,
        *,
        request: WireRequest,
        budget: Budget,
        max_bytes: int,
    ) -> Answer:
        budget.phase = Phase.BODY
        headers = list(response.headers.items())
        try:
            encoding = response.headers.get("content-encoding")
            check_encoding(encoding, known=HTTPResponse.CONTENT_DECODERS, host=budget.host)
            decoded = HTTPResponse(
                body=response,
                headers=HTTPHeaderDict(headers),
                status=response.status,
                preload_content=False,
                original_response=response,
                request_method=request.method,
            )
        except (MalformedAnswer, HTTPError) as error:
            response.close()
            connection.close()
            raise _as_transport_error(error, budget) from None
        parts = _Parts(connection, decoded, pool=self._pool, budget=budget, max_bytes=max_bytes)
        return Answer(status=response.status, headers=headers, parts=parts)


class _Parts(Iterator[bytes]):
    """The decoded body as it comes; at its end the connection goes back to the pool, otherwise it is closed."""

    def __init__(
        self, connection: Connection, response: HTTPResponse, *, pool: ConnectionPool, budget: Budget, max_bytes: int
    ) -> None:
        self._connection: Connection | None = connection
        self._response = response
        self._pool = pool
        self._budget = budget
        self._left = max_bytes

    def __next__(self) -> bytes:
        if self._connection is None:
            raise StopIteration
        try:
            self._budget.wait_s()
            part = self._response.read1(_READ_BYTES, decode_content=True)
            self._left -= len(part)
            if self._left < 0:
                raise BodyTooLarge(self._budget.host, phase=Phase.BODY)
        except (TransportError, HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            self.close()
            raise _as_transport_error(error, self._budget) from None
        if not part:
            self._finish()
            raise StopIteration
        return part

    def close(self) -> None:
        """Close the connection if the body was not read to its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            self._response.close()

    def _finish(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        connection.lend(None)
        if connection.protocol.sock is None or not self._response.closed:
            connection.close()
            return
        self._pool.give(connection)


def _prepared(request: WireRequest) -> dict[str, str]:
    headers = request.checked_headers()
    names = {name.lower() for name in headers}
    if isinstance(request.body, bytes) or request.body is None:
        headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
    if "user-agent" not in names:
        headers["User-Agent"] = USER_AGENT
    return {"Host": request.target.origin.netloc, **headers, "Accept-Encoding": ", ".join(_ACCEPTED_ENCODINGS)}


def _exchange(
    connection: Connection, request: WireRequest, *, headers: dict[str, str], budget: Budget
) -> http.client.HTTPResponse:
    connection.lend(budget)
    budget.phase = Phase.SEND
    try:
        _write(connection, request, headers)
        budget.phase = Phase.HEADERS
        return connection.protocol.getresponse()
    except (TransportError, http.client.HTTPException, OSError, ValueError) as error:
        connection.close()
        if refuses_certificate(error):
            raise _refused(error, connection, budget) from None
        raise _as_transport_error(error, budget) from None


def _refused(error: Exception, connection: Connection, budget: Budget) -> TlsFailed:
    """Make the error of a refused certificate; a fresh connection's handshake never ended, so nothing was read."""
    phase = budget.phase if connection.used else Phase.TLS
    return TlsFailed(budget.host, phase=phase, detail=str(getattr(error, "reason", "") or ""))


def _write(connection: Connection, request: WireRequest, headers: dict[str, str]) -> None:
    body = request.body
    if not isinstance(body, bytes) and body is not None:
        body = _measured(body, headers=headers, host=request.target.origin.host)
    chunked = not isinstance(body, bytes) and body is not None and not _declared(headers)
    framing = {"Transfer-Encoding": "chunked"} if chunked else {}
    try:
        connection.protocol.request(
            request.method, request.target.request_line, body=body, headers=headers | framing, encode_chunked=chunked
        )
    except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
        # A host may answer early (413, 401) and stop reading; its answer is worth more than our write error. So is
        # the alert of one that refuses our certificate.
        if connection.protocol.sock is None:
            raise


def _measured(body: Body, *, headers: dict[str, str], host: str) -> Iterator[bytes]:
    """Refuse a stream that is not as long as it declared: the rest would be read as the next request."""
    declared = _declared(headers)
    sent = 0
    for part in body if isinstance(body, Iterable) else ():
        chunk = bytes(part) if not isinstance(part, int) else b""
        sent += len(chunk)
        if declared is not None and sent > declared:
            break
        if chunk:
            yield chunk
    if declared is not None and sent != declared:
        raise RequestInvalid(host, phase=Phase.SEND, detail="the body is not as long as its Content-Length")


def _declared(headers: dict[str, str]) -> int | None:
    value = next((value for name, value in headers.items() if name.lower() == "content-length"), None)
    return int(value) if value is not None and value.isdecimal() else None


def _as_transport_error(error: Exception, budget: Budget) -> TransportError:
    if isinstance(error, TransportError):
        return error
    if isinstance(error, DecodeError):
        return MalformedAnswer(budget.host, phase=budget.phase, detail="the body cannot be decompressed")
    cause = error.__cause__ or error
    if isinstance(cause, TransportError):
        return cause
    if isinstance(cause, OSError | http.client.IncompleteRead):  # RemoteDisconnected is an OSError, too
        return ResetByPeer(budget.host, phase=budget.phase)
    return MalformedAnswer(budget.host, phase=budget.phase)


_SHARED = Transport()


def shared() -> Transport:
    """Return this process's transport to the public Internet; its pool refuses to cross a fork."""
    return _SHARED
