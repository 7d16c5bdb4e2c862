"""
A load generator that is cheap enough to share the cores with what it measures: one thread, epoll, raw sockets.

Each connection is kept alive and sends its next request when the last one is answered. Requests are complete bytes
made beforehand, so that signing them costs nothing while the clock runs.
"""

from __future__ import annotations

import select
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

LOOPBACK = "127.0.0.1"
READ_BYTES = 65_536
ANSWER_WITHIN_S = 10.0
"""A round in which nothing is answered for this long is broken, not slow."""

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"


class Broken(RuntimeError):
    """The server hung up, stayed silent or answered what this client does not read; the figures mean nothing."""


@dataclass(slots=True, kw_only=True)
class Answers:
    """What one round gave: the time of each request in seconds, statuses by number, wall and own CPU seconds."""

    latencies_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    wall_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def per_second(self) -> float:
        """Requests answered per second."""
        return len(self.latencies_s) / self.wall_s

    def percentile_ms(self, share: float) -> float:
        """Return the latency in milliseconds below which a share (0..1) of the requests stayed."""
        ordered = sorted(self.latencies_s)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(slots=True, eq=False)
class _Connection:
    socket: socket.socket
    sent_at: float = 0.0
    received: bytes = b""


def drive(*, port: int, requests: Sequence[bytes], connections: int) -> Answers:
    """
    Send all requests over this many connections and return when the last is answered.

    :raises Broken: the server hung up, was silent for `ANSWER_WITHIN_S` or sent no content-length
    """
    answers, waiting = Answers(), iter(requests)
    poll = select.epoll()
    opened = {found.socket.fileno(): found for found in (_connect(port) for _ in range(connections))}
    cpu_at, started_at = time.process_time(), time.perf_counter()
    try:
        busy = sum(_send_next(connection, waiting) for connection in opened.values())
        for descriptor in opened:
            poll.register(descriptor, select.EPOLLIN)
        while busy:
            ready = poll.poll(ANSWER_WITHIN_S)
            if not ready:
                raise Broken(f"nothing answered for {ANSWER_WITHIN_S:.0f} s; {busy} requests wait")
            for descriptor, _events in ready:
                if _receive(opened[descriptor], answers):
                    busy -= not _send_next(opened[descriptor], waiting)
    finally:
        answers.wall_s, answers.cpu_s = time.perf_counter() - started_at, time.process_time() - cpu_at
        poll.close()
        for connection in opened.values():
            connection.socket.close()
    return answers


def status_and_length(received: bytes) -> tuple[int, int] | None:
    """
    Return the status of an answer and its whole length in bytes; None while its head is incomplete.

    :raises Broken: it has no content-length, so its end cannot be told
    """
    head_end = received.find(_END_OF_HEAD)
    if head_end < 0:
        return None
    head = received[: head_end + 2].lower()
    at = head.find(_LENGTH)
    if at < 0:
        raise Broken(f"an answer without content-length: {head[:200]!r}")
    length = int(head[at + len(_LENGTH) : head.index(b"\r\n", at + 2)])
    return int(received[9:12]), head_end + len(_END_OF_HEAD) + length


def _connect(port: int) -> _Connection:
    opened = socket.create_connection((LOOPBACK, port), timeout=ANSWER_WITHIN_S)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return _Connection(opened)


def _send_next(connection: _Connection, waiting: Iterator[bytes]) -> bool:
    request = next(waiting, None)
    if request is None:
        return False
    connection.sent_at = time.perf_counter()
    connection.socket.sendall(request)
    return True


def _receive(connection: _Connection, answers: Answers) -> bool:
    """Read what is there; return whether an answer is complete."""
    chunk = connection.socket.recv(READ_BYTES)
    if not chunk:
        raise Broken("the server closed a connection")
    connection.received += chunk
    found = status_and_length(connection.received)
    if found is None or len(connection.received) < found[1]:
        return False
    answers.latencies_s.append(time.perf_counter() - connection.sent_at)
    answers.statuses[found[0]] += 1
    connection.received = b""
    return True
