"""The shape of a checkout session and of its lines."""

from __future__ import annotations

import secrets

from sandbox.store import Document
from sandbox.stripe.state import new_id, shown

GIVEN = (
    "allow_promotion_codes", "allowed_payment_method_types", "billing_address_collection", "cancel_url",
    "client_reference_id", "customer", "customer_creation", "customer_email", "excluded_payment_method_types",
    "locale", "return_url", "submit_type", "success_url",
)  # fmt: skip


def new_session(values: Document, *, lines: list[Document], types: list[str], now: int, livemode: bool) -> Document:
    """Return an open session."""
    mode = values["mode"]
    total = sum(line["amount_total"] for line in lines)
    key = f"cs_{'live' if livemode else 'test'}_sandbox{secrets.token_hex(16)}"
    session: Document = {
        "id": key, "object": "checkout.session", "adaptive_pricing": {"enabled": False}, "after_expiration": None,
        "amount_subtotal": total if lines else None, "amount_total": total if lines else None,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "branding_settings": None, "client_secret": None, "collected_information": None, "consent": None,
        "consent_collection": None, "created": now,
        "currency": lines[0]["currency"] if lines else values.get("currency"), "currency_conversion": None,
        "custom_fields": [],
        "custom_text": dict.fromkeys(("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")),
        "customer_account": None, "customer_details": None, "discounts": [], "expires_at": now,
        "integration_identifier": None, "invoice": None, "invoice_creation": None,
        "managed_payments": {"enabled": False}, "metadata": values.get("metadata") or {}, "mode": mode,
        "name_collection": None, "optional_items": None, "origin_context": None, "payment_intent": None,
        "payment_link": None, "payment_method_collection": values.get("payment_method_collection", "if_required"),
        "payment_method_configuration_details": None,
        "payment_method_options": values.get("payment_method_options") or {},
        "payment_method_types": types,
        "payment_status": "no_payment_required" if mode == "setup" else "unpaid", "permissions": None,
        "phone_number_collection": {"enabled": False}, "presentment_details": None, "recovered_from": None,
        "saved_payment_method_options": None, "setup_intent": None, "shipping_address_collection": None,
        "shipping_cost": None, "shipping_options": [], "status": "open", "subscription": None,
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": values.get("ui_mode", "hosted_page"), "wallet_options": None, "_lines": lines,
    }  # fmt: skip
    return session | {name: values.get(name) for name in GIVEN}


def new_line(price: Document, *, name: str, quantity: int) -> Document:
    """Return one line of a session."""
    amount = price["unit_amount"] * quantity
    return {
        "id": new_id("li"), "object": "item", "adjustable_quantity": None, "amount_discount": 0,
        "amount_subtotal": amount, "amount_tax": 0, "amount_total": amount, "currency": price["currency"],
        "description": name, "metadata": {}, "price": shown(price), "quantity": quantity,
    }  # fmt: skip
