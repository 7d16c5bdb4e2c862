"""Clients for SDKs built on `httpx2` (openai, anthropic): our engine below, no cookies, no environment."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import httpx2

from transport.errors import AddressRefused, Phase, RequestInvalid, ResetByPeer, Timeout, TransportError
from transport.target import Target
from transport.wire import Answer, Sender, WireRequest

_ERRORS: tuple[tuple[type[TransportError], type[httpx2.TransportError]], ...] = (
    (AddressRefused, httpx2.UnsupportedProtocol),
    (RequestInvalid, httpx2.LocalProtocolError),
    (ResetByPeer, httpx2.ReadError),
)
_TIMEOUTS = {Phase.SEND: httpx2.WriteTimeout, Phase.HEADERS: httpx2.ReadTimeout, Phase.BODY: httpx2.ReadTimeout}


class EngineTransport(httpx2.BaseTransport):
    """Carry a client's requests through a sender; a read timeout can only shorten the deadline."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """
        Send a request; its answer streams.

        :raises httpx2.TransportError: caused by a `transport.errors.TransportError`
        """
        try:
            answer = self._sender(_wire_request(request))
        except TransportError as error:
            raise _httpx_error(error) from error
        return httpx2.Response(answer.status, headers=answer.sdk_headers(), stream=_Stream(answer))


class PlainClient(httpx2.Client):
    """A client that remembers nothing, hears nothing from the environment and shows no query."""

    def __init__(self, sender: Sender, *, base_url: str = "") -> None:
        super().__init__(
            transport=EngineTransport(sender), base_url=base_url, trust_env=False, follow_redirects=False, timeout=None
        )
        self.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send as httpx2 does, but never follow a redirect, and leave the query out of the answer's request."""
        response = super().send(request, **{**options, "follow_redirects": False})
        shown = Target.parse(str(request.url)).shown
        response.request = httpx2.Request(request.method, shown, extensions=request.extensions)
        return response


class _Stream(httpx2.SyncByteStream):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._answer
        except TransportError as error:
            raise _httpx_error(error) from error

    def close(self) -> None:
        self._answer.close()


class _QueryLess(logging.Filter):
    """Leave queries out of httpx2's own log line of each request."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                str(value.copy_with(query=None)) if isinstance(value, httpx2.URL) else value for value in record.args
            )
        return True


logging.getLogger("httpx2").addFilter(_QueryLess())


def _wire_request(request: httpx2.Request) -> WireRequest:
    timeout = request.extensions.get("timeout")
    idle_s = timeout.get("read") if isinstance(timeout, dict) else None
    return WireRequest(
        method=request.method,
        target=Target.parse(str(request.url)),
        headers=tuple(request.headers.multi_items()),
        body=_body(request),
        idle_s=idle_s,
    )


def _body(request: httpx2.Request) -> bytes | Iterable[bytes] | None:
    if isinstance(request.stream, httpx2.ByteStream):
        return request.read() or None
    if not isinstance(request.stream, httpx2.SyncByteStream):
        raise TypeError("the client is synchronous; its request bodies must be, too")
    return request.stream


def _httpx_error(error: TransportError) -> httpx2.TransportError:
    if isinstance(error, Timeout):
        return _TIMEOUTS.get(error.phase, httpx2.ConnectTimeout)(str(error))
    fallback = httpx2.RemoteProtocolError if error.sent else httpx2.ConnectError
    return next((theirs for ours, theirs in _ERRORS if isinstance(error, ours)), fallback)(str(error))
