"""Tillbox itself, in memory: objects, idempotency keys, and ways in which an answer gets lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from core import clock
from transport.engine import Transport
from transport.errors import ConnectFailed, Phase, ResetByPeer
from transport.wire import Answer, Terms, WireRequest

Body = dict[str, Any]


class Refusal(Exception):
    """An error answer."""

    def __init__(self, status: int, code: str, text: str = "") -> None:
        super().__init__(code)
        self.status, self.body = status, {"code": code, "text": text}


class Lost(Exception):
    """Done, but nobody learns of it."""


class Unreached(Exception):
    """Nothing arrived."""


@dataclass(kw_only=True)
class Till(Transport):
    """
    The vendor's state.

    `fails` maps an operation (`POST /payments`) to what happens to it: "lost" (done, no answer), "unreached" (nothing
    left us), "broken" (500, not done), "refused" (422), "declined" (402), "locked" (401).
    """

    objects: dict[str, Body] = field(default_factory=dict)
    answers: dict[str, Body] = field(default_factory=dict)
    calls: list[tuple[str, Body]] = field(default_factory=list)
    fails: dict[str, str] = field(default_factory=dict)
    before: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def send(self, request: WireRequest, terms: Terms) -> Answer:
        """Do what is asked, unless it fails as planned."""
        raw = request.body if isinstance(request.body, bytes) else b"".join(request.body or ())
        headers = {name.lower(): value for name, value in request.headers}
        host, path = request.target.origin.host, request.target.path
        try:
            status, found = self.handle(request.method, path, request.target.query, headers, raw)
        except Unreached:
            raise ConnectFailed(host, phase=Phase.CONNECT) from None
        except Lost:
            raise ResetByPeer(host, phase=Phase.HEADERS) from None
        body = json.dumps(found).encode()
        return Answer(status=status, headers=[("Content-Type", "application/json")], parts=iter((body,)))

    def handle(self, method: str, path: str, query: str, headers: Body, raw: bytes) -> tuple[int, Body]:
        """
        Do what one request asks and return status and body.

        :raises Lost: it is done, and its answer goes astray
        :raises Unreached: nothing of it arrived
        """
        operation = f"{method} {path.removeprefix('/v1')}"
        body = json.loads(raw) if raw else {}
        if self.before is not None:
            self.before()
        with self._lock:
            self.calls.append((operation, body))
            return self._answer(operation, query, body, key=headers.get("idempotency-key", ""))

    def count(self, operation: str) -> int:
        """How often an operation was asked for."""
        return sum(1 for name, _body in self.calls if name == operation)

    def of(self, kind: str) -> list[Body]:
        """Return the objects of a kind, oldest first."""
        return [found for found in self.objects.values() if found["kind"] == kind]

    def pay(self, payment_id: str, amount: int | None = None) -> None:
        """Let the payer pay."""
        found = self.objects[payment_id]
        self.change(payment_id, status="succeeded", received=found["amount"] if amount is None else amount)

    def change(self, object_id: str, **facts: Any) -> None:
        """Change an object; a moment passes."""
        self.objects[object_id] = {**self.objects[object_id], **facts, "at": clock.now().isoformat()}

    def _answer(self, operation: str, query: str, body: Body, *, key: str) -> tuple[int, Body]:
        failure = self.fails.get(operation)
        if failure == "unreached":
            raise Unreached
        try:
            if failure in _REFUSALS:
                raise _REFUSALS[failure]
            found = self.answers[key] if key in self.answers else self._do(operation, query, body)
        except Refusal as refusal:
            return refusal.status, refusal.body
        if key:
            self.answers[key] = found
        if failure == "lost":
            raise Lost
        return 200, found

    def _do(self, operation: str, query: str, body: Body) -> Body:
        method, _, path = operation.partition(" ")
        _empty, kind, *rest = path.split("/")
        if method == "GET":
            return self._read(kind, rest, query)
        if rest:
            return self._act(rest, body)
        return self._make(kind, body)

    def _read(self, kind: str, rest: list[str], query: str) -> Body:
        if kind == "me":
            return {"merchant": "mer_1"}
        if not rest:
            wanted = parse_qs(query).get("reference", [""])[0]
            return {"data": [found for found in self.of(kind) if wanted in ("", found["reference"])]}
        if rest[0] not in self.objects:
            raise Refusal(404, "no_such_object")
        return self.objects[rest[0]]

    def _act(self, rest: list[str], body: Body) -> Body:
        name, *verb = rest
        found = self.objects[name]
        if verb == ["cancel"] and found["status"] == "succeeded":
            raise Refusal(422, "too_late", "It was paid.")
        changes = {"status": "canceled"} if verb else {key: value for key, value in body.items() if value is not None}
        self.change(name, **changes)
        return self.objects[name]

    def _make(self, kind: str, body: Body) -> Body:
        name = f"{kind[:3]}_{len(self.objects) + 1}"
        found = {**body, **_NEW.get(kind, {}), "id": name, "kind": kind, "at": clock.now().isoformat()}
        if kind == "payments":
            found = {**found, **_first(found)}
        if kind == "refunds":
            found = {**found, **self._take_back(found)}
        if kind in {"checkouts", "portals", "account-links"}:
            found["url"] = f"https://pay.tillbox.example/{name}"
        self.objects[name] = found
        return found

    def _take_back(self, refund: Body) -> Body:
        payment = self.objects[refund["payment"]]
        if payment["refunded"] + refund["amount"] > payment["received"]:
            raise Refusal(422, "too_much", "More than was paid.")
        self.change(payment["id"], refunded=payment["refunded"] + refund["amount"])
        return {"currency": payment["currency"]}


def _first(payment: Body) -> Body:
    """The first state of a payment: by its token, by PIX, or waiting for the payer's script."""
    facts: Body = {"received": 0, "refunded": 0, "problem": None}
    if payment["token"] == "tok_test_declined":
        return {**facts, "status": "failed", "problem": "no_funds"}
    if payment["token"]:
        return {**facts, "status": "succeeded", "received": payment["amount"]}
    return {**facts, "status": "pending" if payment["method"] == "pix" else "requires_action"}


_NEW: dict[str, Body] = {"refunds": {"status": "succeeded"}, "subscriptions": {"status": "incomplete"}}
_REFUSALS = {
    "broken": Refusal(500, "oops"),
    "refused": Refusal(422, "not_so", "Not like this."),
    "declined": Refusal(402, "declined", "Insufficient funds."),
    "locked": Refusal(401, "who"),
}


@contextmanager
def running(till: Till) -> Iterator[str]:
    """Serve the vendor on loopback for the length of a block; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            path, _, query = self.path.partition("?")
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                status, found = till.handle(self.command, path, query, headers, raw)
            except (Lost, Unreached):
                self.close_connection = True
                return
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
