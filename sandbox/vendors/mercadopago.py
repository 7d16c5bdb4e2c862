"""MercadoPago: a strict stand-in of payments, checkout, subscriptions, connecting and notifications."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from http import HTTPStatus

from werkzeug.wrappers import Request, Response

from sandbox.frame import Frame, Refused, Route, Routes, Vendor
from sandbox.mercadopago.browser import Browser
from sandbox.mercadopago.cards import Cards
from sandbox.mercadopago.catalogue import Catalogue
from sandbox.mercadopago.checkout import Checkout
from sandbox.mercadopago.control import Control
from sandbox.mercadopago.errors import cause, cause_body, missing
from sandbox.mercadopago.ledger import Ledger
from sandbox.mercadopago.oauth import OAuth
from sandbox.mercadopago.orders import Orders
from sandbox.mercadopago.pages import Pages
from sandbox.mercadopago.payments import Payments
from sandbox.mercadopago.preferences import Preferences
from sandbox.mercadopago.seed import seed
from sandbox.mercadopago.state import State
from sandbox.mercadopago.subscriptions import Subscriptions
from sandbox.mercadopago.webhooks import Webhooks

FAILURES = {429: "too_many_requests", 500: "internal_error"}
# What a browser's script on a foreign page may do.
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, Authorization, X-Idempotency-Key",
}


class MercadoPago(Vendor):
    """Both hosts, api and auth, at /mercadopago/…"""

    key = "mercadopago"
    label = "MercadoPago"
    phone_page = True

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame)
        self._state = State(frame)
        webhooks = Webhooks(self._state)
        ledger = Ledger(self._state, webhooks)
        cards, catalogue = Cards(self._state), Catalogue(self._state)
        payments = Payments(self._state, ledger=ledger, cards=cards)
        preferences, oauth = Preferences(self._state), OAuth(self._state, webhooks)
        subscriptions = Subscriptions(self._state, webhooks=webhooks, ledger=ledger, cards=cards)
        checkout = Checkout(self._state, ledger=ledger, preferences=preferences)
        self._pages = Pages(self._state, checkout=checkout, oauth=oauth, ledger=ledger, subscriptions=subscriptions)
        orders = Orders(self._state, webhooks=webhooks, cards=cards)
        self._control = Control(
            self._state, webhooks=webhooks, ledger=ledger, subscriptions=subscriptions, orders=orders
        )
        closed = (payments, orders, catalogue, preferences, subscriptions)
        self._closed = Routes([route for part in closed for route in part.routes()])
        self._open = Routes([*self._pages.routes(), *Browser().routes(), Route("POST", "/oauth/token", oauth.token)])
        self._browser = Routes([*cards.routes(), *catalogue.open_routes()])
        jobs = {"deliver": webhooks.deliver, "expire": ledger.expire, "pay": ledger.pay_itself}
        for name, handler in jobs.items():
            frame.runner.handle(vendor=self.key, name=name, handler=handler)

    def call(self, request: Request, path: str) -> Response:
        """Answer a call of a browser or of a server, with a number of its own."""
        try:
            response = self._route(request, path)
        except Refused as refused:
            response = refused.response()
        response.headers["x-request-id"] = str(uuid.uuid4())
        return response

    def operation(self, request: Request, path: str) -> str:
        """Name the operation by its pattern."""
        for table in (self._browser, self._open, self._closed):
            found = table.find(request.method, path)
            if found:
                return f"{request.method} {found[0].pattern}"
        return ""

    def failure(self, status: int) -> object:
        """Return the vendor's body for too many requests and for a failure."""
        word = FAILURES.get(status, FAILURES[500])
        return cause_body(status, word, [], error=word)

    def refusal(self, code: int | str) -> Refused:
        """Return the refusal with this cause code."""
        return cause(int(code))

    def seed(self) -> None:
        """Write the platform's application and the first sellers."""
        seed(self._state)

    def control(self) -> Sequence[Route]:
        """Return the control routes."""
        return self._control.routes()

    def pages(self) -> Sequence[Route]:
        """Return the list of payments that wait for their buyers."""
        return self._pages.phone_routes()

    def _route(self, request: Request, path: str) -> Response:
        if request.method == "OPTIONS" and any(self._browser.find(method, path) for method in ("GET", "POST")):
            return Response(status=HTTPStatus.NO_CONTENT, headers=CORS)
        for table, answer in ((self._browser, self._answer_browser), (self._open, self._answer_anybody)):
            found = table.find(request.method, path)
            if found:
                return answer(request, *found)
        return self._answer_server(request, path)

    def _answer_anybody(self, request: Request, route: Route, values: dict[str, str]) -> Response:
        return route.handler(request, **values)

    def _answer_browser(self, request: Request, route: Route, values: dict[str, str]) -> Response:
        try:
            response = route.handler(request, self._state.browser(request), **values)
        except Refused as refused:
            response = refused.response()
        response.headers.update(CORS)
        return response

    def _answer_server(self, request: Request, path: str) -> Response:
        found = self._closed.find(request.method, path)
        caller = self._state.caller(request, scope="read" if request.method == "GET" else "write")
        if found is None:
            raise missing("resource")
        return found[0].handler(request, caller, **found[1])


VENDOR = MercadoPago
