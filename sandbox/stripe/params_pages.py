"""The parameters of hosted pages, accounts and webhooks."""

from __future__ import annotations

from sandbox.stripe.form import Listed, Record, Rule, Unset, anything, choice, currency, email, flag, text, url, whole
from sandbox.stripe.params import (
    DESCRIPTOR,
    EXPAND,
    ID,
    META,
    METHOD_TYPES,
    PRICE_DATA,
    TIMESTAMP,
    TRIAL_SETTINGS,
    listing,
    retired,
)

LINE_PRODUCT = Record(
    META | {"name": text(), "description": text(), "images": Listed(url, most=8), "tax_code": ID}, required=("name",)
)
LINE_ITEM = Record({
    "price": ID, "quantity": whole(least=1, most=999_999), "adjustable_quantity": anything,
    "price_data": Record(PRICE_DATA | {"product_data": LINE_PRODUCT}, required=("currency",)),
})  # fmt: skip
SESSION_METHOD_OPTIONS = Record({
    "pix": Record({
        "amount_includes_iof": choice("always", "never"), "expires_after_seconds": whole(least=60, most=1_209_600),
        "setup_future_usage": choice("none"),
    }),
    "boleto": Record({
        "expires_after_days": whole(least=0, most=60),
        "setup_future_usage": choice("none", "off_session", "on_session"),
    }),
    "card": Record({
        "capture_method": choice("manual"), "request_three_d_secure": choice("any", "automatic", "challenge"),
        "setup_future_usage": choice("off_session", "on_session"), "installments": anything,
    }),
})  # fmt: skip
SESSION_CREATE = Record(
    EXPAND | META | {
        "mode": choice("payment", "setup", "subscription"), "line_items": Listed(LINE_ITEM), "success_url": url,
        "cancel_url": url, "return_url": url, "client_reference_id": text(most=200), "customer": ID,
        "customer_creation": choice("always", "if_required"), "customer_email": email, "currency": currency,
        "expires_at": TIMESTAMP, "locale": text(most=10), "payment_method_types": retired,
        "ui_mode": choice("elements", "embedded_page", "form", "hosted_page"),
        "allowed_payment_method_types": METHOD_TYPES, "excluded_payment_method_types": METHOD_TYPES,
        "payment_method_collection": choice("always", "if_required"), "payment_method_configuration": ID,
        "payment_method_options": SESSION_METHOD_OPTIONS, "phone_number_collection": Record({"enabled": flag}),
        "billing_address_collection": choice("auto", "required"), "allow_promotion_codes": flag,
        "submit_type": choice("auto", "book", "donate", "pay", "subscribe"),
        "payment_intent_data": Record(META | {
            "application_fee_amount": whole(least=0),
            "capture_method": choice("automatic", "automatic_async", "manual"),
            "description": text(most=1000), "receipt_email": email, "on_behalf_of": ID, "transfer_group": text(),
            "setup_future_usage": choice("off_session", "on_session"), "statement_descriptor": DESCRIPTOR,
            "statement_descriptor_suffix": DESCRIPTOR,
        }),
        "subscription_data": Record(META | {
            "description": text(most=500), "trial_end": TIMESTAMP, "trial_period_days": whole(least=1, most=730),
            "trial_settings": TRIAL_SETTINGS, "billing_cycle_anchor": TIMESTAMP,
        }),
    },
    required=("mode",),
)  # fmt: skip
LINE_LIST = Record({"limit": whole(least=1, most=100), "starting_after": ID, "ending_before": ID} | EXPAND)
AFTER_COMPLETION = Record(
    {
        "type": choice("hosted_confirmation", "portal_homepage", "redirect"),
        "redirect": Record({"return_url": url}, required=("return_url",)),
        "hosted_confirmation": Record({"custom_message": text(most=500)}),
    },
    required=("type",),
)
OF_SUBSCRIPTION = Record({"subscription": ID}, required=("subscription",))
TO_CANCEL = Record({"subscription": ID, "retention": anything}, required=("subscription",))
PORTAL_CREATE = Record(
    EXPAND | {
        "customer": ID, "configuration": ID, "return_url": url, "locale": text(most=10), "on_behalf_of": ID,
        "flow_data": Record(
            {
                "type": choice(
                    "customer_update", "payment_method_update", "subscription_cancel", "subscription_pause",
                    "subscription_update", "subscription_update_confirm",
                ),
                "after_completion": AFTER_COMPLETION, "subscription_cancel": TO_CANCEL,
                "subscription_pause": OF_SUBSCRIPTION, "subscription_update": OF_SUBSCRIPTION,
                "subscription_update_confirm": Record(
                    {"subscription": ID, "items": Listed(Record({"id": ID, "price": ID, "quantity": whole(least=0)}))},
                    required=("subscription", "items"),
                ),
            },
            required=("type",),
        ),
    },
    required=("customer",),
)  # fmt: skip

# Accounts
ACCOUNT_CREATE = Record(
    EXPAND | META | {
        "type": choice("custom", "express", "standard"), "country": text(most=2, pattern="[A-Z]{2}"), "email": email,
        "business_type": choice("company", "government_entity", "individual", "non_profit"),
        "default_currency": currency,
        "business_profile": Record({"name": text(), "url": url, "mcc": text(most=4), "product_description": text()}),
        "capabilities": Record({
            name: Record({"requested": flag})
            for name in ("card_payments", "boleto_payments", "pix_payments", "transfers")
        }),
        "controller": Record({
            "fees": Record({"payer": choice("account", "application")}),
            "losses": Record({"payments": choice("application", "stripe")}),
            "requirement_collection": choice("application", "stripe"),
            "stripe_dashboard": Record({"type": choice("express", "full", "none")}),
        }),
    }
)  # fmt: skip
LINK_CREATE = Record(
    EXPAND | {
        "account": ID, "type": choice("account_onboarding", "account_update"), "refresh_url": url, "return_url": url,
        "collect": choice("currently_due", "eventually_due"),
        "collection_options": Record(
            {"fields": choice("currently_due", "eventually_due"), "future_requirements": choice("include", "omit")}
        ),
    },
    required=("account", "type"),
)  # fmt: skip

# Webhooks
ENDPOINT: dict[str, Rule] = EXPAND | META | {
    "description": Unset(text()), "enabled_events": Listed(text(most=100), most=500), "url": text(most=2048),
}  # fmt: skip
ENDPOINT_CREATE = Record(ENDPOINT | {"api_version": text(most=40), "connect": flag}, required=("enabled_events", "url"))
ENDPOINT_UPDATE = Record(ENDPOINT | {"disabled": flag})
EVENT_LIST = listing(type=text(most=100), types=Listed(text(most=100), most=20), delivery_success=flag)
