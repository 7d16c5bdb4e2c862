"""Payments and refunds at Stripe: make, read, find again, cancel, give back, list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from billing.contract import PaymentRequest, PaymentState, RefundRequest, RefundState
from billing.providers._stripe_answers import Answer
from billing.providers._stripe_api import StripeApi, known_id
from billing.providers._stripe_json import named, obj, reference, text
from billing.providers._stripe_payment_states import Said, read_intent, read_refund
from billing.providers._stripe_requests import payment_params, refund_params
from integrations.contract import NotFound, RequestRejected

_MAY_EXIST = frozenset({"payment_declined", "customer_action_required", "idempotency_mismatch"})
"""Reasons of refusals after which Stripe may hold the payment all the same; it is looked for."""

_CLOCKS_DIFFER = timedelta(minutes=5)
"""How much earlier than our own time a payment is looked for."""

CHANGES = (
    "payment_intent.canceled", "payment_intent.payment_failed", "payment_intent.processing",
    "payment_intent.requires_action", "payment_intent.succeeded", "charge.refunded", "charge.dispute.closed",
    "charge.succeeded", "charge.failed",
)  # fmt: skip
"""Events that tell of a change of a payment which may be older than the time that is listed."""

WITH_CHARGE = "latest_charge"


def create(api: StripeApi, request: PaymentRequest) -> PaymentState:
    """
    Make one payment. Stripe answers a declined one with an error, so it is read by our id of it.

    :raises ProviderError: refused, or no proper answer came
    """
    params = payment_params(request)
    params["expand"] = [WITH_CHARGE]
    try:
        answer = api.call(
            "create_payment",
            lambda client, options: client.v1.payment_intents.create(params, options),
            idempotency_key=request.idempotency_key,
        )
    except RequestRejected as error:
        if error.reason not in _MAY_EXIST:
            raise
        found = _find(api, request.reference, since=None)
        if found is None:
            raise
        return found
    return _state(api, answer, answer.body)


def fetch(api: StripeApi, external_id: str) -> PaymentState:
    """Read a payment by the id of its intent or charge."""
    answer = read(api, external_id)
    return _state(api, answer, answer.body)


def read(api: StripeApi, external_id: str) -> Answer:
    """Read an intent, and put its latest charge into it: what went back is known there alone."""
    payment = known_id(external_id)
    if payment.startswith(("ch_", "py_")):
        charge = _charge(api, payment)
        payment = named(charge.body, "payment_intent")
        if not payment:
            raise NotFound("a charge without a payment intent is none of ours")
    answer = api.call(
        "fetch_payment", lambda client, options: client.v1.payment_intents.retrieve(known_id(payment), None, options)
    )
    latest = text(answer.body, WITH_CHARGE)
    if not latest:
        return answer
    charge = _charge(api, latest)
    return Answer(body={**answer.body, WITH_CHARGE: dict(charge.body)}, at=answer.at)


def find(api: StripeApi, request: PaymentRequest, *, since: datetime) -> PaymentState | None:
    """Look through the payments since a moment for ours: Stripe's search is minutes behind, its list is not."""
    return _find(api, request.reference, since=since - _CLOCKS_DIFFER)


def cancel(api: StripeApi, external_id: str, *, idempotency_key: str) -> PaymentState:
    """
    Cancel a payment that nobody has paid.

    :raises RequestRejected: reason `unexpected_state`: it is too late
    """
    answer = api.call(
        "cancel_payment",
        lambda client, options: client.v1.payment_intents.cancel(
            known_id(external_id), {"expand": [WITH_CHARGE]}, options
        ),
        idempotency_key=idempotency_key,
    )
    return _state(api, answer, answer.body)


def refund(api: StripeApi, request: RefundRequest) -> RefundState:
    """Give back part or all; its final state comes by event."""
    params = refund_params(request)
    answer = api.call(
        "refund_payment",
        lambda client, options: client.v1.refunds.create(params, options),
        idempotency_key=request.idempotency_key,
    )
    return read_refund(said(api, answer))


def list_changed(api: StripeApi, *, since: datetime, until: datetime) -> Iterator[PaymentState]:
    """
    List the payments created in a time, then those that events say changed in it (Stripe keeps events for 30 days).
    """
    time = {"gte": int(since.timestamp()), "lte": int(until.timestamp())}
    seen: set[str] = set()
    for answer, intent in _intents(api, {"created": time}):
        seen.add(text(intent, "id"))
        yield _state(api, answer, intent)
    for payment in _changed(api, time):
        if payment not in seen:
            seen.add(payment)
            yield fetch(api, payment)


def said(api: StripeApi, answer: Answer, thing: Mapping[str, Any] | None = None) -> Said:
    """Return what an answer, or one row of it, says, with what the key tells."""
    return Said(
        object=answer.body if thing is None else thing,
        at=answer.at,
        account=api.account,
        environment=api.environment,
    )


def _state(api: StripeApi, answer: Answer, intent: Mapping[str, Any]) -> PaymentState:
    return read_intent(said(api, answer, intent))


def _charge(api: StripeApi, charge: str) -> Answer:
    return api.call(
        "fetch_payment", lambda client, options: client.v1.charges.retrieve(known_id(charge), None, options)
    )


def _find(api: StripeApi, ours: str, *, since: datetime | None) -> PaymentState | None:
    params = {"created": {"gte": int(since.timestamp())}} if since else {}
    for answer, intent in _intents(api, params):
        if reference(intent) == ours:
            return _state(api, answer, intent)
    return None


def _intents(api: StripeApi, params: Mapping[str, Any]) -> Iterator[tuple[Answer, Mapping[str, Any]]]:
    return api.pages(
        "list_payments",
        lambda client, asked, options: client.v1.payment_intents.list(asked, options),
        {**params, "expand": [f"data.{WITH_CHARGE}"]},
    )


def _changed(api: StripeApi, time: Mapping[str, int]) -> Sequence[str]:
    """Return the intents that events of a time are about, each once."""
    listed = api.pages(
        "list_events",
        lambda client, asked, options: client.v1.events.list(asked, options),
        {"created": dict(time), "types": list(CHANGES)},
    )
    about = (obj(event, "data", "object") for _answer, event in listed)
    ids = (
        text(thing, "id") if text(thing, "object") == "payment_intent" else named(thing, "payment_intent")
        for thing in about
    )
    return tuple(dict.fromkeys(found for found in ids if found))
