"""Ways to pay: the test cards, PIX and boleto, and what each does when it is charged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.store import Document
from sandbox.stripe.access import Caller
from sandbox.stripe.errors import invalid, missing_param
from sandbox.stripe.events import Events
from sandbox.stripe.operations import Operation, get, post
from sandbox.stripe.params import METHOD_ATTACH
from sandbox.stripe.state import Scope, State, new_id

# Methods that an account in Brazil has switched on, by currency.
BY_CURRENCY: dict[str, tuple[str, ...]] = {"brl": ("card", "boleto", "pix")}
OTHERWISE = ("card",)
TAX_ID_CHARS = {"br_cpf": (11,), "br_cnpj": (14,)}


@dataclass(frozen=True, slots=True)
class Decline:
    """Why a card is refused."""

    code: str
    decline_code: str
    message: str
    advice: str | None = "try_again_later"


# "succeeds", "authenticates" (the payer must act), "dispute:<reason>", "refund_pends", "refund_fails", or a Decline.
Behavior = str | Decline
GENERIC = Decline("card_declined", "generic_decline", "Your card was declined.")
AUTHENTICATION = Decline(
    "authentication_required", "authentication_required",
    "Your card was declined. This transaction requires authentication.", None,
)  # fmt: skip
DECLINES: dict[str, Decline] = {
    "generic_decline": GENERIC,
    "insufficient_funds": Decline("card_declined", "insufficient_funds", "Your card has insufficient funds."),
    "lost_card": Decline("card_declined", "lost_card", "Your card was declined.", "do_not_try_again"),
    "stolen_card": Decline("card_declined", "stolen_card", "Your card was declined.", "do_not_try_again"),
    "fraudulent": Decline("card_declined", "fraudulent", "Your card was declined.", "do_not_try_again"),
    "expired_card": Decline("expired_card", "expired_card", "Your card has expired.", "confirm_card_data"),
    "incorrect_cvc": Decline(
        "incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.", "confirm_card_data"
    ),
    "processing_error": Decline(
        "processing_error",
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
    ),
    "authentication_required": AUTHENTICATION,
}
# What follows pm_card_, without "visa_": (brand, last four digits, what it does).
CARDS: dict[str, tuple[str, str, Behavior]] = {
    "visa": ("visa", "4242", "succeeds"),
    "debit": ("visa", "5556", "succeeds"),
    "br": ("visa", "0000", "succeeds"),
    "mastercard": ("mastercard", "4444", "succeeds"),
    "amex": ("amex", "0005", "succeeds"),
    "chargeDeclined": ("visa", "0002", GENERIC),
    "chargeCustomerFail": ("visa", "0341", GENERIC),
    "chargeDeclinedInsufficientFunds": ("visa", "9995", DECLINES["insufficient_funds"]),
    "chargeDeclinedLostCard": ("visa", "9987", DECLINES["lost_card"]),
    "chargeDeclinedStolenCard": ("visa", "9979", DECLINES["stolen_card"]),
    "chargeDeclinedFraudulent": ("visa", "0019", DECLINES["fraudulent"]),
    "chargeDeclinedExpiredCard": ("visa", "0069", DECLINES["expired_card"]),
    "chargeDeclinedIncorrectCvc": ("visa", "0127", DECLINES["incorrect_cvc"]),
    "chargeDeclinedProcessingError": ("visa", "0119", DECLINES["processing_error"]),
    "authenticationRequired": ("visa", "3184", "authenticates"),
    "authenticationRequiredOnSetup": ("visa", "3155", "authenticates"),
    "threeDSecure2Required": ("visa", "3220", "authenticates"),
    "threeDSecureRequired": ("visa", "3063", "authenticates"),
    "createDispute": ("visa", "0259", "dispute:fraudulent"),
    "createDisputeProductNotReceived": ("visa", "2685", "dispute:product_not_received"),
    "pendingRefund": ("visa", "7726", "refund_pends"),
    "refundFail": ("visa", "5126", "refund_fails"),
}


class Methods:
    """Payment methods of all accounts."""

    def __init__(self, state: State, events: Events) -> None:
        self._state = state
        self._events = events

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        where: dict[str, Any] = {"right": "payment_methods", "kind": "payment_method"}
        return (
            get("/v1/payment_methods/{method}", self._show, **where),
            post("/v1/payment_methods/{method}/attach", self._attach, params=METHOD_ATTACH, **where),
        )

    def take(self, scope: Scope, key: str, *, param: str = "payment_method") -> Document:
        """Return a saved method, or make one of a test card (pm_card_visa and the like)."""
        name = re.fullmatch(r"pm_card_(?:visa_)?(\w+)", key)
        if name is None:
            return self._state.need(scope, "payment_method", key, param=param)
        card = CARDS.get(name[1])
        if card is None or scope.livemode:
            message = f"No such PaymentMethod: '{key}'"
            raise invalid(message, code="resource_missing", param=param)
        return self._add(scope, {"type": "card", "_card": name[1], "card": _card(card[0], card[1])})

    def make(self, scope: Scope, values: Document, *, param: str = "payment_method_data") -> Document:
        """Make a method of `payment_method_data`; a boleto needs the payer's name, address, mail and tax id."""
        kind = values["type"]
        details = values.get("billing_details") or {}
        if kind == "card":
            message = "Sending credit card numbers directly to the API is unsafe; use a test method such as "
            raise invalid(message + "pm_card_visa.", param=f"{param}[card]")
        if kind == "boleto":
            _check_boleto(values, details, param=param)
        own = {"tax_id": values["boleto"]["tax_id"]} if kind == "boleto" else {}
        body = {"type": kind, kind: own, "billing_details": _billing(details)}
        return self._add(scope, body | {"metadata": values.get("metadata") or {}})

    def attach(self, scope: Scope, method: Document, customer: str) -> Document:
        """Save the method with the customer."""
        method = self._state.put(method | {"customer": customer})
        self._events.emit(scope, "payment_method.attached", method)
        return method

    def _add(self, scope: Scope, body: Document) -> Document:
        base: Document = {
            "id": new_id("pm"), "object": "payment_method", "allow_redisplay": "unspecified",
            "billing_details": _billing({}), "created": self._state.now(), "customer": None, "customer_account": None,
            "metadata": {},
        }  # fmt: skip
        return self._state.add(scope, base | body)

    def _show(self, caller: Caller, values: Document, method: str) -> Document:
        return self._state.need(caller.scope, "payment_method", method)

    def _attach(self, caller: Caller, values: Document, method: str) -> Document:
        customer = self._state.need(caller.scope, "customer", values["customer"], param="customer")
        return self.attach(caller.scope, self.take(caller.scope, method), customer["id"])


