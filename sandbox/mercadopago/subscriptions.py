"""Subscriptions: plans, preapprovals and the payments that they make by themselves."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from werkzeug.wrappers import Request, Response

from sandbox.fields import FieldProblem, choice, record, text
from sandbox.frame import Refused, Route, json_answer
from sandbox.mercadopago.cards import OUTCOMES, Cards, outcome_of
from sandbox.mercadopago.errors import coded, invalid, missing
from sandbox.mercadopago.intake import REFERENCE_SHAPE
from sandbox.mercadopago.ledger import Ledger, own_or_missing
from sandbox.mercadopago.reading import (
    Body,
    check,
    decimal,
    dotted,
    is_callback,
    is_email,
    known_only,
    plain,
    read_body,
    whole,
)
from sandbox.mercadopago.sites import METHODS, methods_of_bin
from sandbox.mercadopago.state import Caller, State, new_id
from sandbox.mercadopago.times import cents, minor, read_date, written
from sandbox.mercadopago.views import NewPayment
from sandbox.mercadopago.webhooks import Notice, Webhooks
from sandbox.store import Document

DAYS = {"days": 1, "months": 30}
RECURRING = record(
    {"frequency": whole, "frequency_type": choice(*DAYS), "transaction_amount": decimal, "currency_id": text()},
    {
        "start_date": text(), "end_date": text(), "repetitions": whole, "billing_day": whole,
        "free_trial": record({"frequency": whole, "frequency_type": choice(*DAYS)}),
    },
)  # fmt: skip
RECURRING_CHANGE = record(
    {}, {"transaction_amount": decimal, "currency_id": text(), "start_date": text(), "end_date": text()}
)
COMMON = {
    "reason": text(most=256),
    "auto_recurring": RECURRING,
    "back_url": text(),
    "external_reference": text(most=256),
}
PLAN = record(
    {"reason": text(most=256), "auto_recurring": RECURRING, "back_url": text()}, {"external_reference": text()}
)
CHANGES = COMMON | {"auto_recurring": RECURRING_CHANGE}
PLAN_CHANGE = record({}, CHANGES | {"status": choice("active", "cancelled")})
CREATE = record(
    {"payer_email": text()},
    COMMON | {"card_token_id": text(), "preapproval_plan_id": text(), "status": choice("pending", "authorized")},
)
CHANGE = record({}, CHANGES | {"card_token_id": text(), "status": choice("authorized", "paused", "cancelled")})
# status: the ones that may follow
NEXT = {
    "pending": ("authorized", "cancelled"),
    "authorized": ("paused", "cancelled"),
    "paused": ("authorized", "cancelled"),
    "cancelled": (),
}
LONGEST_PAGE = 100


class Subscriptions:
    """The handlers under /preapproval, /preapproval_plan and /authorized_payments."""

    def __init__(self, state: State, *, webhooks: Webhooks, ledger: Ledger, cards: Cards) -> None:
        self._state = state
        self._webhooks = webhooks
        self._ledger = ledger
        self._cards = cards

    def routes(self) -> Sequence[Route]:
        """Return the operations."""
        return (
            Route("POST", "/preapproval_plan", self.create_plan),
            Route("GET", "/preapproval_plan/search", self.search_plans),
            Route("GET", "/preapproval_plan/{plan_id}", self.show_plan),
            Route("PUT", "/preapproval_plan/{plan_id}", self.change_plan),
            Route("POST", "/preapproval", self.create),
            Route("GET", "/preapproval/search", self.search),
            Route("GET", "/preapproval/{preapproval_id}", self.show),
            Route("PUT", "/preapproval/{preapproval_id}", self.change),
            Route("GET", "/authorized_payments/{payment_id}", self.show_payment),
        )

    def create_plan(self, request: Request, caller: Caller) -> Response:
        """Make a plan that buyers may subscribe to."""
        body = read_body(request)
        check(PLAN, body, refuse=_refusal)
        _check(body, caller)
        plan_id, now = secrets.token_hex(16), self._state.now()
        plan: Document = {
            "id": plan_id, "external_reference": None, "status": "active", "collector_id": caller.seller_id,
            "application_id": caller.app_id, "date_created": now, "last_modified": now,
            "init_point": f"{self._state.base_url}/subscriptions/checkout?preapproval_plan_id={plan_id}",
        } | plain(body)  # fmt: skip
        return json_answer(self._state.plans.put(plan_id, plan, owner=str(caller.seller_id)), status=201)

    def show_plan(self, request: Request, caller: Caller, plan_id: str) -> Response:
        """Show a plan."""
        return json_answer(self._own_plan(plan_id, caller))

    def change_plan(self, request: Request, caller: Caller, plan_id: str) -> Response:
        """Change a plan."""
        plan, body = self._own_plan(plan_id, caller), read_body(request)
        check(PLAN_CHANGE, body, refuse=_refusal)
        _check(body, caller)
        changed = _merged(plan, body) | {"last_modified": self._state.now()}
        return json_answer(self._state.plans.change(plan["id"], **changed))

    def search_plans(self, request: Request, caller: Caller) -> Response:
        """Search the seller's plans."""
        known_only(request.args, "status", "q", "limit", "offset", "sort", "criteria")
        plans = self._state.plans.all(owner=str(caller.seller_id))
        return json_answer(_page(request, [plan for plan in plans if _fits(plan, request, ("status",))]))

    def create(self, request: Request, caller: Caller) -> Response:
        """Make a subscription: pending without a card, authorized and charged with one."""
        body = read_body(request)
        check(CREATE, body, refuse=_refusal)
        plan = self._own_plan(body["preapproval_plan_id"], caller) if "preapproval_plan_id" in body else {}
        terms = {name: plan[name] for name in ("reason", "auto_recurring", "back_url") if name in plan} | body
        _check(terms, caller)
        if lacking := [name for name in ("reason", "auto_recurring", "back_url") if name not in terms]:
            raise invalid(f"{lacking[0]} is required")
        if not is_email(body["payer_email"]) or body["payer_email"].lower() == caller.seller["email"].lower():
            raise invalid("payer_email is invalid")
        if (body.get("status") == "authorized" or plan) and "card_token_id" not in body:
            raise invalid("card_token_id is required")
        with self._state.frame.store.transaction():
            preapproval = self._write(terms, caller)
            if "card_token_id" in body:
                preapproval = self._authorize(preapproval, body["card_token_id"], caller)
            return json_answer(preapproval, status=201)

    def show(self, request: Request, caller: Caller, preapproval_id: str) -> Response:
        """Show a subscription."""
        return json_answer(self._own(preapproval_id, caller))

    def change(self, request: Request, caller: Caller, preapproval_id: str) -> Response:
        """Change, pause, resume or cancel a subscription."""
        preapproval, body = self._own(preapproval_id, caller), read_body(request)
        check(CHANGE, body, refuse=_refusal)
        _check(body, caller)
        status = body.get("status", preapproval["status"])
        if status != preapproval["status"] and status not in NEXT[preapproval["status"]]:
            raise invalid(f"You can not modify a {preapproval['status']} preapproval.")
        if preapproval["status"] == "cancelled":
            raise invalid("You can not modify a cancelled preapproval.")
        if status == "authorized" and preapproval["payment_method_id"] is None:
            if "card_token_id" not in body:
                raise invalid("card_token_id is required")
            return json_answer(self._authorize(preapproval, body["card_token_id"], caller))
        values = _merged(preapproval, {name: value for name, value in body.items() if name != "card_token_id"})
        return json_answer(self.set(preapproval, **values))

    def search(self, request: Request, caller: Caller) -> Response:
        """Search the seller's subscriptions."""
        names = ("status", "payer_email", "external_reference", "preapproval_plan_id")
        known_only(request.args, *names, "limit", "offset", "sort", "criteria")
        known = self._state.preapprovals.all(owner=str(caller.seller_id))
        return json_answer(_page(request, [found for found in known if _fits(found, request, names)]))

    def show_payment(self, request: Request, caller: Caller, payment_id: str) -> Response:
        """Show one payment of a subscription."""
        found = self._state.authorized_payments.get(payment_id)
        if found is None:
            raise missing("Authorized payment")
        self._own(found["preapproval_id"], caller)
        return json_answer(found)

    def accept(self, preapproval: Document) -> Document:
        """Let the buyer authorize on the hosted page, with a good card, and make the first payment."""
        site_id = self._state.seller(preapproval["collector_id"])["site_id"]
        card = next(method for method in METHODS[site_id] if method.is_card)
        changed = self.set(preapproval, status="authorized", payment_method_id=card.id)
        self._first(changed)
        return changed

    def set(self, preapproval: Document, **values: object) -> Document:
        """Change a subscription and tell."""
        changed = self._state.preapprovals.change(preapproval["id"], **values, last_modified=self._state.now())
        self._tell(changed, topic="subscription_preapproval", data_id=changed["id"], action="updated")
        return changed

    def charge(self, preapproval: Document, *, outcome: tuple[str, str]) -> Document:
        """Make the payment that is due and tell; a rejected one is scheduled again."""
        caller = Caller(
            seller=self._state.seller(preapproval["collector_id"]), app_id=str(preapproval["application_id"]),
            live_mode=True,
        )  # fmt: skip
        recurring = preapproval["auto_recurring"]
        method = next(
            (found for found in METHODS[caller.site.id] if found.id == preapproval["payment_method_id"]),
            next(found for found in METHODS[caller.site.id] if found.is_card),
        )
        body = {"description": preapproval["reason"], "external_reference": preapproval["external_reference"],
                "payer": {"email": preapproval["payer_email"]}}  # fmt: skip
        new = NewPayment(
            amount_minor=cents(recurring["transaction_amount"]), method=method, status=outcome[0],
            status_detail=outcome[1], body=body, operation_type="recurring_payment",
        )  # fmt: skip
        payment, now = self._ledger.create(new, caller=caller)["view"], self._state.now()
        approved = outcome[0] == "approved"
        authorized: Document = {
            "id": new_id(10), "type": "scheduled", "date_created": now, "last_modified": now,
            "preapproval_id": preapproval["id"], "reason": preapproval["reason"],
            "external_reference": preapproval["external_reference"], "currency_id": recurring["currency_id"],
            "transaction_amount": recurring["transaction_amount"], "debit_date": now, "retry_attempt": 0,
            "status": "processed" if approved else "recycling", "summarized": "done" if approved else "pending",
            "payment": {"id": payment["id"], "status": outcome[0], "status_detail": outcome[1]},
        }  # fmt: skip
        self._state.authorized_payments.put(str(authorized["id"]), authorized, owner=preapproval["id"])
        topic = "subscription_authorized_payment"
        self._tell(preapproval, topic=topic, data_id=str(authorized["id"]), action="created")
        return authorized

    def _authorize(self, preapproval: Document, token_id: str, caller: Caller) -> Document:
        token = self._cards.take(token_id, caller=caller)
        outcome = outcome_of(token)
        if outcome[0] == "rejected":
            raise coded(400, outcome[1], "Card token service: the card was rejected")
        method = methods_of_bin(caller.site.id, token["first_six_digits"])[0]
        changed = self.set(preapproval, status="authorized", payment_method_id=method.id)
        self._first(changed)
        return changed

    def _first(self, preapproval: Document) -> None:
        if not preapproval["auto_recurring"].get("free_trial"):
            self.charge(preapproval, outcome=OUTCOMES["APRO"])

    def _write(self, terms: Body, caller: Caller) -> Document:
        preapproval_id, now = secrets.token_hex(16), self._state.frame.now()
        recurring = {"start_date": written(now), "end_date": None, "free_trial": None} | plain(terms["auto_recurring"])
        days = recurring["frequency"] * DAYS[recurring["frequency_type"]]
        upcoming = datetime.fromtimestamp(now, tz=UTC) + timedelta(days=days)
        preapproval: Document = {
            "id": preapproval_id, "payer_id": new_id(9), "payer_email": terms["payer_email"],
            "back_url": terms["back_url"], "collector_id": caller.seller_id, "application_id": int(caller.app_id),
            "status": "pending", "reason": terms["reason"], "external_reference": terms.get("external_reference"),
            "next_payment_date": written(upcoming.timestamp()), "date_created": written(now),
            "last_modified": written(now), "auto_recurring": recurring, "payment_method_id": None,
            "init_point": f"{self._state.base_url}/subscriptions/checkout?preapproval_id={preapproval_id}",
            "first_invoice_offset": None, "preapproval_plan_id": terms.get("preapproval_plan_id"),
        }  # fmt: skip
        self._state.preapprovals.put(preapproval_id, preapproval, owner=str(caller.seller_id))
        self._tell(preapproval, topic="subscription_preapproval", data_id=preapproval_id, action="created")
        return preapproval

    def _tell(self, preapproval: Document, *, topic: str, data_id: str, action: str) -> None:
        self._webhooks.emit(
            Notice(
                topic=topic, action=action, data_id=data_id, seller_id=preapproval["collector_id"],
                app_id=str(preapproval["application_id"]),
            )
        )  # fmt: skip

    def _own(self, preapproval_id: str, caller: Caller) -> Document:
        found = self._state.preapprovals.get(preapproval_id)
        return own_or_missing(found, seller_id=caller.seller_id, what="Preapproval")

    def _own_plan(self, plan_id: str, caller: Caller) -> Document:
        return own_or_missing(self._state.plans.get(plan_id), seller_id=caller.seller_id, what="Plan")


