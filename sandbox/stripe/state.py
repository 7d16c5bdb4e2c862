"""What the stand-in knows, account by account and mode by mode, and the pages it is listed in."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sandbox.frame import Frame
from sandbox.store import Collection, Document
from sandbox.stripe.errors import invalid

VENDOR = "stripe"
ROWS_AT_ONCE = 100
# Objects that do not say in which mode they are.
WITHOUT_MODE = ("refund",)
# What Stripe calls the parameter of a path; "id" otherwise.
PATH_PARAMS = {"payment_intent": "intent", "webhook_endpoint": "webhook_endpoint", "checkout.session": "session"}
COMPARISONS: Mapping[str, Callable[[int, int], bool]] = {
    "gt": lambda left, right: left > right,
    "gte": lambda left, right: left >= right,
    "lt": lambda left, right: left < right,
    "lte": lambda left, right: left <= right,
}
DEFAULT_SETTINGS: Document = {
    "pix_pays_after_s": None,  # None: a PIX waits for somebody who pays
    "boleto_pays_after_s": None,
    "refund_settles_after_s": 0.2,  # refunds of PIX and boleto; cards are refunded at once
    "webhooks": "sent",  # sent, shuffled, held (until POST /deliveries/release), off
    "webhook_copies": 1,
    "webhook_spread_s": 0.5,  # how far apart shuffled webhooks may be
    "thin": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose objects are meant, and which call changes them (none: the change is automatic)."""

    account: str
    livemode: bool
    platform: str | None = None  # the account of the key, when it acts on another
    request_id: str | None = None
    idempotency_key: str | None = None

    @property
    def owner(self) -> str:
        """Return the key under which the objects are stored."""
        return f"{self.account}:{'live' if self.livemode else 'test'}"

    def automatic(self) -> Scope:
        """Return the same without a call."""
        return replace(self, request_id=None, idempotency_key=None)


class State:
    """Objects by kind (Stripe's word in `object`). Names that begin with _ are ours and never shown."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def collection(self, kind: str) -> Collection:
        """Return all objects of one kind."""
        return self.frame.store.collection(VENDOR, kind)

    def now(self) -> int:
        """Return Unix seconds."""
        return int(self.frame.now())

    def settings(self) -> Document:
        """Return what control may change."""
        return DEFAULT_SETTINGS | (self.collection("settings").get("settings") or {})

    def add(self, scope: Scope, body: Document) -> Document:
        """Write a new object of the scope."""
        mode = {} if body["object"] in WITHOUT_MODE else {"livemode": scope.livemode}
        return self.put(body | mode | {"_owner": scope.owner})

    def put(self, body: Document) -> Document:
        """Write an object that knows its owner."""
        return self.collection(body["object"]).put(body["id"], body, owner=body["_owner"])

    def find(self, scope: Scope, kind: str, key: str) -> Document | None:
        """Return an object of the scope, or None."""
        found = self.collection(kind).get(key)
        return found if found is not None and found["_owner"] == scope.owner else None

    def need(self, scope: Scope, kind: str, key: str, *, param: str | None = None) -> Document:
        """
        Return an object of the scope.

        :raises Refused: there is none; 404 when the path names it, 400 when the parameter `param` does
        """
        found = self.find(scope, kind, key)
        if found is not None:
            return found
        message = f"No such {kind.replace('webhook_', 'webhook ').replace('.', ' ')}: '{key}'"
        other = self.find(replace(scope, livemode=not scope.livemode), kind, key)
        if other is not None:
            modes = ("test", "live") if scope.livemode else ("live", "test")
            message += f"; a similar object exists in {modes[0]} mode, but a {modes[1]} mode key was used to make this"
            message += " request."
        status = 404 if param is None else 400
        raise invalid(
            message, code="resource_missing", param=param or PATH_PARAMS.get(kind, "id"), status=status
        )  # fmt: skip

    def newest(self, owner: str, kind: str, *, after: str | None = None) -> Iterator[Document]:
        """Yield the objects, newest first, from the one after `after` on."""
        place = self._place(owner, kind, after) if after else 2**62
        while True:
            rows = self.frame.store.rows(
                "SELECT seq, body FROM documents WHERE vendor = ? AND kind = ? AND owner = ? AND seq < ?"
                " ORDER BY seq DESC LIMIT ?",
                (VENDOR, kind, owner, place, ROWS_AT_ONCE),
            )
            for seq, body in rows:
                place = seq
                yield _loads(body)
            if len(rows) < ROWS_AT_ONCE:
                return

    def scope_of(self, body: Document) -> Scope:
        """Return the scope of an object, for changes that no call asked for."""
        return scope_of_owner(body["_owner"])

    def _place(self, owner: str, kind: str, key: str) -> int:
        rows = self.frame.store.rows(
            "SELECT seq FROM documents WHERE vendor = ? AND kind = ? AND owner = ? AND id = ?",
            (VENDOR, kind, owner, key),
        )
        if not rows:
            raise invalid(f"No such {kind}: '{key}'", code="resource_missing", param="starting_after")
        return int(rows[0][0])


def list_page(
    state: State, scope: Scope, kind: str, values: Document, *, url: str, keep: Callable[[Document], bool] | None = None
) -> Document:
    """Return one page, newest first: limit, starting_after | ending_before, created; `keep` filters further."""
    limit, before = values.get("limit", 10), values.get("ending_before")
    rows = state.newest(scope.owner, kind, after=values.get("starting_after"))
    fitting = (row for row in rows if created_fits(row, values.get("created")) and (keep is None or keep(row)))
    if before is not None:
        newer = [row for row in _until(fitting, before)]
        return {
            "object": "list", "url": url, "has_more": len(newer) > limit, "data": newer[-limit:],
        }  # fmt: skip
    data: list[Document] = []
    for row in fitting:
        if len(data) == limit:
            return {"object": "list", "url": url, "has_more": True, "data": data}
        data.append(row)
    return {"object": "list", "url": url, "has_more": False, "data": data}


def created_fits(row: Document, wanted: Any) -> bool:
    """Say whether an object was made when the filter `created` asks for."""
    if wanted is None:
        return True
    if isinstance(wanted, int):
        return bool(row["created"] == wanted)
    return all(COMPARISONS[name](row["created"], bound) for name, bound in wanted.items())


def shown(value: Any) -> Any:
    """Return a value as callers see it: without our own names."""
    if isinstance(value, dict):
        kept = {name: entry for name, entry in value.items() if not name.startswith("_")}
        return {name: entry if name == "metadata" else shown(entry) for name, entry in kept.items()}
    if isinstance(value, list):
        return [shown(entry) for entry in value]
    return value


def scope_of_owner(owner: str) -> Scope:
    """Return the scope that stores under this key."""
    account, _, mode = owner.partition(":")
    return Scope(account=account, livemode=mode == "live")


def new_id(prefix: str) -> str:
    """Return an id as Stripe's look, that says where it comes from."""
    return f"{prefix}_1Sandbox{secrets.token_hex(8)}"


def _until(rows: Iterator[Document], key: str) -> Iterator[Document]:
    for row in rows:
        if row["id"] == key:
            return
        yield row
    raise invalid(f"No such object: '{key}'", code="resource_missing", param="ending_before")


def _loads(body: str) -> Document:
    found: Document = json.loads(body)
    return found
