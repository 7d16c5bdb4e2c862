"""Business phone numbers: fields, webhook override, two-step pin, registration, profile, blocked users."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.fields import choice, listed, record, text, url
from sandbox.frame import json_answer
from sandbox.meta.errors import graph_error
from sandbox.meta.graph import GraphCall, Operation, choose_fields, page
from sandbox.store import Document
from sandbox.whatsapp.state import State
from sandbox.whatsapp.webhooks import CALLBACK_URL_CHARS, Webhooks

MANAGEMENT = ("whatsapp_business_management",)
MESSAGING = ("whatsapp_business_messaging",)
EITHER = ("whatsapp_business_management", "whatsapp_business_messaging")
FIELDS_ONLY = frozenset({"fields"})
PIN = text(least=6, most=6, pattern="[0-9]{6}")
# Ten (de)registrations of one number in 72 hours, then error 133016.
REGISTRATIONS, REGISTRATION_SPAN_S = 10, 72 * 3600
DEFAULT_FIELDS = (
    "verified_name", "code_verification_status", "display_phone_number", "quality_rating", "platform_type",
    "throughput", "webhook_configuration",
)  # fmt: skip
VERTICALS = (
    "UNDEFINED", "OTHER", "AUTO", "BEAUTY", "APPAREL", "EDU", "ENTERTAIN", "EVENT_PLAN", "FINANCE", "GROCERY", "GOVT",
    "HOTEL", "HEALTH", "NONPROFIT", "PROF_SERVICES", "RETAIL", "TRAVEL", "RESTAURANT", "NOT_A_BIZ", "ALCOHOL",
    "ONLINE_GAMBLING", "PHYSICAL_GAMBLING", "OTC_DRUGS", "MATRIMONY_SERVICE",
)  # fmt: skip
PROFILE_FIELDS = ("about", "address", "description", "email", "profile_picture_url", "websites", "vertical")
WHATSAPP = choice("whatsapp")
ONE_USER = record({"user": text(most=64)})
BLOCKED = record({"messaging_product": WHATSAPP, "block_users": listed(ONE_USER, least=1, most=1000)})
PROFILE = record(
    {"messaging_product": WHATSAPP},
    {
        "about": text(most=139),
        "address": text(least=0, most=256),
        "description": text(least=0, most=512),
        "email": text(least=0, most=128, pattern=r"([^@\s]+@[^@\s]+\.[^@\s]+)?"),
        "websites": listed(url(most=256), most=2),
        "vertical": choice(*VERTICALS),
        "profile_picture_handle": text(most=2000),
    },
)
CONFIGURATION = record(
    optional={
        "pin": PIN,
        "webhook_configuration": record(
            {"override_callback_uri": text(least=0, most=CALLBACK_URL_CHARS)}, {"verify_token": text(most=255)}
        ),
    },
    one_of=("pin", "webhook_configuration"),
)


class Numbers:
    """Operations on phone number nodes, except sending and media."""

    def __init__(self, state: State, webhooks: Webhooks) -> None:
        self._state = state
        self._webhooks = webhooks

    def operations(self) -> Sequence[Operation]:
        """Return the operations of numbers."""
        register = record({"messaging_product": WHATSAPP, "pin": PIN}, {"data_localization_region": text(most=2)})
        blocks, profile = "block_users", "whatsapp_business_profile"
        return (
            Operation(name="phone_number", method="GET", node="phone", handler=self.show, scopes=EITHER,
                      query=FIELDS_ONLY),
            Operation(name="phone_number.configure", method="POST", node="phone", handler=self.configure,
                      scopes=MANAGEMENT, body=CONFIGURATION),
            Operation(name="register", method="POST", node="phone", edge="register", handler=self.register,
                      scopes=MANAGEMENT, body=register),
            Operation(name="deregister", method="POST", node="phone", edge="deregister", handler=self.deregister,
                      scopes=MANAGEMENT, body=record(optional={"messaging_product": WHATSAPP}), body_optional=True),
            Operation(name="profile.show", method="GET", node="phone", edge=profile, handler=self.show_profile,
                      scopes=EITHER, query=FIELDS_ONLY),
            Operation(name="profile.change", method="POST", node="phone", edge=profile, handler=self.change_profile,
                      scopes=EITHER, body=PROFILE),
            Operation(name="block_users.list", method="GET", node="phone", edge=blocks, handler=self.list_blocked,
                      scopes=MESSAGING, query=frozenset({"limit", "after", "before"})),
            Operation(name="block_users.block", method="POST", node="phone", edge=blocks, handler=self.block,
                      scopes=MESSAGING, body=BLOCKED),
            Operation(name="block_users.unblock", method="DELETE", node="phone", edge=blocks, handler=self.unblock,
                      scopes=MESSAGING, body=BLOCKED),
        )  # fmt: skip

    def show(self, call: GraphCall) -> Document:
        """Return the asked fields of the number."""
        return phone_fields(self._state, call, call.node)

    def configure(self, call: GraphCall) -> Document:
        """Set the two-step pin, or the webhook address of this number (an empty one takes it away)."""
        if "pin" in call.body:
            self._state.phones.change(call.node["id"], pin=call.body["pin"])
            return {"success": True}
        wanted = call.body["webhook_configuration"]
        address = wanted["override_callback_uri"]
        if address:
            if "verify_token" not in wanted:
                raise graph_error(100, message="The parameter webhook_configuration['verify_token'] is required.")
            self._webhooks.check_callback(address, verify_token=wanted["verify_token"])
        with self._state.frame.store.transaction():
            phone = self._state.phone(call.node["id"])
            overrides = {**phone["overrides"], call.caller.app["id"]: address}
            kept = {app_id: uri for app_id, uri in overrides.items() if uri}
            self._state.phones.change(phone["id"], overrides=kept)
        return {"success": True}

    def register(self, call: GraphCall) -> Document:
        """Register the number for the Cloud API with its two-step pin."""
        self._count_registration(call.node)
        if call.node["pin"] and call.node["pin"] != call.body["pin"]:
            raise graph_error(
                133005, "The PIN entered does not match the two step verification PIN.", product="whatsapp"
            )
        self._state.phones.change(call.node["id"], pin=call.body["pin"], status="CONNECTED")
        return {"success": True}

    def deregister(self, call: GraphCall) -> Document:
        """Take the number off the Cloud API."""
        self._count_registration(call.node)
        self._state.phones.change(call.node["id"], status="DISCONNECTED")
        return {"success": True}

    def show_profile(self, call: GraphCall) -> Document:
        """Return the asked fields of the business profile."""
        asked = [name for name in call.query.get("fields", "").split(",") if name]
        for name in asked:
            if name not in (*PROFILE_FIELDS, "messaging_product"):
                raise graph_error(100, message=f"Tried accessing nonexistent field ({name})")
        profile = {name: call.node["profile"][name] for name in asked if call.node["profile"].get(name)}
        return {"data": [profile | {"messaging_product": "whatsapp"}]}

    def change_profile(self, call: GraphCall) -> Document:
        """Change the business profile."""
        changes = {name: value for name, value in call.body.items() if name in PROFILE_FIELDS}
        if not changes and "profile_picture_handle" not in call.body:
            raise graph_error(100, message="At least one profile field is required.")
        self._state.phones.change(call.node["id"], profile={**call.node["profile"], **changes})
        return {"success": True}

    def list_blocked(self, call: GraphCall) -> Document:
        """Return the users this number blocked."""
        chats = [chat for chat in self._state.chats.all(owner=call.node["id"]) if chat["blocked"]]
        entries: list[Document] = [{"messaging_product": "whatsapp", "wa_id": chat["customer"]} for chat in chats]
        return page(call, entries, key="wa_id")

    def block(self, call: GraphCall) -> object:
        """Block users who wrote within 24 hours; others fail one by one with 131047."""
        added, failed = [], []
        for entry in call.body["block_users"]:
            customer = self._known(entry["user"])
            named = {"input": entry["user"]} | ({"wa_id": customer} if customer else {})
            if customer and self._state.window_is_open(call.node["id"], customer):
                self._state.change_chat(call.node["id"], customer, blocked=True)
                added.append(named)
            else:
                details = {"details": "User has not messaged in the last 24 hours"}
                error = {"message": "Re-engagement required", "code": 131047, "error_data": details}
                failed.append(named | {"errors": [error]})
        if not failed:
            return {"messaging_product": "whatsapp", "block_users": {"added_users": added}}
        refusal = graph_error(139100, "Failed to block some users, see the block_users response list for details")
        body = {"messaging_product": "whatsapp", "block_users": {"added_users": added, "failed_users": failed}}
        return json_answer(body | dict(refusal.body if isinstance(refusal.body, dict) else {}), status=refusal.status)

    def unblock(self, call: GraphCall) -> Document:
        """Let blocked users write again."""
        removed = []
        for entry in call.body["block_users"]:
            customer = self._known(entry["user"])
            if customer:
                self._state.change_chat(call.node["id"], customer, blocked=False)
                removed.append({"input": entry["user"], "wa_id": customer})
        return {"messaging_product": "whatsapp", "block_users": {"removed_users": removed}}

    def _known(self, key: str) -> str | None:
        try:
            return str(self._state.customer(key)["id"])
        except KeyError:
            return None

    def _count_registration(self, phone: Document) -> None:
        now = self._state.frame.now()
        recent = [at for at in phone["registrations"] if now - at < REGISTRATION_SPAN_S]
        if len(recent) >= REGISTRATIONS:
            details = "Too many attempts for this phone number. Try again after 72 hours."
            raise graph_error(133016, details, product="whatsapp")
        self._state.phones.change(phone["id"], registrations=[*recent, now])


def phone_fields(state: State, call: GraphCall, phone: Document) -> Document:
    """Return the asked fields of one number."""
    waba = state.waba_of(phone)
    registered = phone["status"] == "CONNECTED"
    able = phone["can_send"] if registered else "BLOCKED"
    entities: list[Document] = [
        {"entity_type": "PHONE_NUMBER", "id": phone["id"], "can_send_message": able},
        {"entity_type": "WABA", "id": waba["id"], "can_send_message": waba["can_send"]},
        {"entity_type": "BUSINESS", "id": waba["business_id"], "can_send_message": "AVAILABLE"},
        {"entity_type": "APP", "id": call.caller.app["id"], "can_send_message": "AVAILABLE"},
    ]
    if not registered:
        entities[0]["errors"] = [
            {
                "error_code": 141000,
                "error_description": "The phone number is not registered.",
                "possible_solution": "Register the phone number before sending from it.",
            }
        ]
    values = {
        "id": phone["id"], "display_phone_number": phone["display_phone_number"],
        "verified_name": phone["verified_name"], "quality_rating": phone["quality_rating"], "status": phone["status"],
        "name_status": phone["name_status"], "code_verification_status": "VERIFIED", "platform_type": "CLOUD_API",
        "throughput": {"level": phone["throughput"]}, "account_mode": phone["account_mode"],
        "whatsapp_business_manager_messaging_limit": phone["tier"], "is_official_business_account": False,
        "is_on_biz_app": False, "is_pin_enabled": bool(phone["pin"]), "last_onboarded_time": "2026-03-02T13:05:00+0000",
        "webhook_configuration": _webhook_configuration(call, phone=phone, waba=waba),
        "health_status": {"can_send_message": _worst(able, waba["can_send"]), "entities": entities},
    }  # fmt: skip
    return choose_fields(call, values, default=DEFAULT_FIELDS, node="WhatsAppBusinessPhoneNumber")


def _webhook_configuration(call: GraphCall, *, phone: Document, waba: Document) -> Document:
    app = call.caller.app
    subscription = waba["subscriptions"].get(app["id"], {})
    found = {
        "phone_number": phone["overrides"].get(app["id"], ""),
        "whatsapp_business_account": subscription.get("override_callback_uri", ""),
        "application": app["webhook"]["callback_url"],
    }
    return {name: address for name, address in found.items() if address}


def _worst(*verdicts: str) -> str:
    order = ("BLOCKED", "LIMITED", "AVAILABLE")
    return min(verdicts, key=order.index)
