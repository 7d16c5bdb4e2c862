"""Calls to /messages: check, accept, and let the statuses follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sandbox.fields import FieldProblem
from sandbox.frame import Refused
from sandbox.meta.errors import graph_error, status_error
from sandbox.meta.graph import GraphCall, Operation
from sandbox.store import Document
from sandbox.whatsapp import rules
from sandbox.whatsapp.media import Media, format_of
from sandbox.whatsapp.state import State, new_wamid, phone_digits, unix
from sandbox.whatsapp.templates import Templates, fill
from sandbox.whatsapp.webhooks import Webhooks

MESSAGING = ("whatsapp_business_messaging",)
RANK = {"accepted": 0, "sent": 1, "delivered": 2, "read": 3, "played": 4}
READABLE_S = 30 * 86400
TYPING_S = 25.0
PAIR_REFILL_PER_S = 1 / 6
MEDIA_TYPES = ("image", "video", "audio", "document", "sticker")
UNKNOWN_FIELD = 100
CODES = {"missing": 131008, "invalid": 131009, "unknown": UNKNOWN_FIELD}


def message_refusal(problem: FieldProblem) -> Refused:
    """Return the Cloud API's refusal of a message with a wrong field."""
    if isinstance(problem, rules.UnsupportedType):
        return graph_error(131051, problem.reason, product="whatsapp")
    if problem.path == "messaging_product":
        return graph_error(100, message="The parameter messaging_product is required.")
    code = CODES[problem.kind]
    if code == UNKNOWN_FIELD:
        return graph_error(code, message=problem.reason, product="whatsapp")
    return graph_error(code, problem.reason, product="whatsapp")


