"""Control of the MercadoPago stand-in: sellers, applications, tokens, and what buyers, banks and time do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from typing import Any

from werkzeug.wrappers import Request, Response

from sandbox.frame import Refused, Route, json_answer, read_json
from sandbox.mercadopago.cards import OUTCOMES
from sandbox.mercadopago.habits import change_habits
from sandbox.mercadopago.ledger import CHARGEBACK_ENDS, Ledger
from sandbox.mercadopago.orders import Orders
from sandbox.mercadopago.scenarios import Scenarios
from sandbox.mercadopago.seed import Shop, add_shop
from sandbox.mercadopago.sites import METHODS, SITES, method_of
from sandbox.mercadopago.state import Caller, State, new_id
from sandbox.mercadopago.subscriptions import Subscriptions
from sandbox.mercadopago.times import minor
from sandbox.mercadopago.views import NewPayment
from sandbox.mercadopago.webhooks import Notice, Webhooks
from sandbox.store import Document

REJECTIONS = sorted({detail for status, detail in OUTCOMES.values() if status == "rejected"})
APP_FIELDS = ("client_secret", "redirect_uris", "pkce", "scopes")
WEBHOOK_FIELDS = ("url", "secret", "topics")
ORDER_ENDS = {"pay": ("processed", "accredited"), "expire": ("expired", "expired")}
STATUSES = {"pending": "pending_waiting_transfer", "approved": "accredited"}


class Control:
    """The handlers under /control/mercadopago."""

    def __init__(
        self, state: State, *, webhooks: Webhooks, ledger: Ledger, subscriptions: Subscriptions, orders: Orders
    ) -> None:
        self._state = state
        self._subscriptions = subscriptions
        self._orders = orders
        self._scenarios = Scenarios(state, webhooks)
        self._webhooks = webhooks
        self._ledger = ledger
        # verb: what becomes of the payment
        self._verbs: dict[str, Callable[[Document, Document], Document]] = {
            "pay": self._pay, "approve": self._pay, "expire": self._expire, "reject": self._reject,
            "refund": self._refund, "chargeback": self._charge_back, "notify": self._notify,
        }  # fmt: skip

    def routes(self) -> Sequence[Route]:
        """Return the routes."""
        return (
            Route("GET", "/accounts", self.list_accounts),
            Route("POST", "/accounts", self.add_account),
            Route("POST", "/accounts/{seller_id}", self.change_account),
            Route("GET", "/apps", self.list_apps),
            Route("POST", "/apps/{app_id}", self.change_app),
            Route("POST", "/apps/{app_id}/deauthorize", self.deauthorize),
            Route("POST", "/tokens/{token}/revoke", self.revoke_token),
            Route("GET", "/settings", self.show_settings),
            Route("POST", "/settings", self.change_settings),
            Route("GET", "/payments", self.list_payments),
            Route("POST", "/payments", self.make_payment),
            Route("POST", "/payments/{payment_id}/{verb}", self.act),
            Route("POST", "/chargebacks/{chargeback_id}/close", self.close_chargeback),
            Route("POST", "/orders/{order_id}/{verb}", self.act_on_order),
            Route("POST", "/subscriptions/{preapproval_id}/charge", self.charge_subscription),
            Route("GET", "/deliveries", self.list_deliveries),
            Route("POST", "/deliveries", self.play_scenario),
        )

    # Sellers, applications, tokens

    def list_accounts(self, request: Request) -> Response:
        """List sellers with what the product needs to connect them."""
        return json_answer({"accounts": [self._account(seller) for seller in self._state.sellers.all()]})

    def add_account(self, request: Request) -> Response:
        """Add a seller: {site_id, name, pix_key?, city?}."""
        values = _values(request, "site_id", "name", "pix_key", "city")
        if values.get("site_id") not in SITES or not isinstance(values.get("name"), str):
            raise Refused(400, {"error": f"needed: name, and site_id of {', '.join(SITES)}"})
        shop = Shop(
            seller_id=new_id(9), app_id=str(new_id(16)), site_id=values["site_id"], name=values["name"],
            city=values.get("city", ""), pix_key=values.get("pix_key"),
        )  # fmt: skip
        return json_answer(self._account(add_shop(self._state, shop)), status=201)

    def change_account(self, request: Request, seller_id: str) -> Response:
        """Change a seller: {pix_key?, name?, city?, test_user?}; pix_key null takes pix away."""
        values = _values(request, "pix_key", "name", "city", "test_user")
        self._seller(seller_id)
        return json_answer(self._account(self._state.sellers.change(seller_id, **values)))

    def list_apps(self, request: Request) -> Response:
        """List applications with their secrets."""
        return json_answer({"apps": self._state.apps.all()})

    def change_app(self, request: Request, app_id: str) -> Response:
        """
        Change an application.

        Body: {client_secret?, redirect_uris?, pkce?, scopes?, webhook?: {url?, secret?, topics?}}
        """
        values = _values(request, *APP_FIELDS, "webhook")
        app = self._app(app_id)
        webhook = values.pop("webhook", {})
        if unknown := sorted(set(webhook) - set(WEBHOOK_FIELDS)):
            raise Refused(400, {"error": f"unknown: {', '.join(unknown)}"})
        return json_answer(self._state.apps.change(app_id, **values, webhook=app["webhook"] | webhook))

    def deauthorize(self, request: Request, app_id: str) -> Response:
        """Let a seller remove an application: {seller_id, notify?}."""
        values = _values(request, "seller_id", "notify")
        seller = self._seller(values.get("seller_id"))
        self._app(app_id)
        count = self._state.revoke_grant(app_id, int(seller["id"]))
        notice = Notice(
            topic="mp-connect", action="application.deauthorized", data_id=str(seller["id"]),
            seller_id=int(seller["id"]), app_id=app_id,
        )  # fmt: skip
        sent = self._webhooks.emit(notice) if values.get("notify", True) else 0
        return json_answer({"revoked": count, "webhooks": sent})

    def revoke_token(self, request: Request, token: str) -> Response:
        """Kill one access token."""
        if self._state.tokens.get(token) is None:
            raise Refused(404, {"error": "no such token"})
        return json_answer(self._state.tokens.change(token, revoked=True))

    # Settings

    def show_settings(self, request: Request) -> Response:
        """Show the habits in force."""
        return json_answer(asdict(self._state.habits))

    def change_settings(self, request: Request) -> Response:
        """Change some habits."""
        return json_answer(asdict(change_habits(self._state.settings, read_json(request))))

    # Payments

    def list_payments(self, request: Request) -> Response:
        """List the latest payments of all sellers, or of ?seller_id=."""
        found = self._state.payments.all(owner=request.args.get("seller_id"), last=100)
        return json_answer({"payments": [payment["view"] for payment in found]})

    def make_payment(self, request: Request) -> Response:
        """
        Make a payment that nobody asked for by API and nobody is told about, for reconciliation.

        Body: {seller_id, amount, payment_method_id?, status?, external_reference?, live_mode?, notify?}
        """
        names = ("seller_id", "amount", "payment_method_id", "status", "external_reference", "live_mode", "notify")
        values = _values(request, *names)
        caller = self._caller(values)
        method = method_of(caller.site.id, values.get("payment_method_id", METHODS[caller.site.id][0].id))
        status = values.get("status", "approved")
        if method is None or status not in STATUSES:
            raise Refused(400, {"error": f"payment_method_id of the country, status of {', '.join(STATUSES)}"})
        if method.id == "pix" and not caller.seller["pix_key"]:
            raise Refused(400, {"error": "this seller has no pix key"})
        body = {"external_reference": values.get("external_reference"), "payer": {"email": "buyer@testuser.com"}}
        new = NewPayment(
            amount_minor=_amount(values), method=method, status=status, status_detail=STATUSES[status], body=body,
        )  # fmt: skip
        payment = self._ledger.create(new, caller=caller, silent=not values.get("notify", False))
        return json_answer(payment["view"], status=201)

    def act(self, request: Request, payment_id: str, verb: str) -> Response:
        """Do something to a payment: pay, approve {amount?}, expire, reject {status_detail?}, refund, and so on."""
        if verb not in self._verbs:
            raise Refused(404, {"error": f"verbs: {', '.join(self._verbs)}"})
        values = _values(request, "amount", "status_detail", "reason_id", "reason", "silent")
        with self._state.frame.store.transaction():
            payment = self._ledger.find(payment_id)
            if "silent" in values:
                payment = self._state.payments.change(payment_id, silent=bool(values["silent"]))
            return json_answer(self._verbs[verb](payment, values))

    def close_chargeback(self, request: Request, chargeback_id: str) -> Response:
        """Decide a chargeback: {outcome: seller_lost | seller_won}."""
        outcome = _values(request, "outcome").get("outcome")
        chargeback = self._state.chargebacks.get(chargeback_id)
        if chargeback is None:
            raise Refused(404, {"error": "no such chargeback"})
        if outcome not in CHARGEBACK_ENDS:
            raise Refused(400, {"error": f"outcome must be one of {', '.join(CHARGEBACK_ENDS)}"})
        return json_answer(self._ledger.close_chargeback(chargeback, outcome=outcome))

    def act_on_order(self, request: Request, order_id: str, verb: str) -> Response:
        """Do something to an order of the Orders API that waits: pay, expire."""
        order = self._state.orders.get(order_id)
        if order is None or order["status"] != "action_required" or verb not in ORDER_ENDS:
            raise Refused(404, {"error": f"no order that waits, or no verb of {', '.join(ORDER_ENDS)}"})
        status, detail = ORDER_ENDS[verb]
        return json_answer(self._orders.set(order, status=status, status_detail=detail))

    def charge_subscription(self, request: Request, preapproval_id: str) -> Response:
        """Make the payment of a subscription that is due: {card?: APRO, FUND, …}."""
        outcome = OUTCOMES.get(_values(request, "card").get("card", "APRO"))
        preapproval = self._state.preapprovals.get(preapproval_id)
        if preapproval is None or preapproval["status"] != "authorized":
            raise Refused(404, {"error": "no such subscription, or not authorized"})
        if outcome is None:
            raise Refused(400, {"error": f"card must be one of {', '.join(OUTCOMES)}"})
        return json_answer(self._subscriptions.charge(preapproval, outcome=outcome), status=201)

    def play_scenario(self, request: Request) -> Response:
        """Send notifications that are wrong or odd on purpose: {mode, payment_id?, …}; see scenarios.py."""
        return json_answer({"deliveries": self._scenarios.play(read_json(request))}, status=201)

    def list_deliveries(self, request: Request) -> Response:
        """List the latest notifications with their outcome."""
        return json_answer({"deliveries": self._webhooks.listed()})

    def _pay(self, payment: Document, values: Document) -> Document:
        amount = _amount(values) if "amount" in values else None
        view: Document = self._ledger.approve(payment, amount_minor=amount)["view"]
        return view

    def _expire(self, payment: Document, values: Document) -> Document:
        view: Document = self._ledger.cancel(payment, status_detail="expired")["view"]
        return view

    def _reject(self, payment: Document, values: Document) -> Document:
        detail = values.get("status_detail", "cc_rejected_other_reason")
        if detail not in REJECTIONS:
            raise Refused(400, {"error": f"status_detail must be one of {', '.join(REJECTIONS)}"})
        view: Document = self._ledger.reject(payment, status_detail=detail)["view"]
        return view

    def _refund(self, payment: Document, values: Document) -> Document:
        return self._ledger.refund(payment, amount_minor=_amount(values) if "amount" in values else None)

    def _charge_back(self, payment: Document, values: Document) -> Document:
        return self._ledger.open_chargeback(
            payment, reason_id=values.get("reason_id", "4853"), reason=values.get("reason", "Cardholder dispute")
        )

    def _notify(self, payment: Document, values: Document) -> Document:
        return {"webhooks": self._ledger.tell(payment | {"silent": False}, action="payment.updated")}

    def _account(self, seller: Document) -> Document:
        tokens = [
            token for token in self._state.tokens.all() if token["seller_id"] == seller["id"] and not token["revoked"]
        ]
        own = next((app for app in self._state.apps.all() if app["owner"] == seller["id"]), None)
        return seller | {"tokens": tokens, "app": own}

    def _caller(self, values: Document) -> Caller:
        seller = self._seller(values.get("seller_id"))
        own = next((app for app in self._state.apps.all() if app["owner"] == seller["id"]), {"id": ""})
        return Caller(seller=seller, app_id=own["id"], live_mode=bool(values.get("live_mode", True)))

    def _seller(self, seller_id: object) -> Document:
        try:
            return self._state.seller(seller_id)
        except KeyError as error:
            raise Refused(404, {"error": "no such seller"}) from error

    def _app(self, app_id: str) -> Document:
        found = self._state.apps.get(app_id)
        if found is None:
            raise Refused(404, {"error": "no such application"})
        return found


def _values(request: Request, *names: str) -> dict[str, Any]:
    values = read_json(request)
    if unknown := sorted(set(values) - set(names)):
        raise Refused(400, {"error": f"unknown: {', '.join(unknown)}; known: {', '.join(names)}"})
    return values


def _amount(values: Document) -> int:
    try:
        amount = minor(Decimal(str(values.get("amount"))), decimals=2)
    except InvalidOperation:
        amount = None
    if amount is None or amount <= 0:
        raise Refused(400, {"error": "amount must be a positive number with two decimals at most"})
    return amount
