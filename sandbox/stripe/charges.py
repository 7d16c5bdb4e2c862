"""Charges, refunds, disputes and payouts: money after the payment."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.store import Document
from sandbox.stripe import params
from sandbox.stripe.access import Caller
from sandbox.stripe.errors import invalid, missing_param
from sandbox.stripe.events import Events
from sandbox.stripe.money import shown as money
from sandbox.stripe.operations import Operation, get, lists, post
from sandbox.stripe.state import VENDOR, Scope, State, list_page, new_id

DUE_S = 7 * 86400
# dispute reason: the network's code for it
REASONS = {
    "fraudulent": "10.4", "product_not_received": "13.1", "duplicate": "12.6", "general": "13.3",
    "credit_not_processed": "13.6", "product_unacceptable": "13.3", "subscription_canceled": "13.2",
    "unrecognized": "10.4",
}  # fmt: skip
EVIDENCE = (
    "access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure",
    "cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name",
    "customer_purchase_ip", "customer_signature", "duplicate_charge_documentation", "duplicate_charge_explanation",
    "duplicate_charge_id", "product_description", "receipt", "refund_policy", "refund_policy_disclosure",
    "refund_refusal_explanation", "service_date", "service_documentation", "shipping_address", "shipping_carrier",
    "shipping_date", "shipping_documentation", "shipping_tracking_number", "uncategorized_file", "uncategorized_text",
)  # fmt: skip


class Charges:
    """The operations on charges, refunds, disputes and payouts, and the changes of the last three."""

    def __init__(self, state: State, events: Events) -> None:
        self._state = state
        self._events = events

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        kinds = (
            ("charge", "charges", params.CHARGE_LIST),
            ("refund", "refunds", params.REFUND_LIST),
            ("dispute", "disputes", params.DISPUTE_LIST),
            ("payout", "payouts", params.PAYOUT_LIST),
        )
        reads = [operation for kind, word, filters in kinds for operation in self._reads(kind, word, filters)]
        refund = post(
            "/v1/refunds", self._refund, params=params.REFUND_CREATE, right="refunds", kind="refund"
        )  # fmt: skip
        return (refund, *reads)

    def refunds_of(self, scope: Scope, charge: Document) -> Document:
        """Return the refunds of a charge, for expand."""
        rows = [row for row in self._state.newest(scope.owner, "refund") if row["charge"] == charge["id"]]
        return {"object": "list", "url": f"/v1/charges/{charge['id']}/refunds", "has_more": False, "data": rows}

    def refund(self, scope: Scope, charge: Document, *, amount: int | None, values: Document) -> Document:
        """
        Give money back: cards at once, others a moment later.

        :raises Refused: it is more than what is left, or the charge has nothing to give back
        """
        left = charge["amount_captured"] - charge["amount_refunded"]
        amount = left if amount is None else amount
        _check_refund(charge, amount=amount, left=left)
        behaves = charge.get("_refunds_behave")
        slow = charge["payment_method_details"]["type"] != "card" or behaves in ("pendingRefund", "refundFail")
        refund: Document = {
            "id": new_id("re"), "object": "refund", "amount": amount, "balance_transaction": new_id("txn"),
            "charge": charge["id"], "created": self._state.now(), "currency": charge["currency"],
            "customer": charge["customer"], "customer_account": None,
            "destination_details": {"type": charge["payment_method_details"]["type"]},
            "metadata": values.get("metadata") or {}, "payment_intent": charge["payment_intent"],
            "payment_method": charge["payment_method"], "presentment_details": None, "reason": values.get("reason"),
            "receipt_number": None, "source_transfer_reversal": None, "status": "pending" if slow else "succeeded",
            "transfer_reversal": None,
        }  # fmt: skip
        refund = self._state.add(scope, refund)
        old = charge["amount_refunded"]
        charge = self._set_refunded(charge, old + amount)
        self._events.emit(scope, "refund.created", refund)
        self._events.emit(scope, "charge.refunded", charge, previous={"amount_refunded": old, "refunded": False})
        if slow:
            body = {"refund": refund["id"], "fails": behaves == "refundFail"}
            after_s = self._state.settings()["refund_settles_after_s"]
            if after_s is not None:
                self._state.frame.runner.schedule(vendor=VENDOR, name="refund", body=body, after_s=after_s)
        return refund

    def settle_refund(self, refund: Document, *, reason: str | None) -> Document:
        """Let a refund succeed, or fail for the reason; the charge gets the money back when it fails."""
        scope, old = self._state.scope_of(refund), refund["status"]
        if old in ("failed", "canceled") or (old == "succeeded" and reason is None):
            return refund
        refund["status"] = "failed" if reason else "succeeded"
        if reason:
            refund |= {"failure_reason": reason, "failure_balance_transaction": new_id("txn")}
            charge = self._state.need(scope, "charge", refund["charge"])
            self._set_refunded(charge, charge["amount_refunded"] - refund["amount"])
        refund = self._state.put(refund)
        for kind in ("refund.updated", "charge.refund.updated", *(["refund.failed"] if reason else [])):
            self._events.emit(scope, kind, refund, previous={"status": old} if kind.endswith("updated") else None)
        return refund

    def settle_later(self, job: Document, attempts: int) -> None:
        """Settle a refund that is still pending."""
        with self._state.frame.store.transaction():
            refund = self._state.collection("refund").get(job["refund"])
            if refund is not None and refund["status"] == "pending":
                self.settle_refund(refund, reason="declined" if job["fails"] else None)

    def dispute(self, scope: Scope, charge: Document, reason: str) -> Document:
        """Let the payer's bank take the money back."""
        if reason not in REASONS:
            raise KeyError(reason)
        dispute: Document = {
            "id": new_id("du"), "object": "dispute", "amount": charge["amount"], "balance_transactions": [],
            "charge": charge["id"], "created": self._state.now(), "currency": charge["currency"],
            "enhanced_eligibility_types": [], "evidence": dict.fromkeys(EVIDENCE) | {"enhanced_evidence": {}},
            "evidence_details": {
                "due_by": self._state.now() + DUE_S, "enhanced_eligibility": {}, "has_evidence": False,
                "past_due": False, "submission_count": 0, "submission_method": "not_submitted",
            },
            "intended_submission_method": None, "is_charge_refundable": False, "metadata": {},
            "payment_intent": charge["payment_intent"],
            "payment_method_details": {
                "type": "card",
                "card": {"brand": "visa", "case_type": "chargeback", "network_reason_code": REASONS[reason]},
            },
            "reason": reason, "status": "needs_response",
        }  # fmt: skip
        dispute = self._state.add(scope, dispute)
        self._state.put(charge | {"disputed": True})
        self._events.emit(scope, "charge.dispute.created", dispute)
        self._events.emit(scope, "charge.dispute.funds_withdrawn", dispute)
        return dispute

    def close_dispute(self, dispute: Document, outcome: str) -> Document:
        """End a dispute: won or lost."""
        scope, old = self._state.scope_of(dispute), dispute["status"]
        dispute = self._state.put(dispute | {"status": outcome})
        self._events.emit(scope, "charge.dispute.closed", dispute, previous={"status": old})
        if outcome == "won":
            self._events.emit(scope, "charge.dispute.funds_reinstated", dispute)
        return dispute

    def pay_out(self, scope: Scope, *, amount: int, currency: str, status: str = "paid") -> Document:
        """Send money to the account's bank and tell it."""
        payout = self._new_payout(scope, amount=amount, currency=currency, status=status)
        self._events.emit(scope, "payout.created", payout)
        if status in ("paid", "failed"):
            self._events.emit(scope, f"payout.{status}", payout)
        return payout

    def seed_payout(self, scope: Scope, *, amount: int) -> None:
        """Write a payout of the past, which nobody is told."""
        self._new_payout(scope, amount=amount, currency="brl", status="paid")

    def _new_payout(self, scope: Scope, *, amount: int, currency: str, status: str) -> Document:
        now = self._state.now()
        payout: Document = {
            "id": new_id("po"), "object": "payout", "amount": amount, "application_fee": None,
            "application_fee_amount": None, "arrival_date": now, "automatic": True,
            "balance_transaction": new_id("txn"), "created": now, "currency": currency, "description": "STRIPE PAYOUT",
            "destination": "ba_1SandboxAurora", "failure_balance_transaction": None, "failure_code": None,
            "failure_message": None, "metadata": {}, "method": "standard", "original_payout": None,
            "payout_method": None, "reconciliation_status": "completed", "reversed_by": None, "source_type": "card",
            "statement_descriptor": None, "status": status, "trace_id": None, "type": "bank_account",
        }  # fmt: skip
        return self._state.add(scope, payout)

    def _reads(self, kind: str, word: str, filters: params.Record) -> Sequence[Operation]:
        def show(caller: Caller, values: Document, key: str) -> Document:
            return self._state.need(caller.scope, kind, key)

        def list_all(caller: Caller, values: Document) -> Document:
            wanted = {name: values[name] for name in FILTERS if name in values}
            return list_page(
                self._state, caller.scope, kind, values, url=f"/v1/{word}",
                keep=lambda row: all(row.get(name) == value for name, value in wanted.items()),
            )  # fmt: skip

        return (
            lists(f"/v1/{word}", list_all, right=word, kind=kind, params=filters),
            get(f"/v1/{word}/{{key}}", show, right=word, kind=kind),
        )

    def _refund(self, caller: Caller, values: Document) -> Document:
        if "charge" in values and "payment_intent" in values:
            message = "You may only specify one of these parameters: charge, payment_intent."
            raise invalid(message, code="parameters_exclusive", param="charge")
        if "payment_intent" in values:
            intent = self._state.need(caller.scope, "payment_intent", values["payment_intent"], param="payment_intent")
            if intent["latest_charge"] is None or intent["status"] != "succeeded":
                message = f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
                raise invalid(message, param="payment_intent")
            values["charge"] = intent["latest_charge"]
        if "charge" not in values:
            raise missing_param("payment_intent")
        charge = self._state.need(caller.scope, "charge", values["charge"], param="charge")
        return self.refund(caller.scope, charge, amount=values.get("amount"), values=values)

    def _set_refunded(self, charge: Document, amount: int) -> Document:
        charge |= {"amount_refunded": amount, "refunded": amount == charge["amount"]}
        return self._state.put(charge)


FILTERS = ("customer", "payment_intent", "charge", "transfer_group", "status", "destination")


def _check_refund(charge: Document, *, amount: int, left: int) -> None:
    if charge["status"] != "succeeded" or not charge["captured"]:
        raise invalid(f"Charge {charge['id']} has not been captured and cannot be refunded.", param="charge")
    if charge["disputed"]:
        message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise invalid(message, code="charge_disputed")
    if left == 0:
        raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if amount > left:
        message = f"Refund amount ({money(amount, charge['currency'])}) is greater than unrefunded amount on charge "
        raise invalid(message + f"({money(left, charge['currency'])})", param="amount")