def behavior(method: Document) -> Behavior:
    """Return what the method does when it is charged."""
    return CARDS[method["_card"]][2] if "_card" in method else "waits"


def types_for(currency: str, *, allowed: Sequence[str] | None, excluded: Sequence[str] | None) -> list[str]:
    """Return the methods on offer; :raises Refused: none is left."""
    offered = [
        kind
        for kind in BY_CURRENCY.get(currency, OTHERWISE)
        if (not allowed or kind in allowed) and kind not in (excluded or ())
    ]
    if not offered:
        message = "No valid payment method types for this currency. Please activate payment methods that fit it."
        raise invalid(message, code="payment_intent_invalid_parameter", param="currency")
    return offered


def check_tax_id(value: str, *, kind: str, param: str) -> None:
    """Refuse what is no CPF or CNPJ by its length; a CNPJ may have letters, other kinds are taken as they are."""
    plain = re.sub(r"[.\-/]", "", value)
    lengths = TAX_ID_CHARS.get(kind, () if kind else (11, 14))
    fits = len(plain) in lengths and re.fullmatch(r"[0-9A-Z]*[0-9]{2}", plain)
    if lengths and not fits:
        raise invalid("Invalid tax ID.", code="tax_id_invalid", param=param)


def _check_boleto(values: Document, details: Document, *, param: str) -> None:
    tax_id = (values.get("boleto") or {}).get("tax_id")
    if not tax_id:
        raise missing_param(f"{param}[boleto][tax_id]")
    check_tax_id(tax_id, kind="", param=f"{param}[boleto][tax_id]")
    for name in ("name", "email", "address"):
        if not details.get(name):
            raise missing_param(f"{param}[billing_details][{name}]")
    for name in ("line1", "city", "state", "postal_code", "country"):
        if not details["address"].get(name):
            raise missing_param(f"{param}[billing_details][address][{name}]")


def _billing(details: Document) -> Document:
    empty = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
    base: Document = dict.fromkeys(("email", "name", "phone", "tax_id"))
    return base | details | {"address": empty | (details.get("address") or {})}


def _card(brand: str, last4: str) -> Document:
    return {
        "brand": brand, "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "BR", "display_brand": brand, "exp_month": 12, "exp_year": 2034,
        "fingerprint": f"Sandbox{brand}{last4}", "funding": "credit", "last4": last4,
        "networks": {"available": [brand], "preferred": None}, "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }  # fmt: skip
