"""Webhooks in difficult ways: batches, repeats, wrong order, late, forged, malformed, strange."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.frame import Refused
from sandbox.store import Document
from sandbox.whatsapp.customers import Customers
from sandbox.whatsapp.sending import Sending, metadata
from sandbox.whatsapp.state import State, chat_key, phone_digits, unix
from sandbox.whatsapp.webhooks import Webhooks

DEFAULT_CUSTOMER = "+55 11 95550-7788"
THREE_DAYS_S = 3 * 86400
MOST = 1000
# An entry of about 3 MB is the largest that Meta announces.
LARGE_CHARS = 2_900_000


class Scenarios:
    """Modes of POST /control/whatsapp/deliveries. Each returns the deliveries it queued."""

    def __init__(self, state: State, *, webhooks: Webhooks, sending: Sending, customers: Customers) -> None:
        self._state = state
        self._webhooks = webhooks
        self._sending = sending
        self._customers = customers

    def play(self, phone: Document, values: Document) -> list[Document]:
        """Play the mode of `values`; :raises Refused: the mode is unknown or has nothing to work on."""
        mode = MODES.get(str(values.get("mode")))
        if mode is None:
            raise Refused(400, {"error": f"mode must be one of {', '.join(MODES)}"})
        target = self._targets(phone)
        deliveries = mode(self, phone, values, target)
        return [{name: entry[name] for name in ("id", "url", "app_id")} for entry in deliveries]

    def tell_change(self, phone: Document, values: Mapping[str, Any]) -> None:
        """Send what Meta sends when a number's tier or throughput or name changes."""
        waba, digits = self._state.waba_of(phone), phone_digits(phone["display_phone_number"])
        if "tier" in values:
            limit = values["tier"]
            self._webhooks.emit(
                "business_capability_update",
                {"max_daily_conversations_per_business": limit, "max_phone_numbers_per_waba": 25}, waba=waba,
            )  # fmt: skip
        if values.get("throughput") == "HIGH":
            value: Document = {"display_phone_number": digits, "event": "THROUGHPUT_UPGRADE"}
            self._webhooks.emit("phone_number_quality_update", value | {"current_limit": "TIER_UNLIMITED"}, waba=waba)
        if values.get("name_status") in ("APPROVED", "DECLINED"):
            value = {"display_phone_number": digits, "decision": values["name_status"], "rejection_reason": None}
            value["requested_verified_name"] = phone["verified_name"]
            self._webhooks.emit("phone_number_name_update", value, waba=waba)

    def batch(self, phone: Document, values: Document, target: tuple[str, str]) -> list[Document]:
        """Send `count` messages in one POST, over the numbers `phone_number_ids`, with a status of each chat."""
        phones = [self._phone(key) for key in values.get("phone_number_ids", [phone["id"]])]
        entries = []
        for position, each in enumerate(phones):
            share = range(position, _count(values, default=3), len(phones))
            messages = [self._message(each, values, f"batch message {number + 1}") for number in share]
            entries.append(self._entry(each, self._customers.value(each, self._customer(values), messages)))
        return [self._webhooks.queue(entries, app_id=target[0], url=target[1])]

    def duplicate(self, phone: Document, values: Document, target: tuple[str, str]) -> list[Document]:
        """Send the last POST to this address `count` more times, byte for byte and all at once."""
        earlier = self._state.deliveries.all(owner=target[1], last=1)
        if not earlier:
            raise Refused(409, {"error": "nothing was sent to this address yet"})
        return [
            self._webhooks.queue_body(earlier[0]["body"], app_id=target[0], url=target[1])
            for _ in range(_count(values, default=2))
        ]

    def duplicate_in_one(self, phone: Document, values: Document, target: tuple[str, str]) -> list[Document]:
        """Send one message twice within one POST."""
        message = self._message(phone, values, "twice in one call")
        value = self._customers.value(phone, self._customer(values), [message, message])
        return [self._webhooks.queue([self._entry(phone, value)], app_id=target[0], url=target[1])]

    def out_of_order(self, phone: Document, values: Document, target: tuple[str, str]) -> list[Document]:
        """Send read, delivered and sent, in this order, for the last message of the business."""
        message = self._last_sent(phone, values)
        now = self._state.frame.now()
        deliveries = []
        for gap_s, status in ((0, "read"), (1, "delivered"), (2, "sent")):
            value = self._sending.status_value(phone, message, status=status, at=now - gap_s)
            deliveries.append(
                self._webhooks.queue([self._entry(phone, value)], app_id=target[0], url=target[1])
            )  # fmt: skip
        return deliveries

    def stale(self, phone: Document, values: Document, target: tuple[str, str]) -> list[Document]:
        """Send a message that is `age_s` old (three days unless said), as after a long outage."""
        message = self._message(phone, values, "written some days ago", age_s=float(values.get("age_s", THREE_DAYS_S)))
        value = self._customers.value(phone, self._customer(values), [message])
        return [self._webhooks.queue([self._entry(phone, value)], app_id=target[0], url=target[1])]

    def forged(self, phone: Document, values: Document, target: tuple[str, str]) -> list[Document]:
        """Send a message signed with a wrong secret."""
        return self._spoiled(phone, values, target, signature="wrong")

    def unsigned(self, phone: Document, values: Document, target: tuple[str, str]) -> list[Document]:
        """Send a message without a signature."""
        return self._spoiled(phone, values, target, signature="none")

    def unknown_number(self, phone: Document, values: Document, target: tuple[str, str]) -> list[Document]:
        """Send a message to a number that nobody connected."""
        message = self._message(phone, values, "to a number nobody connected", kept=False)
        value = self._customers.value(phone, self._customer(values), [message])
        value["metadata"] = {"display_phone_number": "15550109999", "phone_number_id": "599999999999991"}
        entry = {"id": "299999999999991", "changes": [{"value": value, "field": "messages"}]}
        return [self._webhooks.queue([entry], app_id=target[0], url=target[1])]

    def unknown_field(self, phone: Document, values: Document, target: tuple[str, str]) -> list[Document]:
        """Send a change of a field that does not exist yet."""
        value = {"messaging_product": "whatsapp", "metadata": metadata(phone), "novelty": {"a": 1}}
        entry = {"id": phone["waba_id"], "changes": [{"value": value, "field": "field_of_next_year"}]}
        return [self._webhooks.queue([entry], app_id=target[0], url=target[1])]

    def large(self, phone: Document, values: Document, target: tuple[str, str]) -> list[Document]:
        """Send one POST of about 3 MB."""
        message = self._message(phone, values, "x" * int(values.get("chars", LARGE_CHARS)))
        value = self._customers.value(phone, self._customer(values), [message])
        return [self._webhooks.queue([self._entry(phone, value)], app_id=target[0], url=target[1])]

    def errors(self, phone: Document, values: Document, target: tuple[str, str]) -> list[Document]:
        """Send an error that belongs to no message."""
        text = "Rate limit hit"
        error = {"code": 130429, "title": text, "message": text, "error_data": {"details": "Too many messages."}}
        value = {"messaging_product": "whatsapp", "metadata": metadata(phone), "errors": [error]}
        return [self._webhooks.queue([self._entry(phone, value)], app_id=target[0], url=target[1])]

    def not_json(self, phone: Document, values: Document, target: tuple[str, str]) -> list[Document]:
        """Send a signed body that is no JSON."""
        return [self._webhooks.queue_body("<html>signed, but no JSON</html>", app_id=target[0], url=target[1])]

    # Parts

    def _spoiled(self, phone: Document, values: Document, target: tuple[str, str], *, signature: str) -> list[Document]:
        message = self._message(phone, values, "forged", kept=False)
        value = self._customers.value(phone, self._customer(values), [message])
        return [self._webhooks.queue([self._entry(phone, value)], app_id=target[0], url=target[1], signature=signature)]

    def _targets(self, phone: Document) -> tuple[str, str]:
        found = self._webhooks.targets("messages", waba=self._state.waba_of(phone), phone=phone)
        if not found:
            raise Refused(409, {"error": "no app subscribed to this account with an address"})
        return found[0]

    def _customer(self, values: Document) -> Document:
        try:
            return self._state.customer(str(values.get("customer", DEFAULT_CUSTOMER)))
        except KeyError as error:
            raise Refused(404, {"error": "customer must be a phone number or an @username"}) from error

    def _phone(self, key: str) -> Document:
        found = self._state.phones.get(key)
        if found is None:
            raise Refused(404, {"error": f"no number {key}"})
        return found

    def _message(
        self, phone: Document, values: Document, text: str, *, kept: bool = True, age_s: float = 0
    ) -> Document:
        customer = self._customer(values)
        message = self._customers.compose(phone, customer, {"type": "text", "text": text, "age_s": age_s})
        if kept:
            self._state.add_message(message)
            newest = max(message["at"], self._state.chat(phone["id"], customer["id"])["last_incoming_at"])
            self._state.change_chat(phone["id"], customer["id"], last_incoming_at=newest)
        return message

    def _entry(self, phone: Document, value: Document) -> Document:
        return {"id": phone["waba_id"], "changes": [{"value": value, "field": "messages"}]}

    def _last_sent(self, phone: Document, values: Document) -> Document:
        if values.get("message_id"):
            found = self._state.messages.get(values["message_id"])
            if found is not None:
                return found
        customer = self._customer(values)
        sent = [
            message
            for message in self._state.messages.all(owner=chat_key(phone["id"], customer["id"]))
            if message["direction"] == "outgoing"
        ]
        if sent:
            return sent[-1]
        raise Refused(409, {"error": "the business sent nothing to this customer yet", "at": unix()})


Mode = Callable[[Scenarios, Document, Document, tuple[str, str]], list[Document]]
MODES: Mapping[str, Mode] = {
    "batch": Scenarios.batch,
    "duplicate": Scenarios.duplicate,
    "duplicate_in_one": Scenarios.duplicate_in_one,
    "out_of_order": Scenarios.out_of_order,
    "stale": Scenarios.stale,
    "forged": Scenarios.forged,
    "unsigned": Scenarios.unsigned,
    "unknown_number": Scenarios.unknown_number,
    "unknown_field": Scenarios.unknown_field,
    "large": Scenarios.large,
    "errors": Scenarios.errors,
    "not_json": Scenarios.not_json,
}


def _count(values: Document, *, default: int) -> int:
    count = values.get("count", default)
    if not isinstance(count, int) or not 1 <= count <= MOST:
        raise Refused(400, {"error": f"count must be a whole number from 1 to {MOST}"})
    return count
