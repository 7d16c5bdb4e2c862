"""Name resolution that ends in time. The system's resolver takes no deadline, so it runs in a thread of its own."""

from __future__ import annotations

import ipaddress
import os
import queue
import socket
import threading
from collections.abc import Callable

from transport.deadline import Budget
from transport.errors import DnsFailed, Phase, Timeout
from transport.target import Origin

Resolver = Callable[[str, int], list[str]]
"""Turns a host and port into addresses as text; raises OSError when there is none."""

# Look-ups that hang keep their thread until the system gives up, typically after 10 to 30 s. More than this
# many at once means that DNS is down; further calls then fail at their deadline without a thread.
_AT_ONCE = 32
_lookups = threading.Semaphore(_AT_ONCE)


def _renew_after_fork() -> None:
    """Give a forked child permits of its own: the parent's may be held by threads that the child has not."""
    global _lookups  # noqa: PLW0603 - one per process is the point
    _lookups = threading.Semaphore(_AT_ONCE)


os.register_at_fork(after_in_child=_renew_after_fork)


def system_resolver(host: str, port: int) -> list[str]:
    """Ask the system, in its order of preference."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def resolve(origin: Origin, *, resolver: Resolver, budget: Budget) -> list[str]:
    """
    Find the addresses of an origin's host within the budget.

    :raises DnsFailed: it has none
    :raises Timeout: the resolver did not answer in time
    """
    if _is_address(origin.host):
        return [origin.host]
    permits = _lookups
    if not permits.acquire(timeout=budget.wait_s()):
        raise Timeout(origin.host, phase=Phase.DNS)
    answers: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
    threading.Thread(target=_look_up, args=(origin, resolver, answers, permits), daemon=True).start()
    try:
        addresses = answers.get(timeout=budget.wait_s())
    except queue.Empty:
        raise Timeout(origin.host, phase=Phase.DNS) from None
    if not addresses:
        raise DnsFailed(origin.host, phase=Phase.DNS)
    return addresses


def _look_up(
    origin: Origin, resolver: Resolver, answers: queue.SimpleQueue[list[str]], permits: threading.Semaphore
) -> None:
    addresses: list[str] = []
    try:
        addresses = resolver(origin.host, origin.port)
    except (OSError, UnicodeError):
        addresses = []
    finally:
        permits.release()
        answers.put(addresses)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
