"""Play the customers: what they write, in every shape the Cloud API reports it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.store import Document
from sandbox.whatsapp.media import Media
from sandbox.whatsapp.samples import SAMPLES
from sandbox.whatsapp.sending import contact_of, metadata
from sandbox.whatsapp.state import State, new_wamid, phone_digits, unix
from sandbox.whatsapp.webhooks import Webhooks


class BadMessage(ValueError):
    """The customer cannot write this; the text says why."""


class Customers:
    """Customers who write to business numbers."""

    def __init__(self, state: State, *, webhooks: Webhooks, media: Media) -> None:
        self._state = state
        self._webhooks = webhooks
        self._media = media

    def write(self, phone: Document, customer: Document, spec: Document) -> tuple[Document, int]:
        """
        Let the customer send a message; return it and the number of webhooks that follow.

        A customer whom the number blocked sends into the void. :raises BadMessage: the spec makes no message
        """
        message = self.compose(phone, customer, spec)
        self._state.add_message(message)
        chat = self._state.chat(phone["id"], customer["id"])
        if chat["blocked"]:
            return message, 0
        self._state.change_chat(phone["id"], customer["id"], last_incoming_at=message["at"])
        value = self.value(phone, customer, [message])
        count = self._webhooks.emit("messages", value, phone=phone)
        return message, count

    def compose(self, phone: Document, customer: Document, spec: Document) -> Document:
        """Return the message as it will be stored; `wire` is its part of the webhook."""
        kind = str(spec.get("type", "text"))
        maker = KINDS.get(kind)
        if maker is None:
            raise BadMessage(f"type must be one of {', '.join(KINDS)}")
        try:
            body = self._media_body(phone, kind, spec) if maker is _file else maker(spec)
        except (KeyError, TypeError) as error:
            raise BadMessage(f"a message of type {kind} needs {error}") from error
        at = self._state.frame.now() - float(spec.get("age_s", 0))
        wire: Document = {"id": new_wamid(customer["phone"] or customer["id"]), "timestamp": unix(at), **body}
        if customer["phone"]:
            wire["from"] = customer["phone"]
        wire["from_user_id"] = self._state.bsuid(customer, business_id=self._state.waba_of(phone)["business_id"])
        if spec.get("reply_to"):
            wire["context"] = {"from": phone_digits(phone["display_phone_number"]), "id": spec["reply_to"]}
        if spec.get("referral"):
            wire["referral"] = spec["referral"]
        return {
            "id": wire["id"], "direction": "incoming", "phone_number_id": phone["id"], "customer": customer["id"],
            "type": wire["type"], "content": wire.get(wire["type"], {}), "context": spec.get("reply_to", ""),
            "status": "sent", "error": None, "at": at, "wire": wire,
        }  # fmt: skip

    def value(self, phone: Document, customer: Document, messages: list[Document]) -> Document:
        """Return the `value` of a webhook with these messages."""
        user_id = self._state.bsuid(customer, business_id=self._state.waba_of(phone)["business_id"])
        return {
            "messaging_product": "whatsapp",
            "metadata": metadata(phone),
            "contacts": [contact_of(customer, user_id=user_id)],
            "messages": [message["wire"] for message in messages],
        }

    def change_user_id(self, phone: Document, customer: Document) -> int:
        """Give the customer new business-scoped ids, as a change of the phone number does, and tell the business."""
        business_id = self._state.waba_of(phone)["business_id"]
        previous = self._state.bsuid(customer, business_id=business_id)
        changed = self._state.customers.change(customer["id"], generation=customer["generation"] + 1)
        current = self._state.bsuid(changed, business_id=business_id)
        update: Document = {
            "detail": f"User id for {customer['name']} has been updated.",
            "user_id": {"previous": previous, "current": current}, "timestamp": unix(),
        }  # fmt: skip
        if customer["phone"]:
            update["wa_id"] = customer["phone"]
        value = {
            "messaging_product": "whatsapp", "metadata": metadata(phone),
            "contacts": [contact_of(changed, user_id=current)], "user_id_update": [update],
        }  # fmt: skip
        return self._webhooks.emit("user_id_update", value, phone=phone)

    def _media_body(self, phone: Document, kind: str, spec: Document) -> Document:
        mime, filename, make = SAMPLES[kind]
        media = self._media.keep(io.BytesIO(make()), mime=mime, phone=phone, filename=spec.get("filename", filename))
        body: Document = {
            "mime_type": mime, "sha256": media["sha256_base64"], "id": media["id"],
            "url": self._media.address(media, base_url=self._state.frame.base_url),
        }  # fmt: skip
        if kind == "audio":
            body["voice"] = True
        if kind == "sticker":
            body["animated"] = False
        if kind == "document":
            body["filename"] = media["filename"]
        if spec.get("caption"):
            body["caption"] = spec["caption"]
        return {"type": kind, kind: body}


def _text(spec: Document) -> Document:
    body = spec["text"]["body"] if isinstance(spec["text"], dict) else spec["text"]
    return {"type": "text", "text": {"body": str(body)}}


def _file(spec: Document) -> Document:
    raise AssertionError("files are made by Customers itself")


def _location(spec: Document) -> Document:
    given = spec.get("location", {"latitude": -23.5614, "longitude": -46.6559, "name": "Avenida Paulista"})
    return {"type": "location", "location": given}


def _contacts(spec: Document) -> Document:
    name = {"formatted_name": "Example Friend", "first_name": "Example", "last_name": "Friend"}
    friend = {"name": name, "phones": [{"phone": "+1 555 010 0199", "wa_id": "15550100199", "type": "CELL"}]}
    return {"type": "contacts", "contacts": spec.get("contacts", [friend])}


def _shared_number(spec: Document) -> Document:
    phone = spec["phone"]
    card = f"BEGIN:VCARD\nVERSION:3.0\nFN:Customer\nTEL;TYPE=CELL:{phone}\nEND:VCARD"
    contacts = [{"vcard": card, "phones": [{"phone": phone}]}]
    return {"type": "contacts", "origin": "contact_request/other", "contacts": contacts}


def _interactive(kind: str, *keys: str) -> Callable[[Document], Document]:
    def make(spec: Document) -> Document:
        given = spec.get(kind, spec)
        reply = {key: given[key] for key in keys} | (
            {"description": given["description"]} if kind == "list_reply" and given.get("description") else {}
        )
        return {"type": "interactive", "interactive": {"type": kind, kind: reply}}

    return make


def _flow(spec: Document) -> Document:
    answers = json.dumps(spec.get("answers", {"flow_token": "test-token"}))
    reply = {"name": "flow", "body": "Sent", "response_json": answers}
    return {"type": "interactive", "interactive": {"type": "nfm_reply", "nfm_reply": reply}}


def _template_button(spec: Document) -> Document:
    given = spec.get("button", spec)
    text = given["text"]
    return {"type": "button", "button": {"text": text, "payload": given.get("payload", text)}}


def _reaction(spec: Document) -> Document:
    given = spec.get("reaction", spec)
    reaction = {"message_id": given["message_id"]} | ({"emoji": given["emoji"]} if given.get("emoji") else {})
    return {"type": "reaction", "reaction": reaction}


def _order(spec: Document) -> Document:
    item = {"product_retailer_id": "mug-blue", "quantity": 2, "item_price": 39.9, "currency": "BRL"}
    order = {"catalog_id": "550912873645120", "text": "", "product_items": [item]}
    return {"type": "order", "order": spec.get("order", order)}


def _system(spec: Document) -> Document:
    old, new = spec["old"], spec["new"]
    body = f"User changed from {old} to {new}"
    return {"type": "system", "system": {"body": body, "wa_id": new, "type": "user_changed_number"}}


def _unsupported(spec: Document) -> Document:
    error = {
        "code": 131051, "title": "Message type unknown", "message": "Message type unknown",
        "error_data": {"details": "Message type is currently not supported."},
    }  # fmt: skip
    return {"type": "unsupported", "errors": [error], "unsupported": {"type": spec.get("unsupported", "poll")}}


def _edit(spec: Document) -> Document:
    text = {"type": "text", "text": {"body": spec["text"]}}
    return {"type": "edit", "edit": {"original_message_id": spec["message_id"], "message": text}}


def _revoke(spec: Document) -> Document:
    return {"type": "revoke", "revoke": {"original_message_id": spec["message_id"]}}


def _request_welcome(spec: Document) -> Document:
    return {"type": "request_welcome"}


def _raw(spec: Document) -> Document:
    """Send whatever the developer wants, also what Meta has not invented yet."""
    given: dict[str, Any] = dict(spec["raw"])
    return {"type": "raw"} | given


KINDS: Mapping[str, Callable[[Document], Document]] = {
    "text": _text,
    "image": _file,
    "sticker": _file,
    "audio": _file,
    "video": _file,
    "document": _file,
    "location": _location,
    "contacts": _contacts,
    "shared_number": _shared_number,
    "button_reply": _interactive("button_reply", "id", "title"),
    "list_reply": _interactive("list_reply", "id", "title"),
    "flow_reply": _flow,
    "button": _template_button,
    "reaction": _reaction,
    "order": _order,
    "system": _system,
    "unsupported": _unsupported,
    "edit": _edit,
    "revoke": _revoke,
    "request_welcome": _request_welcome,
    "raw": _raw,
}
