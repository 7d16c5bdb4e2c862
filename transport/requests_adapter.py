"""Sessions for SDKs built on `requests`: our engine below, no cookies, no environment, no redirects."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse

from transport.errors import AddressRefused, BodyTooLarge, RequestInvalid, Timeout, TlsFailed, TransportError
from transport.target import Target
from transport.wire import Answer, Sender, WireRequest

_ERRORS: tuple[tuple[type[TransportError], type[requests.RequestException]], ...] = (
    (TlsFailed, requests.exceptions.SSLError),
    (AddressRefused, requests.exceptions.InvalidURL),
    (RequestInvalid, requests.exceptions.InvalidURL),
    (BodyTooLarge, requests.exceptions.ContentDecodingError),
)


class TransportAdapter(HTTPAdapter):
    """
    Carry a session's requests through a sender. What a caller says on proxies, certificates and `verify` is
    not heard; a read timeout can only shorten the deadline.
    """

    def __init__(self, sender: Sender) -> None:
        super().__init__()
        self._sender = sender

    def send(  # noqa: PLR0917 - the signature is requests' own
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """
        Send a prepared request.

        :raises requests.RequestException: caused by a `TransportError`
        """
        try:
            wire = _wire_request(request, timeout)
            answer = self._sender(wire)
            body: Any = _Reader(answer) if stream else io.BytesIO(answer.read())
        except TransportError as error:
            raise _requests_error(error) from error
        response = self.build_response(request, _raw_response(answer, body, wire.method))
        # A response's URL ends up in texts of `raise_for_status`; queries may hold secrets.
        response.url = wire.target.shown
        return response


class PlainSession(requests.Session):
    """A session that remembers nothing and follows nothing."""

    def __init__(self, sender: Sender) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = TransportAdapter(sender)
        self.adapters.clear()
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return none: a redirect is an answer like any other."""
        return None


class _Reader(io.RawIOBase):
    """The body as a file, for streamed responses."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._parts: Iterator[bytes] = iter(answer)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            part = self._rest or next(self._parts, b"")
        except TransportError as error:
            raise _requests_error(error) from error
        count = min(len(part), len(buffer))
        buffer[:count] = part[:count]
        self._rest = part[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            self._answer.close()
        super().close()


def _wire_request(request: requests.PreparedRequest, timeout: Any) -> WireRequest:
    body = request.body
    if isinstance(body, str):
        body = body.encode()
    return WireRequest(
        method=request.method or "GET",
        target=Target.parse(request.url or ""),
        headers=tuple((_text(name), _text(value)) for name, value in request.headers.items()),
        body=_parts_of(body),
        idle_s=_read_timeout(timeout),
    )


def _parts_of(body: Any) -> bytes | Iterable[bytes] | None:
    read = getattr(body, "read", None)
    if read is None:
        return body if body is None or isinstance(body, bytes) else (bytes(part) for part in body)
    return iter(lambda: read(64 * 1024), b"")


def _read_timeout(timeout: Any) -> float | None:
    value = timeout[1] if isinstance(timeout, tuple) else timeout
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _raw_response(answer: Answer, body: Any, method: str) -> HTTPResponse:
    return HTTPResponse(
        body=body,
        headers=HTTPHeaderDict(answer.sdk_headers()),
        status=answer.status,
        preload_content=False,
        decode_content=False,
        request_method=method,
    )


def _requests_error(error: TransportError) -> requests.RequestException:
    if isinstance(error, Timeout):
        return requests.exceptions.ReadTimeout(str(error)) if error.sent else requests.ConnectTimeout(str(error))
    kind = next((theirs for ours, theirs in _ERRORS if isinstance(error, ours)), requests.ConnectionError)
    return kind(str(error))
