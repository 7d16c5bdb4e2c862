"""Parcelbox itself: a real server on loopback with merchants, tokens, keys in two slots, charges and webhooks."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

FIXTURES = Path(__file__).parent / "fixtures" / "parcelbox" / "api"
INDEX: dict[str, dict[str, Any]] = json.loads((FIXTURES.parent / "index.json").read_text())

Answer = tuple[str, dict[str, Any]]
"""The name of a fixture and the values that fill its $places."""


@dataclass
class Merchant:
    """One customer of Parcelbox: what it logs in with now."""

    id: str
    name: str
    access_token: str
    refresh_token: str
    app_keys: list[str]
    expires_in: int = 3600
    environment: str = "test"

    @property
    def credentials(self) -> dict[str, str]:
        """What the customer types into the form."""
        return {
            "access_token": self.access_token, "refresh_token": self.refresh_token, "app_key": self.app_keys[0],
        }  # fmt: skip


@dataclass
class Hit:
    """One request that reached the vendor."""

    path: str
    form: dict[str, str]
    content_type: str
    token: str


@dataclass
class Parcelbox:
    """The vendor's state; `server` gives it an address."""

    merchants: dict[str, Merchant] = field(default_factory=dict)
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    hits: list[Hit] = field(default_factory=list)
    callbacks: dict[str, str] = field(default_factory=dict)
    failing: dict[str, str] = field(default_factory=dict)
    before: dict[str, Callable[[], None]] = field(default_factory=dict)
    pause_s: float = 0.0
    late_s: float = 0.0
    revoked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._made = 0
        self._spent: dict[str, str] = {}

    def open_account(self, number: int, **facts: Any) -> Merchant:
        """Make merchant `mer_<number>` with the first pair of tokens."""
        merchant = Merchant(
            id=f"mer_{number}",
            name=f"Shop {number}",
            access_token=f"pat_test_{number}first",
            refresh_token=f"prt_test_{number}first",
            app_keys=[f"pak_test_{number}first"],
            **facts,
        )
        self.merchants[merchant.id] = merchant
        return merchant

    def change(self, object_id: str, merchant: Merchant, **facts: Any) -> None:
        """Make or change an object; each change is a revision."""
        last = self.objects.get(object_id, {"id": object_id, "merchant": merchant.id, "revision": 0, "status": "open"})
        self.objects[object_id] = {**last, "revision": last["revision"] + 1, "changed_at": 1_790_000_000, **facts}

    def count(self, path: str) -> int:
        """How often a path was called."""
        return sum(1 for hit in self.hits if hit.path == path)

    def answer(self, method: str, path: str, form: dict[str, str], token: str, content_type: str) -> Answer:
        """Do what a request asks, one at a time, as a vendor's database would; `late_s` delays what tokens get."""
        if hook := self.before.get(path):
            hook()
        time.sleep(self.pause_s)
        answered = self._do(method, path, form, token, content_type)
        time.sleep(self.late_s if path == "/token" else 0)
        return answered

    def _do(self, method: str, path: str, form: dict[str, str], token: str, content_type: str) -> Answer:
        with self._lock:
            self.hits.append(Hit(path, form, content_type, token))
            if planned := self.failing.get(path):
                return planned, {}
            if path == "/token":
                return self._token(form)
            owner = next((item for item in self.merchants.values() if item.access_token == token), None)
            if owner is None:
                return "error__invalid_token", {}
            if method == "GET":
                return self._read(owner, path.removeprefix("/v1/objects/"))
            return VERBS[path](self, owner, form)

    def _read(self, owner: Merchant, object_id: str) -> Answer:
        found = self.objects.get(object_id)
        if found is None or found["merchant"] != owner.id:
            return "error__no_such_object", {}
        return "object__ok", found

    def _token(self, form: dict[str, str]) -> Answer:
        """Rotate; a refresh token that is used twice was stolen, so all that its merchant has is revoked."""
        if thief := self._spent.get(form.get("refresh_token", "")):
            self.revoked.append(thief)
            self.merchants[thief].access_token = self.merchants[thief].refresh_token = "revoked"
        owner = next((m for m in self.merchants.values() if m.refresh_token == form.get("refresh_token")), None)
        if form.get("code") == "code_test":
            owner = next(iter(self.merchants.values()))
        if owner is None:
            return "error__invalid_grant", {}
        if form.get("client_secret") not in owner.app_keys:
            return "error__invalid_client", {}
        self._made += 1
        self._spent[owner.refresh_token] = owner.id
        owner.access_token = f"pat_test_{owner.id[4:]}renewed{self._made}"
        owner.refresh_token = f"prt_test_{owner.id[4:]}renewed{self._made}"
        return "tokens__ok", {"access": owner.access_token, "refresh": owner.refresh_token, "merchant": owner.id}

    def introspect(self, owner: Merchant, form: dict[str, str]) -> Answer:
        """Say whose token it is; the application key must be the same merchant's."""
        if form.get("app_key") not in owner.app_keys:
            return "error__invalid_client", {}
        facts = {"merchant": owner.id, "name": owner.name, "environment": owner.environment}
        return "introspection__ok", {**facts, "expires_in": owner.expires_in}

    def mint(self, owner: Merchant, form: dict[str, str]) -> Answer:
        """Make a key in the second slot, over one that was never used."""
        self._made += 1
        key = f"pak_test_{owner.id[4:]}minted{self._made}"
        owner.app_keys[1:] = [key]
        return "application_key__ok", {"id": f"ak_{self._made}", "key": key}

    def retire(self, owner: Merchant, form: dict[str, str]) -> Answer:
        """Forget a key."""
        if form.get("app_key") not in owner.app_keys:
            return "error__no_such_object", {}
        owner.app_keys.remove(form["app_key"])
        return "application_key__retired", {}

    def register(self, owner: Merchant, form: dict[str, str]) -> Answer:
        """Post to this address from now on, nowhere when it is empty; without one in the form, only tell it."""
        if "url" in form:
            self.callbacks[owner.id] = form["url"]
        return "callback__ok", {"url": self.callbacks.get(owner.id, ""), "key": owner.app_keys[-1]}

    def charge(self, owner: Merchant, form: dict[str, str]) -> Answer:
        """Charge at once; the same reference is the same charge."""
        if form["payer"] == "Broke":
            return "error__declined", {}
        charge_id = f"ch_{form['reference']}"
        if charge_id not in self.objects:
            self.change(charge_id, owner, status="paid", amount=int(form["amount"]), currency=form["currency"])
        return "charge__ok", self.objects[charge_id]


