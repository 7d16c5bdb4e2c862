"""Payment intents: what the API lets a caller do with them, and in which status."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from sandbox.frame import Refused
from sandbox.store import Document
from sandbox.stripe import params
from sandbox.stripe.access import Caller
from sandbox.stripe.errors import invalid
from sandbox.stripe.events import Events
from sandbox.stripe.form import merge_metadata
from sandbox.stripe.methods import types_for
from sandbox.stripe.money import check_charge
from sandbox.stripe.operations import Operation, get, lists, post
from sandbox.stripe.payments import Payments
from sandbox.stripe.state import Scope, State, list_page, new_id, shown

PATH = "/v1/payment_intents"
# what is asked: the statuses that allow it
ALLOWED = {
    "updated": ("requires_payment_method", "requires_confirmation", "requires_action"),
    "confirmed": ("requires_payment_method", "requires_confirmation", "requires_action"),
    "captured": ("requires_capture",),
    "canceled": (
        "requires_payment_method", "requires_capture", "requires_confirmation", "requires_action", "processing",
    ),
}  # fmt: skip
TEXTS = (
    "description", "receipt_email", "setup_future_usage", "shipping", "statement_descriptor",
    "statement_descriptor_suffix", "transfer_group", "application_fee_amount",
)  # fmt: skip

CHOSEN_LATE = (
    "capture_method", "payment_method_options", "allowed_payment_method_types", "excluded_payment_method_types",
)  # fmt: skip


class Intents:
    """The operations on payment intents."""

    def __init__(self, state: State, *, events: Events, payments: Payments) -> None:
        self._state = state
        self._events = events
        self._payments = payments

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        where: dict[str, Any] = {"right": "payment_intents", "kind": "payment_intent"}
        return (
            post(PATH, self._create, params=params.INTENT_CREATE, **where),
            lists(PATH, self._list, params=params.INTENT_LIST, **where),
            get(f"{PATH}/{{intent}}", self._show, **where),
            post(f"{PATH}/{{intent}}", self._update, params=params.INTENT_UPDATE, **where),
            post(f"{PATH}/{{intent}}/confirm", self._confirm, params=params.INTENT_CONFIRM, **where),
            post(f"{PATH}/{{intent}}/capture", self._capture, params=params.INTENT_CAPTURE, **where),
            post(f"{PATH}/{{intent}}/cancel", self._cancel, params=params.INTENT_CANCEL, **where),
        )

    def make(self, scope: Scope, values: Document, **links: str | None) -> Document:
        """
        Write a new payment intent; `links` are our own: _invoice, _session, _return_url.

        :raises Refused: amount, currency, customer or methods do not fit
        """
        check_charge(values["amount"], values["currency"])
        _check_methods(values)
        if "customer" in values:
            self._state.need(scope, "customer", values["customer"], param="customer")
        key, allowed = new_id("pi"), values.get("allowed_payment_method_types")
        excluded = values.get("excluded_payment_method_types")
        automatic = values.get("automatic_payment_methods") or ({"enabled": True} if allowed is None else None)
        if automatic:
            automatic = {"allow_redirects": "always"} | automatic
        intent: Document = {
            "id": key, "object": "payment_intent", "allowed_payment_method_types": allowed, "amount": values["amount"],
            "amount_capturable": 0, "amount_details": {"tip": {}}, "amount_received": 0, "application": None,
            "automatic_payment_methods": automatic, "canceled_at": None, "cancellation_reason": None,
            "capture_method": values.get("capture_method", "automatic_async"),
            "client_secret": f"{key}_secret_{secrets.token_hex(12)}",
            "confirmation_method": values.get("confirmation_method", "automatic"), "created": self._state.now(),
            "currency": values["currency"], "customer": values.get("customer"), "customer_account": None,
            "excluded_payment_method_types": excluded, "last_payment_error": None, "latest_charge": None,
            "managed_payments": {"enabled": False}, "metadata": merge_metadata({}, values.get("metadata") or {}),
            "next_action": None, "on_behalf_of": values.get("on_behalf_of"), "payment_details": None,
            "payment_method": None, "payment_method_configuration_details": None,
            "payment_method_options": values.get("payment_method_options") or {},
            "payment_method_types": types_for(values["currency"], allowed=allowed, excluded=excluded),
            "payment_record": None, "presentment_details": None, "processing": None, "review": None, "source": None,
            "status": "requires_payment_method", "transfer_data": values.get("transfer_data"),
        }  # fmt: skip
        intent |= {name: values.get(name) for name in TEXTS} | links
        intent = self._state.add(scope, intent)
        self._events.emit(scope, "payment_intent.created", intent)
        return intent

    def _create(self, caller: Caller, values: Document) -> Document:
        confirms = bool(values.get("confirm"))
        if not confirms:
            for name in ("error_on_requires_action", "mandate_data", "off_session", "return_url", "use_stripe_sdk"):
                if name in values:
                    message = f"The parameter '{name}' cannot be passed when creating a PaymentIntent unless confirm "
                    raise invalid(message + "is set to true.", param=name)
        intent = self.make(caller.scope, values, _return_url=values.get("return_url"))
        intent = self._take_method(caller.scope, intent, values)
        return self._confirmed(caller.scope, intent, values) if confirms else intent

    def _show(self, caller: Caller, values: Document, intent: str) -> Document:
        return self._state.need(caller.scope, "payment_intent", intent)

    def _list(self, caller: Caller, values: Document) -> Document:
        customer = values.get("customer")
        return list_page(
            self._state, caller.scope, "payment_intent", values, url=PATH,
            keep=lambda row: customer is None or row["customer"] == customer,
        )  # fmt: skip

    def _update(self, caller: Caller, values: Document, intent: str) -> Document:
        found = self._in_status(caller.scope, intent, "updated")
        new = found | values
        check_charge(new["amount"], new["currency"])
        _check_methods(values)
        if "customer" in values:
            self._state.need(caller.scope, "customer", values["customer"], param="customer")
        plain = ("amount", "currency", "customer", *CHOSEN_LATE, *TEXTS)
        found |= {name: values[name] for name in plain if name in values}
        _narrow(found)
        if "metadata" in values:
            found["metadata"] = merge_metadata(found["metadata"], values["metadata"])
        return self._take_method(caller.scope, self._state.put(found), values)

    def _confirm(self, caller: Caller, values: Document, intent: str) -> Document:
        found = self._in_status(caller.scope, intent, "confirmed")
        _check_methods(values)
        found |= {name: values[name] for name in (*CHOSEN_LATE, *TEXTS) if name in values}
        _narrow(found)
        found = self._take_method(caller.scope, found, values)
        return self._confirmed(caller.scope, found, values)

    def _capture(self, caller: Caller, values: Document, intent: str) -> Document:
        found = self._in_status(caller.scope, intent, "captured")
        amount: int = ({"amount_to_capture": found["amount_capturable"]} | values)["amount_to_capture"]
        if amount > found["amount_capturable"]:
            message = "The provided amount_to_capture is greater than the amount_capturable of the PaymentIntent."
            raise invalid(message, code="amount_too_large", param="amount_to_capture")
        if "metadata" in values:
            found["metadata"] = merge_metadata(found["metadata"], values["metadata"])
        return self._payments.capture(caller.scope, found, amount)

    def _cancel(self, caller: Caller, values: Document, intent: str) -> Document:
        found = self._in_status(caller.scope, intent, "canceled")
        if found.get("_session"):
            raise invalid("You cannot cancel PaymentIntents that were created by Checkout; expire the session instead.")
        return self._payments.cancel(caller.scope, found, values.get("cancellation_reason"))

    def _confirmed(self, scope: Scope, intent: Document, values: Document) -> Document:
        if intent["payment_method"] is None:
            message = "You cannot confirm this PaymentIntent because it's missing a payment method. You can either "
            message += "update the PaymentIntent with a payment method and then confirm it again, or confirm it again "
            raise _unexpected(message + "directly with a payment method or ConfirmationToken.", intent)
        intent["_return_url"] = values.get("return_url") or intent.get("_return_url")
        _check_return_url(intent)
        method = self._state.need(scope, "payment_method", intent["payment_method"], param="payment_method")
        present = values.get("off_session") in (None, False)
        strict = bool(values.get("error_on_requires_action"))
        self._payments.attempt(scope, intent, method, present=present, strict=strict)
        return self._state.need(scope, "payment_intent", intent["id"])

    def _take_method(self, scope: Scope, intent: Document, values: Document) -> Document:
        if "payment_method" in values and "payment_method_data" in values:
            message = "You may only specify one of these parameters: payment_method, payment_method_data."
            raise invalid(message, code="parameters_exclusive", param="payment_method")
        if "payment_method" in values:
            method = self._payments.methods.take(scope, values["payment_method"])
        elif "payment_method_data" in values:
            method = self._payments.methods.make(scope, values["payment_method_data"])
        else:
            return intent
        if method["customer"] is not None and method["customer"] != intent["customer"]:
            message = "The provided PaymentMethod belongs to a Customer; use it with that Customer only."
            raise invalid(message, param="payment_method")
        status = "requires_confirmation"
        return self._state.put(intent | {"payment_method": method["id"], "_method": method["id"], "status": status})

    def _in_status(self, scope: Scope, key: str, what: str) -> Document:
        intent = self._state.need(scope, "payment_intent", key)
        if intent["status"] in ALLOWED[what]:
            return intent
        message = f"This PaymentIntent could not be {what} because it has a status of {intent['status']}. Only a "
        message += f"PaymentIntent with one of the following statuses may be {what}: {', '.join(ALLOWED[what])}."
        raise _unexpected(message, intent)


def _check_methods(values: Document) -> None:
    """Refuse ways to choose the methods that exclude each other."""
    if "allowed_payment_method_types" not in values:
        return
    others = ("excluded_payment_method_types", "automatic_payment_methods", "payment_method_configuration")
    for other in others:
        if other in values:
            message = f"You may only specify one of these parameters: allowed_payment_method_types, {other}."
            raise invalid(message, code="parameters_exclusive", param="allowed_payment_method_types")


def _narrow(intent: Document) -> None:
    """Let the methods on offer follow the currency and the choices."""
    allowed, excluded = intent["allowed_payment_method_types"], intent["excluded_payment_method_types"]
    intent["payment_method_types"] = types_for(intent["currency"], allowed=allowed, excluded=excluded)


def _check_return_url(intent: Document) -> None:
    automatic = intent["automatic_payment_methods"] or {}
    if intent["_return_url"] or not automatic.get("enabled") or automatic["allow_redirects"] == "never":
        return
    message = "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of "
    message += "these payment methods might redirect your customer off of your page, you must provide a `return_url`. "
    message += (
        "If you don't want to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to "
    )
    raise invalid(message + "`true` and `automatic_payment_methods[allow_redirects]` to `never`.")


def _unexpected(message: str, intent: Document) -> Refused:
    return invalid(message, code="payment_intent_unexpected_state", payment_intent=shown(intent))
