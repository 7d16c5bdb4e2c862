"""Invoices of subscriptions and what was paid on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sandbox.store import Document
from sandbox.stripe import params
from sandbox.stripe.access import Caller
from sandbox.stripe.errors import missing_param
from sandbox.stripe.events import Events
from sandbox.stripe.intents import Intents
from sandbox.stripe.operations import Operation, get, lists
from sandbox.stripe.state import Scope, State, list_page, new_id

# Told when an invoice is paid or its payment fails: the scope, the invoice, and paid, failed or requires_action.
Listener = Callable[[Scope, Document, str], None]


class Invoices:
    """The operations on invoices and their payments, and the changes of both."""

    def __init__(self, state: State, *, events: Events, intents: Intents) -> None:
        self._state = state
        self._events = events
        self._intents = intents
        self.listeners: list[Listener] = []

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        where: dict[str, Any] = {"right": "invoices", "kind": "invoice"}
        payment: dict[str, Any] = {"right": "invoices", "kind": "invoice_payment"}
        return (
            lists("/v1/invoices", self._list, params=params.INVOICE_LIST, **where),
            get("/v1/invoices/{key}", self._show, **where),
            lists("/v1/invoice_payments", self._payments, params=params.INVOICE_PAYMENT_LIST, **payment),
            get("/v1/invoice_payments/{key}", self._payment, **payment),
        )

    def open(self, scope: Scope, subscription: Document, *, reason: str, amount: int) -> Document:
        """Write and finalize the invoice of a period; one of nothing is paid at once, others get a payment intent."""
        invoice = self._state.add(scope, self._draft(scope, subscription, reason=reason, amount=amount))
        self._events.emit(scope, "invoice.created", invoice | {"status": "draft"})
        self._events.emit(scope, "invoice.finalized", invoice)
        if amount == 0:
            return self._paid(scope, invoice, amount=0)
        values = {"amount": amount, "currency": invoice["currency"], "customer": subscription["customer"]}
        if subscription["payment_settings"]["save_default_payment_method"] == "on_subscription":
            values["setup_future_usage"] = "off_session"
        values["description"] = "Subscription creation" if reason == "subscription_create" else "Subscription update"
        intent = self._intents.make(scope, values, _invoice=invoice["id"])
        self._add_payment(scope, invoice, intent)
        return self._state.put(invoice | {"_payment_intent": intent["id"], "_secret": intent["client_secret"]})

    def payment_changed(self, scope: Scope, intent: Document, what: str) -> None:
        """Follow the payment intent of an invoice."""
        invoice = self._state.collection("invoice").get(intent.get("_invoice") or "")
        if invoice is None or invoice["status"] not in ("open", "uncollectible"):
            return
        if what == "succeeded":
            self._mark_payment(scope, intent, invoice)
            self._paid(scope, invoice, amount=invoice["amount_due"])
            return
        kind = {"failed": "payment_failed", "requires_action": "payment_action_required"}.get(what)
        if kind is not None:
            invoice = self._state.put(
                invoice | {"attempted": True, "attempt_count": invoice["attempt_count"] + (what == "failed")}
            )
            self._events.emit(scope, f"invoice.{kind}", invoice)
            self._tell(scope, invoice, what)

    def void(self, scope: Scope, invoice: Document) -> None:
        """Void an invoice that nobody will pay."""
        if invoice["status"] == "open":
            moments = invoice["status_transitions"] | {"voided_at": self._state.now()}
            invoice = self._state.put(invoice | {"status": "void", "status_transitions": moments})
            self._events.emit(scope, "invoice.voided", invoice)

    def payments_of(self, scope: Scope, invoice: Document) -> Document:
        """Return the payments of an invoice, for expand."""
        rows = [row for row in self._state.newest(scope.owner, "invoice_payment") if row["invoice"] == invoice["id"]]
        return {"object": "list", "url": "/v1/invoice_payments", "has_more": False, "data": rows}

    def confirmation_secret(self, scope: Scope, invoice: Document) -> Document | None:
        """Return what the front end needs to pay the invoice, for expand."""
        found = self._state.find(scope, "invoice", invoice["id"]) or {}
        secret = found.get("_secret")
        return {"client_secret": secret, "type": "payment_intent"} if secret else None

    def _paid(self, scope: Scope, invoice: Document, *, amount: int) -> Document:
        moments = invoice["status_transitions"] | {"paid_at": self._state.now()}
        invoice |= {
            "status": "paid", "amount_paid": amount, "amount_remaining": 0, "attempted": True, "auto_advance": False,
            "status_transitions": moments, "attempt_count": invoice["attempt_count"] + 1,
        }  # fmt: skip
        invoice = self._state.put(invoice)
        self._events.emit(scope, "invoice.paid", invoice)
        self._events.emit(scope, "invoice.payment_succeeded", invoice)
        self._tell(scope, invoice, "paid")
        return invoice

    def _tell(self, scope: Scope, invoice: Document, what: str) -> None:
        for listener in self.listeners:
            listener(scope, invoice, what)

    def _add_payment(self, scope: Scope, invoice: Document, intent: Document) -> None:
        payment: Document = {
            "id": new_id("inpay"), "object": "invoice_payment", "amount_paid": None,
            "amount_requested": intent["amount"], "created": self._state.now(), "currency": intent["currency"],
            "invoice": invoice["id"], "is_default": True, "status": "open",
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }  # fmt: skip
        self._state.add(scope, payment)

    def _mark_payment(self, scope: Scope, intent: Document, invoice: Document) -> None:
        for payment in self.payments_of(scope, invoice)["data"]:
            if payment["payment"]["payment_intent"] == intent["id"]:
                payment |= {"amount_paid": intent["amount_received"], "status": "paid"}
                payment["status_transitions"] = {"canceled_at": None, "paid_at": self._state.now()}
                self._events.emit(scope, "invoice_payment.paid", self._state.put(payment))

    def _show(self, caller: Caller, values: Document, key: str) -> Document:
        return self._state.need(caller.scope, "invoice", key)

    def _list(self, caller: Caller, values: Document) -> Document:
        wanted = {name: values[name] for name in ("customer", "status", "collection_method") if name in values}
        subscription = values.get("subscription")

        def keep(row: Document) -> bool:
            ours = row["parent"]["subscription_details"]["subscription"]
            return subscription in (None, ours) and all(row[name] == value for name, value in wanted.items())

        return list_page(self._state, caller.scope, "invoice", values, url="/v1/invoices", keep=keep)

    def _payment(self, caller: Caller, values: Document, key: str) -> Document:
        return self._state.need(caller.scope, "invoice_payment", key)

    def _payments(self, caller: Caller, values: Document) -> Document:
        invoice, status, payment = values.get("invoice"), values.get("status"), values.get("payment") or {}
        if payment and payment["type"] not in payment:
            raise missing_param(f"payment[{payment['type']}]")
        return list_page(
            self._state, caller.scope, "invoice_payment", values, url="/v1/invoice_payments",
            keep=lambda row: invoice in (None, row["invoice"]) and status in (None, row["status"])
            and payment.items() <= row["payment"].items(),
        )  # fmt: skip

    def _draft(self, scope: Scope, subscription: Document, *, reason: str, amount: int) -> Document:
        key, now = new_id("in"), self._state.now()
        customer = self._state.find(scope, "customer", subscription["customer"]) or {}
        lines = [_line(key, subscription, item, amount=amount) for item in subscription["items"]["data"]]
        nothing: Document = {
            "automatically_finalizes_at": None,
            "default_tax_rates": [],
            "discounts": [],
            "on_behalf_of": None,
        }
        return nothing | {
            "id": key, "object": "invoice", "account_country": "BR", "account_name": "Sandbox", "account_tax_ids": None,
            "amount_due": amount, "amount_overpaid": 0, "amount_paid": 0, "amount_paid_off_stripe": 0,
            "amount_remaining": amount, "amount_shipping": 0, "application": None, "attempt_count": 0,
            "attempted": False, "auto_advance": True, "billing_reason": reason,
            "automatic_tax": {
                "disabled_reason": None, "enabled": False, "liability": None, "provider": None, "status": None,
            },
            "collection_method": subscription["collection_method"], "created": now,
            "currency": subscription["currency"], "custom_fields": None, "customer": subscription["customer"],
            "customer_account": None, "customer_address": customer.get("address"),
            "customer_email": customer.get("email"), "customer_name": customer.get("name"), "customer_phone": None,
            "customer_shipping": None, "customer_tax_exempt": "none", "customer_tax_ids": [],
            "default_payment_method": None, "default_source": None, "description": None, "due_date": None,
            "effective_at": now, "ending_balance": 0, "footer": None, "from_invoice": None,
            "hosted_invoice_url": None, "invoice_pdf": None, "issuer": {"type": "self"},
            "last_finalization_error": None, "latest_revision": None,
            "lines": {
                "object": "list", "data": lines, "has_more": False, "total_count": len(lines),
                "url": f"/v1/invoices/{key}/lines",
            },
            "metadata": {}, "next_payment_attempt": None, "number": f"SANDBOX-{key[-6:].upper()}",
            "parent": {
                "quote_details": None, "type": "subscription_details",
                "subscription_details": {"metadata": subscription["metadata"], "subscription": subscription["id"]},
            },
            "payment_settings": {
                "default_mandate": None, "payment_method_options": None, "payment_method_types": None,
            },
            "period_end": now, "period_start": now, "post_payment_credit_notes_amount": 0,
            "pre_payment_credit_notes_amount": 0, "receipt_number": None, "rendering": None, "shipping_cost": None,
            "shipping_details": None, "starting_balance": 0, "statement_descriptor": None, "status": "open",
            "status_details": None,
            "status_transitions": {
                "finalized_at": now, "marked_uncollectible_at": None, "paid_at": None, "voided_at": None,
            },
            "subtotal": amount, "subtotal_excluding_tax": amount, "test_clock": None, "total": amount,
            "total_discount_amounts": [], "total_excluding_tax": amount, "total_pretax_credit_amounts": [],
            "total_taxes": [], "webhooks_delivered_at": now,
        }  # fmt: skip


def _line(invoice: str, subscription: Document, item: Document, *, amount: int) -> Document:
    price = item["price"]
    own = (price["unit_amount"] or 0) * item.get("quantity", 1) if amount else 0
    return {
        "id": new_id("il"), "object": "line_item", "amount": own, "currency": price["currency"],
        "description": f"{item.get('quantity', 1)} x {price['product']}", "discount_amounts": [],
        "discountable": True, "discounts": [], "invoice": invoice, "livemode": subscription["livemode"],
        "metadata": subscription["metadata"],
        "parent": {
            "invoice_item_details": None, "type": "subscription_item_details",
            "subscription_item_details": {
                "invoice_item": None, "proration": False, "proration_details": {"credited_items": None},
                "subscription": subscription["id"], "subscription_item": item["id"],
            },
        },
        "period": {"start": item["current_period_start"], "end": item["current_period_end"]},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]}, "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": item.get("quantity", 1), "subtotal": own, "taxes": [],
    }  # fmt: skip
