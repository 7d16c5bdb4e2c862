"""Subscriptions: what the API lets a caller do, and how the status follows the invoices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sandbox.frame import Refused
from sandbox.store import Document
from sandbox.stripe import params
from sandbox.stripe.access import Caller
from sandbox.stripe.catalog import Catalog
from sandbox.stripe.errors import invalid, missing_param
from sandbox.stripe.events import Events
from sandbox.stripe.form import merge_metadata
from sandbox.stripe.invoices import Invoices
from sandbox.stripe.operations import Operation, delete, get, lists, post
from sandbox.stripe.payments import Payments
from sandbox.stripe.shape_of_subscription import new_item, new_setup_intent, new_subscription, period_end
from sandbox.stripe.state import Scope, State, list_page, new_id

PATH = "/v1/subscriptions"
DAY_S = 86400
ENDED = ("canceled", "incomplete_expired")
NO_METHOD = "This customer has no attached payment source or default payment method. Please consider adding a default "


class Subscriptions:
    """The operations on subscriptions and their changes."""

    def __init__(
        self, state: State, *, events: Events, payments: Payments, invoices: Invoices, catalog: Catalog
    ) -> None:
        self._state = state
        self._events = events
        self._payments = payments
        self._invoices = invoices
        self._catalog = catalog

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        where: dict[str, Any] = {"right": "subscriptions", "kind": "subscription"}
        return (
            post(PATH, self._create, params=params.SUBSCRIPTION_CREATE, **where),
            lists(PATH, self._list, params=params.SUBSCRIPTION_LIST, **where),
            get(f"{PATH}/{{key}}", self._show, **where),
            post(f"{PATH}/{{key}}", self._update, params=params.SUBSCRIPTION_UPDATE, **where),
            delete(f"{PATH}/{{key}}", self._cancel, params=params.SUBSCRIPTION_CANCEL, **where),
            post(f"{PATH}/{{key}}/resume", self._resume, params=params.SUBSCRIPTION_RESUME, **where),
            post(f"{PATH}/{{key}}/pause", self._pause, params=params.SUBSCRIPTION_PAUSE, **where),
        )

    def make(self, scope: Scope, values: Document) -> Document:
        """Write a new subscription with its first invoice; :raises Refused: a part does not fit."""
        customer = self._state.need(scope, "customer", values["customer"], param="customer")
        if not values["items"]:
            raise missing_param("items")
        method = self._method(scope, customer, values)
        trial_end = self._trial_end(values)
        behavior = values.get("payment_behavior", "allow_incomplete")
        charges = values.get("collection_method", "charge_automatically") == "charge_automatically"
        if method is None and trial_end is None and charges and behavior != "default_incomplete":
            raise invalid(NO_METHOD + "payment method.", code="resource_missing")
        key, now = new_id("sub"), self._state.now()
        items = [
            new_item(key, self._price(scope, item, f"items[{place}]"), item, start=now, trial_end=trial_end)
            for place, item in enumerate(values["items"])
        ]
        subscription = new_subscription(key, items, values, now=now, trial_end=trial_end)
        subscription["default_payment_method"] = method["id"] if method else None
        if trial_end is not None and method is None:
            setup = self._state.add(scope, new_setup_intent(subscription, now=now))
            subscription["pending_setup_intent"] = setup["id"]
        subscription = self._state.add(scope, subscription)
        self._events.emit(scope, "customer.subscription.created", subscription)
        return self._bill(scope, subscription, reason="subscription_create", method=method, strict=behavior)

    def invoice_changed(self, scope: Scope, invoice: Document, what: str) -> None:
        """Follow an invoice: paid makes active, a failure makes a running subscription past due."""
        key = invoice["parent"]["subscription_details"]["subscription"]
        subscription = self._state.collection("subscription").get(key)
        if subscription is None or subscription["status"] in (*ENDED, "trialing", "paused"):
            return
        if what == "paid":
            intent = self._state.collection("payment_intent").get(invoice.get("_payment_intent") or "") or {}
            saved = subscription["payment_settings"]["save_default_payment_method"] == "on_subscription"
            method = intent.get("payment_method") if saved else None
            kept = subscription["default_payment_method"]
            self.change(scope, subscription, status="active", default_payment_method=method or kept)
        elif what == "failed" and subscription["status"] == "active":
            self.change(scope, subscription, status="past_due")

    def change(self, scope: Scope, subscription: Document, **values: Any) -> Document:
        """Change some values and tell it with the old ones."""
        previous = {name: subscription[name] for name, value in values.items() if subscription[name] != value}
        subscription = self._state.put(subscription | values)
        if previous:
            self._events.emit(scope, "customer.subscription.updated", subscription, previous=previous)
        return subscription

    def renew(self, subscription: Document) -> Document:
        """Start the next period: an invoice, charged to the default method."""
        scope = self._state.scope_of(subscription)
        items = subscription["items"]["data"]
        for item in items:
            start = item["current_period_end"]
            item |= {"current_period_start": start, "current_period_end": period_end(start, item["price"])}
        method = self._state.find(scope, "payment_method", subscription["default_payment_method"] or "")
        listed = subscription["items"] | {"data": items}
        status = "active" if subscription["status"] == "trialing" else subscription["status"]
        subscription = self.change(scope, subscription, items=listed, status=status)
        return self._bill(scope, subscription, reason="subscription_cycle", method=method, strict="")

    def pause(self, scope: Scope, subscription: Document, *, why: str) -> Document:
        """Pause it; `why` is Stripe's word in status_details."""
        paused = {"subscription": {"type": why}, "transitioned_at": self._state.now(), "type": "subscription"}
        subscription = self.change(scope, subscription, status="paused", status_details={"paused": paused})
        self._events.emit(scope, "customer.subscription.paused", subscription)
        return subscription

    def resume(self, scope: Scope, subscription: Document) -> Document:
        """Let a paused one run again."""
        subscription = self.change(scope, subscription, status="active", status_details={"paused": None})
        self._events.emit(scope, "customer.subscription.resumed", subscription)
        return subscription

    def end(self, scope: Scope, subscription: Document, *, reason: str, details: Document | None = None) -> Document:
        """End it now."""
        now = self._state.now()
        said = subscription["cancellation_details"] | (details or {}) | {"reason": reason}
        invoice = self._state.find(scope, "invoice", subscription["latest_invoice"] or "")
        if invoice is not None:
            self._invoices.void(scope, invoice)
        subscription |= {"status": "canceled", "canceled_at": now, "ended_at": now, "cancellation_details": said}
        subscription = self._state.put(subscription)
        self._events.emit(scope, "customer.subscription.deleted", subscription)
        return subscription

    # The API

    def _create(self, caller: Caller, values: Document) -> Document:
        return self.make(caller.scope, values)

    def _show(self, caller: Caller, values: Document, key: str) -> Document:
        return self._state.need(caller.scope, "subscription", key)

    def _list(self, caller: Caller, values: Document) -> Document:
        status, price, wanted = values.get("status"), values.get("price"), ("customer", "collection_method")
        filters = {name: values[name] for name in wanted if name in values}

        def keep(row: Document) -> bool:
            fits = {None: row["status"] != "canceled", "all": True, "ended": row["status"] in ENDED}
            prices = [item["price"]["id"] for item in row["items"]["data"]]
            right = all(row[name] == value for name, value in filters.items()) and (price is None or price in prices)
            return right and fits.get(status, row["status"] == status)

        return list_page(self._state, caller.scope, "subscription", values, url=PATH, keep=keep)

    def _update(self, caller: Caller, values: Document, key: str) -> Document:
        scope, old = caller.scope, self._state.need(caller.scope, "subscription", key)
        if old["status"] in ENDED and set(values) - {"metadata", "cancellation_details", "expand"}:
            raise invalid("A canceled subscription can only update its cancellation_details and metadata.")
        plain = ("cancel_at", "cancel_at_period_end", "collection_method", "days_until_due", "description",
                 "pause_collection", "trial_settings")  # fmt: skip
        new = {name: values[name] for name in plain if name in values}
        if "metadata" in values:
            new["metadata"] = merge_metadata(old["metadata"], values["metadata"])
        if "default_payment_method" in values:
            new["default_payment_method"] = self._payments.methods.take(scope, values["default_payment_method"])["id"]
        for name in ("payment_settings", "cancellation_details"):
            if name in values:
                new[name] = old[name] | values[name]
        if "items" in values:
            new["items"] = self._items(scope, old, values["items"])
        new |= self._when_ends(old, values) | self._new_trial(old, values)
        return self.change(scope, old, **new)

    def _cancel(self, caller: Caller, values: Document, key: str) -> Document:
        found = self._state.need(caller.scope, "subscription", key)
        if found["status"] in ENDED:
            raise invalid(f"No such subscription: '{key}'", code="resource_missing", param="id", status=404)
        return self.end(
            caller.scope, found, reason="cancellation_requested", details=values.get("cancellation_details")
        )  # fmt: skip

    def _resume(self, caller: Caller, values: Document, key: str) -> Document:
        found = self._state.need(caller.scope, "subscription", key)
        if found["status"] != "paused":
            raise invalid("Only subscriptions with the status paused can be resumed.")
        return self.resume(caller.scope, found)

    def _pause(self, caller: Caller, values: Document, key: str) -> Document:
        found = self._state.need(caller.scope, "subscription", key)
        if found["status"] not in ("active", "trialing", "past_due"):
            raise invalid(f"A subscription with the status {found['status']} cannot be paused.")
        return self.pause(caller.scope, found, why="pause_requested")

    # Parts

    def _bill(
        self, scope: Scope, subscription: Document, *, reason: str, method: Document | None, strict: str
    ) -> Document:
        free = subscription["status"] == "trialing"
        amount = 0 if free else sum(
            item["price"]["unit_amount"] * item["quantity"] for item in subscription["items"]["data"]
        )  # fmt: skip
        subscription = self._state.put(subscription | {"_billing": reason})
        invoice = self._invoices.open(scope, subscription, reason=reason, amount=amount)
        current = self._state.need(scope, "subscription", subscription["id"])
        self._state.put(current | {"latest_invoice": invoice["id"]})
        charges = subscription["collection_method"] == "charge_automatically"
        if invoice["status"] == "open" and method is not None and charges and strict != "default_incomplete":
            self._charge(scope, invoice, method, raises=strict == "error_if_incomplete")
        return self._state.need(scope, "subscription", subscription["id"])

    def _charge(self, scope: Scope, invoice: Document, method: Document, *, raises: bool) -> None:
        intent = self._state.need(scope, "payment_intent", invoice["_payment_intent"])
        outcome = self._payments.tried(scope, intent, method, present=True)
        if outcome is not None and raises:
            raise Refused(402, outcome.body)  # unlike a Declined, nothing of it is kept

    def _method(self, scope: Scope, customer: Document, values: Document) -> Document | None:
        key = values.get("default_payment_method") or customer["invoice_settings"]["default_payment_method"]
        return self._payments.methods.take(scope, key, param="default_payment_method") if key else None

    def _trial_end(self, values: Document) -> int | None:
        if "trial_period_days" in values and "trial_end" in values:
            message = "You may only specify one of these parameters: trial_end, trial_period_days."
            raise invalid(message, code="parameters_exclusive", param="trial_end")
        if "trial_period_days" in values:
            return self._state.now() + int(values["trial_period_days"]) * DAY_S
        end = values.get("trial_end")
        if isinstance(end, int) and end <= self._state.now():
            raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", param="trial_end")
        return None if end == "now" else end

    def _price(self, scope: Scope, item: Document, path: str) -> Document:
        if ("price" in item) == ("price_data" in item):
            raise missing_param(f"{path}[price]")
        if "price" in item:
            price = self._state.need(scope, "price", item["price"], param=f"{path}[price]")
        else:
            data = item["price_data"]
            self._state.need(scope, "product", data["product"], param=f"{path}[price_data][product]")
            price = self._catalog.add_bare_price(
                scope, key=new_id("price"), product=data["product"], amount=data.get("unit_amount", 0),
                currency=data["currency"], recurring=data["recurring"],
            )  # fmt: skip
        if price["type"] != "recurring":
            message = "The price specified is set to `type=one_time` but this field only accepts prices with "
            raise invalid(message + "`type=recurring`.", param=f"{path}[price]")
        return {name: value for name, value in price.items() if not name.startswith("_")}

    def _items(self, scope: Scope, subscription: Document, changes: Sequence[Document]) -> Document:
        items = {item["id"]: item for item in subscription["items"]["data"]}
        for place, change in enumerate(changes):
            key, path = change.get("id"), f"items[{place}]"
            if key is not None and key not in items:
                raise invalid(f"No such subscription item: '{key}'", code="resource_missing", param=f"{path}[id]")
            if change.get("deleted"):
                items.pop(key or "", None)
            elif key is None or "price" in change or "price_data" in change:
                price = self._price(scope, change, path)
                old = items.get(key or "", {})
                item = new_item(subscription["id"], price, {"quantity": old.get("quantity", 1)} | change,
                                start=self._state.now(), trial_end=subscription["trial_end"])  # fmt: skip
                item["id"] = key or item["id"]
                items[item["id"]] = item
            else:
                items[key] |= {name: change[name] for name in ("quantity", "metadata") if name in change}
        if not items:
            raise invalid("A subscription must have at least one active plan.", param="items")
        return subscription["items"] | {"data": list(items.values()), "total_count": len(items)}

    def _when_ends(self, old: Document, values: Document) -> Document:
        if "cancel_at_period_end" not in values:
            return {}
        ends = values["cancel_at_period_end"]
        at = max(item["current_period_end"] for item in old["items"]["data"]) if ends else None
        return {"cancel_at": at, "canceled_at": self._state.now() if ends else None}

    def _new_trial(self, old: Document, values: Document) -> Document:
        if "trial_end" not in values:
            return {}
        if values["trial_end"] == "now":
            return {"trial_end": self._state.now(), "status": "active"} if old["status"] == "trialing" else {}
        return {"trial_end": self._trial_end(values), "status": "trialing"}
