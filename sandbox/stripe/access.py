"""Who calls: the key, its rights, its mode, and the account it acts on; what was asked before under the same key."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from werkzeug.wrappers import Request, Response

from sandbox.frame import Refused, json_answer
from sandbox.store import Document
from sandbox.stripe.errors import Declined, by_code, error_body, invalid
from sandbox.stripe.form import Tree
from sandbox.stripe.state import Scope, State

# Releases by train; older ones are bare dates.
VERSION_SHAPE = re.compile(r"\d{4}-\d{2}-\d{2}(\.(acacia|basil|clover|dahlia|endive))?")
KEY_SHAPE = re.compile(r"(sk|rk)_(test|live)_[A-Za-z0-9_]+")
IDEMPOTENCY_CHARS = 255
# "name" means read and write, "name:read" means read.
RIGHTS = (
    "account", "balance", "events", "webhook_endpoints", "customers", "products", "payment_methods", "payment_intents",
    "charges", "refunds", "disputes", "payouts", "subscriptions", "invoices", "checkout", "billing_portal", "connect",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The key of a call and the scope it acts in."""

    key: Document
    scope: Scope

    def require(self, right: str, *, writes: bool) -> None:
        """Refuse a key without the right, with 403."""
        rights = self.key["rights"]
        if right in rights or (not writes and f"{right}:read" in rights):
            return
        message = f"The provided key '{_masked(self.key['key'])}' does not have the required permissions for this "
        message += f"endpoint. Having the '{right}_{'write' if writes else 'read'}' permission would allow this."
        raise invalid(message, code="more_permissions_required_for_application", status=403)