def _check(body: Body, caller: Caller) -> None:
    recurring = body.get("auto_recurring")
    if "back_url" in body and not is_callback(body["back_url"]):
        raise invalid("back_url is not a valid URL")
    if "external_reference" in body and not REFERENCE_SHAPE.fullmatch(body["external_reference"]):
        raise invalid("external_reference is invalid")
    if recurring is None:
        return
    amount = recurring.get("transaction_amount", 1)
    units = cents(amount) if isinstance(amount, float) else minor(amount, decimals=caller.site.decimals)
    dates = [recurring[name] for name in ("start_date", "end_date") if recurring.get(name) is not None]
    problems = (
        (units is None or units <= 0, "transaction_amount is invalid"),
        (recurring.get("currency_id", caller.site.currency_id) != caller.site.currency_id, "currency_id is invalid"),
        (recurring.get("frequency", 1) <= 0, "frequency is invalid"),
        (any(read_date(date) is None for date in dates), "start_date and end_date must be dates"),
    )
    for wrong, message in problems:
        if wrong:
            raise invalid(message)


def _merged(known: Document, body: Body) -> Document:
    sent: Document = plain(body)
    if "auto_recurring" in sent:
        sent["auto_recurring"] = known["auto_recurring"] | sent["auto_recurring"]
    return sent


def _fits(found: Document, request: Request, names: Sequence[str]) -> bool:
    return all(found.get(name) == request.args[name] for name in names if name in request.args)


def _page(request: Request, found: list[Document]) -> Document:
    numbers = [request.args.get("limit", "20"), request.args.get("offset", "0")]
    if not all(number.isdecimal() for number in numbers) or int(numbers[0]) > LONGEST_PAGE:
        raise invalid("Invalid limit or offset")
    limit, offset = map(int, numbers)
    paging = {"offset": offset, "limit": limit, "total": len(found)}
    return {"paging": paging, "results": found[::-1][offset : offset + limit]}


def _refusal(problem: FieldProblem) -> Refused:
    return coded(400, "bad_request", f"{dotted(problem.path)}: {problem.reason}")
