"""Accounts and apps: WABA fields, numbers of a WABA, subscriptions, the app's own webhook, tokens."""

from __future__ import annotations

from collections.abc import Sequence

from werkzeug.wrappers import Request

from sandbox.fields import choice, flag, record, text, url
from sandbox.meta.errors import graph_error
from sandbox.meta.graph import GraphCall, Operation, check_query, choose_fields, page
from sandbox.store import Document
from sandbox.whatsapp.numbers import phone_fields
from sandbox.whatsapp.state import SCOPES, State
from sandbox.whatsapp.webhooks import CALLBACK_URL_CHARS, FIELDS, Webhooks

MANAGEMENT = ("whatsapp_business_management",)
EITHER = ("whatsapp_business_management", "whatsapp_business_messaging")
PAGING = frozenset({"fields", "limit", "after", "before"})
CODE_LIVES_S = 30.0
SIXTY_DAYS_S = 60 * 86400
OVERRIDE = record(
    optional={"override_callback_uri": url(most=CALLBACK_URL_CHARS), "verify_token": text(most=255)},
)
SUBSCRIPTION = record(
    {
        "object": choice("whatsapp_business_account"),
        "callback_url": url(most=CALLBACK_URL_CHARS),
        "verify_token": text(most=255),
        "fields": text(most=2000),
    },
    {"include_values": flag},
)