VERBS: dict[str, Callable[[Parcelbox, Merchant, dict[str, str]], Answer]] = {
    "/v1/introspections": Parcelbox.introspect,
    "/v1/application-keys": Parcelbox.mint,
    "/v1/application-keys/retired": Parcelbox.retire,
    "/v1/callbacks": Parcelbox.register,
    "/v1/charges": Parcelbox.charge,
}
"""What a merchant's token may ask by POST."""


def webhook(*events: str, keys: list[str], at: float | None = None) -> tuple[bytes, str]:
    """Compose a callback and the header that signs it once with each key."""
    body = urlencode([("event", event) for event in events]).encode()
    stamp = str(int(time.time() if at is None else at))
    signatures = (hmac.new(key.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest() for key in keys)
    return body, ",".join([f"t={stamp}", *(f"s={signature}" for signature in signatures)])


class Running:
    """The server in a thread, for the length of a block."""

    def __init__(self, vendor: Parcelbox) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(vendor))
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


def _handler(vendor: Parcelbox) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def _answer(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            form = dict(parse_qsl(body.decode(), keep_blank_values=True))
            name, values = vendor.answer(
                method, urlsplit(self.path).path, form, token, self.headers.get("Content-Type", "")
            )
            facts = INDEX[f"api/{name}"]
            sent = Template((FIXTURES / name).read_text()).substitute(values).encode()
            self.send_response(facts["status"])
            for header, value in facts["headers"].items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, format: str, *args: object) -> None:
            """The test asks `hits`."""

    return Handler
