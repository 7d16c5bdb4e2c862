"""
MercadoPago's notifications: what signs them, what they name, and asking what is true of it.

The signature covers the id in the query, a request id and a time; the body is signed by nobody. So a body must name the
signed id, and of all else in it nothing is believed: the object is read from the API and its seller compared.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from billing.contract import EventType, PaymentEventData
from billing.providers._mercadopago_api import MercadoPagoApi
from billing.providers._mercadopago_json import moment, obj, segment, text
from billing.providers._mercadopago_spec import TOLERANCE_S
from billing.providers._mercadopago_states import disputed_payment
from core.secret import Secret
from integrations.contract import (
    AuthenticationFailed,
    InboundEvent,
    InboundRequest,
    NotFound,
    SignatureRefused,
    UnexpectedResponse,
    read_json_object,
)

LONGEST = 200
"""Keys and ids are indexed; no id of the vendor is longer than 60 characters."""

MILLISECONDS_FROM = 12
"""Digits: the documentation shows 10, the service sends 13; seconds have 12 in the year 5138."""

SIMULATOR_ID = "123456"
"""What the dashboard's "simulate a notification" names; nobody has such an object."""

CONNECT_TOPIC = "mp-connect"

_HEADER = re.compile(r"ts=([0-9]{1,16}),v1=([0-9a-f]{64})")
_SIGNED_ID = re.compile(r"[A-Za-z0-9_-]{0,100}")
_REQUEST_ID = re.compile(r"[^;\s]{0,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What a topic is about: our type, the kind of object, where it is read, which of its fields tell its state."""

    type: EventType
    object_type: str
    path: str
    changed: str = "last_modified"


_ORDER = Topic(
    type=EventType.CHECKOUT_UPDATED,
    object_type="merchant_order",
    path="/merchant_orders/{}",
    changed="last_updated",
)

TOPICS: Mapping[str, Topic] = {
    "payment": Topic(
        type=EventType.PAYMENT_UPDATED, object_type="payment", path="/v1/payments/{}", changed="date_last_updated"
    ),
    "order": Topic(
        type=EventType.PAYMENT_UPDATED, object_type="order", path="/v1/orders/{}", changed="last_updated_date"
    ),
    "merchant_order": _ORDER,
    "topic_merchant_order_wh": _ORDER,
    "subscription_preapproval": Topic(
        type=EventType.SUBSCRIPTION_UPDATED, object_type="preapproval", path="/preapproval/{}"
    ),
    "subscription_authorized_payment": Topic(
        type=EventType.INVOICE_UPDATED, object_type="authorized_payment", path="/authorized_payments/{}"
    ),
    "topic_chargebacks_wh": Topic(
        type=EventType.DISPUTE_UPDATED, object_type="chargeback", path="/v1/chargebacks/{}"
    ),
}  # fmt: skip
"""
Topic -> what it is about. Others (plans, claims, card ids, fraud alerts, Point) are kept as unknown: nothing here
follows from them that the payment's own notification would not bring. Orders are kept as they are; payments are made
by the Payments API.
"""

CONNECT_ACTIONS = {
    "application.deauthorized": EventType.ACCOUNT_DISCONNECTED,
    "application.authorized": EventType.ACCOUNT_UPDATED,
}


def verify_signature(request: InboundRequest, secrets: Sequence[Secret]) -> None:
    """
    Check x-signature over the manifest, the id as received or in lower case; any secret may match.

    The manifest is `id:<data.id of the query>;request-id:<x-request-id>;ts:<ts>;`, what is missing is left out. A body
    that names another id than the query is refused, so that a signed notification carries nothing foreign.

    :raises SignatureRefused: missing (IPN and QR notifications), malformed, wrong, or more than TOLERANCE_S away
    """
    header = request.headers.get("x-signature", "")
    if not header:
        raise SignatureRefused("no signature header", reason="missing")
    found = _HEADER.fullmatch(header.replace(" ", ""))
    signed_id, request_id = request.query.get("data.id", ""), request.headers.get("x-request-id", "")
    if found is None or not _SIGNED_ID.fullmatch(signed_id) or not _REQUEST_ID.fullmatch(request_id):
        raise SignatureRefused("the header is not ts and v1, or an id is none", reason="malformed")
    stamp, given = found.groups()
    manifests = [manifest(item, request_id=request_id, stamp=stamp) for item in (signed_id, signed_id.lower())]
    matches = [
        hmac.compare_digest(given, hmac.new(secret.reveal().encode(), signed.encode(), hashlib.sha256).hexdigest())
        for secret in secrets
        if secret
        for signed in manifests
    ]
    if not any(matches):
        raise SignatureRefused("no secret gives this signature", reason="wrong")
    if abs(request.received_at.timestamp() - _seconds(stamp)) > TOLERANCE_S:
        raise SignatureRefused("the signed time is too far from now", reason="stale")
    if _body_id(request.body).lower() != signed_id.lower():
        raise SignatureRefused("the body names another id than the signed query", reason="wrong")


def manifest(signed_id: str, *, request_id: str, stamp: str) -> str:
    """Return the text that is signed."""
    parts = (("id", signed_id), ("request-id", request_id), ("ts", stamp))
    return "".join(f"{name}:{value};" for name, value in parts if value)


def read_events(request: InboundRequest) -> list[InboundEvent]:
    """
    Turn one notification into one event, thin where its object can be read.

    :raises UnexpectedResponse: not JSON, no topic, or a body that names another id than the query
    """
    body = read_json_object(request.body)
    topic, object_id = text(body.get("type")) or text(body.get("topic")), text(obj(body.get("data")).get("id"))
    asked = request.query.get("data.id", "")
    if not topic or (asked and asked.lower() != object_id.lower()):
        raise UnexpectedResponse("the notification has no topic, or another id than its query")
    account = _account(body, topic, object_id)
    event_type = _type(body, topic)
    return [
        InboundEvent(
            type=event_type.value,
            key=_notification_key(body, topic, object_id)[:LONGEST],
            account_key=f"account:{account}" if account else "",
            occurred_at=moment(body.get("date_created")),
            data=_data(body, topic, object_id),
            raw=body,
            object_key=f"{_object_type(topic)}:{object_id}"[:LONGEST] if object_id else "",
            external_id=object_id[:LONGEST],
            thin=event_type is not EventType.UNKNOWN and _is_id(object_id),
        )
    ]


def fetch_event(api: MercadoPagoApi, event: InboundEvent) -> InboundEvent:
    """
    Read what a notification is about, with the seller compared.

    The simulator's object does not exist: that event is kept as unknown. One of another seller, or of no seller, is an
    error that no further try mends.

    :raises NotFound: this account has no such object; reason "foreign_account" where it is another's
    """
    topic = text(event.data.get("vendor_type"))
    if topic == CONNECT_TOPIC:
        return _fetch_connection(api, event)
    try:
        found = fetch_thing(api, topic, event.external_id)
    except NotFound as error:
        if event.external_id != SIMULATOR_ID or error.reason:
            raise
        return replace(event, type=EventType.UNKNOWN.value, thin=False)
    return replace(event_of(api, topic, found), raw=event.raw)


def fetch_thing(api: MercadoPagoApi, topic: str, object_id: str) -> Mapping[str, Any]:
    """Read a topic's object, and beside it the one that names its seller where it does not do so itself."""
    found = api.get_object(TOPICS[topic].path.format(segment(object_id)), operation="fetch_object")
    if topic == "topic_chargebacks_wh":
        path = f"/v1/payments/{segment(disputed_payment(found))}"
        found = {**found, "payment": dict(api.get_object(path, operation="fetch_object"))}
    if topic == "subscription_authorized_payment":
        path = f"/preapproval/{segment(text(found.get('preapproval_id')))}"
        found = {**found, "preapproval": dict(api.get_object(path, operation="fetch_object"))}
    api.require_own(_owner(found))
    if text(found.get("id")).lower() != object_id.lower():
        raise UnexpectedResponse("the vendor answered with another object")
    return found


def event_of(api: MercadoPagoApi, topic: str, thing: Mapping[str, Any]) -> InboundEvent:
    """Make the event of an object that was read: its key names the state, so that a state is taken in once."""
    about, object_id = TOPICS[topic], text(thing.get("id"))
    changed = text(thing.get(about.changed))
    return InboundEvent(
        type=about.type.value,
        key=f"{about.object_type}:{object_id}:{text(thing.get('status'))}:{changed}"[:LONGEST],
        account_key=f"account:{api.collector}",
        occurred_at=moment(changed),
        data=PaymentEventData(
            vendor_type=topic,
            object_type=about.object_type,
            object_id=object_id,
            object=dict(thing),
            environment=_environment(api, thing),
            api_version="v1",
            is_fetched=True,
        ),
        raw={},
        object_key=f"{about.object_type}:{object_id}"[:LONGEST],
        external_id=object_id[:LONGEST],
    )


def _fetch_connection(api: MercadoPagoApi, event: InboundEvent) -> InboundEvent:
    """Ask whether the access was really taken away: only a dead token says so, whatever a body says."""
    try:
        me = api.get_object("/users/me", operation="read_account")
    except AuthenticationFailed:
        kind, thing = EventType.ACCOUNT_DISCONNECTED, dict[str, Any]()
    else:
        api.require_own(text(me.get("id")))
        kind, thing = EventType.ACCOUNT_UPDATED, {"id": text(me.get("id")), "site_id": text(me.get("site_id"))}
    environment = api.integration.environment
    data = {**event.data, "object": thing, "environment": environment, "is_fetched": True}
    return replace(event, type=kind.value, thin=False, data=data)


def _owner(thing: Mapping[str, Any]) -> str:
    """The seller of an object, or of the one that was read beside it."""
    named = (
        thing.get("collector_id"),
        obj(thing.get("collector")).get("id"),
        obj(thing.get("payment")).get("collector_id"),
        obj(thing.get("preapproval")).get("collector_id"),
        thing.get("user_id"),
    )
    return next((text(value) for value in named if text(value)), "")


def _environment(api: MercadoPagoApi, thing: Mapping[str, Any]) -> str:
    return api.environment(thing) or api.environment(obj(thing.get("payment")))


def _account(body: Mapping[str, Any], topic: str, object_id: str) -> str:
    """
    Whose it is: user_id, or what is signed, where the id is the seller's own.

    :raises UnexpectedResponse: mp-connect of another seller than the signed one
    """
    named = text(body.get("user_id"))
    if topic == CONNECT_TOPIC and object_id and named not in ("", object_id):
        raise UnexpectedResponse("the notification names another account than the signed one")
    account = object_id if topic == CONNECT_TOPIC else named
    return account if re.fullmatch("[0-9]{1,20}", account) else ""


def _type(body: Mapping[str, Any], topic: str) -> EventType:
    if topic == CONNECT_TOPIC:
        return CONNECT_ACTIONS.get(text(body.get("action")), EventType.UNKNOWN)
    return TOPICS[topic].type if topic in TOPICS else EventType.UNKNOWN


def _object_type(topic: str) -> str:
    return TOPICS[topic].object_type if topic in TOPICS else topic


def _notification_key(body: Mapping[str, Any], topic: str, object_id: str) -> str:
    """The notification's number; those of orders have none, and are told apart by version or time."""
    if number := text(body.get("id")):
        return f"notification:{number}"
    state = text(obj(body.get("data")).get("version")) or text(body.get("date_created"))
    return f"{topic}:{object_id}:{text(body.get('action'))}:{state}"


def _data(body: Mapping[str, Any], topic: str, object_id: str) -> PaymentEventData:
    live_mode = body.get("live_mode")
    return PaymentEventData(
        vendor_type=topic,
        object_type=_object_type(topic),
        object_id=object_id[:LONGEST],
        object={},
        environment={True: "live", False: "test"}[live_mode] if isinstance(live_mode, bool) else "",
        api_version=text(body.get("api_version")),
        is_fetched=False,
    )


def _body_id(body: bytes) -> str:
    try:
        return text(obj(read_json_object(body).get("data")).get("id"))
    except UnexpectedResponse:
        return ""


def _is_id(object_id: str) -> bool:
    return bool(object_id) and bool(_SIGNED_ID.fullmatch(object_id))


def _seconds(stamp: str) -> float:
    return int(stamp) / 1000 if len(stamp) >= MILLISECONDS_FROM else float(stamp)
