"""Every change of a payment goes through here, so that each is written down and told the same way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sandbox.mercadopago.errors import cause, missing
from sandbox.mercadopago.state import KEY, Caller, State, new_id
from sandbox.mercadopago.times import cents, money
from sandbox.mercadopago.views import NewPayment, approved_fields, payment_view
from sandbox.mercadopago.webhooks import Notice, Webhooks
from sandbox.store import Document

WAITING = ("pending", "in_process")
CHARGEBACK_ENDS = {"seller_lost": "settled", "seller_won": "reimbursed"}


class Ledger:
    """Payments, refunds and chargebacks of all sellers."""

    def __init__(self, state: State, webhooks: Webhooks) -> None:
        self._state = state
        self._webhooks = webhooks

    def create(self, new: NewPayment, *, caller: Caller, silent: bool = False) -> Document:
        """Write a payment down and tell; a silent one is never told, nor are its changes."""
        state, now = self._state, self._state.frame.now()
        payment_id = new_id(11)
        view = payment_view(new, caller=caller, payment_id=payment_id, now=now, base_url=state.base_url)
        if new.status == "approved":
            view |= approved_fields(view, now=now)
        payment: Document = {
            "id": payment_id, "seller_id": caller.seller_id, "app_id": caller.app_id, "live_mode": caller.live_mode,
            "silent": silent, "preference_id": new.order.get("preference_id"), "view": view,
        }  # fmt: skip
        view["order"] = {name: value for name, value in new.order.items() if name in ("id", "type")}
        state.payments.put(str(payment_id), payment, owner=str(caller.seller_id))
        self.tell(payment, action="payment.created")
        self._plan(payment, new, now=now)
        return payment

    def find(self, payment_id: str, *, caller: Caller | None = None) -> Document:
        """Return a payment of the caller, or anybody's; :raises Refused: there is none."""
        payment = self._state.payments.get(payment_id)
        if payment is None or (caller is not None and payment["seller_id"] != caller.seller_id):
            raise cause(2000)
        return payment

    def change(self, payment: Document, **fields: Any) -> Document:
        """Change what a payment shows and tell."""
        view = payment["view"] | fields | {"date_last_updated": self._state.now()}
        changed = self._state.payments.change(str(payment["id"]), view=view)
        self.tell(changed, action="payment.updated")
        return changed

    def tell(self, payment: Document, *, action: str) -> int:
        """Send a notification about a payment; return how many calls will be made."""
        if payment["silent"]:
            return 0
        notice = Notice(
            topic="payment", action=action, data_id=str(payment["id"]), seller_id=payment["seller_id"],
            app_id=payment["app_id"], live_mode=payment["live_mode"],
        )  # fmt: skip
        url, order_id = payment["view"]["notification_url"], payment["view"]["order"].get("id")
        count = self._webhooks.emit(notice, notification_url=url)
        if order_id is not None:
            about_order = replace(notice, topic="topic_merchant_order_wh", data_id=str(order_id))
            count += self._webhooks.emit(about_order, notification_url=url)
        return count

    def approve(self, payment: Document, *, amount_minor: int | None = None) -> Document:
        """Let the money arrive, of another amount if asked: the vendor then shows that amount."""
        require(payment, *WAITING)
        view = payment["view"]
        if amount_minor is not None:
            details = view["transaction_details"] | {"total_paid_amount": money(amount_minor)}
            view = view | {"transaction_amount": money(amount_minor), "transaction_details": details}
        return self.change(payment, **(view | approved_fields(view, now=self._state.frame.now())))

    def reject(self, payment: Document, *, status_detail: str) -> Document:
        """Let the review end badly."""
        require(payment, "in_process")
        return self.change(payment, status="rejected", status_detail=status_detail)

    def cancel(self, payment: Document, *, status_detail: str = "by_collector") -> Document:
        """Cancel a payment that has not been made."""
        require(payment, *WAITING, "authorized")
        return self.change(payment, status="cancelled", status_detail=status_detail)

    def capture(self, payment: Document, *, amount_minor: int | None) -> Document:
        """Take the authorized amount or less."""
        require(payment, "authorized")
        view = payment["view"]
        if amount_minor is not None and not 0 < amount_minor <= cents(view["transaction_amount"]):
            raise cause(4037)
        taken = view | ({} if amount_minor is None else {"transaction_amount": money(amount_minor)})
        return self.change(payment, **(taken | approved_fields(taken, now=self._state.frame.now())))

    def refund(self, payment: Document, *, amount_minor: int | None = None) -> Document:
        """Give all of the rest or a part of it back; return the refund; :raises Refused: more than the rest."""
        require(payment, "approved")
        view = payment["view"]
        done = cents(view["transaction_amount_refunded"])
        rest = cents(view["transaction_amount"]) - done
        wanted = rest if amount_minor is None else amount_minor
        if not 0 < wanted <= rest:
            raise cause(4037, "Invalid amount: it exceeds what is left of the payment")
        refund = self._refund(payment, wanted)
        self._state.refunds.put(str(refund["id"]), refund, owner=str(payment["id"]))
        whole = wanted == rest
        self.change(
            payment, transaction_amount_refunded=money(done + wanted), refunds=[*view["refunds"], refund],
            status="refunded" if whole else "approved", status_detail="refunded" if whole else "partially_refunded",
        )  # fmt: skip
        return refund

    def open_chargeback(self, payment: Document, *, reason_id: str, reason: str) -> Document:
        """Let the buyer's bank take the money back."""
        require(payment, "approved")
        view = payment["view"]
        chargeback: Document = {
            "id": f"CB-{new_id(10)}", "payment_id": payment["id"], "status": "in_review",
            "amount": view["transaction_amount"], "currency_id": view["currency_id"], "reason_id": reason_id,
            "reason": reason, "date_created": self._state.now(), "last_modified": self._state.now(),
        }  # fmt: skip
        self._state.chargebacks.put(chargeback["id"], chargeback, owner=str(payment["seller_id"]))
        self.change(payment, status="charged_back", status_detail="in_process")
        self._tell_chargeback(payment, chargeback["id"], action="created")
        return chargeback

    def close_chargeback(self, chargeback: Document, *, outcome: str) -> Document:
        """Decide a chargeback: `seller_lost` or `seller_won`; :raises Refused: it is decided already."""
        if chargeback["status"] != "in_review":
            raise cause(2018)
        payment = self.find(str(chargeback["payment_id"]))
        closed = self._state.chargebacks.change(
            chargeback["id"], status=CHARGEBACK_ENDS[outcome], last_modified=self._state.now()
        )
        won = outcome == "seller_won"
        detail = {"status": "approved", "status_detail": "accredited"} if won else {"status_detail": "settled"}
        self.change(payment, **detail)
        self._tell_chargeback(payment, chargeback["id"], action="updated")
        return closed

    def expire(self, job: Document, attempts: int) -> None:
        """Do the job of cancelling a payment whose time is over."""
        with self._state.frame.store.transaction():
            payment = self._state.payments.get(job["payment"])
            if payment is not None and payment["view"]["status"] == "pending":
                self.cancel(payment, status_detail="expired")

    def pay_itself(self, job: Document, attempts: int) -> None:
        """Do the job of paying a pix without anybody's hand."""
        with self._state.frame.store.transaction():
            payment = self._state.payments.get(job["payment"])
            if payment is not None and payment["view"]["status"] == "pending":
                self.approve(payment)

    def _plan(self, payment: Document, new: NewPayment, *, now: float) -> None:
        body = {"payment": str(payment["id"])}
        runner, pay_after_s = self._state.frame.runner, self._state.habits.pay_pix_after_s
        if new.expires_at is not None and new.status == "pending":
            runner.schedule(vendor=KEY, name="expire", body=body, after_s=max(new.expires_at - now, 0.0))
        if new.method.id == "pix" and pay_after_s is not None:
            runner.schedule(vendor=KEY, name="pay", body=body, after_s=pay_after_s)

    def _refund(self, payment: Document, amount_minor: int) -> Document:
        seller = self._state.seller(payment["seller_id"])
        return {
            "id": new_id(10), "payment_id": payment["id"], "amount": money(amount_minor), "metadata": {},
            "source": {"id": str(seller["id"]), "name": seller["name"], "type": "collector"},
            "date_created": self._state.now(), "unique_sequence_number": None, "refund_mode": "standard",
            "adjustment_amount": 0, "status": "approved", "reason": None, "labels": [],
            "amount_refunded_to_payer": money(amount_minor), "additional_data": None, "partition_details": [],
        }  # fmt: skip

    def _tell_chargeback(self, payment: Document, chargeback_id: str, *, action: str) -> None:
        notice = Notice(
            topic="topic_chargebacks_wh", action=action, data_id=chargeback_id, seller_id=payment["seller_id"],
            app_id=payment["app_id"], live_mode=payment["live_mode"],
        )  # fmt: skip
        if not payment["silent"]:
            self._webhooks.emit(notice)


def require(payment: Document, *statuses: str) -> None:
    """Refuse an action that the payment's status does not allow."""
    if payment["view"]["status"] not in statuses:
        raise cause(2018)


def own_or_missing(found: Document | None, *, seller_id: int, what: str) -> Document:
    """Return an object of the seller; :raises Refused: it is not there or another's."""
    if found is None or found["collector_id"] != seller_id:
        raise missing(what)
    return found
