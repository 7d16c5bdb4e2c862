"""Spoil answers on demand: every way in which a vendor's API may fail, chosen by the developer.

A fault hits the next `times` calls of one vendor, or only those of one operation or below one path. With
`moment: after` the call is done first and only its answer spoiled, which is how messages get sent twice.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from werkzeug.wrappers import Request, Response

from sandbox.frame import Vendor, json_answer

# Long enough to outlive every deadline of a caller, short enough to free the thread of a forgotten fault.
LONGEST_HANG_S = 120.0
DRIP_BYTES = 300
DRIP_GAP_S = 1.0
BOMB_BYTES = 200_000_000


class BadFault(ValueError):
    """The fault cannot be played; the text says why."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One planned failure; `times` counts down."""

    vendor: str
    kind: str
    times: int = 1
    path_prefix: str = ""
    operation: str = ""
    moment: str = "before"
    status: int | None = None
    retry_after_s: int = 2
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)
    code: int | str = 0


class Faults:
    """The planned failures, in the order they were planned. They live in memory: a restart heals everything."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def plan(self, values: dict[str, Any], *, vendors: Mapping[str, Vendor]) -> Fault:
        """Add a fault; :raises BadFault: a field is unknown or wrong."""
        try:
            fault = Fault(**values)
        except TypeError as error:
            names = ", ".join(entry.name for entry in fields(Fault))
            raise BadFault(f"needed: vendor, kind; all fields: {names}") from error
        for wrong, reason in _problems(fault, vendors):
            if wrong:
                raise BadFault(reason)
        if fault.kind == "code":
            _require_code(fault, vendors[fault.vendor])
        with self._lock:
            self._faults.append(fault)
        return fault

    def take(self, *, vendor: str, path: str, operation: str) -> Fault | None:
        """Return the first fault that fits this call and count it, or None."""
        with self._lock:
            for fault in self._faults:
                fits_path = path.startswith(fault.path_prefix)
                if fault.vendor == vendor and fits_path and fault.operation in ("", operation):
                    fault.times -= 1
                    self._faults = [other for other in self._faults if other.times > 0]
                    return fault
        return None

    def planned(self) -> list[dict[str, Any]]:
        """List what will still fail."""
        with self._lock:
            return [asdict(fault) for fault in self._faults]

    def clear(self) -> None:
        """Heal everything."""
        with self._lock:
            self._faults = []


def play(fault: Fault, *, request: Request, vendor: Vendor) -> Response:
    """Return the spoiled answer; some kinds never return one and end the connection."""
    return KINDS[fault.kind](fault, request, vendor)


def _problems(fault: Fault, vendors: Mapping[str, Vendor]) -> tuple[tuple[bool, str], ...]:
    statuses = range(200, 600)
    return (
        (fault.vendor not in vendors, f"vendor must be one of {', '.join(sorted(vendors))}"),
        (fault.kind not in KINDS, f"kind must be one of {', '.join(KINDS)}"),
        (fault.moment not in ("before", "after"), "moment must be before or after"),
        (not isinstance(fault.times, int) or fault.times < 1, "times must be a whole number above 0"),
        (fault.status is not None and fault.status not in statuses, "status must be an HTTP status"),
    )


def _require_code(fault: Fault, vendor: Vendor) -> None:
    try:
        vendor.refusal(fault.code)
    except (KeyError, ValueError) as error:
        raise BadFault(f"{fault.vendor} has no refusal with the code {fault.code!r}") from error


def _too_many(fault: Fault, request: Request, vendor: Vendor) -> Response:
    return json_answer(vendor.failure(429), status=429)


def _too_many_with_time(fault: Fault, request: Request, vendor: Vendor) -> Response:
    return json_answer(vendor.failure(429), status=429, headers={"Retry-After": str(fault.retry_after_s)})


def _broken(fault: Fault, request: Request, vendor: Vendor) -> Response:
    return json_answer(vendor.failure(500), status=fault.status or 500)


def _custom(fault: Fault, request: Request, vendor: Vendor) -> Response:
    return json_answer(fault.body, status=fault.status or 400, headers=fault.headers)


def _coded(fault: Fault, request: Request, vendor: Vendor) -> Response:
    response = vendor.refusal(fault.code).response()
    response.headers.update(fault.headers)
    return response


def _slow_drip(fault: Fault, request: Request, vendor: Vendor) -> Response:
    def drip() -> Iterator[bytes]:
        for _ in range(DRIP_BYTES):
            yield b" "
            time.sleep(DRIP_GAP_S)

    return Response(drip(), status=200, mimetype="application/json")


def _html(fault: Fault, request: Request, vendor: Vendor) -> Response:
    page = "<!doctype html><html><head><title>Sorry</title></head><body><h1>Something went wrong</h1></body></html>"
    return Response(page, status=fault.status or 502, mimetype="text/html")


def _reset(fault: Fault, request: Request, vendor: Vendor) -> Response:
    # SO_LINGER with zero seconds makes the closing send RST instead of FIN: "connection reset by peer".
    connection: socket.socket = request.environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # The server's own files keep the socket open over close(); only the descriptor itself can be closed now.
    os.close(connection.detach())
    raise ConnectionResetError("planned by a fault")


def _hang(fault: Fault, request: Request, vendor: Vendor) -> Response:
    connection: socket.socket = request.environ["werkzeug.socket"]
    connection.settimeout(LONGEST_HANG_S)
    # The request is read already, so a read returns only when the caller gives up.
    while connection.recv(1024):
        continue
    raise ConnectionAbortedError("the caller gave up, as planned by a fault")


def _empty(fault: Fault, request: Request, vendor: Vendor) -> Response:
    return Response(b"", status=fault.status or 200, mimetype="application/json")


def _malformed(fault: Fault, request: Request, vendor: Vendor) -> Response:
    return Response(b'{"data": [{"id": "1", "na', status=fault.status or 200, mimetype="application/json")


def _redirect(fault: Fault, request: Request, vendor: Vendor) -> Response:
    # Port 9 (discard) answers nowhere: a caller that follows the redirect fails loudly and leaks its token to nobody.
    return Response(b"", status=fault.status or 302, headers={"Location": "http://127.0.0.1:9/elsewhere"})


def _gzip_bomb(fault: Fault, request: Request, vendor: Vendor) -> Response:
    def bomb() -> Iterator[bytes]:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        block = b" " * 1_000_000
        for _ in range(BOMB_BYTES // len(block)):
            yield packer.compress(block)
        yield packer.flush()

    return Response(bomb(), status=200, mimetype="application/json", headers={"Content-Encoding": "gzip"})


KINDS: dict[str, Callable[[Fault, Request, Vendor], Response]] = {
    "429": _too_many,
    "429_retry_after": _too_many_with_time,
    "500": _broken,
    "code": _coded,
    "custom": _custom,
    "slow_drip": _slow_drip,
    "html": _html,
    "reset": _reset,
    "hang": _hang,
    "empty": _empty,
    "malformed": _malformed,
    "redirect": _redirect,
    "gzip_bomb": _gzip_bomb,
}
