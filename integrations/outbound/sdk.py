"""SDK clients behind the guard: every call of theirs passes the host check, the deadline, the gate and the report."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import requests

from integrations.contract.errors import ProviderError
from integrations.contract.spec import ProviderSpec
from integrations.outbound.calls import Caller
from integrations.outbound.destinations import Destination, Destinations
from integrations.outbound.mapping import exception_error
from transport.errors import TransportError
from transport.requests_adapter import PlainSession
from transport.wire import Answer, Sender, Terms, WireRequest

if TYPE_CHECKING:
    from transport.httpx_transport import PlainClient

TermsFor = Callable[[Destination, str], Terms]
"""Gives the terms of a call to a destination by an operation."""


class _LastError(threading.local):
    """What the guard last saw go wrong underneath an SDK, in this thread."""

    error: ProviderError | None = None


class SdkClients:
    """Makes sessions and clients, and explains what SDKs raise."""

    def __init__(self, *, spec: ProviderSpec, caller: Caller, destinations: Destinations, terms_for: TermsFor) -> None:
        self._spec = spec
        self._caller = caller
        self._destinations = destinations
        self._terms_for = terms_for
        self._last = _LastError()

    def session(self, operation: str) -> requests.Session:
        """Make a session for an SDK built on requests."""
        return PlainSession(self._sender(operation))

    def client(self, operation: str) -> PlainClient:
        """Make a client for an SDK built on httpx2, which is imported only where such an SDK is used."""
        from transport.httpx_transport import PlainClient

        return PlainClient(self._sender(operation))

    def explain(self, error: Exception, operation: str) -> ProviderError | None:
        """
        Turn what an SDK raised into a ProviderError, or None when it is no fault of the vendor or the network.

        In this order: an error of ours inside it, the spec's rules by exception name, the answer or the failure
        seen underneath.
        """
        chain = list(_chain(error))
        ours = next((item for item in chain if isinstance(item, ProviderError)), None)
        if ours is not None:
            return ours
        by_name = (exception_error(self._spec, item, operation=operation) for item in chain if _is_sdks(item))
        named = next((item for item in by_name if item is not None), None)
        last, self._last.error = self._last.error, None
        network = next((item for item in chain if isinstance(item, TransportError)), None)
        if named is not None or last is not None or network is None:
            return named or last
        return exception_error(self._spec, network, operation=operation)

    def _sender(self, operation: str) -> Sender:
        def send(request: WireRequest) -> Answer:
            self._last.error = None
            target, destination = self._destinations.resolve(request.target.url, None)
            guarded = replace(request, target=target)
            terms = self._terms_for(destination, operation)
            return self._caller.stream(guarded, terms, operation=operation, notice=self._notice)

        return send

    def _notice(self, error: ProviderError) -> None:
        self._last.error = error


def _is_sdks(error: Exception) -> bool:
    return not isinstance(error, TransportError | ProviderError)


def _chain(error: BaseException | None) -> Iterator[Exception]:
    """Walk an exception and what caused it; SDKs wrap what they catch."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, Exception):
            yield error
        error = error.__cause__ or error.__context__
