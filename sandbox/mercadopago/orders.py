"""The Orders API, thin: online orders of one pix or card, which show the newer forms of ids, amounts and errors."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from decimal import Decimal

from werkzeug.wrappers import Request, Response

from sandbox.fields import FieldProblem, choice, listed, record, text
from sandbox.fields import number as ranged
from sandbox.frame import Refused, Route, json_answer
from sandbox.mercadopago.brcode import br_code, qr_png
from sandbox.mercadopago.cards import Cards, outcome_of
from sandbox.mercadopago.errors import errors_form
from sandbox.mercadopago.idempotency import once
from sandbox.mercadopago.reading import Body, check, dotted, is_email, mapping, read_body
from sandbox.mercadopago.sites import Method, method_of
from sandbox.mercadopago.state import Caller, State
from sandbox.mercadopago.times import minor, orders_time, written
from sandbox.mercadopago.webhooks import Notice, Webhooks
from sandbox.store import Document

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
COUNTRIES = {"MLB": "BRA", "MLA": "ARG", "MLM": "MEX"}
LIFE_S = 24 * 3600.0
MONEY = text(pattern=r"\d{1,10}\.\d{2}")
PAYMENT = record(
    {"amount": MONEY, "payment_method": record(
        {"id": text(), "type": text()}, {"token": text(), "installments": ranged(least=1, most=36)},
    )},
    {"expiration_time": text(pattern=r"P(\d+D)?(T\d+[HM])?")},
)  # fmt: skip
SHAPE = record(
    {
        "type": choice("online"), "total_amount": MONEY, "payer": mapping,
        "external_reference": text(most=64, pattern=r"[A-Za-z0-9_-]+"),
        "transactions": record({"payments": listed(PAYMENT, least=1, most=1)}),
    },
    {"processing_mode": choice("automatic"), "description": text(), "capture_mode": text()},
)  # fmt: skip
KINDS = {"missing": "required_properties", "unknown": "unsupported_properties", "invalid": "property_value"}
# what becomes of an order: (status, status_detail)
OPEN = ("action_required", "waiting_transfer")
CARD_ENDS = {
    "approved": ("processed", "accredited"),
    "in_process": ("processing", "in_review"),
    "rejected": ("failed", "failed"),
}


class Orders:
    """The handlers under /v1/orders."""

    def __init__(self, state: State, *, webhooks: Webhooks, cards: Cards) -> None:
        self._state = state
        self._webhooks = webhooks
        self._cards = cards

    def routes(self) -> Sequence[Route]:
        """Return the operations."""
        return (
            Route("POST", "/v1/orders", self.create),
            Route("GET", "/v1/orders/{order_id}", self.show),
            Route("POST", "/v1/orders/{order_id}/cancel", self.cancel),
            Route("POST", "/v1/orders/{order_id}/refund", self.refund),
        )

    def create(self, request: Request, caller: Caller) -> Response:
        """Make an order and pay it at once: a pix waits, a declined card is 402."""

        def act() -> Response:
            body = read_body(request)
            check(SHAPE, body, refuse=_refusal)
            method = _check(body, caller)
            order = self._write(body, caller=caller, method=method)
            self._tell(order, action="order.created")
            if order["status"] == "failed":
                detail = order["transactions"]["payments"][0]["status_detail"]
                return _declined(order, detail)
            return json_answer(shown(order), status=201)

        return once(self._state, request, caller=caller, act=act)

    def show(self, request: Request, caller: Caller, order_id: str) -> Response:
        """Show an order."""
        return json_answer(shown(self._own(order_id, caller)))

    def cancel(self, request: Request, caller: Caller, order_id: str) -> Response:
        """Cancel an order that waits."""

        def act() -> Response:
            order = self._require(order_id, caller, "action_required", "created")
            return json_answer(shown(self.set(order, status="canceled", status_detail="canceled")))

        return once(self._state, request, caller=caller, act=act)

    def refund(self, request: Request, caller: Caller, order_id: str) -> Response:
        """Give the whole order back."""

        def act() -> Response:
            check(record({}), read_body(request), refuse=_refusal)
            order = self._require(order_id, caller, "processed")
            return json_answer(shown(self.set(order, status="refunded", status_detail="refunded")), status=201)

        return once(self._state, request, caller=caller, act=act)

    def set(self, order: Document, *, status: str, status_detail: str) -> Document:
        """Change an order and tell."""
        (payment,) = order["transactions"]["payments"]
        moved = payment | {"status": status, "status_detail": status_detail}
        changed = self._state.orders.change(
            order["id"], status=status, status_detail=status_detail, transactions={"payments": [moved]},
            last_updated_date=orders_time(self._state.frame.now()), version=order["version"] + 1,
        )  # fmt: skip
        self._tell(changed, action=f"order.{status}")
        return changed

    def _write(self, body: Body, *, caller: Caller, method: Method) -> Document:
        now = self._state.frame.now()
        (sent,) = body["transactions"]["payments"]
        status, detail, shown = OPEN[0], OPEN[1], dict(sent["payment_method"])
        payment: Document = {"id": _ulid("PAY"), "amount": sent["amount"], "reference_id": secrets.token_hex(7)}
        if method.is_card:
            outcome = outcome_of(self._cards.take(shown.get("token"), caller=caller))
            status, detail = CARD_ENDS[outcome[0]]
            detail = outcome[1].removeprefix("cc_") if status == "failed" else detail
        else:
            shown |= self._pix(payment["id"], body["total_amount"], caller)
            payment |= {"date_of_expiration": written(now + LIFE_S), "expiration_time": "P1D"}
        payment |= {"status": status, "status_detail": detail, "payment_method": shown}
        order: Document = {
            "id": _ulid("ORD" if caller.live_mode else "ORDTST"), "type": "online", "processing_mode": "automatic",
            "external_reference": body["external_reference"], "total_amount": body["total_amount"],
            "country_code": COUNTRIES[caller.site.id], "user_id": str(caller.seller_id), "status": status,
            "status_detail": "failed" if status == "failed" else detail, "capture_mode": "automatic_async",
            "currency": caller.site.currency_id, "created_date": orders_time(now),
            "last_updated_date": orders_time(now), "integration_data": {"application_id": caller.app_id},
            "transactions": {"payments": [payment]}, "version": 1,
        }  # fmt: skip
        return self._state.orders.put(order["id"], order, owner=str(caller.seller_id))

    def _pix(self, payment_id: str, amount: str, caller: Caller) -> Document:
        seller = caller.seller
        units = minor(Decimal(amount), decimals=2) or 0
        code = br_code(
            key=seller["pix_key"], amount_minor=units, name=seller["name"], city=seller["city"], txid=payment_id
        )
        page = f"{self._state.base_url}/orders/{payment_id}/ticket"
        return {"ticket_url": page, "qr_code": code, "qr_code_base64": qr_png(code)}

    def _own(self, order_id: str, caller: Caller) -> Document:
        order = self._state.orders.get(order_id)
        if order is None or order["user_id"] != str(caller.seller_id):
            raise errors_form(404, "order_not_found", "Order not found")
        return order

    def _require(self, order_id: str, caller: Caller, *statuses: str) -> Document:
        order = self._own(order_id, caller)
        if order["status"] not in statuses:
            raise errors_form(409, "invalid_order_status", f"The order is {order['status']}")
        return order

    def _tell(self, order: Document, *, action: str) -> None:
        names = ("status", "status_detail", "type", "version", "total_amount", "external_reference")
        more = {name: order[name] for name in names}
        self._webhooks.emit(
            Notice(
                topic="order", action=action, data_id=order["id"], seller_id=int(order["user_id"]), more=more,
                app_id=order["integration_data"]["application_id"], live_mode=not order["id"].startswith("ORDTST"),
            )
        )  # fmt: skip


def shown(order: Document) -> Document:
    """Return an order without its version, which notifications alone carry."""
    return {name: value for name, value in order.items() if name != "version"}


def _check(body: Body, caller: Caller) -> Method:
    (payment,) = body["transactions"]["payments"]
    method = method_of(caller.site.id, payment["payment_method"]["id"])
    if method is None or method.status != "active" or not (method.is_card or method.id == "pix"):
        raise errors_form(400, "property_value", "payment_method.id is not available")
    problems = (
        (method.kind != payment["payment_method"]["type"], "payment_method.type is wrong"),
        (method.id == "pix" and not caller.seller["pix_key"], "the seller has no pix key"),
        (payment["amount"] != body["total_amount"], "the payments do not sum up to total_amount"),
        (not re.search(r"[1-9]", body["total_amount"]), "total_amount must be positive"),
        (not is_email(body["payer"].get("email")), "payer.email is invalid"),
    )
    for wrong, message in problems:
        if wrong:
            raise errors_form(400, "property_value", "The value of a property is invalid.", details=[message])
    return method


def _refusal(problem: FieldProblem) -> Refused:
    return errors_form(400, KINDS[problem.kind], problem.reason, details=[dotted(problem.path)])


def _declined(order: Document, detail: str) -> Response:
    message = "The following transactions failed"
    entry = {"code": "failed", "message": message, "details": [f"{order['id']}: {detail}"]}
    return json_answer({"errors": [entry], "data": shown(order)}, status=402)


def _ulid(prefix: str) -> str:
    return prefix + "01K" + "".join(secrets.choice(ALPHABET) for _ in range(23))
