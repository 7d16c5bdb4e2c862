"""Control of the WhatsApp stand-in: accounts, customers, tokens, templates, quality."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from werkzeug.wrappers import Request, Response

from sandbox.frame import Refused, Route, json_answer, read_json
from sandbox.meta.tokens import DEATHS, token_death
from sandbox.store import Document
from sandbox.whatsapp.customers import BadMessage, Customers
from sandbox.whatsapp.scenarios import Scenarios
from sandbox.whatsapp.seed import PLATFORM_APP_ID, Business, add_business, all_fields, fake_secret
from sandbox.whatsapp.sending import Sending
from sandbox.whatsapp.state import SCOPES, State, chat_key, new_number
from sandbox.whatsapp.templates import Templates
from sandbox.whatsapp.webhooks import FIELDS, Webhooks

# what may be set on a number: allowed values
PHONE_CHOICES: dict[str, tuple[str, ...]] = {
    "quality_rating": ("GREEN", "YELLOW", "RED", "NA"),
    "status": ("CONNECTED", "DISCONNECTED", "FLAGGED", "RESTRICTED", "BANNED", "PENDING"),
    "name_status": ("APPROVED", "PENDING_REVIEW", "DECLINED", "EXPIRED", "NONE"),
    "throughput": ("STANDARD", "HIGH"),
    "tier": ("TIER_50", "TIER_250", "TIER_2K", "TIER_10K", "TIER_100K", "TIER_UNLIMITED"),
    "account_mode": ("LIVE", "SANDBOX"),
    "can_send": ("AVAILABLE", "LIMITED", "BLOCKED"),
}
# A phone shows the end of a chat; the page asks every second.
SHOWN_MESSAGES = 200
TEMPLATE_STATUSES = {
    "approve": "APPROVED", "reject": "REJECTED", "pause": "PAUSED", "disable": "DISABLED", "flag": "FLAGGED",
}  # fmt: skip


class Control:
    """The handlers under /control/whatsapp."""

    def __init__(
        self, state: State, *, webhooks: Webhooks, templates: Templates, sending: Sending, customers: Customers
    ) -> None:
        self._state = state
        self._webhooks = webhooks
        self._templates = templates
        self._sending = sending
        self._customers = customers
        self._scenarios = Scenarios(state, webhooks=webhooks, sending=sending, customers=customers)

    def routes(self) -> Sequence[Route]:
        """Return the routes."""
        return (
            Route("GET", "/accounts", self.list_accounts),
            Route("POST", "/accounts", self.add_account),
            Route("GET", "/apps", self.list_apps),
            Route("POST", "/apps/{app_id}", self.change_app),
            Route("POST", "/apps/{app_id}/webhook", self.set_webhook),
            Route("POST", "/tokens", self.mint_token),
            Route("POST", "/tokens/{token}/revoke", self.revoke_token),
            Route("POST", "/signup-codes", self.add_signup_code),
            Route("POST", "/phones/{phone_number_id}", self.change_phone),
            Route("GET", "/phones/{phone_number_id}/customers", self.list_customers),
            Route("POST", "/customers/{customer}", self.change_customer),
            Route("POST", "/customers/{customer}/messages", self.write),
            Route("GET", "/customers/{customer}/messages", self.list_messages),
            Route("POST", "/customers/{customer}/read", self.read),
            Route("POST", "/customers/{customer}/window", self.set_window),
            Route("POST", "/customers/{customer}/user-id", self.change_user_id),
            Route("GET", "/templates", self.list_templates),
            Route("POST", "/templates/{template_id}/{verdict}", self.review_template),
            Route("GET", "/deliveries", self.list_deliveries),
            Route("POST", "/deliveries", self.play_scenario),
            Route("POST", "/events", self.send_event),
        )

    # Accounts, apps, tokens

    def list_accounts(self, request: Request) -> Response:
        """List what the product needs to connect each number, with the business's own app and with the platform's."""
        return json_answer({"accounts": [self._account(phone) for phone in self._state.phones.all()]})

    def add_account(self, request: Request) -> Response:
        """Add a business with an app of its own, or of `app_id`: {name, display_phone_number?, app_id?}."""
        values = _values(request, "name", "display_phone_number", "app_id")
        name = _required(values, "name")
        app_id = values.get("app_id") or new_number()
        business = Business(
            name=name, app_id=app_id, business_id=new_number(), waba_id=new_number(), phone_number_id=new_number(),
            display_phone_number=values.get("display_phone_number") or f"+1 555-01{secrets.randbelow(10**5):05d}",
        )  # fmt: skip
        with self._state.frame.store.transaction():
            if self._state.tokens.apps.get(app_id) is None:
                self._state.tokens.add_app(app_id, secret=fake_secret(app_id), name=name)
            add_business(self._state, business)
            for owner in {app_id, PLATFORM_APP_ID}:
                self._state.tokens.mint(app_id=owner, scopes=SCOPES, targets=[business.waba_id])
        return json_answer(self._account(self._state.phone(business.phone_number_id)), status=201)

    def list_apps(self, request: Request) -> Response:
        """List the apps with their secrets; the platform's own has `platform: true`."""
        apps = [app | {"platform": app["id"] == PLATFORM_APP_ID} for app in self._state.tokens.apps.all()]
        return json_answer({"apps": apps})

    def change_app(self, request: Request, app_id: str) -> Response:
        """Change an app's setting: {require_proof}."""
        values = _values(request, "require_proof")
        return json_answer(self._changed(self._state.tokens.apps, app_id, require_proof=bool(values["require_proof"])))

    def set_webhook(self, request: Request, app_id: str) -> Response:
        """Set the app's own webhook, as in the App Dashboard: {url, verify_token, fields?}; the address is asked."""
        values = _values(request, "url", "verify_token", "fields")
        url, fields = values.get("url", ""), values.get("fields") or all_fields()
        if not set(fields) <= FIELDS:
            raise Refused(400, {"error": f"fields must be among {', '.join(sorted(FIELDS))}"})
        if url:
            self._webhooks.check_callback(url, verify_token=_required(values, "verify_token"))
        webhook = {"callback_url": url, "verify_token": values.get("verify_token", ""), "fields": fields}
        return json_answer(self._changed(self._state.tokens.apps, app_id, webhook=webhook))

    def mint_token(self, request: Request) -> Response:
        """Make a token: {app_id, waba_ids, scopes?, expires_in_s?}."""
        values = _values(request, "app_id", "waba_ids", "scopes", "expires_in_s")
        expires_in_s = values.get("expires_in_s")
        token = self._state.tokens.mint(
            app_id=_required(values, "app_id"), targets=list(values.get("waba_ids", [])),
            scopes=list(values.get("scopes", SCOPES)),
            expires_at=int(self._state.frame.now() + expires_in_s) if expires_in_s is not None else 0,
        )  # fmt: skip
        return json_answer(token, status=201)

    def revoke_token(self, request: Request, token: str) -> Response:
        """Kill a token: {reason?: revoked|expired|app_removed}."""
        reason = _values(request, "reason").get("reason", "revoked")
        if reason not in DEATHS:
            raise Refused(400, {"error": f"reason must be one of {', '.join(DEATHS)}"})
        return json_answer(self._changed(self._state.tokens.tokens, token, death=reason))

    def add_signup_code(self, request: Request) -> Response:
        """Make the code that Embedded Signup hands to the browser: {app_id?, waba_id}; it lives 30 s."""
        values = _values(request, "app_id", "waba_id")
        code = {
            "id": "AQtest" + secrets.token_urlsafe(40), "app_id": values.get("app_id", PLATFORM_APP_ID),
            "targets": [_required(values, "waba_id")], "at": self._state.frame.now(),
        }  # fmt: skip
        self._state.codes.put(code["id"], code)
        return json_answer({"code": code["id"], "app_id": code["app_id"], "waba_id": values["waba_id"]}, status=201)

    def change_phone(self, request: Request, phone_number_id: str) -> Response:
        """Set quality, tier, status and the like of a number, telling the business where Meta would."""
        values = _values(request, *PHONE_CHOICES, "allowed_recipients")
        for name, value in values.items():
            if name in PHONE_CHOICES and value not in PHONE_CHOICES[name]:
                raise Refused(400, {"error": f"{name} must be one of {', '.join(PHONE_CHOICES[name])}"})
        phone = self._changed(self._state.phones, phone_number_id, **values)
        self._scenarios.tell_change(phone, values)
        return json_answer(phone)

    # Customers

    def list_customers(self, request: Request, phone_number_id: str) -> Response:
        """List the customers this number has a chat with."""
        self._phone(phone_number_id)
        found = []
        for chat in self._state.chats.all(owner=phone_number_id):
            customer = self._state.customers.get(chat["customer"])
            if customer:
                found.append(customer | {"blocked": chat["blocked"]})
        return json_answer({"customers": found})

    def change_customer(self, request: Request, customer: str) -> Response:
        """Make or change a customer: {name?, username?, on_whatsapp?, takes_marketing?}."""
        values = _values(request, "name", "username", "on_whatsapp", "takes_marketing")
        found = self._customer(customer, name=values.get("name"), username=values.get("username"))
        flags = {name: bool(values[name]) for name in ("on_whatsapp", "takes_marketing") if name in values}
        return json_answer(self._changed(self._state.customers, found["id"], **flags))

    def write(self, request: Request, customer: str) -> Response:
        """Let a customer write: {phone_number_id, type, name?, …}; returns the message and the webhooks to come."""
        spec = read_json(request)
        phone = self._phone(spec.get("phone_number_id", ""))
        writer = self._customer(customer, name=spec.get("name"), username=spec.get("username"))
        try:
            message, count = self._customers.write(phone, writer, spec)
        except BadMessage as error:
            raise Refused(400, {"error": str(error)}) from error
        return json_answer({"message_id": message["id"], "webhooks": count, "message": _shown(message)}, status=201)

    def list_messages(self, request: Request, customer: str) -> Response:
        """Show the chat as the customer's phone does: ?phone_number_id=."""
        phone = self._phone(request.args.get("phone_number_id", ""))
        reader = self._customer(customer)
        chat = self._state.chat(phone["id"], reader["id"])
        messages = self._state.messages.all(owner=chat_key(phone["id"], reader["id"]), last=SHOWN_MESSAGES)
        business_id = self._state.waba_of(phone)["business_id"]
        return json_answer({
            "customer": reader | {"user_id": self._state.bsuid(reader, business_id=business_id)},
            "business": {"name": phone["verified_name"], "display_phone_number": phone["display_phone_number"]},
            "typing": chat["typing_until"] > self._state.frame.now(),
            "window_open": self._state.window_is_open(phone["id"], reader["id"]),
            "messages": [_shown(message) for message in messages],
        })  # fmt: skip

    def read(self, request: Request, customer: str) -> Response:
        """Let the customer open the chat: {phone_number_id}; or listen to one voice note: {…, played: message id}."""
        values = _values(request, "phone_number_id", "played")
        phone, reader = self._phone(values.get("phone_number_id", "")), self._customer(customer)
        count = self._sending.read_all(phone["id"], reader["id"])
        if values.get("played"):
            count += self._sending.advance(values["played"], "played")
        return json_answer({"changed": count})

    def set_window(self, request: Request, customer: str) -> Response:
        """Move the customer's last message into the past: {phone_number_id, hours_ago}; 24 closes the window."""
        values = _values(request, "phone_number_id", "hours_ago")
        phone, writer = self._phone(values.get("phone_number_id", "")), self._customer(customer)
        at = self._state.frame.now() - float(values.get("hours_ago", 24)) * 3600
        self._state.change_chat(phone["id"], writer["id"], last_incoming_at=at)
        return json_answer({"window_open": self._state.window_is_open(phone["id"], writer["id"])})

    def change_user_id(self, request: Request, customer: str) -> Response:
        """Give the customer new business-scoped ids and send user_id_update: {phone_number_id}."""
        values = _values(request, "phone_number_id")
        phone, writer = self._phone(values.get("phone_number_id", "")), self._customer(customer)
        return json_answer({"webhooks": self._customers.change_user_id(phone, writer)})

    # Templates and webhooks

    def list_templates(self, request: Request) -> Response:
        """List all templates: ?waba_id=."""
        return json_answer({"templates": self._state.templates.all(owner=request.args.get("waba_id"))})

    def review_template(self, request: Request, template_id: str, verdict: str) -> Response:
        """End a review: approve, reject {reason?}, pause, disable, flag."""
        if verdict not in TEMPLATE_STATUSES:
            raise Refused(404, {"error": f"the verdict must be one of {', '.join(TEMPLATE_STATUSES)}"})
        default = "INVALID_FORMAT" if verdict == "reject" else "NONE"
        reason = _values(request, "reason").get("reason", default)
        try:
            template = self._templates.set_status(template_id, status=TEMPLATE_STATUSES[verdict], reason=reason)
        except KeyError as error:
            raise Refused(404, {"error": "no such template"}) from error
        return json_answer(template)

    def list_deliveries(self, request: Request) -> Response:
        """List the latest webhook POSTs and what came back."""
        return json_answer({"deliveries": self._webhooks.listed()})

    def play_scenario(self, request: Request) -> Response:
        """Send webhooks in a difficult way: {mode, phone_number_id, …}; see scenarios.py."""
        values = read_json(request)
        phone = self._phone(values.get("phone_number_id", ""))
        return json_answer({"deliveries": self._scenarios.play(phone, values)}, status=201)

    def send_event(self, request: Request) -> Response:
        """Send any change of an account: {field, value, waba_id | phone_number_id}."""
        values = _values(request, "field", "value", "waba_id", "phone_number_id")
        phone = self._phone(values["phone_number_id"]) if values.get("phone_number_id") else None
        waba = self._state.wabas.get(values.get("waba_id", "")) if phone is None else self._state.waba_of(phone)
        if waba is None or values.get("field") not in FIELDS or not isinstance(values.get("value"), dict):
            raise Refused(400, {"error": "needed: a known field, a value, and a waba_id or phone_number_id"})
        return json_answer({"webhooks": self._webhooks.emit(values["field"], values["value"], phone=phone, waba=waba)})

    # Look-ups

    def _account(self, phone: Document) -> Document:
        waba = self._state.waba_of(phone)
        tokens = [
            token for token in self._state.tokens.tokens.all()
            if waba["id"] in token["targets"] and not token_death(token)
        ]  # fmt: skip
        own = next((token for token in tokens if token["app_id"] != PLATFORM_APP_ID), None)
        platform = next((token for token in tokens if token["app_id"] == PLATFORM_APP_ID), None)
        app = self._state.tokens.apps.get(own["app_id"]) if own else None
        return {
            "name": waba["name"], "business_id": waba["business_id"], "waba_id": waba["id"],
            "phone_number_id": phone["id"], "display_phone_number": phone["display_phone_number"],
            "app_id": app["id"] if app else None, "app_secret": app["secret"] if app else None,
            "access_token": own["token"] if own else None,
            "platform_app_id": PLATFORM_APP_ID, "platform_access_token": platform["token"] if platform else None,
        }  # fmt: skip

    def _phone(self, phone_number_id: object) -> Document:
        try:
            return self._state.phone(str(phone_number_id))
        except KeyError as error:
            raise Refused(404, {"error": "phone_number_id names no number; see /control/whatsapp/accounts"}) from error

    def _customer(self, key: str, *, name: str | None = None, username: str | None = None) -> Document:
        try:
            return self._state.customer(key, name=name, username=username)
        except KeyError as error:
            raise Refused(404, {"error": "a customer is a phone number, an @username or a known user id"}) from error

    def _changed(self, collection: Any, key: str, **values: object) -> Document:
        try:
            document: Document = collection.change(key, **values)
        except KeyError as error:
            raise Refused(404, {"error": f"no such {collection.kind}"}) from error
        return document


def _values(request: Request, *names: str) -> dict[str, Any]:
    values = read_json(request)
    unknown = [name for name in values if name not in names]
    if unknown:
        raise Refused(400, {"error": f"unknown: {', '.join(unknown)}; known: {', '.join(names)}"})
    return values


def _required(values: dict[str, Any], name: str) -> str:
    if not values.get(name):
        raise Refused(400, {"error": f"{name} is needed"})
    return str(values[name])


def _shown(message: Document) -> Document:
    kept = ("id", "direction", "type", "content", "context", "status", "error", "at")
    return {name: message.get(name) for name in kept}
