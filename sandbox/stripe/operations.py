"""What an operation is, and `expand`: which fields of which object may be replaced by the object they name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.store import Document
from sandbox.stripe.access import Caller
from sandbox.stripe.errors import invalid
from sandbox.stripe.form import Record
from sandbox.stripe.params import NOTHING
from sandbox.stripe.state import Scope, State

# The handler gets the caller, the checked parameters and the values of the path; it returns the answer.
Handler = Callable[..., Document]
# A part that is left out of an object unless somebody expands it.
Include = Callable[[Scope, Document], Any]
DEEPEST = 4

# object: {field: kind of the object it names}; the fields of INCLUDED are made on demand.
EXPANDABLE: Mapping[str, Mapping[str, str]] = {
    "account": {},
    "customer": {"default_source": "source"},
    "price": {"product": "product"},
    "product": {"default_price": "price"},
    "payment_method": {"customer": "customer"},
    "payment_intent": {"customer": "customer", "latest_charge": "charge", "payment_method": "payment_method"},
    "setup_intent": {"customer": "customer", "payment_method": "payment_method"},
    "charge": {"customer": "customer", "payment_intent": "payment_intent", "refunds": "list"},
    "refund": {"charge": "charge", "payment_intent": "payment_intent"},
    "dispute": {"charge": "charge", "payment_intent": "payment_intent"},
    "payout": {},
    "subscription": {
        "customer": "customer", "latest_invoice": "invoice", "pending_setup_intent": "setup_intent",
        "default_payment_method": "payment_method",
    },
    "invoice": {
        "customer": "customer", "default_payment_method": "payment_method", "payments": "list",
        "confirmation_secret": "", "parent": "invoice.parent",
    },
    "invoice.parent": {"subscription_details": "invoice.parent.subscription_details"},
    "invoice.parent.subscription_details": {"subscription": "subscription"},
    "invoice_payment": {"invoice": "invoice", "payment": "invoice_payment.payment"},
    "invoice_payment.payment": {"payment_intent": "payment_intent", "charge": "charge"},
    "checkout.session": {
        "customer": "customer", "payment_intent": "payment_intent", "subscription": "subscription",
        "invoice": "invoice", "setup_intent": "setup_intent", "line_items": "list",
    },
    "billing_portal.session": {},
    "webhook_endpoint": {},
    "event": {},
}  # fmt: skip
LISTED_WITHIN = {("invoice", "payments"): "invoice_payment", ("charge", "refunds"): "refund"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method and path, the right it needs, its parameters and the kind of object it answers."""

    method: str
    path: str
    handler: Handler
    right: str
    kind: str
    params: Record = NOTHING
    lists: bool = False

    @property
    def name(self) -> str:
        """Return the name that faults and the log of calls use."""
        return f"{self.method} {self.path}"


def get(path: str, handler: Handler, *, right: str, kind: str, params: Record = NOTHING) -> Operation:
    """Return an operation that reads one object."""
    return Operation(method="GET", path=path, handler=handler, right=right, kind=kind, params=params)


def lists(path: str, handler: Handler, *, right: str, kind: str, params: Record) -> Operation:
    """Return an operation that reads a page."""
    return Operation(method="GET", path=path, handler=handler, right=right, kind=kind, params=params, lists=True)


def post(path: str, handler: Handler, *, right: str, kind: str, params: Record = NOTHING) -> Operation:
    """Return an operation that writes."""
    return Operation(method="POST", path=path, handler=handler, right=right, kind=kind, params=params)


def delete(path: str, handler: Handler, *, right: str, kind: str, params: Record = NOTHING) -> Operation:
    """Return an operation that deletes or cancels."""
    return Operation(method="DELETE", path=path, handler=handler, right=right, kind=kind, params=params)


def check_expand(operation: Operation, paths: Sequence[str]) -> None:
    """Refuse what cannot be expanded, whether or not the object has it; :raises Refused: as Stripe does."""
    for path in paths:
        fields = path.split(".")
        kind = operation.kind
        if operation.lists and fields.pop(0) != "data":
            raise _cannot(path)
        if not fields or len(fields) > DEEPEST:
            raise _cannot(path)
        for field in fields:
            found = "" if field == "data" and kind.startswith("list:") else EXPANDABLE.get(kind, {}).get(field)
            if found is None:
                raise _cannot(path)
            within = LISTED_WITHIN.get((kind, field), "")
            kind = kind.removeprefix("list:") if field == "data" else f"list:{within}" if found == "list" else found


class Expansion:
    """Replaces ids by objects."""

    def __init__(self, state: State, included: Mapping[tuple[str, str], Include]) -> None:
        self._state = state
        self._included = included

    def expand(self, caller: Caller, body: Document, paths: Sequence[str]) -> Document:
        """Return the answer with the paths expanded."""
        for path in paths:
            self._follow(caller.scope, body, path.split("."), kind="")
        return body

    def _follow(self, scope: Scope, node: Any, fields: Sequence[str], *, kind: str) -> None:
        if not fields:
            return
        if isinstance(node, list):
            for entry in node:
                self._follow(scope, entry, fields, kind=kind)
            return
        if not isinstance(node, dict):
            return
        field, rest = fields[0], fields[1:]
        # A part of an object has no kind of its own; it is named by its place.
        kind = str(node.get("object", kind))
        include = self._included.get((kind, field))
        if include is not None and field not in node:
            node[field] = include(scope, node)
        elif isinstance(node.get(field), str) and field in EXPANDABLE.get(kind, {}):
            node[field] = self._state.find(scope, EXPANDABLE[kind][field], node[field]) or node[field]
        self._follow(scope, node.get(field), rest, kind=f"{kind}.{field}")


def _cannot(path: str) -> Exception:
    return invalid(f"This property cannot be expanded ({path}).", param="expand")