class Sending:
    """The operation `messages` and the statuses it causes."""

    def __init__(self, state: State, *, webhooks: Webhooks, templates: Templates, media: Media) -> None:
        self._state = state
        self._webhooks = webhooks
        self._templates = templates
        self._media = media
        self._buckets = state.frame.buckets

    def operations(self) -> Sequence[Operation]:
        """Return the one operation that sends and marks as read."""
        return (
            Operation(name="messages", method="POST", node="phone", edge="messages", handler=self.send,
                      scopes=MESSAGING, body=_body_rule),
        )  # fmt: skip

    def send(self, call: GraphCall) -> Document:
        """Accept a message, or mark an incoming one as read."""
        phone, body = call.node, call.body
        if phone["status"] != "CONNECTED":
            raise graph_error(133010, "The phone number is not registered on the Cloud API.", product="whatsapp")
        rate = self._state.frame.settings.throughput_per_s
        if not self._buckets.take(f"number:{phone['id']}", burst=rate, refill_per_s=float(rate)):
            raise graph_error(130429, "Cloud API message throughput has been reached.", product="whatsapp")
        if "status" in body:
            return self._mark_read(phone, body)
        customer, contact = self._recipient(phone, body)
        self._check_pair(phone, customer)
        content, pricing = self._content(phone, body, customer=customer)
        failure = self._unreachable(phone, body, customer=customer)
        if failure and not self._state.frame.settings.refuse_late:
            raise failure
        message = self._accept(phone, body, customer=customer, content=content, pricing=pricing)
        self._schedule(message, failure=failure)
        sent: Document = {"id": message["id"]}
        if body.get("type") == "template":
            sent["message_status"] = "accepted"
        return {"messaging_product": "whatsapp", "contacts": [contact], "messages": [sent]}

    # What follows a send

    def advance(self, message_id: str, status: str, *, error: Document | None = None) -> bool:
        """Move a message forward and send the status; say whether it moved."""
        with self._state.frame.store.transaction():
            message = self._state.messages.get(message_id)
            if message is None or message["status"] == "failed":
                return False
            if status != "failed" and RANK[status] <= RANK[message["status"]]:
                return False
            with_pricing = status == "sent" or (status in ("delivered", "read") and not message["priced"])
            priced = message["priced"] or status in ("delivered", "read")
            self._state.messages.change(message_id, status=status, priced=priced, error=error)
        self.emit_status(message, status, pricing=with_pricing, error=error)
        return True

    def emit_status(
        self, message: Document, status: str, *, pricing: bool = False, error: Document | None = None,
        at: float | None = None,
    ) -> None:  # fmt: skip
        """Send one status webhook, whatever the message's state is."""
        phone = self._state.phone(message["phone_number_id"])
        value = self.status_value(phone, message, status=status, pricing=pricing, error=error, at=at)
        self._webhooks.emit("messages", value, phone=phone)

    def status_value(
        self, phone: Document, message: Document, *, status: str, pricing: bool = False,
        error: Document | None = None, at: float | None = None,
    ) -> Document:  # fmt: skip
        """Return the `value` of a status webhook."""
        customer = self._state.customers.get(message["customer"]) or {}
        user_id = self._state.bsuid(customer, business_id=self._state.waba_of(phone)["business_id"])
        entry: Document = {"id": message["id"], "status": status, "timestamp": unix(at)}
        if customer.get("phone"):
            entry["recipient_id"] = customer["phone"]
        entry["recipient_user_id"] = user_id
        if pricing:
            entry["pricing"] = message["pricing"]
        if message["opaque"]:
            entry["biz_opaque_callback_data"] = message["opaque"]
        if error:
            entry["errors"] = [error]
        value: Document = {"messaging_product": "whatsapp", "metadata": metadata(phone)}
        if status in ("delivered", "read"):
            value["contacts"] = [contact_of(customer, user_id=user_id)]
        return value | {"statuses": [entry]}

    def follow(self, job: Document, attempts: int) -> None:
        """Do a planned step: the next status of a message."""
        self.advance(job["message"], job["status"], error=job.get("error"))

    def read_all(self, phone_number_id: str, customer_id: str) -> int:
        """Let the customer open the chat: everything the business wrote is read; return how many were new."""
        count = 0
        for message in self._state.messages.all(owner=f"{phone_number_id}:{customer_id}"):
            if message["direction"] != "outgoing" or message["type"] == "reaction":
                continue
            if message["status"] == "accepted":
                self.advance(message["id"], "sent")
            count += self.advance(message["id"], "read")
        return count

    # The checks of one send

    def _recipient(self, phone: Document, body: Document) -> tuple[Document, Document]:
        if body.get("recipient_type") == "group":
            raise graph_error(131009, "Groups are not enabled for this phone number.", product="whatsapp")
        if "to" not in body:
            return self._by_user_id(phone, body)
        digits = phone_digits(body["to"])
        if digits is None:
            raise graph_error(131009, "Param to is not a valid phone number.", product="whatsapp")
        if digits == phone_digits(phone["display_phone_number"]):
            raise graph_error(131021, "Sender and recipient phone number is the same.", product="whatsapp")
        if phone["account_mode"] == "SANDBOX" and digits not in phone["allowed_recipients"]:
            raise graph_error(131030, "Add the recipient phone number to the list of test numbers.", product="whatsapp")
        return self._state.customer(digits), {"input": body["to"], "wa_id": digits}

    def _by_user_id(self, phone: Document, body: Document) -> tuple[Document, Document]:
        alias = self._state.aliases.get(body["recipient"])
        customer = self._state.customers.get(alias["customer"]) if alias else None
        business_id = self._state.waba_of(phone)["business_id"]
        if customer is None or self._state.bsuid(customer, business_id=business_id) != body["recipient"]:
            raise graph_error(131026, "The business-scoped user id is not known to this business.", product="whatsapp")
        return customer, {"input": body["recipient"], "user_id": body["recipient"]}

    def _check_pair(self, phone: Document, customer: Document) -> None:
        burst = self._state.frame.settings.pair_burst
        key = f"pair:{phone['id']}:{customer['id']}"
        if not self._buckets.take(key, burst=burst, refill_per_s=PAIR_REFILL_PER_S):
            details = "Too many messages were sent from this phone number to the same one in a short time."
            raise graph_error(131056, details, product="whatsapp")

    def _content(self, phone: Document, body: Document, *, customer: Document) -> tuple[Document, Document]:
        kind = body.get("type", "text")
        check = CONTENT_CHECKS.get(kind)
        if check:
            check(self, phone, body)
        context = body.get("context", {}).get("message_id")
        if context and self._in_chat(phone, customer, context) is None:
            raise graph_error(131009, "Param context['message_id'] names no message of this chat.", product="whatsapp")
        if kind == "reaction" and self._in_chat(phone, customer, body["reaction"]["message_id"]) is None:
            raise graph_error(131009, "Param reaction['message_id'] names no message of this chat.", product="whatsapp")
        free = self._state.window_is_open(phone["id"], customer["id"])
        if kind != "template":
            return body[kind], _pricing("service", free=True)
        return self._template(phone, body, free=free)

    def _template(self, phone: Document, body: Document, *, free: bool) -> tuple[Document, Document]:
        sent = body["template"]
        template = self._templates.find(waba_id=phone["waba_id"], name=sent["name"], language=sent["language"]["code"])
        if template["category"] == "AUTHENTICATION" and "to" not in body:
            details = "Authentication templates cannot be sent to a business-scoped user id."
            raise graph_error(131062, details, product="whatsapp")
        components = sent.get("components", [])
        for component in components:
            component.setdefault("parameters", [])
            for parameter in component["parameters"]:
                self._check_file(phone, parameter["type"], parameter)
        filled = fill(template, components)
        category = template["category"].lower()
        shown = {"header": filled.header, "body": filled.body, "footer": filled.footer, "buttons": filled.buttons}
        return sent | {"shown": shown}, _pricing(category, free=free and category == "utility")

    def _check_file(self, phone: Document, kind: str, holder: Document) -> None:
        media_id = holder.get(kind, {}).get("id") if kind in MEDIA_TYPES else None
        if media_id is None:
            return
        media = self._media.find(media_id)
        if media is None or media["phone_number_id"] != phone["id"]:
            message = f"Param {kind}['id'] is not a valid whatsapp business account media attachment ID"
            raise graph_error(100, message=message)
        found = format_of(media["mime_type"])
        if kind != "document" and (found is None or found.kind != kind):
            raise graph_error(131053, f"Unsupported {kind} mime type {media['mime_type']}.", product="whatsapp")

    def _check_interactive(self, phone: Document, body: Document) -> None:
        header = body["interactive"].get("header")
        if header:
            self._check_file(phone, header["type"], header)

    def _check_media(self, phone: Document, body: Document) -> None:
        self._check_file(phone, body["type"], body)

    def _unreachable(self, phone: Document, body: Document, *, customer: Document) -> Refused | None:
        chat = self._state.chat(phone["id"], customer["id"])
        is_template = body.get("type") == "template"
        if not customer["on_whatsapp"]:
            return graph_error(131026, "Message Undeliverable.", product="whatsapp")
        if chat["blocked"]:
            return graph_error(130403, "The business blocked this user.", product="whatsapp")
        if not is_template and not self._state.window_is_open(phone["id"], customer["id"]):
            details = (
                "Message failed to send because more than 24 hours have passed since the customer last replied to this"
                " number."
            )
            return graph_error(131047, details, product="whatsapp")
        if is_template and not customer["takes_marketing"] and self._is_marketing(phone, body):
            return graph_error(131050, "The user stopped marketing messages of this business.", product="whatsapp")
        return None

    def _is_marketing(self, phone: Document, body: Document) -> bool:
        sent = body["template"]
        template = self._templates.find(waba_id=phone["waba_id"], name=sent["name"], language=sent["language"]["code"])
        return bool(template["category"] == "MARKETING")

    def _in_chat(self, phone: Document, customer: Document, message_id: str) -> Document | None:
        message = self._state.messages.get(message_id)
        mine = message is not None and message["phone_number_id"] == phone["id"]
        return message if message and mine and message["customer"] == customer["id"] else None

    # What is written down

    def _accept(
        self, phone: Document, body: Document, *, customer: Document, content: Document, pricing: Document
    ) -> Document:
        self._state.change_chat(phone["id"], customer["id"], typing_until=0.0)
        return self._state.add_message({
            "id": new_wamid(customer["phone"] or customer["id"]), "direction": "outgoing",
            "phone_number_id": phone["id"], "customer": customer["id"], "type": body.get("type", "text"),
            "content": content, "context": body.get("context", {}).get("message_id", ""),
            "opaque": body.get("biz_opaque_callback_data", ""), "pricing": pricing, "priced": False,
            "status": "accepted", "error": None, "at": self._state.frame.now(),
        })  # fmt: skip

    def _schedule(self, message: Document, *, failure: Refused | None) -> None:
        settings = self._state.frame.settings
        if failure:
            self._plan(message, "failed", after_s=settings.sent_after_s, error=_as_status_error(failure))
            return
        self._plan(message, "sent", after_s=settings.sent_after_s)
        self._plan(message, "delivered", after_s=settings.delivered_after_s)
        if settings.read_after_s is not None:
            self._plan(message, "read", after_s=settings.delivered_after_s + settings.read_after_s)

    def _plan(self, message: Document, status: str, *, after_s: float, error: Document | None = None) -> None:
        body = {"message": message["id"], "status": status, "error": error}
        self._state.frame.runner.schedule(vendor="whatsapp", name="status", body=body, after_s=after_s)

    def _mark_read(self, phone: Document, body: Document) -> Document:
        message = self._state.messages.get(body["message_id"])
        if message is None or message["phone_number_id"] != phone["id"] or message["direction"] != "incoming":
            raise graph_error(131009, "Param message_id names no incoming message of this number.", product="whatsapp")
        now = self._state.frame.now()
        if now - message["at"] > READABLE_S:
            raise graph_error(131009, "The message is older than 30 days.", product="whatsapp")
        for earlier in self._state.messages.all(owner=f"{phone['id']}:{message['customer']}"):
            if earlier["direction"] == "incoming" and earlier["at"] <= message["at"]:
                self._state.messages.change(earlier["id"], status="read")
        if "typing_indicator" in body:
            self._state.change_chat(phone["id"], message["customer"], typing_until=now + TYPING_S)
        return {"success": True}


