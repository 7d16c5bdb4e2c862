"""Events in other shapes: thin, and as endpoints of older API versions get them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import UTC, datetime

from sandbox.store import Document

# Release that moved a subscription's period to its items and took the payment intent off the invoice.
BASIL = "2025-03-31"


def thin(event: Document, *, account: str | None) -> Document:
    """Return the event without its data, as event destinations with thin payloads get it."""
    thing = event["data"]["object"]
    created = datetime.fromtimestamp(event["created"], UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    body: Document = {
        "id": event["id"], "object": "v2.core.event", "type": f"v1.{event['type']}", "livemode": event["livemode"],
        "created": created, "context": account, "reason": None, "related_object": None,
    }  # fmt: skip
    if event["request"]["id"]:
        body["reason"] = {"type": "request", "request": dict(event["request"])}
    if thing.get("id"):
        kind = thing.get("object", "")
        url = f"/v1/{kind.replace('.', '/')}s/{thing['id']}"
        body["related_object"] = {"id": thing["id"], "type": kind, "url": url}
    return body


def in_version(event: Document, version: str) -> Document:
    """Return the event as an endpoint of this version gets it."""
    if version[:10] >= BASIL:
        return event | {"api_version": version}
    old = deepcopy(event) | {"api_version": version}
    thing = old["data"]["object"]
    change = OLD_SHAPES.get(thing.get("object", ""))
    if change is not None:
        change(thing)
    return old


def _old_subscription(thing: Document) -> None:
    items = thing["items"]["data"]
    for item in items:
        start, end = item.pop("current_period_start", None), item.pop("current_period_end", None)
        thing.setdefault("current_period_start", start)
        thing.setdefault("current_period_end", end)


def _old_invoice(thing: Document) -> None:
    parent = (thing.pop("parent", None) or {}).get("subscription_details") or {}
    thing |= {
        "subscription": parent.get("subscription"), "paid": thing["status"] == "paid", "tax": None, "charge": None,
        "payment_intent": thing.get("_payment_intent"),
    }  # fmt: skip


OLD_SHAPES: Mapping[str, Callable[[Document], None]] = {"subscription": _old_subscription, "invoice": _old_invoice}