class Access:
    """Keys and what they reach."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.keys = state.collection("key")

    def caller(self, request: Request, *, request_id: str) -> Caller:
        """
        Return who calls.

        :raises Refused: 401 for a wrong key, 400 for a wrong version, 403 for an account that the key does not reach
        """
        key = self._key(request)
        version = request.headers.get("Stripe-Version")
        if version is not None and not VERSION_SHAPE.fullmatch(version):
            raise invalid(f"Invalid Stripe API version: {version}")
        scope = Scope(
            account=key["account"], livemode=key["key"].split("_")[1] == "live", request_id=request_id,
            idempotency_key=request.headers.get("Idempotency-Key"),
        )  # fmt: skip
        asked = request.headers.get("Stripe-Account") or request.headers.get("Stripe-Context")
        if asked is None or asked == scope.account:
            return Caller(key=key, scope=scope)
        if not self.is_connected(scope.account, asked, livemode=scope.livemode):
            raise no_access(key["key"], asked)
        acting = Scope(
            account=asked, livemode=scope.livemode, platform=scope.account, request_id=request_id,
            idempotency_key=scope.idempotency_key,
        )  # fmt: skip
        return Caller(key=key, scope=acting)

    def add_key(self, key: str, *, account: str, rights: list[str]) -> Document:
        """Write a key."""
        return self.keys.put(key, {"key": key, "rights": rights, "account": account}, owner=account)

    def is_connected(self, platform: str, account: str, *, livemode: bool) -> bool:
        """Say whether the platform may act on the account in this mode."""
        found = self._state.collection("connection").get(connection_key(platform, account, livemode=livemode))
        return found is not None and not found["revoked"]

    def connect(self, platform: str, account: str, *, livemode: bool) -> None:
        """Let the platform act on the account."""
        key = connection_key(platform, account, livemode=livemode)
        body = {"platform": platform, "account": account, "livemode": livemode, "revoked": False}
        owner = Scope(account=account, livemode=livemode).owner
        self._state.collection("connection").put(key, body, owner=owner)

    def disconnect(self, platform: str, account: str, *, livemode: bool) -> None:
        """Take the account from the platform, with the keys that it got by OAuth; :raises KeyError: not connected."""
        key = connection_key(platform, account, livemode=livemode)
        if not self.is_connected(platform, account, livemode=livemode):
            raise KeyError(account)
        self._state.collection("connection").change(key, revoked=True)
        for known in self.keys.all(owner=account):
            if known.get("platform") == platform:
                self.keys.change(known["key"], revoked=True)

    def _key(self, request: Request) -> Document:
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            try:
                value = base64.b64decode(value, validate=True).decode().partition(":")[0]
            except (binascii.Error, UnicodeDecodeError):
                value = ""
        if scheme not in ("Bearer", "Basic") or not value:
            message = "You did not provide an API key. Send it as a Bearer token or as the Basic user name."
            raise invalid(message, status=401)
        known = self.keys.get(value)
        if known is None:
            raise invalid(f"Invalid API Key provided: {_masked(value)}", status=401)
        if known.get("revoked"):
            raise invalid(f"Expired API Key provided: {_masked(value)}", code="api_key_expired", status=401)
        return known


class Repeats:
    """Idempotency keys: the first answer is given again; they count per account and mode."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._answers = state.collection("answer")
        self._running: set[str] = set()
        self._lock = threading.Lock()

    def once(self, request: Request, caller: Caller, *, path: str, tree: Tree, act: Callable[[], Document]) -> Response:
        """
        Act in one transaction, or give the first answer again.

        :raises Refused: the key is too long (400), was used for another call (400) or is in use (409)
        """
        name = caller.scope.idempotency_key
        if request.method != "POST" or name is None:
            return self._act(act)
        if not 1 <= len(name) <= IDEMPOTENCY_CHARS:
            raise invalid("Idempotency-Key must have 1 to 255 characters.")
        place = f"{caller.key['key']}:{caller.scope.owner}:{name}"
        with self._alone(place):
            stored = self._answers.get(place)
            if stored is not None:
                return _again(stored, path=path, digest=_digest(tree))
            with self._state.frame.store.transaction():
                response = self._act(act)
                first = {
                    "digest": _digest(tree), "path": path, "body": response.get_data(as_text=True),
                    "status": response.status_code, "request": caller.scope.request_id,
                }  # fmt: skip
                self._answers.put(place, first)
            return response

    def _act(self, act: Callable[[], Document]) -> Response:
        with self._state.frame.store.transaction():
            try:
                return json_answer(act())
            except Declined as declined:
                return declined.response()

    @contextmanager
    def _alone(self, place: str) -> Iterator[None]:
        with self._lock:
            if place in self._running:
                raise by_code("idempotency_key_in_use")
            self._running.add(place)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(place)


def no_access(key: str, account: str) -> Refused:
    """Return the refusal of a key that does not reach an account."""
    message = f"The provided key '{_masked(key)}' does not have access to account '{account}' (or that account does "
    message += "not exist). Application access may have been revoked."
    return invalid(message, code="account_invalid", status=403)


def connection_key(platform: str, account: str, *, livemode: bool) -> str:
    """Return the key of the connection between a platform and an account."""
    return f"{platform}:{account}:{'live' if livemode else 'test'}"


def new_request_id() -> str:
    """Return the id of a call."""
    return "req_" + secrets.token_hex(7)


def _masked(key: str) -> str:
    return f"{key[:8]}****{key[-4:]}"


def _digest(tree: Tree) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def _again(stored: Document, *, path: str, digest: str) -> Response:
    if stored["path"] != path:
        message = "Keys for idempotent requests can only be used for the same endpoint they were first used for "
        message += f"('{path}' vs '{stored['path']}'). Try using a key other than the one given."
        raise Refused(400, error_body("idempotency_error", message))
    if stored["digest"] != digest:
        message = "Keys for idempotent requests can only be used with the same parameters they were first used with."
        raise Refused(400, error_body("idempotency_error", message))
    headers = {"Idempotent-Replayed": "true", "Original-Request": stored["request"]}
    return json_answer(json.loads(stored["body"]), status=stored["status"], headers=headers)
