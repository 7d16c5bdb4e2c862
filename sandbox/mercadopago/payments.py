"""The Payments API: create, read, search, cancel, capture, refund, and chargebacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from werkzeug.wrappers import Request, Response

from sandbox.fields import anything, record
from sandbox.frame import Route, json_answer
from sandbox.mercadopago.cards import Cards
from sandbox.mercadopago.errors import cause, invalid, missing
from sandbox.mercadopago.idempotency import once
from sandbox.mercadopago.intake import Intake, read_amount
from sandbox.mercadopago.ledger import Ledger
from sandbox.mercadopago.reading import Body, check, known_only, read_body
from sandbox.mercadopago.state import Caller, State
from sandbox.mercadopago.times import read_date, read_moment
from sandbox.store import Document

LONGEST_PAGE = 100
USUAL_PAGE = 30
# Later pages are refused by the vendor's search.
LAST_OFFSET = 10_000
RANGES = ("date_created", "date_last_updated", "date_approved", "money_release_date", "date_of_expiration")
SORTS = (*RANGES, "id", "external_reference", "status")
FILTERS = ("external_reference", "status", "id", "payment_method_id", "payment_type_id", "operation_type")
CHANGE = record({}, {"status": anything, "capture": anything, "transaction_amount": anything})
REFUND = record({}, {"amount": anything})


class Payments:
    """The handlers under /v1/payments and /v1/chargebacks."""

    def __init__(self, state: State, *, ledger: Ledger, cards: Cards) -> None:
        self._state = state
        self._ledger = ledger
        self._intake = Intake(state, cards)

    def routes(self) -> Sequence[Route]:
        """Return the operations."""
        return (
            Route("POST", "/v1/payments", self.create),
            Route("GET", "/v1/payments/search", self.search),
            Route("GET", "/v1/payments/{payment_id}", self.show),
            Route("PUT", "/v1/payments/{payment_id}", self.change),
            Route("POST", "/v1/payments/{payment_id}/refunds", self.refund),
            Route("GET", "/v1/payments/{payment_id}/refunds", self.list_refunds),
            Route("GET", "/v1/payments/{payment_id}/refunds/{refund_id}", self.show_refund),
            Route("GET", "/v1/chargebacks/{chargeback_id}", self.show_chargeback),
        )

    def create(self, request: Request, caller: Caller) -> Response:
        """Make a payment: 201 also when the card is rejected."""

        def act() -> Response:
            new = self._intake.payment(read_body(request), caller=caller)
            return json_answer(self._ledger.create(new, caller=caller)["view"], status=201)

        return once(self._state, request, caller=caller, act=act)

    def show(self, request: Request, caller: Caller, payment_id: str) -> Response:
        """Show one payment."""
        return json_answer(self._ledger.find(payment_id, caller=caller)["view"])

    def change(self, request: Request, caller: Caller, payment_id: str) -> Response:
        """Cancel, or capture all or a part of what was authorized."""
        body = read_body(request)
        check(CHANGE, body)
        with self._state.frame.store.transaction():
            payment = self._ledger.find(payment_id, caller=caller)
            verb = self._cancel if "status" in body else self._capture
            return json_answer(verb(payment, body, caller)["view"])

    def search(self, request: Request, caller: Caller) -> Response:
        """Search the seller's payments."""
        query = request.args
        names = ("range", "begin_date", "end_date", "sort", "criteria", "limit", "offset")
        known_only(query, *FILTERS, *names)
        limit = _whole(query.get("limit"), usual=USUAL_PAGE, most=LONGEST_PAGE)
        offset = _whole(query.get("offset"), usual=0, most=LAST_OFFSET)
        views = [payment["view"] for payment in self._state.payments.all(owner=str(caller.seller_id))]
        fits = self._filter(request)
        found = _sorted([view for view in views if fits(view)], request)
        paging = {"total": len(found), "limit": limit, "offset": offset}
        return json_answer({"paging": paging, "results": found[offset : offset + limit]})

    def refund(self, request: Request, caller: Caller, payment_id: str) -> Response:
        """Refund all of the rest, or an amount."""

        def act() -> Response:
            body = read_body(request)
            check(REFUND, body)
            payment = self._ledger.find(payment_id, caller=caller)
            amount = read_amount(body["amount"], caller=caller) if "amount" in body else None
            return json_answer(self._ledger.refund(payment, amount_minor=amount), status=201)

        return once(self._state, request, caller=caller, act=act)

    def list_refunds(self, request: Request, caller: Caller, payment_id: str) -> Response:
        """List the refunds of a payment."""
        self._ledger.find(payment_id, caller=caller)
        return json_answer(self._state.refunds.all(owner=payment_id))

    def show_refund(self, request: Request, caller: Caller, payment_id: str, refund_id: str) -> Response:
        """Show one refund."""
        self._ledger.find(payment_id, caller=caller)
        found = self._state.refunds.get(refund_id)
        if found is None or str(found["payment_id"]) != payment_id:
            raise missing("Refund")
        return json_answer(found)

    def show_chargeback(self, request: Request, caller: Caller, chargeback_id: str) -> Response:
        """Show one chargeback of a payment of the seller."""
        found = self._state.chargebacks.get(chargeback_id)
        if found is None:
            raise missing("Chargeback")
        self._ledger.find(str(found["payment_id"]), caller=caller)
        return json_answer(found)

    def _cancel(self, payment: Document, body: Body, caller: Caller) -> Document:
        if body != {"status": "cancelled"}:
            raise cause(1, "Params Error: status")
        return self._ledger.cancel(payment)

    def _capture(self, payment: Document, body: Body, caller: Caller) -> Document:
        if body.get("capture") is not True:
            raise cause(1, "Params Error: capture")
        amount = read_amount(body["transaction_amount"], caller=caller) if "transaction_amount" in body else None
        return self._ledger.capture(payment, amount_minor=amount)

    def _filter(self, request: Request) -> Callable[[Document], bool]:
        wanted = {name: request.args[name] for name in FILTERS if name in request.args}
        column, begin, end = self._period(request)

        def fits(view: Document) -> bool:
            if any(str(view[name]) != value for name, value in wanted.items()):
                return False
            at = read_date(view[column]) if column else 0.0
            return at is not None and (not column or begin <= at <= end)

        return fits

    def _period(self, request: Request) -> tuple[str, float, float]:
        column = request.args.get("range", "")
        dates = [request.args.get(name) for name in ("begin_date", "end_date")]
        if not column and dates == [None, None]:
            return "", 0.0, 0.0
        if column not in RANGES or None in dates:
            raise invalid("range, begin_date and end_date belong together")
        begin, end = (read_moment(str(date), now=self._state.frame.now()) for date in dates)
        if begin is None or end is None:
            raise cause(1001)
        return column, begin, end


def _sorted(views: list[Document], request: Request) -> list[Document]:
    by, criteria = request.args.get("sort", "date_created"), request.args.get("criteria", "desc")
    if by not in SORTS or criteria not in ("asc", "desc"):
        raise invalid("Invalid sort or criteria")
    return sorted(views, key=lambda view: str(view[by] or ""), reverse=criteria == "desc")


def _whole(value: str | None, *, usual: int, most: int) -> int:
    if value is None:
        return usual
    if not value.isdecimal():
        raise invalid("limit and offset must be whole numbers")
    if int(value) > most:
        raise cause(1000)
    return int(value)
