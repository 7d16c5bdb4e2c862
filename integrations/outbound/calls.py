"""One call from start to report: gate, transport, error, CallReport."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import parse_qsl

from core import clock
from core.redaction import SHOWN_HEADERS, redact_url
from core.secret import Secrets
from integrations.contract.errors import ProviderError, Unavailable
from integrations.contract.results import CallReport, OutboundResponse
from integrations.contract.spec import ProviderSpec
from integrations.outbound.gate import Gate
from integrations.outbound.mapping import ReadError, ReadLimits, answer_error, exception_error, limit_readings
from transport.engine import Transport
from transport.errors import TransportError
from transport.wire import Answer, Terms, WireRequest

Report = Callable[[CallReport], None]
"""Told once of every call that was tried; what it raises reaches the caller."""

# Whatever is not a success: redirects are not followed, so they end here, too.
_FIRST_ERROR_STATUS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call under way."""

    operation: str
    request: WireRequest
    started_at: datetime = field(default_factory=clock.now)
    started: float = field(default_factory=time.monotonic)


class Caller:
    """Makes calls for one integration and reports each of them."""

    def __init__(
        self,
        *,
        spec: ProviderSpec,
        read_error: ReadError,
        read_limits: ReadLimits,
        report: Report,
        gate: Gate,
        transport: Transport,
        secrets: Secrets | None = None,
    ) -> None:
        self._spec = spec
        self._read_error = read_error
        self._read_limits = read_limits
        self._report = report
        self._gate = gate
        self._transport = transport
        self._secrets = secrets

    def fetch(self, request: WireRequest, terms: Terms, *, operation: str, subject: str = "") -> OutboundResponse:
        """
        Call and read the whole answer.

        :raises ProviderError: the answer is an error, or none came
        """
        terms = self._admitted(terms, operation, subject)
        call = Call(operation=operation, request=request)
        try:
            answer = self._sent(request, terms)
            body = answer.read()
        except TransportError as error:
            raise self._failed(call, error) from error
        response = _response(answer, body)
        refusal = self._judged(call, response)
        if refusal is not None:
            raise refusal
        return response

    def stream(
        self, request: WireRequest, terms: Terms, *, operation: str, notice: Callable[[ProviderError], None]
    ) -> Answer:
        """
        Call for an SDK, which reads answers and errors by itself; what we make of a failure goes to `notice`.

        :raises TransportError: no answer came
        :raises ProviderError: the gate refused
        """
        terms = self._admitted(terms, operation, "")
        call = Call(operation=operation, request=request)
        try:
            answer = self._sent(request, terms)
            if answer.status >= _FIRST_ERROR_STATUS:
                self._notice_error(call, _response(answer, answer.buffer()), notice)
                return answer
        except TransportError as error:
            notice(self._failed(call, error))
            raise
        answer.on_end = lambda error: self._ended(call, answer, error, notice)
        return answer

    def _admitted(self, terms: Terms, operation: str, subject: str) -> Terms:
        """Pass the gate; what was slept there is taken off the deadline."""
        slept_s = self._gate.enter(operation, subject=subject, deadline_s=terms.deadline_s)
        return replace(terms, deadline_s=terms.deadline_s - slept_s) if slept_s else terms

    def _sent(self, request: WireRequest, terms: Terms) -> Answer:
        """Send, and learn the vendor's limits from the answer's headers before anybody reads its body."""
        answer = self._transport.send(request, terms)
        readings = limit_readings(_response(answer, b""), self._read_limits)
        if readings:
            self._gate.learn(readings)
        return answer

    def _notice_error(self, call: Call, response: OutboundResponse, notice: Callable[[ProviderError], None]) -> None:
        error = self._judged(call, response)
        if error is not None:
            notice(error)

    def _ended(
        self, call: Call, answer: Answer, error: TransportError | None, notice: Callable[[ProviderError], None]
    ) -> None:
        if error is not None:
            notice(self._failed(call, error))
            return
        self._tell(call, status=answer.status, response_bytes=answer.received_bytes)

    def _judged(self, call: Call, response: OutboundResponse) -> ProviderError | None:
        error = None
        if response.status >= _FIRST_ERROR_STATUS:
            error = answer_error(
                self._spec,
                response,
                operation=call.operation,
                read_error=self._read_error,
                spoken=(*self._known(), *_spoken(call.request)),
            )
        self._tell(call, status=response.status, response_bytes=len(response.body), error=error)
        return error

    def _known(self) -> Iterator[str]:
        """Walk the integration's secrets: they are in bodies that only the provider can read, or sent before."""
        return (secret.reveal() for secret in (self._secrets or {}).values())

    def _failed(self, call: Call, error: TransportError) -> ProviderError:
        mapped = exception_error(self._spec, error, operation=call.operation) or Unavailable(str(error))
        self._tell(call, status=None, response_bytes=0, error=mapped)
        return mapped

    def _tell(self, call: Call, *, status: int | None, response_bytes: int, error: ProviderError | None = None) -> None:
        body = call.request.body
        self._report(
            CallReport(
                operation=call.operation,
                method=call.request.method,
                url=redact_url(call.request.target.shown),
                status=status,
                duration_ms=round((time.monotonic() - call.started) * 1000, 3),
                started_at=call.started_at,
                error=error.name if error else "",
                vendor_code=error.vendor_code if error else "",
                trace_id=error.trace_id if error else "",
                request_bytes=len(body) if isinstance(body, bytes) else 0,
                response_bytes=response_bytes,
            )
        )


def _response(answer: Answer, body: bytes) -> OutboundResponse:
    headers = {name.lower(): value for name, value in answer.headers}
    return OutboundResponse(status=answer.status, headers=headers, body=body)


def _spoken(request: WireRequest) -> Iterator[str]:
    """Walk the values of a request that may be secrets: headers that are not shown, query, form fields."""
    for name, value in request.headers:
        if name.lower() not in SHOWN_HEADERS:
            yield from (value, value.rpartition(" ")[2])
    form = request.body if isinstance(request.body, bytes) and _is_form(request) else b""
    for text in (request.target.query, form.decode("utf-8", "replace")):
        yield from (value for _, value in parse_qsl(text))


def _is_form(request: WireRequest) -> bool:
    return any(
        name.lower() == "content-type" and value.startswith("application/x-www-form-urlencoded")
        for name, value in request.headers
    )
