"""Name resolution that ends in time. The system's resolver takes no deadline, so it runs in a thread of its own."""

from __future__ import annotations

import ipaddress
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
_LOOKUPS = threading.BoundedSemaphore(32)


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
    if not _LOOKUPS.acquire(timeout=budget.wait_s()):
        raise Timeout(origin.host, phase=Phase.DNS)
    answers: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
    threading.Thread(target=_look_up, args=(origin, resolver, answers), daemon=True).start()
    try:
        addresses = answers.get(timeout=budget.wait_s())
    except queue.Empty:
        raise Timeout(origin.host, phase=Phase.DNS) from None
    if not addresses:
        raise DnsFailed(origin.host, phase=Phase.DNS)
    return addresses


def _look_up(origin: Origin, resolver: Resolver, answers: queue.SimpleQueue[list[str]]) -> None:
    addresses: list[str] = []
    try:
        addresses = resolver(origin.host, origin.port)
    except (OSError, UnicodeError):
        addresses = []
    finally:
        _LOOKUPS.release()
        answers.put(addresses)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
