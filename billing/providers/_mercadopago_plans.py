"""Subscriptions of MercadoPago: plans (preapproval_plan) are the prices, preapprovals the subscriptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.contract import Price, SubscriptionChange, SubscriptionRequest, SubscriptionState
from billing.providers._mercadopago_api import MercadoPagoApi
from billing.providers._mercadopago_json import (
    amount_minor,
    amount_number,
    number_text,
    obj,
    required,
    segment,
    text,
)
from billing.providers._mercadopago_states import subscription_state
from billing.providers._mercadopago_tables import INTERVALS
from integrations.contract import RequestRejected, UnexpectedResponse


def list_prices(api: MercadoPagoApi) -> list[Price]:
    """List the account's plans."""
    rows = api.pages("/preapproval_plan/search", operation="list_prices", params={})
    return [_price(row) for row in rows]


def create(api: MercadoPagoApi, request: SubscriptionRequest) -> SubscriptionState:
    """
    Begin a subscription to a plan; the payer confirms it on the page that `url` names.

    A preapproval that names its plan must come with a card token. Ours has none, so the plan's terms are copied into a
    pending one, and its price is known to us alone.

    :raises RequestRejected: more than one of a plan, no e-mail, or no page to return to
    """
    _check(request)
    plan = _plan(api, request.price)
    terms = _terms(plan)
    if request.trial_days:
        terms["free_trial"] = {"frequency": request.trial_days, "frequency_type": "days"}
    body = {
        "reason": required(plan, "reason"),
        "external_reference": request.reference,
        "payer_email": request.payer.email,
        "back_url": request.return_url,
        "auto_recurring": terms,
        "status": "pending",
    }
    made = api.post("/preapproval", body, operation="create_subscription", key=request.idempotency_key)
    return _state(api, {**made, "preapproval_plan_id": request.price})


def update(api: MercadoPagoApi, external_id: str, change: SubscriptionChange) -> SubscriptionState:
    """
    Move a subscription to another plan's amount; metadata is kept by us alone.

    :raises RequestRejected: a quantity, an end at the period's end, or a plan of another rhythm
    """
    if change.quantity not in (None, 1):
        raise _one_only()
    if change.cancel_at_period_end:
        raise RequestRejected(
            "no end at the period's end",
            field="cancel_at_period_end",
            reason="unsupported",
            next_action="MercadoPago ends subscriptions at once: cancel it at the end of the period.",
        )
    current = fetch(api, external_id)
    if change.price is None:
        return current
    wanted, now = _terms(_plan(api, change.price)), obj(current.object.get("auto_recurring"))
    if any(text(wanted.get(name)) != text(now.get(name)) for name in ("frequency", "frequency_type", "currency_id")):
        raise RequestRejected(
            "another rhythm",
            field="price",
            reason="unsupported",
            next_action="Choose a plan that is charged as often, or cancel and subscribe anew.",
        )
    terms = {name: wanted[name] for name in ("transaction_amount", "currency_id")}
    path = f"/preapproval/{segment(external_id)}"
    api.put(path, {"auto_recurring": terms}, operation="update_subscription", key=change.idempotency_key)
    found = fetch(api, external_id)
    return _state(api, {**found.object, "preapproval_plan_id": change.price})


def cancel(api: MercadoPagoApi, external_id: str, *, key: str) -> SubscriptionState:
    """End a subscription now."""
    fetch(api, external_id)
    path = f"/preapproval/{segment(external_id)}"
    return _state(api, api.put(path, {"status": "cancelled"}, operation="cancel_subscription", key=key))


def fetch(api: MercadoPagoApi, external_id: str) -> SubscriptionState:
    """Read a subscription of this seller."""
    found = api.get_object(f"/preapproval/{segment(external_id)}", operation="fetch_object")
    api.require_own(text(found.get("collector_id")))
    return _state(api, found)


def _state(api: MercadoPagoApi, preapproval: Mapping[str, Any]) -> SubscriptionState:
    return subscription_state(preapproval, environment=api.environment(preapproval))


def _plan(api: MercadoPagoApi, price: str) -> Mapping[str, Any]:
    plan = api.get_object(f"/preapproval_plan/{segment(price, field='price')}", operation="fetch_price")
    api.require_own(text(plan.get("collector_id")))
    if text(plan.get("status")) not in ("", "active"):
        raise RequestRejected("the plan is not active", field="price", reason="price_inactive")
    return plan


def _terms(plan: Mapping[str, Any]) -> dict[str, Any]:
    terms = obj(plan.get("auto_recurring"))
    currency = required(terms, "currency_id")
    amount = amount_minor(terms.get("transaction_amount"), currency)
    kept = {
        name: terms[name] for name in ("frequency", "frequency_type", "repetitions", "free_trial") if terms.get(name)
    }
    return {**kept, "transaction_amount": amount_number(amount, currency), "currency_id": currency}


def _price(plan: Mapping[str, Any]) -> Price:
    terms = obj(plan.get("auto_recurring"))
    currency = text(terms.get("currency_id"))
    has_amount = bool(number_text(terms.get("transaction_amount")))
    count = terms.get("frequency")
    if not isinstance(count, int):
        raise UnexpectedResponse("a plan has no frequency")
    return Price(
        external_id=required(plan, "id"),
        label=text(plan.get("reason")),
        amount_minor=amount_minor(terms.get("transaction_amount"), currency) if has_amount else None,
        currency=currency,
        interval=INTERVALS.get(text(terms.get("frequency_type")), text(terms.get("frequency_type"))),
        interval_count=count,
        is_active=text(plan.get("status")) == "active",
    )


def _check(request: SubscriptionRequest) -> None:
    if request.quantity != 1:
        raise _one_only()
    if not request.payer.email:
        raise RequestRejected(
            "no e-mail", field="payer.email", reason="payer_incomplete", next_action="Give the payer's e-mail."
        )
    if not request.return_url:
        raise RequestRejected(
            "no return_url",
            field="return_url",
            reason="return_url_missing",
            next_action="Give the page to which MercadoPago leads the payer back.",
        )


def _one_only() -> RequestRejected:
    return RequestRejected(
        "quantity",
        field="quantity",
        reason="unsupported",
        next_action="MercadoPago sells one of a plan at a time: leave quantity out, or make a plan of that amount.",
    )
