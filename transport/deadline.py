"""
The budget of one call, and sockets that spend it.

A timeout on a socket starts anew with every byte; a host that drips one byte a second holds a worker for
hours. These sockets ask the call's budget before every operation, so that the whole call ends in time.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, TypeVar

from transport.errors import BodyTooLarge, Phase, Timeout

Result = TypeVar("Result")


class Budget:
    """
    Time and bytes that are left to one call. `phase` is kept by the engine and named in errors.

    `idle_s` bounds each single wait; `raw_bytes` is what the host may send at most, framing included.
    """

    __slots__ = ("_ends", "_idle_s", "_raw_bytes", "host", "phase", "received_bytes")

    def __init__(self, host: str, *, total_s: float, idle_s: float | None, raw_bytes: int) -> None:
        self._ends = time.monotonic() + total_s
        self._idle_s = idle_s
        self._raw_bytes = raw_bytes
        self.host = host
        self.phase = Phase.DNS
        self.received_bytes = 0

    def wait_s(self) -> float:
        """
        Return how long the next operation may take, in seconds.

        :raises Timeout: nothing is left
        """
        left = self._ends - time.monotonic()
        if left <= 0:
            raise self.timeout()
        return left if self._idle_s is None else min(left, self._idle_s)

    def spend(self, count: int) -> None:
        """
        Account for bytes received.

        :raises BodyTooLarge: the host sent more than the call may take
        """
        self.received_bytes += count
        if self.received_bytes > self._raw_bytes:
            raise BodyTooLarge(self.host, phase=self.phase)

    def timeout(self) -> Timeout:
        """Make the error of a passed deadline in the present phase."""
        return Timeout(self.host, phase=self.phase)


class _Budgeted(socket.socket):
    """What both kinds of socket share; `budget` is None while a connection idles or shakes hands."""

    budget: Budget | None = None


def _within(sock: _Budgeted, operation: Callable[[], Result]) -> Result:
    if sock.budget is None:
        return operation()
    sock.settimeout(sock.budget.wait_s())
    try:
        return operation()
    except TimeoutError:
        raise sock.budget.timeout() from None


class PlainSocket(_Budgeted):
    """A TCP socket that keeps to its call's budget."""

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        count = _within(self, lambda: super(PlainSocket, self).recv_into(buffer, nbytes, flags))
        if self.budget is not None:
            self.budget.spend(count)
        return count

    def sendall(self, data: Any, flags: int = 0) -> None:
        # The standard library's sendall counts its timeout over the whole of the data.
        _within(self, lambda: super(PlainSocket, self).sendall(data, flags))


class TlsSocket(ssl.SSLSocket, _Budgeted):
    """A TLS socket that keeps to its call's budget; the handshake's own timeout is already a total one."""

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        count = _within(self, lambda: super(TlsSocket, self).recv_into(buffer, nbytes, flags))
        if self.budget is not None:
            self.budget.spend(count)
        return count

    def send(self, data: Any, flags: int = 0) -> int:
        # SSLSocket.sendall calls send for each part, so bounding send bounds both.
        return _within(self, lambda: super(TlsSocket, self).send(data, flags))