CONTENT_CHECKS: Mapping[str, Callable[[Sending, Document, Document], None]] = {
    **{kind: Sending._check_media for kind in MEDIA_TYPES},
    "interactive": Sending._check_interactive,
}


def metadata(phone: Document) -> Document:
    """Return the part of a webhook that names the number."""
    digits = phone_digits(phone["display_phone_number"]) or ""
    return {"display_phone_number": digits, "phone_number_id": phone["id"]}


def contact_of(customer: Document, *, user_id: str) -> Document:
    """Return the `contacts[]` entry of a customer; without a phone it holds the business-scoped id only."""
    profile = {"name": customer["name"]} | ({"username": customer["username"]} if customer["username"] else {})
    phone = {"wa_id": customer["phone"]} if customer["phone"] else {}
    return {"profile": profile, **phone, "user_id": user_id}


def _body_rule(value: object, path: str) -> None:
    try:
        rules.message(value, path)
    except FieldProblem as problem:
        raise message_refusal(problem) from problem


def _pricing(category: str, *, free: bool) -> Document:
    kind = "free_customer_service" if free else "regular"
    return {"billable": not free, "pricing_model": "PMP", "type": kind, "category": category}


def _as_status_error(failure: Refused) -> Document:
    body = failure.body if isinstance(failure.body, dict) else {}
    error = body["error"]
    return status_error(error["code"], error.get("error_data", {}).get("details", ""))
