"""Send notifications as MercadoPago does: signed over a manifest, repeated until somebody answers 200 or 201."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from sandbox.callbacks import Unreachable, call_back
from sandbox.mercadopago.state import KEY, State, new_id
from sandbox.store import Document

DELIVERIES_KEPT = 2000
# The first of two waits so long when notifications are to arrive in disorder.
DISORDER_S = 0.6
# our topic: (the older one, where its object lies)
IPN_TOPICS = {
    "payment": ("payment", "{}"),
    "topic_merchant_order_wh": ("merchant_order", "https://api.mercadolibre.com/merchant_orders/{}"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to tell."""

    topic: str
    action: str
    data_id: str
    seller_id: int
    app_id: str
    live_mode: bool = True
    more: Document | None = None  # further fields of the body, as the Orders API has them


@dataclass(frozen=True, slots=True, kw_only=True)
class Twist:
    """What is wrong with a notification on purpose."""

    body_id: str = ""  # the id in the body, which the signature does not cover
    user_id: int = 0
    secret: str = ""
    age_s: float = 0.0
    unsigned: bool = False
    ts_unit: str = ""
    id_case: str = ""
    notice_id: int = 0


NO_TWIST = Twist()


class Webhooks:
    """The outgoing side of all applications."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._runner = state.frame.runner

    def emit(self, notice: Notice, *, notification_url: str | None = None) -> int:
        """Tell the address of the payment, or else the application's; return how many calls will be made."""
        if notification_url:
            if not (notice.live_mode or self._state.habits.test_credentials_notify):
                return 0
            return self._to_payment_url(notice, notification_url)
        webhook = (self._state.apps.get(notice.app_id) or {"webhook": {"url": ""}})["webhook"]
        topics = webhook.get("topics")
        if not webhook["url"] or (topics is not None and notice.topic not in topics):
            return 0
        return self._repeated(notice, webhook["url"])

    def send(self, notice: Notice, *, url: str, twist: Twist = NO_TWIST, after_s: float = 0.0) -> Document:
        """Write one signed POST down and send it in the background."""
        address = _with_query(url, {"data.id": notice.data_id, "type": notice.topic})
        request_id = str(uuid.uuid4())
        headers = {"Content-Type": "application/json", "User-Agent": "MercadoPago WebHook v1.0"}
        headers["x-request-id"] = request_id
        if not twist.unsigned:
            headers["x-signature"] = self._signature(notice, request_id=request_id, twist=twist)
        return self._queue(address, headers=headers, body=self._body(notice, twist), after_s=after_s)

    def deliver(self, job: Document, attempts: int) -> float | None:
        """Send one delivery; return the seconds until the next try, or None when it is over."""
        delivery = self._state.deliveries.get(job["delivery"])
        if delivery is None:
            return None
        settings, patience_s = self._state.frame.settings, self._state.habits.answer_within_s
        try:
            answer = call_back(
                delivery["url"], method="POST", body=delivery["body"].encode(), headers=delivery["headers"],
                timeout_s=patience_s,
            )  # fmt: skip
            outcome, done = str(answer.status), answer.status in (HTTPStatus.OK, HTTPStatus.CREATED)
        except Unreachable as error:
            outcome, done = str(error), False
        self._state.deliveries.change(delivery["id"], attempts=attempts + 1, last=outcome, done=done)
        if done or attempts + 1 >= settings.retry_tries:
            return None
        return min(settings.retry_first_s * settings.retry_factor**attempts, settings.retry_longest_s)

    def listed(self) -> list[Document]:
        """Return the latest deliveries with their outcome."""
        return self._state.deliveries.all(last=100)

    def _to_payment_url(self, notice: Notice, url: str) -> int:
        source = parse_qs(urlsplit(url).query).get("source_news", ["both"])[-1]
        count = 0 if source == "ipn" else self._repeated(notice, url)
        if source != "webhooks" and notice.topic in IPN_TOPICS:
            topic, place = IPN_TOPICS[notice.topic]
            address = _with_query(url, {"topic": topic, "id": notice.data_id})
            body = {"resource": place.format(notice.data_id), "topic": topic}
            self._queue(address, headers={"Content-Type": "application/json"}, body=json.dumps(body), after_s=0.0)
            count += 1
        return count

    def _repeated(self, notice: Notice, url: str) -> int:
        habits = self._state.habits
        late = habits.disorder and len(self._state.deliveries.all()) % 2 == 0
        twist = Twist(notice_id=new_id(12))
        for _ in range(habits.duplicates + 1):
            self.send(notice, url=url, twist=twist, after_s=DISORDER_S if late else 0.0)
        return habits.duplicates + 1

    def _body(self, notice: Notice, twist: Twist) -> str:
        body: Document = {
            "id": twist.notice_id or new_id(12), "live_mode": notice.live_mode, "type": notice.topic,
            "date_created": self._state.now(), "user_id": twist.user_id or notice.seller_id, "api_version": "v1",
            "action": notice.action, "data": {"id": twist.body_id or notice.data_id},
        }  # fmt: skip
        if notice.more is not None:
            body.pop("id")
            body |= {"application_id": notice.app_id, "user_id": str(notice.seller_id)}
            body["data"] |= notice.more
        return json.dumps(body, ensure_ascii=False)

    def _signature(self, notice: Notice, *, request_id: str, twist: Twist) -> str:
        app = self._state.apps.get(notice.app_id) or {"webhook": {"secret": ""}}
        habits = self._state.habits
        at = self._state.frame.now() - twist.age_s
        stamp = str(int(at) if (twist.ts_unit or habits.ts_unit) == "s" else int(at * 1000))
        lower = (twist.id_case or habits.id_case) == "lower"
        signed_id = notice.data_id.lower() if lower else notice.data_id
        secret = twist.secret or app["webhook"]["secret"]
        return signature_header(data_id=signed_id, request_id=request_id, stamp=stamp, secret=secret)

    def _queue(self, url: str, *, headers: dict[str, str], body: str, after_s: float) -> Document:
        delivery: Document = {
            "id": uuid.uuid4().hex, "url": url, "headers": headers, "body": body, "attempts": 0, "last": "",
            "done": False, "at": self._state.frame.now(),
        }  # fmt: skip
        with self._state.frame.store.transaction():
            self._state.deliveries.put(delivery["id"], delivery)
            self._state.deliveries.keep_last(DELIVERIES_KEPT)
        self._runner.schedule(vendor=KEY, name="deliver", body={"delivery": delivery["id"]}, after_s=after_s)
        return delivery


def signature_header(*, data_id: str, request_id: str, stamp: str, secret: str) -> str:
    """Return `ts=…,v1=…` over the manifest `id:…;request-id:…;ts:…;`."""
    manifest = f"id:{data_id};request-id:{request_id};ts:{stamp};"
    digest = hmac.new(secret.encode(), manifest.encode(), hashlib.sha256).hexdigest()
    return f"ts={stamp},v1={digest}"


def _with_query(url: str, more: dict[str, str]) -> str:
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, urlencode(more)) if part)
    return urlunsplit(parts._replace(query=query, fragment=""))
