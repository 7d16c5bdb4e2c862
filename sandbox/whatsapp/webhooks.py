"""Send webhooks as Meta does: to the right address, signed, repeated until somebody answers 200."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlencode

from sandbox.callbacks import Unreachable, call_back
from sandbox.meta.errors import graph_error
from sandbox.meta.signing import signature_headers, webhook_body
from sandbox.store import Document
from sandbox.whatsapp.state import State, new_number

# Overrides cover these fields only; everything else goes to the app's own address.
OVERRIDABLE = frozenset({
    "messages", "message_echoes", "calls", "consumer_profile", "messaging_handovers", "group_lifecycle_update",
    "group_participants_update", "group_settings_update", "group_status_update", "smb_message_echoes",
    "smb_app_state_sync", "history", "account_settings_update",
})  # fmt: skip
FIELDS = OVERRIDABLE | {
    "message_template_status_update", "message_template_quality_update", "message_template_components_update",
    "template_category_update", "account_update", "account_alerts", "account_review_update",
    "business_capability_update", "business_username_update", "phone_number_name_update",
    "phone_number_quality_update", "security", "user_preferences", "user_id_update",
}  # fmt: skip
CALLBACK_URL_CHARS = 200
DELIVERIES_KEPT = 2000
SHOWN_BODY_CHARS = 20_000


class Webhooks:
    """The outgoing side of all WhatsApp accounts."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._runner = state.frame.runner

    def check_callback(self, url: str, *, verify_token: str) -> None:
        """Ask the address for the challenge, as Meta does at once; :raises Refused: 2200 with what went wrong."""
        challenge = str(secrets.randbelow(9 * 10**9) + 10**9)
        query = urlencode({"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": verify_token})
        try:
            answer = call_back(
                f"{url}{'&' if '?' in url else '?'}{query}",
                method="GET",
                headers={"User-Agent": "facebookplatform/1.0", "Accept": "*/*"},
                timeout_s=self._state.frame.settings.callback_timeout_s,
            )
        except Unreachable as error:
            raise _verification_failed(f"curl_errno = 7; curl_error = {error}") from error
        if answer.status != HTTPStatus.OK:
            raise _verification_failed(f"HTTP Status Code = {answer.status}; HTTP Message = {answer.reason}")
        if answer.body.decode("latin-1") != challenge:
            raise _verification_failed("the answer is not the value of hub.challenge")

    def emit(self, field: str, value: Document, *, phone: Document | None = None, waba: Document | None = None) -> int:
        """Send one change of a number or account to everybody who subscribed; return how many will be called."""
        account = waba or self._state.waba_of(phone or {})
        change = {"value": value, "field": field}
        entry: Document = {"id": account["id"], "changes": [change]}
        if field not in OVERRIDABLE:
            entry = {"id": account["id"], "time": int(self._state.frame.now()), "changes": [change]}
        count = 0
        for app_id, url in self.targets(field, waba=account, phone=phone):
            self.queue([entry], app_id=app_id, url=url)
            count += 1
        return count

    def targets(self, field: str, *, waba: Document, phone: Document | None) -> list[tuple[str, str]]:
        """Return (app, address) of every app that subscribed to the account and has an address for the field."""
        found = []
        for app_id, subscription in waba["subscriptions"].items():
            app = self._state.tokens.apps.get(app_id)
            webhook: Document = app["webhook"] if app else {"callback_url": "", "fields": []}
            own = webhook["callback_url"] if field in webhook["fields"] else ""
            override = subscription["override_callback_uri"]
            if phone is not None:
                override = phone["overrides"].get(app_id) or override
            url = (override or own) if field in OVERRIDABLE else own
            if url:
                found.append((app_id, url))
        return found

    def queue(self, entries: Sequence[Document], *, app_id: str, url: str, signature: str = "good") -> Document:
        """Write one POST down and send it in the background; `signature` may be good, wrong or none."""
        body = webhook_body({"object": "whatsapp_business_account", "entry": list(entries)}).decode("ascii")
        return self.queue_body(body, app_id=app_id, url=url, signature=signature)

    def queue_body(self, body: str, *, app_id: str, url: str, signature: str = "good") -> Document:
        """Write one POST with exactly this body down and send it in the background."""
        delivery: Document = {
            "id": new_number(),
            "app_id": app_id,
            "url": url,
            "body": body,
            "signature": signature,
            "attempts": 0,
            "last": "",
            "done": False,
            "at": self._state.frame.now(),
        }
        with self._state.frame.store.transaction():
            self._state.deliveries.put(delivery["id"], delivery, owner=url)
            self._state.deliveries.keep_last(DELIVERIES_KEPT)
        self._runner.schedule(vendor="whatsapp", name="deliver", body={"delivery": delivery["id"]})
        return delivery

    def deliver(self, job: Document, attempts: int) -> float | None:
        """Send one delivery; return the seconds until the next try, or None when it is over."""
        delivery = self._state.deliveries.get(job["delivery"])
        if delivery is None:
            return None
        body = delivery["body"].encode("ascii")
        try:
            answer = call_back(
                delivery["url"], method="POST", body=body, headers=self._headers(delivery, body),
                timeout_s=self._state.frame.settings.callback_timeout_s,
            )  # fmt: skip
            outcome, done = str(answer.status), answer.status == HTTPStatus.OK
        except Unreachable as error:
            outcome, done = str(error), False
        self._state.deliveries.change(delivery["id"], attempts=attempts + 1, last=outcome, done=done)
        return None if done else self._gap(attempts, signature=delivery["signature"])

    def listed(self) -> list[Document]:
        """Return the latest deliveries with their outcome."""
        return [
            delivery | {"body": delivery["body"][:SHOWN_BODY_CHARS]}
            for delivery in self._state.deliveries.all(last=100)
        ]

    def _headers(self, delivery: Document, body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "facebookexternalua", "Accept": "*/*"}
        if delivery["signature"] == "none":
            return headers
        app = self._state.tokens.apps.get(delivery["app_id"]) or {"secret": ""}
        secret = app["secret"] if delivery["signature"] == "good" else "not-the-secret"
        return headers | signature_headers(body, app_secret=secret)

    def _gap(self, attempts: int, *, signature: str) -> float | None:
        settings = self._state.frame.settings
        # A forged body is sent once: a forger does not repeat what was refused.
        if signature != "good" or attempts + 1 >= settings.retry_tries:
            return None
        return min(settings.retry_first_s * settings.retry_factor**attempts, settings.retry_longest_s)


def _verification_failed(reason: str) -> Exception:
    return graph_error(2200, message=f"Callback verification failed with the following errors: {reason}")
