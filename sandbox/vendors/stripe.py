"""Stripe: a strict stand-in of API version 2026-10-28.endive, its webhooks, its hosted pages and Connect."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, cast

from werkzeug.wrappers import Request, Response

from sandbox.frame import Frame, Refused, Route, Routes, Vendor
from sandbox.stripe.access import Access, Repeats, new_request_id
from sandbox.stripe.catalog import Catalog
from sandbox.stripe.charges import Charges
from sandbox.stripe.checkout import Checkout
from sandbox.stripe.connect import Connect
from sandbox.stripe.control import Control
from sandbox.stripe.endpoints import Endpoints
from sandbox.stripe.errors import by_code, error_body, invalid
from sandbox.stripe.events import API_VERSION, Events, signature_header
from sandbox.stripe.form import Tree, read_pairs
from sandbox.stripe.hosted import Hosted
from sandbox.stripe.intents import Intents
from sandbox.stripe.invoices import Invoices
from sandbox.stripe.methods import Methods
from sandbox.stripe.operations import Expansion, Operation, check_expand
from sandbox.stripe.payments import Payments
from sandbox.stripe.seed import ACCOUNT, BALANCE, RESTRICTED_KEY, SECRET_KEY, seed
from sandbox.stripe.state import State, shown
from sandbox.stripe.subscriptions import Subscriptions

__all__ = ["ACCOUNT", "API_VERSION", "BALANCE", "RESTRICTED_KEY", "SECRET_KEY", "VENDOR", "Stripe", "signature_header"]

OAUTH = ("/oauth/token", "/oauth/deauthorize")
FORM = "application/x-www-form-urlencoded"


class Stripe(Vendor):
    """The API at /stripe/v1/…, OAuth at /stripe/oauth/…, the pages of payers beside them."""

    key = "stripe"
    label = "Stripe"

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame)
        self._state = state = State(frame)
        self._access = Access(state)
        self._repeats = Repeats(state)
        self._events = events = Events(state)
        methods = Methods(state, events)
        self._payments = payments = Payments(state, events=events, methods=methods)
        self._charges = Charges(state, events)
        self._catalog = Catalog(state, events=events, methods=methods)
        self._intents = Intents(state, events=events, payments=payments)
        self._invoices = Invoices(state, events=events, intents=self._intents)
        self._subscriptions = Subscriptions(
            state, events=events, payments=payments, invoices=self._invoices, catalog=self._catalog
        )
        self._checkout = Checkout(
            state, events=events, intents=self._intents, payments=payments, subscriptions=self._subscriptions,
            catalog=self._catalog,
        )  # fmt: skip
        self._connect = Connect(state, events=events, access=self._access, balance=BALANCE)
        self._hosted = Hosted(
            state, checkout=self._checkout, payments=payments, connect=self._connect, subscriptions=self._subscriptions
        )
        payments.disputes = self._charges.dispute
        payments.listeners += [self._invoices.payment_changed, self._checkout.payment_changed]
        self._invoices.listeners.append(self._subscriptions.invoice_changed)
        self._routes(methods)
        self._jobs()

    def operation(self, request: Request, path: str) -> str:
        """Name the operation by its pattern."""
        found = self._operations.find(request.method, path)
        return f"{request.method} {found[0].pattern}" if found else f"oauth {path}" if path in OAUTH else ""

    def failure(self, status: int) -> object:
        """Return Stripe's body for too many requests and for a failure."""
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return by_code("rate_limit").body
        return error_body("api_error", "An error occurred on our side.")

    def refusal(self, code: int | str) -> Refused:
        """Return Stripe's refusal with this error code, for faults."""
        return by_code(str(code))

    def call(self, request: Request, path: str) -> Response:
        """Answer one call: a page, OAuth, or an operation of the API."""
        if path in OAUTH and request.method == "POST":
            return self._connect.oauth(request, path)
        page = self._pages.find(request.method, path)
        if page is not None:
            return page[0].handler(request, **page[1])
        request_id = new_request_id()
        try:
            response = self._answer(request, path, request_id=request_id)
        except Refused as refused:
            response = refused.response()
        version = request.headers.get("Stripe-Version", API_VERSION)
        response.headers.update({"Request-Id": request_id, "Stripe-Version": version})
        if request.headers.get("Idempotency-Key"):
            response.headers["Idempotency-Key"] = request.headers["Idempotency-Key"]
        return response

    def seed(self) -> None:
        """Write a business, a platform and a business that the platform may act for."""
        seed(
            self._state, access=self._access, catalog=self._catalog, charges=self._charges, connect=self._connect
        )  # fmt: skip

    def control(self) -> Sequence[Route]:
        """Return the control routes."""
        return Control(
            self._state, access=self._access, events=self._events, intents=self._intents, payments=self._payments,
            charges=self._charges, subscriptions=self._subscriptions, checkout=self._checkout, connect=self._connect,
            catalog=self._catalog,
        ).routes()  # fmt: skip

    def _answer(self, request: Request, path: str, *, request_id: str) -> Response:
        caller = self._access.caller(request, request_id=request_id)
        found = self._operations.find(request.method, path)
        if found is None:
            message = f"Unrecognized request URL ({request.method}: {path}). Please see https://stripe.com/docs."
            raise invalid(message, status=404)
        operation, names = self._by_name[f"{request.method} {found[0].pattern}"], found[1]
        caller.require(operation.right, writes=operation.method != "GET")
        tree = _tree(request)

        def act() -> dict[str, Any]:
            values = operation.params(tree, "")
            paths = values.pop("expand", [])
            check_expand(operation, paths)
            body = operation.handler(caller, values, **names)
            found: dict[str, Any] = shown(self._expansion.expand(caller, body, paths))
            return found

        return self._repeats.once(request, caller, path=path, tree=tree, act=act)

    def _routes(self, methods: Methods) -> None:
        parts = (
            self._connect, self._catalog, methods, self._intents, self._charges, self._subscriptions, self._invoices,
            self._checkout, Endpoints(self._state),
        )  # fmt: skip
        operations: list[Operation] = [operation for part in parts for operation in part.operations()]
        self._by_name = {operation.name: operation for operation in operations}
        self._operations = Routes([Route(found.method, found.path, cast(Any, found.handler)) for found in operations])
        self._pages = Routes(self._hosted.routes())
        self._expansion = Expansion(self._state, {
            ("invoice", "payments"): self._invoices.payments_of,
            ("invoice", "confirmation_secret"): self._invoices.confirmation_secret,
            ("charge", "refunds"): self._charges.refunds_of,
            ("checkout.session", "line_items"): self._checkout.lines_of,
        })  # fmt: skip

    def _jobs(self) -> None:
        jobs = {
            "deliver": self._events.deliver, "pay": self._payments.pay_later, "expire": self._payments.expire_later,
            "refund": self._charges.settle_later, "expire_session": self._checkout.expire_later,
        }  # fmt: skip
        for name, handler in jobs.items():
            self.frame.runner.handle(vendor=self.key, name=name, handler=handler)


def _tree(request: Request) -> Tree:
    """Read the parameters: the query of a GET and a DELETE, the form of a POST; :raises Refused: it is no form."""
    if request.method != "POST":
        return read_pairs(request.args.items(multi=True))
    if request.get_data() and request.mimetype != FORM:
        raise invalid("Send the parameters form-encoded.")
    return read_pairs(request.form.items(multi=True))


VENDOR = Stripe