class Accounts:
    """Operations on WABA and app nodes, and the calls that make and describe tokens."""

    def __init__(self, state: State, webhooks: Webhooks) -> None:
        self._state = state
        self._webhooks = webhooks

    def operations(self) -> Sequence[Operation]:
        """Return the operations of accounts and apps."""
        return (
            Operation(name="waba", method="GET", node="waba", handler=self.show, scopes=MANAGEMENT, query=PAGING),
            Operation(
                name="phone_numbers", method="GET", node="waba", edge="phone_numbers", handler=self.list_phones,
                scopes=EITHER, query=PAGING,
            ),
            Operation(
                name="subscribed_apps.list", method="GET", node="waba", edge="subscribed_apps",
                handler=self.list_subscribed, scopes=MANAGEMENT, query=PAGING,
            ),
            Operation(
                name="subscribed_apps.subscribe", method="POST", node="waba", edge="subscribed_apps",
                handler=self.subscribe, scopes=MANAGEMENT, body=OVERRIDE, body_optional=True,
            ),
            Operation(
                name="subscribed_apps.unsubscribe", method="DELETE", node="waba", edge="subscribed_apps",
                handler=self.unsubscribe, scopes=MANAGEMENT,
            ),
            Operation(
                name="subscriptions.list", method="GET", node="app", edge="subscriptions", app=True,
                handler=self.list_app_subscriptions,
            ),
            Operation(
                name="subscriptions.create", method="POST", node="app", edge="subscriptions", app=True,
                handler=self.subscribe_app, body=SUBSCRIPTION,
            ),
            Operation(
                name="subscriptions.delete", method="DELETE", node="app", edge="subscriptions", app=True,
                handler=self.unsubscribe_app, query=frozenset({"object", "fields"}),
            ),
        )  # fmt: skip

    def show(self, call: GraphCall) -> Document:
        """Return the asked fields of the account."""
        waba = call.node
        values = {
            "id": waba["id"], "name": waba["name"], "currency": "BRL", "timezone_id": "25",
            "message_template_namespace": waba["namespace"], "account_review_status": "APPROVED",
            "business_verification_status": "verified", "ownership_type": "SELF",
            "owner_business_info": {"id": waba["business_id"], "name": waba["name"]},
            "health_status": {
                "can_send_message": waba["can_send"],
                "entities": [{"entity_type": "WABA", "id": waba["id"], "can_send_message": waba["can_send"]}],
            },
        }  # fmt: skip
        return choose_fields(
            call, values, default=("name", "timezone_id", "message_template_namespace"), node="WhatsAppBusinessAccount"
        )

    def list_phones(self, call: GraphCall) -> Document:
        """Return the numbers of the account."""
        phones = self._state.phones.all(owner=call.node["id"])
        return page(call, [phone_fields(self._state, call, phone) for phone in phones])

    def list_subscribed(self, call: GraphCall) -> Document:
        """Return the apps that get this account's webhooks."""
        data = []
        for app_id, subscription in call.node["subscriptions"].items():
            app = self._state.tokens.apps.get(app_id) or {"name": ""}
            link = f"https://www.facebook.com/games/?app_id={app_id}"
            entry: Document = {"whatsapp_business_api_data": {"link": link, "name": app["name"], "id": app_id}}
            if subscription["override_callback_uri"]:
                entry["override_callback_uri"] = subscription["override_callback_uri"]
            data.append(entry)
        return {"data": data}

    def subscribe(self, call: GraphCall) -> Document:
        """Subscribe the caller's app; with an address for this account only, or without one to take it away."""
        override = call.body.get("override_callback_uri", "")
        if bool(override) != ("verify_token" in call.body):
            raise graph_error(100, message="override_callback_uri and verify_token must be sent together.")
        if override:
            self._webhooks.check_callback(override, verify_token=call.body["verify_token"])
        self._change_subscriptions(call, {call.caller.app["id"]: {"override_callback_uri": override}})
        return {"success": True}

    def unsubscribe(self, call: GraphCall) -> Document:
        """Stop all webhooks of this account to the caller's app."""
        self._change_subscriptions(call, {call.caller.app["id"]: None})
        return {"success": True}

    def list_app_subscriptions(self, call: GraphCall) -> Document:
        """Return the app's own webhook."""
        webhook = call.node["webhook"]
        if not webhook["callback_url"]:
            return {"data": []}
        fields = [{"name": name, "version": call.version} for name in webhook["fields"]]
        entry = {"object": "whatsapp_business_account", "callback_url": webhook["callback_url"], "active": True}
        return {"data": [entry | {"fields": fields}]}

    def subscribe_app(self, call: GraphCall) -> Document:
        """Set the app's own webhook after the address answered the challenge."""
        fields = [name.strip() for name in call.body["fields"].split(",") if name.strip()]
        for name in fields:
            if name not in FIELDS:
                raise graph_error(100, message=f"Param fields names an unknown field: {name}")
        self._webhooks.check_callback(call.body["callback_url"], verify_token=call.body["verify_token"])
        self.set_app_webhook(
            call.node["id"], url=call.body["callback_url"], verify_token=call.body["verify_token"], fields=fields
        )
        return {"success": True}

    def unsubscribe_app(self, call: GraphCall) -> Document:
        """Take the app's own webhook away."""
        self.set_app_webhook(call.node["id"], url="", verify_token="", fields=[])
        return {"success": True}

    def set_app_webhook(self, app_id: str, *, url: str, verify_token: str, fields: list[str]) -> Document:
        """Write the app's own webhook down without asking; :raises KeyError: no such app."""
        webhook = {"callback_url": url, "verify_token": verify_token, "fields": fields}
        return self._state.tokens.apps.change(app_id, webhook=webhook)

    # Calls without a node

    def debug_token(self, request: Request) -> Document:
        """Describe a token to its own app, which proves itself by an app token in the query or as Bearer."""
        query = check_query(request, allowed=frozenset({"input_token", "access_token"}))
        if "input_token" not in query:
            raise graph_error(100, message="The parameter input_token is required")
        if "access_token" in query:
            caller = self._state.tokens.identify(query["access_token"])
        else:
            caller = self._state.tokens.caller(request)
        data = self._state.tokens.describe(query["input_token"])
        if data.get("app_id") not in (None, caller.app["id"]):
            raise graph_error(100, message="The App_id in the input_token did not match the Viewing App")
        return {"data": data}

    def access_token(self, request: Request) -> Document:
        """Give a token for a signup code (once, within 30 s), or a 60-day token for a system user's older one."""
        names = {
            "client_id",
            "client_secret",
            "code",
            "grant_type",
            "fb_exchange_token",
            "set_token_expires_in_60_days",
        }
        query = check_query(request, allowed=frozenset(names))
        caller = self._state.tokens.identify(f"{query.get('client_id', '')}|{query.get('client_secret', '')}")
        if query.get("grant_type") == "fb_exchange_token":
            return self._exchange(query, app_id=caller.app["id"])
        code = self._state.codes.get(query.get("code", ""))
        if code is None or code["app_id"] != caller.app["id"]:
            raise graph_error(100, message="Invalid verification code format.", subcode=36009)
        self._state.codes.delete(code["id"])
        if self._state.frame.now() - code["at"] > CODE_LIVES_S:
            raise graph_error(100, message="This authorization code has expired.", subcode=36007)
        token = self._state.tokens.mint(app_id=caller.app["id"], scopes=SCOPES, targets=code["targets"])
        return {"access_token": token["token"], "token_type": "bearer"}

    def _exchange(self, query: Document, *, app_id: str) -> Document:
        old = self._state.tokens.identify(query.get("fb_exchange_token", "")).token
        if old is None or old["app_id"] != app_id:
            raise graph_error(190)
        lasts = query.get("set_token_expires_in_60_days") == "true"
        expires_at = int(self._state.frame.now()) + SIXTY_DAYS_S if lasts else 0
        token = self._state.tokens.mint(
            app_id=app_id, scopes=old["scopes"], targets=old["targets"], expires_at=expires_at
        )
        answer = {"access_token": token["token"], "token_type": "bearer"}
        return answer | ({"expires_in": SIXTY_DAYS_S} if lasts else {})

    def _change_subscriptions(self, call: GraphCall, changes: dict[str, Document | None]) -> None:
        with self._state.frame.store.transaction():
            waba = self._state.wabas.get(call.node["id"]) or call.node
            changed = {**waba["subscriptions"], **changes}
            kept = {app_id: entry for app_id, entry in changed.items() if entry is not None}
            self._state.wabas.change(waba["id"], subscriptions=kept)
