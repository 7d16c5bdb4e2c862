"""The shape of a subscription, of its items, and of the setup intent of a trial."""

from __future__ import annotations

import secrets
from calendar import monthrange
from datetime import UTC, datetime, timedelta

from sandbox.store import Document
from sandbox.stripe.state import new_id

MONTHS = {"month": 1, "year": 12}
DAYS = {"day": 1, "week": 7}


def period_end(start: int, price: Document) -> int:
    """Return the end of the period that starts at `start`; months keep the day, or end on their last."""
    recurring = price["recurring"]
    count, interval = recurring["interval_count"], recurring["interval"]
    begin = datetime.fromtimestamp(start, UTC)
    if interval in DAYS:
        return int((begin + timedelta(days=DAYS[interval] * count)).timestamp())
    years, month = divmod(begin.month - 1 + MONTHS[interval] * count, 12)
    year = begin.year + years
    day = min(begin.day, monthrange(year, month + 1)[1])
    return int(begin.replace(year=year, month=month + 1, day=day).timestamp())


def new_item(subscription: str, price: Document, values: Document, *, start: int, trial_end: int | None) -> Document:
    """Return a subscription item; a trial is its first period."""
    recurring = price["recurring"]
    plan = {
        "id": price["id"], "object": "plan", "active": True, "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"], "billing_scheme": "per_unit", "created": price["created"],
        "currency": price["currency"], "interval": recurring["interval"],
        "interval_count": recurring["interval_count"], "livemode": price["livemode"], "metadata": {}, "meter": None,
        "nickname": None, "product": price["product"], "tiers_mode": None, "transform_usage": None,
        "trial_period_days": None, "usage_type": "licensed",
    }  # fmt: skip
    return {
        "id": new_id("si"), "object": "subscription_item", "billed_until": None, "billing_thresholds": None,
        "created": start, "current_period_start": start, "current_period_end": trial_end or period_end(start, price),
        "current_trial": None, "discounts": [], "metadata": values.get("metadata") or {}, "plan": plan,
        "price": price, "quantity": values.get("quantity", 1), "subscription": subscription, "tax_rates": [],
    }  # fmt: skip


def new_subscription(key: str, items: list[Document], values: Document, *, now: int, trial_end: int | None) -> Document:
    """Return a subscription that has no invoice yet."""
    settings = {"payment_method_options": None, "payment_method_types": None, "save_default_payment_method": "off"}
    ends = bool(values.get("cancel_at_period_end"))
    return {
        "id": key, "object": "subscription", "application": None, "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": values.get("billing_cycle_anchor") or trial_end or now,
        "billing_cycle_anchor_config": None, "billing_mode": {"flexible": None, "type": "flexible", "updated_at": None},
        "billing_schedules": [], "billing_thresholds": None,
        "cancel_at": items[0]["current_period_end"] if ends else values.get("cancel_at"),
        "cancel_at_period_end": ends, "canceled_at": now if ends else None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": values.get("collection_method", "charge_automatically"), "created": now,
        "currency": items[0]["price"]["currency"], "customer": values["customer"], "customer_account": None,
        "days_until_due": values.get("days_until_due"), "default_payment_method": None, "default_source": None,
        "default_tax_rates": [], "description": values.get("description"), "discounts": [], "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": {
            "object": "list", "data": items, "has_more": False, "total_count": len(items),
            "url": f"/v1/subscription_items?subscription={key}",
        },
        "latest_invoice": None, "managed_payments": {"enabled": False}, "metadata": values.get("metadata") or {},
        "next_pending_invoice_item_invoice": None, "on_behalf_of": None, "pause_collection": None,
        "payment_settings": settings | (values.get("payment_settings") or {}),
        "pending_invoice_item_interval": None, "pending_setup_intent": None, "pending_update": None,
        "presentment_details": None, "schedule": None, "start_date": now,
        "status": "trialing" if trial_end else "incomplete", "status_details": {"paused": None}, "test_clock": None,
        "transfer_data": None, "trial_end": trial_end,
        "trial_settings": values.get("trial_settings")
        or {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": now if trial_end else None,
    }  # fmt: skip


def new_setup_intent(subscription: Document, *, now: int) -> Document:
    """Return the setup intent by which the payer of a trial names a method."""
    key = new_id("seti")
    return {
        "id": key, "object": "setup_intent", "application": None, "automatic_payment_methods": None,
        "cancellation_reason": None, "client_secret": f"{key}_secret_{secrets.token_hex(12)}", "created": now,
        "customer": subscription["customer"], "description": None, "last_setup_error": None, "latest_attempt": None,
        "mandate": None, "metadata": {}, "next_action": None, "on_behalf_of": None, "payment_method": None,
        "payment_method_options": {}, "payment_method_types": ["card"], "single_use_mandate": None,
        "status": "requires_payment_method", "usage": "off_session",
    }  # fmt: skip
