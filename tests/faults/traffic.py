"""
What goes on while a fault strikes: customers write, programs send; and what must be true of it afterwards.

Each run connects a business of its own over the API, so that what one fault leaves behind (a breaker, a pause, a lost
token) is not the next one's. Webhooks are signed here, as Meta signs them, and repeated until they are answered 2xx.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import secrets
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import requests

from channels_app.providers._meta import GRAPH_VERSION
from core.ids import new_token
from tests.faults.installation import Installation, eventually, within

AT_ONCE = 8
"""Callers at a time: fewer than the web process has threads, more than it has cores."""

ANSWER_WITHIN_S = 30.0
_phones = itertools.count(secrets.randbelow(50_000) * 10 + 5)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call was told; status 0 when the connection broke."""

    status: int
    retry_after: str = ""
    took_s: float = 0.0

    @property
    def is_taken(self) -> bool:
        """Whether we have promised not to lose it."""
        return 200 <= self.status < 300


@dataclass(slots=True)
class Business:
    """One connected WhatsApp number of an organization, with a customer whose window is open."""

    product: Installation
    organization: int = 0
    posted: dict[str, Answer] = field(default_factory=dict)
    """By the vendor's id of the message."""
    sent: dict[str, str] = field(default_factory=dict)
    """Our id by text, of what the API accepted."""
    key: str = ""
    integration: str = ""
    schema: str = ""
    webhook: str = ""
    account: dict[str, Any] = field(default_factory=dict)
    customer: str = ""
    _bodies: dict[str, bytes] = field(default_factory=dict)

    # Making it

    def connect(self) -> Business:
        """Connect a new business of the sandbox over the API and let a customer write to it once."""
        self.key = self.product.keys[self.organization]
        self.account = self.product.control("POST", "whatsapp/accounts", name=f"Fault {secrets.token_hex(4)}")
        credentials = {name: self.account[name] for name in ("access_token", "app_secret")}
        settings = {name: self.account[name] for name in ("phone_number_id", "waba_id", "app_id")}
        answer = self.api("POST", "/integrations/", {
            "provider": "whatsapp", "name": self.account["name"], "environment": "test", "settings": settings,
            "credentials": credentials | {"verify_token": new_token()},
        })  # fmt: skip
        assert answer.status_code == 201, answer.text
        self.integration, self.webhook = answer.json()["id"], answer.json()["webhook"]["url"]
        self.schema = self.product.psql(
            f"SELECT organization_schema FROM dispatch_link WHERE id = '{self.integration}'"
        )
        eventually(lambda: self.read("webhook_registered", "integrations_integration", f"id = '{self.integration}'")
                   == ["t"], within_s=within(20), what="the webhook to be registered")  # fmt: skip
        self.customer = self.new_customer()
        return self

    def new_customer(self) -> str:
        """Let somebody new write, so that they may be written to."""
        phone = f"1555{next(_phones):07d}"
        text = {"phone_number_id": self.account["phone_number_id"], "type": "text", "text": {"body": "Hello"}}
        wamid = self.product.control("POST", f"whatsapp/customers/{phone}/messages", **text)["message_id"]
        eventually(lambda: self.kept(wamid) == 1, within_s=within(20), what="the customer's first message")
        return phone

    # Traffic

    def post(self, wamid: str = "", *, body: bytes = b"", **headers: str) -> Answer:
        """Post one signed webhook as Meta does; the same id is the same bytes."""
        wamid = wamid or f"wamid.fault{secrets.token_hex(12)}"
        body = self._bodies.setdefault(wamid, body or self.body(wamid))
        answer = self.post_raw(body, **headers)
        if not (known := self.posted.get(wamid)) or not known.is_taken:
            self.posted[wamid] = answer
        return answer

    def post_raw(self, body: bytes, **headers: str) -> Answer:
        """Post bytes with our signature, or with the headers given instead."""
        signed = {"X-Hub-Signature-256": self.signature(body), "Content-Type": "application/json"}
        began = time.monotonic()
        try:
            answer = requests.post(self.webhook, data=body, headers=signed | headers, timeout=ANSWER_WITHIN_S)
        except requests.RequestException:
            return Answer(0, took_s=time.monotonic() - began)
        return Answer(answer.status_code, answer.headers.get("Retry-After", ""), time.monotonic() - began)

    def post_many(self, count: int) -> list[Answer]:
        """Post different webhooks, several at a time."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda _number: self.post(), range(count)))

    def post_again(self, *, within_s: float) -> float:
        """Repeat what was not taken, as vendors do, until all is; return after how many seconds that was."""
        return eventually(self._repeat, within_s=within_s, what="every webhook to be answered 2xx")

    def send(self, text: str = "", *, to: str = "") -> Answer:
        """Ask for one message to be sent, once: the idempotency key is the text."""
        text = text or f"fault {secrets.token_hex(8)}"
        body = {"integration": self.integration, "type": "text", "to": to or self.customer, "text": {"body": text}}
        began = time.monotonic()
        try:
            answer = self.api("POST", "/channels/messages/", body, key=text)
        except requests.RequestException:
            return Answer(0, took_s=time.monotonic() - began)
        if answer.status_code == 202:
            self.sent[text] = answer.json()["id"]
        return Answer(answer.status_code, answer.headers.get("Retry-After", ""), time.monotonic() - began)

    def flow(self, *, webhooks: int, messages: int) -> list[threading.Thread]:
        """Begin to post and send, in the background, a few a second; join what is returned."""
        posting = threading.Thread(target=self._each, args=(self.post, webhooks), daemon=True)
        sending = threading.Thread(target=self._each, args=(self.send, messages), daemon=True)
        for thread in (posting, sending):
            thread.start()
        return [posting, sending]

    def api(self, method: str, path: str, body: Any = None, *, key: str = "") -> requests.Response:
        """Call the customer API."""
        headers = {"Authorization": f"Bearer {self.key}", **({"Idempotency-Key": key} if key else {})}
        return requests.request(
            method, f"{self.product.url}/api/v1{path}", json=body, headers=headers, timeout=ANSWER_WITHIN_S
        )

    @property
    def path(self) -> str:
        """The vendor's path under which messages of this number are sent."""
        return f"/{GRAPH_VERSION}/{self.account['phone_number_id']}/messages"

    def spoil(self, kind: str, **more: Any) -> None:
        """Let the vendor's next answer to a message of this number be spoiled."""
        self.product.control("POST", "faults", vendor="whatsapp", kind=kind, path_prefix=self.path, **more)

    def calls(self) -> int:
        """Return how often the vendor was asked to send for this number."""
        calls = self.product.control("GET", "calls?vendor=whatsapp")["calls"]
        return sum(call["path"].startswith(self.path) for call in calls)

    # What must be true

    def settle(self, *, within_s: float) -> float:
        """Wait until nothing is on its way; return after how many seconds that was, without what was none."""
        try:
            return eventually(lambda: not self.open_rows() and not self.unsettled(), within_s=within_s,
                              what="every delivery and message to come to an end")  # fmt: skip
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story()}") from None

    def story(self) -> str:
        """Say where everything is, for whoever reads why a test failed."""
        shown = ("kind", "status", "attempts", "crashes", "error_class", "error_text", "next_attempt_at", "not_before",
                 "leased_until", "intent_at", "details")  # fmt: skip
        entries = [{name: entry[name] for name in shown} for entry in self.entries() if entry["status"] != "done"]
        link = {name: value for name, value in self.link().items() if name.startswith(("breaker", "not_", "failing"))}
        now = self.read("now()", "(SELECT 1) one", "true")
        return "\n".join(map(str, [f"now {now}", link, *self.open_rows(), *self.messages(), *entries]))

    def assert_nothing_lost_or_doubled(self) -> None:
        """Each webhook that was taken is one message; each accepted message arrived once or failed with a reason."""
        taken = [wamid for wamid, answer in self.posted.items() if answer.is_taken]
        assert {wamid: self.kept(wamid) for wamid in taken} == dict.fromkeys(taken, 1)
        arrived = self.arrived()
        twice = {text: count for text, count in arrived.items() if count > 1}
        assert not twice, f"sent more than once: {twice}"
        for text, status, reason in self.messages():
            if text in self.sent:
                assert arrived[text] == 1 or (status in {"failed", "expired"} and reason), (text, status, reason)
        assert set(self.sent) <= {text for text, *_rest in self.messages()}

    def open_rows(self) -> list[str]:
        """Return the deliveries that wait or are worked on."""
        return self.read(
            "status || ' ' || error_class",
            "public.dispatch_webhookdelivery",
            f"link_id = '{self.integration}' AND status IN ('received', 'processing', 'failed')",
        )

    def unsettled(self) -> list[str]:
        """Return the messages that are accepted and neither sent nor failed, and the work outside that is not over."""
        messages = self.read(
            "text",
            "channels_app_message",
            f"integration_id = '{self.integration}' AND direction = 'outbound' AND status = 'queued'",
        )
        return messages + self.read(
            "kind || ' ' || status",
            "public.dispatch_outboxentry",
            f"link_id = '{self.integration}' AND done_at IS NULL",
        )

    def kept(self, wamid: str) -> int:
        """Return how many messages we keep of one that a customer wrote."""
        return int(self.read("count(*)", "channels_app_message", f"external_id = '{wamid}'")[0])

    def messages(self) -> list[tuple[str, str, str]]:
        """Return text, status and the code of the error of every message that was accepted."""
        rows = self.read(
            "json_build_array(text, status, coalesce(error->>'code', ''))",
            "channels_app_message",
            f"integration_id = '{self.integration}' AND direction = 'outbound'",
        )
        return [tuple(json.loads(row)) for row in rows]

    def entries(self) -> list[dict[str, Any]]:
        """Return the outbox entries of this integration."""
        rows = self.read("row_to_json(e)", "public.dispatch_outboxentry e", f"link_id = '{self.integration}'")
        return [json.loads(row) for row in rows]

    def link(self) -> dict[str, Any]:
        """Return the link's row."""
        return dict(json.loads(self.read("row_to_json(l)", "public.dispatch_link l", f"id = '{self.integration}'")[0]))

    def arrived(self) -> Counter[str]:
        """Return how often each text arrived at the customers, as their phones show it."""
        number = self.account["phone_number_id"]
        chats = self.product.control("GET", f"whatsapp/phones/{number}/customers")["customers"]
        found: Counter[str] = Counter()
        for chat in chats:
            path = f"whatsapp/customers/{chat['id']}/messages?phone_number_id={number}"
            shown = self.product.control("GET", path)["messages"]
            found.update(message["content"]["body"] for message in shown if message["direction"] == "outgoing")
        return found

    def read(self, what: str, table: str, where: str) -> list[str]:
        """Read rows as PostgreSQL prints them, from the organization's schema."""
        return self.product.psql(
            f"SET search_path = {self.schema}, public; SELECT {what} FROM {table} WHERE {where}"
        ).splitlines()

    def signature(self, body: bytes, secret: str = "") -> str:
        """Sign as Meta does."""
        digest = hmac.new((secret or self.account["app_secret"]).encode(), body, hashlib.sha256).hexdigest()
        return f"sha256={digest}"

    def _repeat(self) -> bool:
        missing = [wamid for wamid, answer in self.posted.items() if not answer.is_taken]
        return all(self.post(wamid).is_taken for wamid in missing)

    def _each(self, work: Any, count: int) -> None:
        for _number in range(count):
            work()
            time.sleep(0.1)

    def body(self, wamid: str) -> bytes:
        message = {"from": self.customer, "id": wamid, "timestamp": str(int(time.time())), "type": "text",
                   "text": {"body": f"to {wamid}"}}  # fmt: skip
        value = {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550100001", "phone_number_id": self.account["phone_number_id"]},
            "contacts": [{"profile": {"name": "Fault Finder"}, "wa_id": self.customer}],
            "messages": [message],
        }
        entry = {"id": self.account["waba_id"], "changes": [{"value": value, "field": "messages"}]}
        return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
