"""Control of the Stripe stand-in: keys, accounts, events, settings; what payers and banks do is in `acts`."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

from werkzeug.wrappers import Request, Response

from sandbox.frame import Refused, Route, json_answer, read_json
from sandbox.store import Document
from sandbox.stripe.access import KEY_SHAPE, RIGHTS, Access
from sandbox.stripe.acts import Acts
from sandbox.stripe.catalog import Catalog
from sandbox.stripe.charges import Charges
from sandbox.stripe.checkout import Checkout
from sandbox.stripe.connect import Connect
from sandbox.stripe.events import Events
from sandbox.stripe.intents import Intents
from sandbox.stripe.payments import Payments
from sandbox.stripe.seed import ACCOUNT
from sandbox.stripe.state import DEFAULT_SETTINGS, Scope, State, new_id, shown
from sandbox.stripe.subscriptions import Subscriptions

ORDERS = ("in_order", "reversed", "shuffled")
CHOICES = {"webhooks": ("sent", "shuffled", "held", "off"), "thin": (True, False)}
MOST_COPIES = 20
ACCOUNT_FACTS = ("charges_enabled", "payouts_enabled", "details_submitted", "requirements", "email", "country")


class Control:
    """The handlers under /control/stripe."""

    def __init__(
        self, state: State, *, access: Access, events: Events, intents: Intents, payments: Payments, charges: Charges,
        subscriptions: Subscriptions, checkout: Checkout, connect: Connect, catalog: Catalog,
    ) -> None:  # fmt: skip
        self._state = state
        self._access = access
        self._events = events
        self._connect = connect
        self._catalog = catalog
        self._acts = Acts(
            state, intents=intents, payments=payments, charges=charges, subscriptions=subscriptions, checkout=checkout,
            events=events,
        )  # fmt: skip

    def routes(self) -> Sequence[Route]:
        """Return the routes; each handler runs in one transaction."""
        own = (
            Route("GET", "/accounts", self.list_accounts),
            Route("POST", "/accounts", self.add_account),
            Route("POST", "/accounts/{key}", self.change_account),
            Route("POST", "/accounts/{key}/connect", self.connect_account),
            Route("POST", "/accounts/{key}/deauthorize", self.deauthorize),
            Route("POST", "/keys", self.add_key),
            Route("POST", "/keys/{key}/revoke", self.revoke_key),
            Route("POST", "/prices", self.add_price),
            Route("GET", "/endpoints", self.show_secrets),
            Route("POST", "/endpoints/{key}", self.change_endpoint),
            Route("GET", "/events", self.list_events),
            Route("POST", "/events", self.send_event),
            Route("POST", "/events/{key}/resend", self.resend),
            Route("GET", "/deliveries", self.list_deliveries),
            Route("POST", "/deliveries/release", self.release),
            Route("GET", "/settings", self.show_settings),
            Route("POST", "/settings", self.change_settings),
        )
        return [
            Route(found.method, found.pattern, self._whole(found.handler)) for found in (*own, *self._acts.routes())
        ]

    def _whole(self, handler: Callable[..., Response]) -> Callable[..., Response]:
        def handle(request: Request, **names: str) -> Response:
            with self._state.frame.store.transaction():
                try:
                    return handler(request, **names)
                except KeyError as error:
                    raise Refused(404, {"error": f"no such thing, or not in this state: {error}"}) from error

        return handle

    # Accounts and keys

    def list_accounts(self, request: Request) -> Response:
        """List the accounts with their keys; platforms with their client id and whom they may act for."""
        return json_answer({"accounts": [self._account(found) for found in self._state.collection("account").all()]})

    def add_account(self, request: Request) -> Response:
        """Add an account with a secret key: {name, platform?: bool}."""
        values = _values(request, "name", "platform")
        key = new_id("acct")
        settings = {"dashboard": {"display_name": values.get("name"), "timezone": "America/Sao_Paulo"}}
        account = self._connect.add_account(key, {"settings": settings})
        self._access.add_key(f"sk_test_sandbox{secrets.token_hex(10)}", account=key, rights=list(RIGHTS))
        if values.get("platform"):
            client_id = f"ca_test_sandbox{secrets.token_hex(8)}"
            self._state.collection("platform").put(key, {"account": key, "client_id": client_id})
        return json_answer(self._account(account), status=201)

    def change_account(self, request: Request, key: str) -> Response:
        """Change an account and tell its platforms: {charges_enabled?, requirements?, …, livemode?}."""
        values = _values(request, *ACCOUNT_FACTS, "livemode")
        livemode = bool(values.pop("livemode", False))
        return json_answer(shown(self._connect.change_account(key, livemode=livemode, values=values)))

    def connect_account(self, request: Request, key: str) -> Response:
        """Connect an account to a platform without OAuth: {platform, livemode?}."""
        values = _values(request, "platform", "livemode")
        self._connect.account(key)
        self._access.connect(values["platform"], key, livemode=bool(values.get("livemode")))
        return json_answer({"platform": values["platform"], "account": key}, status=201)

    def deauthorize(self, request: Request, key: str) -> Response:
        """Let the account leave a platform, which is told: {platform?, livemode?}; unless named, all of them."""
        values = _values(request, "platform", "livemode")
        livemode = bool(values.get("livemode"))
        owner = Scope(account=key, livemode=livemode).owner
        known = [found["platform"] for found in self._state.collection("connection").all(owner=owner)
                 if not found["revoked"]]  # fmt: skip
        for platform in [values["platform"]] if "platform" in values else known:
            self._connect.deauthorize(platform, key, livemode=livemode)
        return json_answer({"account": key, "left": known})

    def add_key(self, request: Request) -> Response:
        """Add a key: {key?, rights?, account?}; a right is a resource, or resource:read."""
        values = _values(request, "key", "rights", "account")
        key = str(values.get("key", "rk_test_" + secrets.token_hex(12)))
        if not KEY_SHAPE.fullmatch(key):
            raise Refused(400, {"error": "a key looks like sk_test_… or rk_test_…"})
        account = str(values.get("account", ACCOUNT["id"]))
        self._connect.account(account)
        rights = values.get("rights", list(RIGHTS) if key.startswith("sk_") else [])
        return json_answer(self._access.add_key(key, account=account, rights=list(rights)), status=201)

    def revoke_key(self, request: Request, key: str) -> Response:
        """Kill a key."""
        return json_answer(self._access.keys.change(key, revoked=True))

    def add_price(self, request: Request) -> Response:
        """Add a product with a price: {name, amount, currency?, interval?, account?, livemode?}."""
        values = _values(request, "name", "amount", "currency", "interval", "account", "livemode")
        price = self._catalog.add_price(
            _scope(values), name=values["name"], amount=int(values["amount"]), currency=values.get("currency", "brl"),
            recurring={"interval": values["interval"]} if values.get("interval") else None,
        )  # fmt: skip
        return json_answer(shown(price), status=201)

    # Webhooks

    def show_secrets(self, request: Request) -> Response:
        """List the endpoints with their secrets."""
        return json_answer({"endpoints": [shown(found) for found in self._state.collection("webhook_endpoint").all()]})

    def change_endpoint(self, request: Request, key: str) -> Response:
        """Change an endpoint: {thin?, api_version?, roll_overlap_s?}; a roll returns the new secret."""
        values = _values(request, "thin", "api_version", "roll_overlap_s")
        endpoints = self._state.collection("webhook_endpoint")
        endpoint = endpoints.get(key) or {}
        changes: Document = {}
        if "thin" in values:
            changes["_thin"] = bool(values["thin"])
        if "api_version" in values:
            changes["api_version"] = values["api_version"]
        if "roll_overlap_s" in values and endpoint:
            until = time.time() + float(values["roll_overlap_s"])
            changes["_old_secrets"] = [{"secret": endpoint["secret"], "until": until}]
            changes["secret"] = "whsec_test" + secrets.token_hex(16)
        return json_answer(shown(endpoints.change(key, **changes)))

    def list_events(self, request: Request) -> Response:
        """List the latest events of all accounts."""
        return json_answer({"events": [shown(found) for found in self._state.collection("event").all(last=100)]})

    def send_event(self, request: Request) -> Response:
        """
        Let something happen: {type, object, account?, livemode?, id?, created?, lost?, url + secret | endpoint, …}.

        With `lost` it is listed but no webhook is sent; without an address every endpoint that asked for the type gets
        it. `created` is its Unix time; `signature: wrong` and `age_s` spoil the signature of a post to an address.
        """
        values = _values(
            request, "type", "object", "account", "livemode", "id", "created", "lost", "url", "secret", "endpoint",
            "signature", "age_s", "previous",
        )  # fmt: skip
        endpoint = self._state.collection("webhook_endpoint").get(str(values.get("endpoint", ""))) or {}
        url, secret = values.get("url") or endpoint.get("url"), values.get("secret") or endpoint.get("secret")
        if bool(url) != bool(secret) or ("endpoint" in values and not endpoint):
            raise Refused(400, {"error": "needed: url and secret, or the id of an endpoint"})
        more: dict[str, Any] = {name: values[name] for name in ("id", "created") if name in values}
        event = self._events.emit(
            _scope(values), values.get("type", "invoice.paid"), values.get("object", {"object": "invoice"}),
            lost=bool(values.get("lost") or url), previous=values.get("previous"), **more,
        )  # fmt: skip
        if url and not values.get("lost"):
            self._events.post_to(
                event,
                url=str(url),
                secret=str(secret),
                age_s=values.get("age_s", 0),
                wrong=values.get("signature") == "wrong",
            )
        return json_answer({"event": event["id"]}, status=201)

    def resend(self, request: Request, key: str) -> Response:
        """Send an event again to every endpoint that asked for its type, as the Dashboard can."""
        event = self._state.collection("event").get(key)
        if event is None:
            raise KeyError(key)
        endpoints = self._events.endpoints_for(self._state.scope_of(event), event["type"])
        for endpoint in endpoints:
            self._events.queue(event, endpoint, copies=1, now=True)
        return json_answer({"sent": len(endpoints)})

    def list_deliveries(self, request: Request) -> Response:
        """List the latest posts and what came back."""
        return json_answer({"deliveries": self._events.listed()})

    def release(self, request: Request) -> Response:
        """Send the webhooks that were held: {order?: in_order|reversed|shuffled, copies?}."""
        values = _values(request, "order", "copies")
        order, copies = values.get("order", "in_order"), values.get("copies", 1)
        if order not in ORDERS or not isinstance(copies, int) or not 1 <= copies <= MOST_COPIES:
            raise Refused(400, {"error": f"order must be one of {', '.join(ORDERS)}, copies 1 to {MOST_COPIES}"})
        return json_answer({"sent": self._events.release(order=order, copies=copies)})

    def show_settings(self, request: Request) -> Response:
        """Show the settings in force."""
        return json_answer(self._state.settings())

    def change_settings(self, request: Request) -> Response:
        """Change some settings; see DEFAULT_SETTINGS in state.py."""
        values = _values(request, *DEFAULT_SETTINGS)
        for name, value in values.items():
            allowed = CHOICES.get(name)
            fits = value in allowed if allowed else value is None or (isinstance(value, int | float) and value >= 0)
            if not fits or (value is None and DEFAULT_SETTINGS[name] is not None and name != "refund_settles_after_s"):
                raise Refused(400, {"error": f"{name} cannot be {value}"})
        changed = self._state.settings() | values
        self._state.collection("settings").put("settings", changed)
        return json_answer(changed)

    def _account(self, account: Document) -> Document:
        key = account["id"]
        keys = [found for found in self._access.keys.all(owner=key) if not found.get("revoked")]
        shape = {"account": key, "name": account["settings"]["dashboard"]["display_name"], "keys": keys}
        platform = self._state.collection("platform").get(key)
        if platform is None:
            return shape
        connected = [
            found["account"]
            for found in self._state.collection("connection").all()
            if found["platform"] == key and not found["revoked"]
        ]
        return shape | {"platform": True, "client_id": platform["client_id"], "connected": connected}


def _values(request: Request, *allowed: str) -> Document:
    values = read_json(request)
    if unknown := set(values) - set(allowed):
        raise Refused(400, {"error": f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(allowed)}"})
    return values


def _scope(values: Document) -> Scope:
    account = str(values.get("account", ACCOUNT["id"]))
    if not re.fullmatch(r"acct_\w+", account):
        raise Refused(400, {"error": "account must be an account id"})
    return Scope(account=account, livemode=bool(values.get("livemode")))
