"""What happens to a payment: it is tried, paid, refused, runs out, is captured, is disputed."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from sandbox.store import Document
from sandbox.stripe.errors import Declined, error_body, invalid
from sandbox.stripe.events import Events
from sandbox.stripe.methods import AUTHENTICATION, Decline, Methods, behavior
from sandbox.stripe.pix import boleto_action, pix_action
from sandbox.stripe.state import VENDOR, Scope, State, new_id, shown

# Told at each change: the scope, the payment intent, and one of succeeded, failed, requires_action, canceled.
Listener = Callable[[Scope, Document, str], None]
DAY_S = 86400
PIX_EXPIRES_AFTER_S = 14_400
BOLETO_EXPIRES_AFTER_DAYS = 3
EXPIRED = Decline("payment_intent_payment_attempt_expired", "", "The payment attempt expired.", None)


class Payments:
    """The changes of payment intents and charges."""

    def __init__(self, state: State, *, events: Events, methods: Methods) -> None:
        self._state = state
        self._events = events
        self.methods = methods
        self.listeners: list[Listener] = []
        self.disputes: Callable[[Scope, Document, str], Document] | None = None

    def attempt(self, scope: Scope, intent: Document, method: Document, *, present: bool, strict: bool = False) -> None:
        """
        Try to charge the method; `present`: the payer can act; `strict`: having to act is a refusal.

        :raises Declined: the card is refused
        """
        if method["type"] not in intent["payment_method_types"]:
            message = f"The PaymentMethod provided ({method['type']}) is not allowed for this PaymentIntent."
            raise invalid(message, code="payment_intent_incompatible_payment_method", param="payment_method")
        intent |= {"payment_method": method["id"], "_method": method["id"], "last_payment_error": None}
        does = behavior(method)
        if isinstance(does, Decline):
            raise self.decline(scope, intent, does)
        if does == "authenticates" and (strict or not present):
            raise self.decline(scope, intent, AUTHENTICATION)
        if method["type"] == "pix":
            self._wait_for_pix(scope, intent)
        elif method["type"] == "boleto":
            self._wait_for_boleto(scope, intent)
        elif does == "authenticates":
            self._ask(scope, intent, _three_d_secure(self._state, intent))
        else:
            self.succeed(scope, intent)

    def tried(self, scope: Scope, intent: Document, method: Document, *, present: bool) -> Declined | None:
        """Try to charge the method; return the refusal instead of raising it."""
        try:
            self.attempt(scope, intent, method, present=present)
        except Declined as declined:
            return declined
        return None

    def succeed(self, scope: Scope, intent: Document) -> Document:
        """Let the payment go through: captured, or authorized when it is captured by hand."""
        manual = intent["capture_method"] == "manual" and self._type(intent) == "card"
        amount = intent["amount"]
        charge = self._charge(scope, intent, captured=not manual, paid=True)
        intent |= {"latest_charge": charge["id"], "next_action": None, "last_payment_error": None}
        if manual:
            intent = self._state.put(intent | {"status": "requires_capture", "amount_capturable": amount})
            self._events.emit(scope, "charge.succeeded", charge)
            self._events.emit(scope, "payment_intent.amount_capturable_updated", intent)
            return intent
        intent = self._state.put(intent | {"status": "succeeded", "amount_received": amount, "amount_capturable": 0})
        self._events.emit(scope, "charge.succeeded", charge)
        self._events.emit(scope, "payment_intent.succeeded", intent)
        self._tell(scope, intent, "succeeded")
        self._dispute_if_asked(scope, charge)
        return intent

    def capture(self, scope: Scope, intent: Document, amount: int) -> Document:
        """Take the authorized amount or less."""
        charge = self._state.need(scope, "charge", intent["latest_charge"])
        rest = charge["amount"] - amount
        charge |= {
            "captured": True,
            "amount_captured": amount,
            "amount_refunded": rest,
            "balance_transaction": new_id("txn"),
        }
        charge = self._state.put(charge)
        intent = self._state.put(
            intent | {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
        )  # fmt: skip
        self._events.emit(scope, "charge.captured", charge)
        self._events.emit(scope, "payment_intent.succeeded", intent)
        self._tell(scope, intent, "succeeded")
        return intent

    def decline(self, scope: Scope, intent: Document, why: Decline) -> Declined:
        """Let the payment fail and return the refusal that a confirming call gets."""
        charge = self._charge(scope, intent, captured=False, paid=False, why=why)
        method = self._state.find(scope, "payment_method", intent.get("_method") or "")
        error: Document = {
            "charge": charge["id"], "code": why.code, "decline_code": why.decline_code, "message": why.message,
            "doc_url": error_body("", "", code=why.code)["error"]["doc_url"], "type": "card_error",
            "payment_method": shown(method),
        }  # fmt: skip
        if why.advice:
            error["advice_code"] = why.advice
        if why is EXPIRED:
            error.pop("charge")
            error.pop("decline_code")
        intent |= {
            "status": "requires_payment_method", "payment_method": None, "next_action": None,
            "last_payment_error": error, "latest_charge": charge["id"],
        }  # fmt: skip
        intent = self._state.put(intent)
        self._events.emit(scope, "charge.failed", charge)
        self._events.emit(scope, "payment_intent.payment_failed", intent)
        self._tell(scope, intent, "failed")
        return Declined(402, {"error": error | {"payment_intent": shown(intent), "param": ""}})

    def cancel(self, scope: Scope, intent: Document, reason: str | None) -> Document:
        """End the payment without money."""
        intent |= {"status": "canceled", "canceled_at": self._state.now(), "cancellation_reason": reason}
        intent = self._state.put(intent | {"next_action": None, "amount_capturable": 0})
        self._events.emit(scope, "payment_intent.canceled", intent)
        self._tell(scope, intent, "canceled")
        return intent

    def run_out(self, scope: Scope, intent: Document) -> None:
        """Let a PIX or boleto that nobody paid expire."""
        self.decline(scope, intent, EXPIRED)

    # Jobs

    def pay_later(self, job: Document, attempts: int) -> None:
        """Pay a PIX or boleto by itself, if it still waits."""
        self._later(job, self.succeed)

    def expire_later(self, job: Document, attempts: int) -> None:
        """Let a PIX or boleto run out, if it still waits."""
        self._later(job, self.run_out)

    def _later(self, job: Document, act: Callable[[Scope, Document], Any]) -> None:
        with self._state.frame.store.transaction():
            intent = self._state.collection("payment_intent").get(job["intent"])
            if intent and intent["status"] == "requires_action" and intent.get("_method") == job["method"]:
                act(self._state.scope_of(intent), intent)

    # Parts

    def _wait_for_pix(self, scope: Scope, intent: Document) -> None:
        options = (intent["payment_method_options"] or {}).get("pix") or {}
        now = self._state.now()
        after_s = options.get("expires_after_seconds") or PIX_EXPIRES_AFTER_S
        expires_at = options.get("expires_at") or now + after_s
        if expires_at <= now:
            message = "Invalid timestamp: must be an integer Unix timestamp in the future."
            raise invalid(message, param="payment_method_options[pix][expires_at]")
        intent["payment_method_options"] = {
            "pix": {"amount_includes_iof": "never", "expires_after_seconds": after_s, "expires_at": None,
                    "setup_future_usage": "none"} | options,
        }  # fmt: skip
        action = pix_action(intent, base_url=self._state.frame.base_url, expires_at=expires_at)
        self._ask(scope, intent, action)
        self._plan(intent, expires_in_s=expires_at - now, pays="pix_pays_after_s")

    def _wait_for_boleto(self, scope: Scope, intent: Document) -> None:
        options = (intent["payment_method_options"] or {}).get("boleto") or {}
        days = options.get("expires_after_days", BOLETO_EXPIRES_AFTER_DAYS)
        expires_at = self._state.now() + max(1, days) * DAY_S
        intent["payment_method_options"] = {"boleto": {"expires_after_days": days} | options}
        self._ask(scope, intent, boleto_action(intent, base_url=self._state.frame.base_url, expires_at=expires_at))
        self._plan(intent, expires_in_s=max(1, days) * DAY_S, pays="boleto_pays_after_s")

    def _plan(self, intent: Document, *, expires_in_s: float, pays: str) -> None:
        body = {"intent": intent["id"], "method": intent["_method"]}
        schedule = self._state.frame.runner.schedule
        schedule(vendor=VENDOR, name="expire", body=body, after_s=expires_in_s)
        after_s = self._state.settings()[pays]
        if after_s is not None:
            schedule(vendor=VENDOR, name="pay", body=body, after_s=after_s)

    def _ask(self, scope: Scope, intent: Document, action: Document) -> None:
        intent = self._state.put(intent | {"status": "requires_action", "next_action": action})
        self._events.emit(scope, "payment_intent.requires_action", intent)
        self._tell(scope, intent, "requires_action")

    def _tell(self, scope: Scope, intent: Document, what: str) -> None:
        for listener in self.listeners:
            listener(scope, intent, what)

    def _type(self, intent: Document) -> str:
        method = self._state.collection("payment_method").get(intent.get("_method") or "")
        return str(method["type"]) if method else "card"

    def _dispute_if_asked(self, scope: Scope, charge: Document) -> None:
        method = self._state.collection("payment_method").get(charge["payment_method"] or "")
        does = behavior(method) if method else ""
        if isinstance(does, str) and does.startswith("dispute:") and self.disputes:
            self.disputes(scope.automatic(), charge, does.partition(":")[2])

    def _charge(
        self, scope: Scope, intent: Document, *, captured: bool, paid: bool, why: Decline | None = None
    ) -> Document:
        method = self._state.find(scope, "payment_method", intent.get("_method") or "") or {}
        kind, amount = method.get("type", "card"), intent["amount"]
        details = dict(method.get(kind) or {}) | ({"amount_authorized": amount} if kind == "card" else {})
        if kind == "pix":
            details["bank_transaction_id"] = f"E00000000{secrets.token_hex(12)[:23]}" if paid else None
        charge: Document = {
            "id": new_id("ch"), "object": "charge", "amount": amount, "amount_captured": amount if captured else 0,
            "amount_refunded": 0, "application": None, "application_fee": None,
            "application_fee_amount": intent["application_fee_amount"],
            "balance_transaction": new_id("txn") if captured else None,
            "billing_details": method.get("billing_details") or {}, "calculated_statement_descriptor": "SANDBOX",
            "captured": captured, "created": self._state.now(), "currency": intent["currency"],
            "customer": intent["customer"], "description": intent["description"], "disputed": False,
            "failure_balance_transaction": None, "failure_code": why.code if why else None,
            "failure_message": why.message if why else None, "fraud_details": {}, "metadata": intent["metadata"],
            "on_behalf_of": None, "outcome": _outcome(why), "paid": paid, "payment_intent": intent["id"],
            "payment_method": method.get("id"), "payment_method_details": {"type": kind, kind: details},
            "presentment_details": None, "radar_options": {}, "receipt_email": intent["receipt_email"],
            "receipt_number": None, "receipt_url": None, "refunded": False, "review": None,
            "shipping": intent["shipping"], "source_transfer": None,
            "statement_descriptor": intent["statement_descriptor"],
            "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
            "status": "succeeded" if paid else "failed", "transfer_data": None,
            "transfer_group": intent["transfer_group"], "_refunds_behave": method.get("_card"),
        }  # fmt: skip
        return self._state.add(scope, charge)


def _three_d_secure(state: State, intent: Document) -> Document:
    url = f"{state.frame.base_url}/{VENDOR}/payer/{intent['client_secret']}"
    back = intent.get("_return_url")
    if back:
        return {"type": "redirect_to_url", "redirect_to_url": {"return_url": back, "url": url}}
    return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url}}


def _outcome(why: Decline | None) -> Document:
    base: Document = {"advice_code": None, "network_advice_code": None, "network_decline_code": None}
    if why is None:
        return base | {
            "network_status": "approved_by_network", "reason": None, "risk_level": "normal", "risk_score": 12,
            "seller_message": "Payment complete.", "type": "authorized",
        }  # fmt: skip
    return base | {
        "advice_code": why.advice, "network_status": "declined_by_network", "reason": why.decline_code,
        "risk_level": "normal", "risk_score": 24, "seller_message": why.message, "type": "issuer_declined",
    }  # fmt: skip
