"""What the stand-in knows: accounts, numbers, customers, chats, messages, templates, media."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time

from sandbox.frame import Frame
from sandbox.meta.tokens import Tokens
from sandbox.store import Document

WINDOW_S = 24 * 3600
SCOPES = ["whatsapp_business_management", "whatsapp_business_messaging"]
# A number that ends like this has no WhatsApp: a way to get 131026 without any preparation.
NOT_ON_WHATSAPP_ENDING = "0000"


class State:
    """Collections of the stand-in and the questions that several parts ask them."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.tokens = Tokens(frame.store)
        self.wabas = frame.store.collection("whatsapp", "waba")
        self.phones = frame.store.collection("whatsapp", "phone")
        self.customers = frame.store.collection("whatsapp", "customer")
        self.aliases = frame.store.collection("whatsapp", "alias")  # BSUID -> customer
        self.chats = frame.store.collection("whatsapp", "chat")
        self.messages = frame.store.collection("whatsapp", "message")
        self.templates = frame.store.collection("whatsapp", "template")
        self.deleted_templates = frame.store.collection("whatsapp", "deleted_template")
        self.media = frame.store.collection("whatsapp", "media")
        self.deliveries = frame.store.collection("whatsapp", "delivery")
        self.codes = frame.store.collection("whatsapp", "signup_code")

    def phone(self, phone_number_id: str) -> Document:
        """Return a number; :raises KeyError: it does not exist."""
        found = self.phones.get(phone_number_id)
        if found is None:
            raise KeyError(phone_number_id)
        return found

    def waba_of(self, phone: Document) -> Document:
        """Return the account of a number."""
        found = self.wabas.get(phone["waba_id"])
        if found is None:
            raise KeyError(phone["waba_id"])
        return found

    # Customers

    def customer(self, key: str, *, name: str | None = None, username: str | None = None) -> Document:
        """
        Return the customer with this phone, @username or BSUID, making a new one for the first two.

        :raises KeyError: the key is none of them, or a BSUID nobody has
        """
        alias = self.aliases.get(key)
        customer_id = alias["customer"] if alias else customer_key(key)
        known = self.customers.get(customer_id)
        if known is None:
            phone = customer_id if customer_id.isdigit() else None
            known = {
                "id": customer_id,
                "phone": phone,
                "name": name or f"Customer {customer_id[-4:]}",
                "username": username or (None if phone else customer_id.lstrip("@")),
                "on_whatsapp": not customer_id.endswith(NOT_ON_WHATSAPP_ENDING),
                "takes_marketing": True,
                "generation": 0,
            }
        else:
            known |= {"name": name or known["name"], "username": username or known["username"]}
        return self.customers.put(customer_id, known)

    def bsuid(self, customer: Document, *, business_id: str) -> str:
        """Return the customer's business-scoped user id at this portfolio; it changes with the generation."""
        seed = f"{business_id}:{customer['id']}:{customer['generation']}".encode()
        number = int.from_bytes(hashlib.sha256(seed).digest()[:9]) % 10**20
        alias = f"BR.{number:020d}"
        if self.aliases.get(alias) is None:
            self.aliases.put(alias, {"customer": customer["id"]})
        return alias

    # Chats

    def chat(self, phone_number_id: str, customer_id: str) -> Document:
        """Return the chat of a number with a customer, also before the first message."""
        key = chat_key(phone_number_id, customer_id)
        return self.chats.get(key) or {
            "id": key,
            "phone_number_id": phone_number_id,
            "customer": customer_id,
            "last_incoming_at": 0.0,
            "blocked": False,
            "typing_until": 0.0,
        }

    def change_chat(self, phone_number_id: str, customer_id: str, **values: object) -> Document:
        """Change the chat, writing it down if it is new."""
        chat = self.chat(phone_number_id, customer_id) | values
        return self.chats.put(chat["id"], chat, owner=phone_number_id)

    def window_is_open(self, phone_number_id: str, customer_id: str) -> bool:
        """Say whether the customer wrote to this number within 24 hours."""
        return self.frame.now() - float(self.chat(phone_number_id, customer_id)["last_incoming_at"]) < WINDOW_S

    def add_message(self, message: Document) -> Document:
        """Write a message into its chat."""
        return self.messages.put(
            message["id"], message, owner=chat_key(message["phone_number_id"], message["customer"])
        )


def chat_key(phone_number_id: str, customer_id: str) -> str:
    """Return the key of the chat between a number and a customer."""
    return f"{phone_number_id}:{customer_id}"


def customer_key(text: str) -> str:
    """Return the digits of a phone number or the lower-case @username; :raises KeyError: it is neither."""
    if re.fullmatch(r"@[A-Za-z0-9._]{3,35}", text):
        return text.lower()
    digits = phone_digits(text)
    if digits is None:
        raise KeyError(text)
    return digits


def phone_digits(text: str) -> str | None:
    """Return the digits of an E.164 number written with the usual decoration, or None."""
    if not re.fullmatch(r"\+?[0-9 ().-]{8,24}", text):
        return None
    digits = re.sub(r"\D", "", text)
    return digits if re.fullmatch(r"[1-9]\d{7,14}", digits) else None


def new_wamid(seed: str) -> str:
    """Return a message id of the shape WhatsApp writes."""
    head = b"\x1c\x18" + bytes([min(len(seed), 255)]) + seed.encode()[:255] + b"\x15\x02\x00\x12\x18\x14"
    return "wamid." + base64.b64encode(head + secrets.token_hex(10).upper().encode() + b"\x00").decode()


def new_number() -> str:
    """Return an id as Meta's objects have: 15 or 16 digits."""
    return str(secrets.randbelow(9 * 10**15) + 10**15)


def unix(at: float | None = None) -> str:
    """Return Unix seconds as the text that webhooks carry."""
    return str(int(time.time() if at is None else at))
