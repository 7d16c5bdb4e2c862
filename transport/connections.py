"""Connections to checked addresses, and the pool that keeps them warm. A pool shares sockets, never state."""

from __future__ import annotations

import errno
import http.client
import os
import socket
import ssl
import threading
import time
from collections import deque
from dataclasses import dataclass

from urllib3.util import wait_for_read

from transport.deadline import Budget, PlainSocket, TlsSocket
from transport.errors import ConnectFailed, Phase, TlsFailed
from transport.policy import EgressPolicy
from transport.resolver import Resolver, resolve
from transport.target import Origin

# Servers commonly close idle connections after 5 to 60 s; keeping ours shorter makes it rare that a request
# is written to a connection the host is just closing, which we could not safely repeat.
IDLE_S = 15.0
IDLE_PER_KEY = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolKey:
    """Calls that may share a connection: same origin, same rules, same client certificate."""

    origin: Origin
    policy: EgressPolicy
    certificate: str = ""


class Connection:
    """One open connection. `used` tells a warm one, which the host may close at any moment."""

    __slots__ = ("idle_since", "key", "protocol", "used")

    def __init__(self, key: PoolKey, protocol: http.client.HTTPConnection) -> None:
        self.key = key
        self.protocol = protocol
        self.used = False
        self.idle_since = 0.0

    def lend(self, budget: Budget | None) -> None:
        """Make the socket spend from a call's budget, or from none while it idles."""
        sock = self.protocol.sock
        if isinstance(sock, PlainSocket | TlsSocket):
            sock.budget = budget

    def is_reusable(self) -> bool:
        """Tell whether the host has neither closed the connection nor said anything unasked."""
        sock = self.protocol.sock
        if sock is None or time.monotonic() - self.idle_since > IDLE_S:
            return False
        return not wait_for_read(sock, timeout=0.0)

    def close(self) -> None:
        """Close it now."""
        self.protocol.close()


class ConnectionPool:
    """Idle connections of this process, by key; after a fork the child starts with none."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._idle: dict[PoolKey, deque[Connection]] = {}

    def take(self, key: PoolKey) -> Connection | None:
        """Return a warm connection, or None."""
        self._own()
        while True:
            with self._lock:
                idle = self._idle.get(key)
                connection = idle.pop() if idle else None
                if not idle:
                    self._idle.pop(key, None)
            if connection is None or connection.is_reusable():
                return connection
            connection.close()

    def give(self, connection: Connection) -> None:
        """Keep a connection whose answer was read to the end; close what is too many or too old."""
        self._own()
        connection.used = True
        connection.idle_since = time.monotonic()
        with self._lock:
            idle = self._idle.setdefault(connection.key, deque())
            idle.append(connection)
            surplus = [idle.popleft()] if len(idle) > IDLE_PER_KEY else []
            surplus += self._expired()
        for old in surplus:
            old.close()

    def close(self) -> None:
        """Close all idle connections."""
        with self._lock:
            idle = [connection for connections in self._idle.values() for connection in connections]
            self._idle.clear()
        for connection in idle:
            connection.close()

    def _expired(self) -> list[Connection]:
        horizon = time.monotonic() - IDLE_S
        old: list[Connection] = []
        for key, idle in list(self._idle.items()):
            while idle and idle[0].idle_since < horizon:
                old.append(idle.popleft())
            if not idle:
                del self._idle[key]
        return old

    def _own(self) -> None:
        # A forked child holds copies of the parent's sockets: two processes on one TLS stream would garble
        # it, and the parent's lock may have been held at the fork. So the child forgets both.
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._lock = threading.Lock()
            self._idle = {}


def open_connection(key: PoolKey, *, resolver: Resolver, context: ssl.SSLContext | None, budget: Budget) -> Connection:
    """
    Resolve once, check every address, connect to a checked address, and verify the certificate for the name.

    :param context: None for plain http
    :raises TransportError: nothing was sent
    """
    budget.phase = Phase.DNS
    addresses = resolve(key.origin, resolver=resolver, budget=budget)
    for address in addresses:
        key.policy.check(key.origin, address)
    budget.phase = Phase.CONNECT
    plain = _connect(key.origin, addresses, budget)
    sock = plain if context is None else _secure(plain, key.origin.host, context=context, budget=budget)
    # The connection is given its socket ready; auto_open would let it dial by name on its own.
    protocol = http.client.HTTPConnection(key.origin.host, key.origin.port)
    protocol.auto_open = 0
    protocol.sock = sock
    return Connection(key, protocol)


def _connect(origin: Origin, addresses: list[str], budget: Budget) -> PlainSocket:
    """Try the addresses in order; one that swallows packets must not eat the time of the others."""
    reason = ""
    for left in range(len(addresses), 0, -1):
        wait_s = budget.wait_s() / left
        try:
            return _dial(addresses[-left], origin.port, wait_s)
        except TimeoutError:
            reason = "ETIMEDOUT"
        except OSError as error:
            reason = errno.errorcode.get(error.errno or 0, "unknown")
    if reason == "ETIMEDOUT":
        raise budget.timeout()
    raise ConnectFailed(origin.host, phase=Phase.CONNECT, detail=f"reason={reason}")


def _dial(address: str, port: int, wait_s: float) -> PlainSocket:
    sock = PlainSocket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.settimeout(wait_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect((address, port))
    except OSError:
        sock.close()
        raise
    return sock


def _secure(sock: PlainSocket, host: str, *, context: ssl.SSLContext, budget: Budget) -> TlsSocket:
    budget.phase = Phase.TLS
    try:
        sock.settimeout(budget.wait_s())
        secured = context.wrap_socket(sock, server_hostname=host)
    except TimeoutError:
        sock.close()
        raise budget.timeout() from None
    except (OSError, ValueError) as error:
        sock.close()
        raise TlsFailed(host, phase=Phase.TLS, detail=_tls_reason(error)) from None
    if not isinstance(secured, TlsSocket):
        raise TypeError("the TLS context must come from transport.tls.client_context")
    return secured


def _tls_reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return error.reason or ""
    return type(error).__name__
