"""Events: written down at each change, listed for 30 days, posted signed to every endpoint that wants them."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import time
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from sandbox.callbacks import Unreachable, call_back
from sandbox.store import Document
from sandbox.stripe.shapes import in_version, thin
from sandbox.stripe.state import VENDOR, Scope, State, new_id, scope_of_owner, shown

API_VERSION = "2026-10-28.endive"
KEPT_S = 30 * 86400
DELIVERIES_KEPT = 2000


class Events:
    """The outgoing side of all accounts."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._deliveries = state.collection("delivery")

    def emit(
        self, scope: Scope, kind: str, thing: Document, *, previous: Mapping[str, Any] | None = None, **more: Any
    ) -> Document:
        """
        Write an event about an object and post it; `previous` holds the old values of what changed.

        `more` replaces parts of the event (control only); `lost=True` writes it and posts it to nobody.
        """
        lost = more.pop("lost", False)
        data: Document = {"object": thing}
        if previous is not None:
            data["previous_attributes"] = dict(previous)
        event: Document = {
            "id": new_id("evt"), "object": "event", "api_version": API_VERSION, "created": self._state.now(),
            "data": data, "livemode": scope.livemode, "pending_webhooks": 1, "type": kind,
            "request": {"id": scope.request_id, "idempotency_key": scope.idempotency_key}, "_owner": scope.owner,
        }  # fmt: skip
        event |= more
        endpoints = [] if lost else self.endpoints_for(scope, kind)
        if not lost:
            event["pending_webhooks"] = len(endpoints)
        self._state.put(event)
        for endpoint in endpoints:
            self.queue(event, endpoint)
        return event

    def endpoints_for(self, scope: Scope, kind: str) -> list[Document]:
        """Return the enabled endpoints of the account, and of its platforms, that asked for this type."""
        platforms = {
            f"{found['platform']}:{'live' if scope.livemode else 'test'}"
            for found in self._state.collection("connection").all(owner=scope.owner)
            if not found["revoked"] or kind == "account.application.deauthorized"
        }
        return [
            endpoint
            for endpoint in self._state.collection("webhook_endpoint").all()
            if endpoint["status"] == "enabled"
            and {"*", kind} & set(endpoint["enabled_events"])
            and (endpoint["_owner"] in platforms if endpoint["_connect"] else endpoint["_owner"] == scope.owner)
        ]

    def queue(self, event: Document, endpoint: Document, *, copies: int | None = None, now: bool = False) -> None:
        """Write the posts of one event to one endpoint down, as the settings say: at once, shuffled, held or not."""
        settings = self._state.settings()
        how = "sent" if now else settings["webhooks"]
        if how == "off":
            return
        for _ in range(settings["webhook_copies"] if copies is None else copies):
            delivery = self._write(event, endpoint, status="held" if how == "held" else "pending")
            if how != "held":
                spread = random.uniform(0, settings["webhook_spread_s"]) if how == "shuffled" else 0.0  # noqa: S311
                self._schedule(delivery, after_s=spread)

    def post_to(self, event: Document, *, url: str, secret: str, age_s: float = 0, wrong: bool = False) -> None:
        """Post one event to any address, whatever the settings say; `wrong` signs with another secret."""
        endpoint = {"id": "", "url": url, "secret": "whsec_other" if wrong else secret, "api_version": API_VERSION}
        self._schedule(self._write(event, endpoint | {"_connect": False}, status="pending", age_s=age_s))

    def release(self, *, order: str, copies: int) -> int:
        """Send what was held: in_order, reversed or shuffled, each `copies` times; return how many posts."""
        held = [delivery for delivery in self._deliveries.all() if delivery["status"] == "held"]
        if order == "reversed":
            held.reverse()
        elif order == "shuffled":
            random.shuffle(held)
        for place, delivery in enumerate(held):
            self._deliveries.change(delivery["id"], status="pending")
            for copy in range(copies):
                # One after the other: the order would not survive the runner's threads otherwise.
                self._schedule(delivery, after_s=(place * copies + copy) * 0.02)
        return len(held) * copies

    def deliver(self, job: Document, attempts: int) -> float | None:
        """Post one delivery; return the seconds until the next try, or None when it is over."""
        delivery = self._deliveries.get(job["delivery"])
        if delivery is None:
            return None
        event = self._state.collection("event").get(delivery["event"]) or {}
        body = json.dumps(self._rendered(event, delivery), indent=2).encode()
        settings = self._state.frame.settings
        try:
            answer = call_back(
                delivery["url"], method="POST", body=body, headers=_headers(body, delivery),
                timeout_s=settings.callback_timeout_s,
            )  # fmt: skip
            outcome, done = str(answer.status), HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES
        except Unreachable as error:
            outcome, done = str(error), False
        over = done or attempts + 1 >= settings.retry_tries
        status = "delivered" if done else "failed" if over else "pending"
        self._note(delivery, attempts=attempts + 1, last=outcome, status=status)
        if over:
            return None
        gap: float = min(settings.retry_first_s * settings.retry_factor**attempts, settings.retry_longest_s)
        return gap

    def listed(self) -> list[Document]:
        """Return the latest deliveries with their outcome."""
        hidden = ("secret", "old_secrets")
        return [
            {name: value for name, value in delivery.items() if name not in hidden}
            for delivery in self._deliveries.all(last=200)
        ]

    def _write(self, event: Document, endpoint: Document, *, status: str, age_s: float = 0) -> Document:
        delivery: Document = {
            "id": new_id("dlv"), "event": event["id"], "type": event["type"], "endpoint": endpoint["id"],
            "url": endpoint["url"], "secret": endpoint["secret"], "old_secrets": endpoint.get("_old_secrets", []),
            "api_version": endpoint["api_version"] or API_VERSION, "attempts": 0, "last": "", "status": status,
            "account": scope_of_owner(event["_owner"]).account if endpoint["_connect"] else None, "age_s": age_s,
            "thin": bool(self._state.settings()["thin"] or endpoint.get("_thin")),
        }  # fmt: skip
        self._deliveries.put(delivery["id"], delivery, owner=event["id"])
        self._deliveries.keep_last(DELIVERIES_KEPT)
        return delivery

    def _schedule(self, delivery: Document, *, after_s: float = 0.0) -> None:
        body = {"delivery": delivery["id"]}
        self._state.frame.runner.schedule(vendor=VENDOR, name="deliver", body=body, after_s=after_s)

    def _rendered(self, event: Document, delivery: Document) -> Document:
        if delivery["thin"]:
            return thin(event, account=delivery["account"])
        body = shown(in_version(event, delivery["api_version"]))
        return body | {"account": delivery["account"]} if delivery["account"] else body

    def _note(self, delivery: Document, *, attempts: int, last: str, status: str) -> None:
        with self._state.frame.store.transaction():
            self._deliveries.change(delivery["id"], attempts=attempts, last=last, status=status)
            event = self._state.collection("event").get(delivery["event"])
            if status == "delivered" and delivery["endpoint"] and event is not None:
                event["pending_webhooks"] = max(0, event["pending_webhooks"] - 1)
                self._state.put(event)


def signature_header(body: bytes, *, secret: str, stamp: int, old_secrets: Iterable[str] = ()) -> str:
    """Return `t=…,v1=…` over the stamp, a dot and the raw body; one v1 for each secret."""
    signed = str(stamp).encode() + b"." + body
    digests = [hmac.new(key.encode(), signed, hashlib.sha256).hexdigest() for key in (secret, *old_secrets)]
    return ",".join([f"t={stamp}", *(f"v1={digest}" for digest in digests)])


def _headers(body: bytes, delivery: Document) -> dict[str, str]:
    now = time.time()
    old = [found["secret"] for found in delivery["old_secrets"] if found["until"] > now]
    signature = signature_header(
        body, secret=delivery["secret"], stamp=int(now - delivery["age_s"]), old_secrets=old
    )  # fmt: skip
    return {
        "Content-Type": "application/json; charset=utf-8", "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "Stripe-Signature": signature,
    }  # fmt: skip
