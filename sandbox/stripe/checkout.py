"""Checkout and billing portal: sessions, and what the payer does on their pages."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from sandbox.store import Document
from sandbox.stripe import params_pages as params
from sandbox.stripe.access import Caller
from sandbox.stripe.catalog import Catalog
from sandbox.stripe.errors import Declined, invalid, missing_param
from sandbox.stripe.events import Events
from sandbox.stripe.intents import Intents
from sandbox.stripe.methods import types_for
from sandbox.stripe.money import check_charge
from sandbox.stripe.operations import Operation, get, lists, post
from sandbox.stripe.payments import Payments
from sandbox.stripe.shape_of_session import new_line, new_session
from sandbox.stripe.state import VENDOR, Scope, State, list_page, new_id
from sandbox.stripe.subscriptions import Subscriptions

PATH = "/v1/checkout/sessions"
DAY_S, SHORTEST_S = 86400, 1800
OWN_DATA = {"payment": "payment_intent_data", "subscription": "subscription_data"}


class Checkout:
    """The operations on sessions, and the changes that pages make."""

    def __init__(
        self, state: State, *, events: Events, intents: Intents, payments: Payments, subscriptions: Subscriptions,
        catalog: Catalog,
    ) -> None:  # fmt: skip
        self._state = state
        self._events = events
        self._intents = intents
        self._payments = payments
        self._subscriptions = subscriptions
        self._catalog = catalog

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        where: dict[str, Any] = {"right": "checkout", "kind": "checkout.session"}
        portal: dict[str, Any] = {"right": "billing_portal", "kind": "billing_portal.session"}
        return (
            post(PATH, self._create, params=params.SESSION_CREATE, **where),
            lists(PATH, self._list, params=params.listing(payment_intent=params.ID, subscription=params.ID), **where),
            get(f"{PATH}/{{key}}", self._show, **where),
            get(f"{PATH}/{{key}}/line_items", self._lines, params=params.LINE_LIST, right="checkout", kind="item"),
            post(f"{PATH}/{{key}}/expire", self._expire, **where),
            post("/v1/billing_portal/sessions", self._portal, params=params.PORTAL_CREATE, **portal),
        )

    def lines_of(self, scope: Scope, session: Document) -> Document:
        """Return the line items of a session, for expand."""
        found = self._state.find(scope, "checkout.session", session["id"]) or {}
        url = f"{PATH}/{session['id']}/line_items"
        return {"object": "list", "url": url, "has_more": False, "data": found.get("_lines", [])}

    def pay(self, session: Document, *, method: str = "pm_card_visa") -> Document:
        """
        Let the payer pay, with a test card or with "pix"; the session is complete unless the card is refused.

        :raises Declined: the card is refused
        :raises KeyError: the session is over
        """
        if session["status"] != "open":
            raise KeyError(session["id"])
        scope = self._state.scope_of(session)
        if session["mode"] == "payment":
            return self._pay_once(scope, session, method)
        return self._subscribe(scope, session, method)

    def expire(self, session: Document) -> Document:
        """End a session that nobody completed."""
        scope = self._state.scope_of(session)
        session = self._state.put(session | {"status": "expired", "url": None})
        self._events.emit(scope, "checkout.session.expired", session)
        return session

    def expire_later(self, job: Document, attempts: int) -> None:
        """End a session whose time is over."""
        with self._state.frame.store.transaction():
            session = self._state.collection("checkout.session").get(job["session"])
            if session is not None and session["status"] == "open":
                self.expire(session)

    def payment_changed(self, scope: Scope, intent: Document, what: str) -> None:
        """Follow the payment intent of a session that was completed unpaid."""
        session = self._state.collection("checkout.session").get(intent.get("_session") or "")
        if session is None or session["status"] != "complete" or session["payment_status"] == "paid":
            return
        if what == "succeeded":
            session = self._state.put(session | {"payment_status": "paid"})
            self._events.emit(scope, "checkout.session.async_payment_succeeded", session)
        elif what == "failed":
            self._events.emit(scope, "checkout.session.async_payment_failed", session)

    def _pay_once(self, scope: Scope, session: Document, method: str) -> Document:
        values = {"amount": session["amount_total"], "currency": session["currency"]} | session["_data"]
        values["payment_method_options"] = session["payment_method_options"]
        if session["customer"]:
            values["customer"] = session["customer"]
        known = self._state.find(scope, "payment_intent", session.get("_intent") or "")
        intent = known or self._intents.make(scope, values, _session=session["id"])
        session = self._state.put(session | {"_intent": intent["id"]})
        chosen = (
            self._payments.methods.make(scope, {"type": "pix"})
            if method == "pix"
            else self._payments.methods.take(scope, method)
        )
        self._payments.attempt(scope, intent, chosen, present=True)
        paid = "unpaid" if method == "pix" else "paid"
        return self._complete(scope, session, payment_intent=intent["id"], payment_status=paid)

    def _subscribe(self, scope: Scope, session: Document, method: str) -> Document:
        customer = session["customer"] or self._catalog.new_customer(scope, session["customer_email"])["id"]
        if session["mode"] == "setup":
            return self._complete(scope, session, customer=customer, payment_status="no_payment_required")
        items = [{"price": line["price"]["id"], "quantity": line["quantity"]} for line in session["_lines"]]
        chosen = self._payments.methods.attach(scope, self._payments.methods.take(scope, method), customer)
        values = {"customer": customer, "items": items, "default_payment_method": chosen["id"]} | session["_data"]
        subscription = self._subscriptions.make(scope, values)
        if subscription["status"] == "incomplete":
            intent = self._state.collection("invoice").get(subscription["latest_invoice"]) or {}
            failed = self._state.need(scope, "payment_intent", intent["_payment_intent"])
            raise Declined(402, {"error": failed["last_payment_error"]})
        return self._complete(
            scope, session, customer=customer, subscription=subscription["id"], payment_status="paid",
            invoice=subscription["latest_invoice"],
        )  # fmt: skip

    def _complete(self, scope: Scope, session: Document, **values: str) -> Document:
        details = session["customer_details"] or {"email": session["customer_email"] or "payer@example.com"}
        session = self._state.put(session | {"status": "complete", "url": None, "customer_details": details} | values)
        self._events.emit(scope, "checkout.session.completed", session)
        return session

    # The API

    def _create(self, caller: Caller, values: Document) -> Document:
        scope, mode = caller.scope, values["mode"]
        _check(values)
        if "customer" in values:
            self._state.need(scope, "customer", values["customer"], param="customer")
        lines = [self._line(scope, mode, line, place) for place, line in enumerate(values.get("line_items") or [])]
        if mode != "setup" and not lines:
            raise missing_param("line_items")
        currency = lines[0]["currency"] if lines else values.get("currency")
        amount = sum(line["amount_total"] for line in lines)
        if mode == "payment":
            check_charge(amount, str(currency), param="line_items")
        if mode == "subscription" and not any(line["price"]["type"] == "recurring" for line in lines):
            message = "You must provide at least one recurring price in `subscription` mode when using prices."
            raise invalid(message, param="line_items")
        now = self._state.now()
        expires_at = values.get("expires_at", now + DAY_S)
        if not SHORTEST_S - 5 <= expires_at - now <= DAY_S:
            message = (
                "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation."
            )
            raise invalid(message, param="expires_at")
        types = types_for(
            currency or "usd", allowed=values.get("allowed_payment_method_types"),
            excluded=values.get("excluded_payment_method_types"),
        )  # fmt: skip
        session = new_session(values, lines=lines, types=types, now=now, livemode=scope.livemode)
        session |= {"expires_at": expires_at, "_data": dict(values.get(OWN_DATA.get(mode, "")) or {})}
        hosted = session["ui_mode"] == "hosted_page"
        session["url"] = f"{self._state.frame.base_url}/{VENDOR}/c/pay/{session['id']}" if hosted else None
        body = {"session": session["id"]}
        self._state.frame.runner.schedule(
            vendor=VENDOR, name="expire_session", body=body, after_s=expires_at - now
        )  # fmt: skip
        return self._state.add(scope, session)

    def _show(self, caller: Caller, values: Document, key: str) -> Document:
        return self._state.need(caller.scope, "checkout.session", key)

    def _list(self, caller: Caller, values: Document) -> Document:
        wanted = {name: values[name] for name in ("payment_intent", "subscription") if name in values}
        return list_page(
            self._state, caller.scope, "checkout.session", values, url=PATH,
            keep=lambda row: all(row[name] == value for name, value in wanted.items()),
        )  # fmt: skip

    def _lines(self, caller: Caller, values: Document, key: str) -> Document:
        return self.lines_of(caller.scope, self._show(caller, values, key))

    def _expire(self, caller: Caller, values: Document, key: str) -> Document:
        session = self._show(caller, values, key)
        if session["status"] != "open":
            message = (
                f'Only Checkout Sessions with a status in ["open"] can be expired. This one is {session["status"]}.'
            )
            raise invalid(message)
        return self.expire(session)

    def _line(self, scope: Scope, mode: str, line: Document, place: int) -> Document:
        path = f"line_items[{place}]"
        if ("price" in line) == ("price_data" in line):
            raise missing_param(f"{path}[price]")
        if "quantity" not in line:
            raise missing_param(f"{path}[quantity]")
        if "price" in line:
            price = self._state.need(scope, "price", line["price"], param=f"{path}[price]")
        else:
            price = self._price(scope, line["price_data"], f"{path}[price_data]")
        if mode == "payment" and price["type"] == "recurring":
            message = "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode "
            raise invalid(message + "or use only one-time prices.", param=f"{path}[price]")
        product = self._state.need(scope, "product", price["product"])
        return new_line(price, name=product["name"], quantity=line["quantity"])

    def _price(self, scope: Scope, data: Document, path: str) -> Document:
        if "unit_amount" not in data:
            raise missing_param(f"{path}[unit_amount]")
        facts = {"amount": data["unit_amount"], "currency": data["currency"], "recurring": data.get("recurring")}
        if "product" in data:
            self._state.need(scope, "product", data["product"], param=f"{path}[product]")
            return self._catalog.add_bare_price(scope, key=new_id("price"), product=data["product"], **facts)
        if "product_data" not in data:
            raise missing_param(f"{path}[product_data]")
        return self._catalog.add_price(scope, name=data["product_data"]["name"], **facts)

    def _portal(self, caller: Caller, values: Document) -> Document:
        self._state.need(caller.scope, "customer", values["customer"], param="customer")
        flow = values.get("flow_data")
        if flow is not None and flow["type"].startswith("subscription_"):
            if flow["type"] not in flow:
                raise missing_param(f"flow_data[{flow['type']}]")
            param = f"flow_data[{flow['type']}][subscription]"
            self._state.need(caller.scope, "subscription", flow[flow["type"]]["subscription"], param=param)
        key, token = new_id("bps"), secrets.token_urlsafe(12)
        session: Document = {
            "id": key, "object": "billing_portal.session", "after_expiration": None,
            "configuration": values.get("configuration", "bpc_1SandboxDefault"), "created": self._state.now(),
            "customer": values["customer"], "customer_account": None, "flow": flow, "locale": values.get("locale"),
            "on_behalf_of": None, "return_url": values.get("return_url"),
            "url": f"{self._state.frame.base_url}/{VENDOR}/p/session/{token}",
        }  # fmt: skip
        self._state.collection("portal_token").put(token, {"session": key})
        return self._state.add(caller.scope, session)


def _check(values: Document) -> None:
    hosted = values.get("ui_mode", "hosted_page") == "hosted_page"
    wanted, other = ("success_url", "return_url") if hosted else ("return_url", "success_url")
    if wanted not in values:
        raise missing_param(wanted)
    if other in values:
        raise invalid(f"`{other}` cannot be passed with this `ui_mode`.", param=other)
    if "customer" in values and "customer_email" in values:
        message = "You may only specify one of these parameters: customer, customer_email."
        raise invalid(message, code="parameters_exclusive", param="customer")
    if "allowed_payment_method_types" in values and "excluded_payment_method_types" in values:
        message = "You may only specify one of allowed_payment_method_types and excluded_payment_method_types."
        raise invalid(message, code="parameters_exclusive", param="allowed_payment_method_types")
    for mode, name in OWN_DATA.items():
        if name in values and values["mode"] != mode:
            raise invalid(f"You can not pass `{name}` in `{values['mode']}` mode.", param=name)
