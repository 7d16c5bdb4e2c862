"""The parameters of every operation. A name that is not here is refused, as Stripe refuses what it does not know.

Source: the parameter types of the SDK 16.1.0 for 2026-10-28.endive; parts that only other products use are left out.
"""

from __future__ import annotations

from typing import Any

from sandbox.stripe.errors import invalid
from sandbox.stripe.form import (
    Listed,
    Record,
    Rule,
    Unset,
    anything,
    choice,
    currency,
    either,
    email,
    flag,
    metadata,
    text,
    url,
    whole,
)

TIMESTAMP = whole(least=0)
ID = text(most=255)
METHOD_TYPES = Listed(text(most=40))
EXPAND: dict[str, Rule] = {"expand": Listed(text(most=200), most=20)}
META: dict[str, Rule] = {"metadata": metadata}


def retired(value: Any, path: str) -> Any:
    """Refuse the parameter that the endive release removed."""
    message = "payment_method_types is not supported on this API version."
    raise invalid(message, code="payment_method_types_no_longer_supported", param=path)


CREATED = either(Record(dict.fromkeys(("gt", "gte", "lt", "lte"), TIMESTAMP)))


def created(value: Any, path: str) -> Any:
    """Accept a moment, or a range of moments."""
    return TIMESTAMP(value, path) if isinstance(value, str) else CREATED(value, path)


def listing(**filters: Rule) -> Record:
    """Return the parameters of a list."""
    page: dict[str, Rule] = {
        "limit": whole(least=1, most=100), "starting_after": ID, "ending_before": ID, "created": created,
    }  # fmt: skip
    return Record(page | EXPAND | filters)


def moment_or_now(value: Any, path: str) -> Any:
    """Accept a moment or the word now."""
    return either(TIMESTAMP, "now")(value, path)


ADDRESS = Record(
    {name: Unset(text(most=200)) for name in ("city", "country", "line1", "line2", "postal_code", "state")}
)
BILLING_DETAILS = Record({
    "address": Unset(ADDRESS), "email": Unset(email), "name": Unset(text()), "phone": Unset(text(most=20)),
    "tax_id": text(most=20),
})  # fmt: skip
RECEIVER: dict[str, Rule] = {"address": ADDRESS, "name": text(), "phone": text(most=20)}
RECEIVER_OF_CUSTOMER = Unset(Record(RECEIVER, required=("address", "name")))
SHIPPING = Unset(Record(RECEIVER | {"carrier": text(), "tracking_number": text()}, required=("address", "name")))
NOTHING = Record(EXPAND)

# Customers, products, prices
CUSTOMER: dict[str, Rule] = EXPAND | META | {
    "address": Unset(ADDRESS), "balance": whole(), "description": Unset(text()), "email": Unset(email),
    "business_name": Unset(text(most=150)), "individual_name": Unset(text(most=150)),
    "invoice_prefix": text(most=12, pattern="[A-Z0-9]{3,12}"), "name": Unset(text(most=256)),
    "invoice_settings": Record({"default_payment_method": Unset(ID), "footer": Unset(text())}),
    "next_invoice_sequence": whole(least=1), "phone": Unset(text(most=20)), "preferred_locales": Listed(text(most=10)),
    "shipping": RECEIVER_OF_CUSTOMER, "tax_exempt": Unset(choice("exempt", "none", "reverse")),
}  # fmt: skip
TAX_ID = Record(
    {"type": text(most=30, pattern="[a-z]{2}_[a-z_0-9]+"), "value": text(most=40)}, required=("type", "value")
)
CUSTOMER_CREATE = Record(CUSTOMER | {"payment_method": ID, "tax_id_data": Listed(TAX_ID, most=5)})
CUSTOMER_UPDATE = Record(CUSTOMER)
CUSTOMER_LIST = listing(email=email)
RECURRING = Record(
    {"interval": choice("day", "week", "month", "year"), "interval_count": whole(least=1, most=1095)},
    required=("interval",),
)
PRODUCT_LIST = listing(active=flag, ids=Listed(ID))
PRICE_LIST = listing(
    active=flag, currency=currency, product=ID, type=choice("one_time", "recurring"), lookup_keys=Listed(ID, most=10),
    recurring=Record({"interval": choice("day", "week", "month", "year")}),
)  # fmt: skip

# Payment intents
METHOD_DATA = Record(
    META | {
        "type": choice("card", "pix", "boleto"), "billing_details": BILLING_DETAILS, "pix": Record({}),
        "boleto": Record({"tax_id": text(most=20)}, required=("tax_id",)), "allow_redisplay": text(most=20),
    },
    required=("type",),
)  # fmt: skip
METHOD_OPTIONS = Record({
    "pix": Unset(Record({
        "amount_includes_iof": choice("always", "never"), "expires_after_seconds": whole(least=60, most=1_209_600),
        "expires_at": TIMESTAMP, "setup_future_usage": choice("none"),
    })),
    "boleto": Unset(Record({
        "expires_after_days": whole(least=0, most=60),
        "setup_future_usage": Unset(choice("none", "off_session", "on_session")),
    })),
    "card": Unset(Record({
        "capture_method": Unset(choice("manual")), "cvc_token": ID, "moto": flag,
        "request_three_d_secure": choice("any", "automatic", "challenge"),
        "setup_future_usage": Unset(choice("none", "off_session", "on_session")),
        "statement_descriptor_suffix_kana": Unset(text(most=22)), "installments": anything,
    })),
})  # fmt: skip
DESCRIPTOR = text(most=22, pattern=r"""[^<>\\'"*]*[A-Za-z][^<>\\'"*]*""")
INTENT: dict[str, Rule] = EXPAND | META | {
    "amount": whole(least=1), "currency": currency, "application_fee_amount": Unset(whole(least=0)),
    "allowed_payment_method_types": METHOD_TYPES, "capture_method": choice("automatic", "automatic_async", "manual"),
    "customer": ID, "description": text(most=1000), "excluded_payment_method_types": Unset(METHOD_TYPES),
    "payment_method": ID, "payment_method_configuration": ID, "payment_method_data": METHOD_DATA,
    "payment_method_options": METHOD_OPTIONS, "payment_method_types": retired, "receipt_email": Unset(email),
    "setup_future_usage": Unset(choice("off_session", "on_session")), "shipping": SHIPPING,
    "statement_descriptor": DESCRIPTOR, "statement_descriptor_suffix": DESCRIPTOR, "transfer_group": text(),
}  # fmt: skip
CONFIRMING: dict[str, Rule] = {
    "error_on_requires_action": flag, "mandate_data": anything, "off_session": either(flag, "one_off", "recurring"),
    "return_url": url, "use_stripe_sdk": flag,
}  # fmt: skip
INTENT_CREATE = Record(
    INTENT | CONFIRMING | {
        "confirm": flag, "confirmation_method": choice("automatic", "manual"), "on_behalf_of": ID,
        "automatic_payment_methods": Record(
            {"enabled": flag, "allow_redirects": choice("always", "never")}, required=("enabled",)
        ),
        "transfer_data": Record({"destination": ID, "amount": whole(least=1)}, required=("destination",)),
    },
    required=("amount", "currency"),
)  # fmt: skip
INTENT_UPDATE = Record(INTENT)
INTENT_CONFIRM = Record(
    CONFIRMING | EXPAND | {
        name: INTENT[name] for name in (
            "allowed_payment_method_types", "capture_method", "excluded_payment_method_types", "payment_method",
            "payment_method_data", "payment_method_options", "payment_method_types", "receipt_email",
            "setup_future_usage", "shipping",
        )
    }
)  # fmt: skip
INTENT_CAPTURE = Record(
    EXPAND | META | {
        "amount_to_capture": whole(least=1), "application_fee_amount": whole(least=0), "final_capture": flag,
        "statement_descriptor": DESCRIPTOR, "statement_descriptor_suffix": DESCRIPTOR,
    }
)  # fmt: skip
INTENT_CANCEL = Record(
    EXPAND | {"cancellation_reason": choice("abandoned", "duplicate", "fraudulent", "requested_by_customer")}
)
INTENT_LIST = listing(customer=ID)
METHOD_ATTACH = Record(EXPAND | {"customer": ID}, required=("customer",))

# Charges, refunds, disputes, payouts
CHARGE_LIST = listing(customer=ID, payment_intent=ID, transfer_group=text())
REFUND_CREATE = Record(
    EXPAND | META | {
        "amount": whole(least=1), "charge": ID, "payment_intent": ID, "instructions_email": email,
        "reason": choice("duplicate", "fraudulent", "requested_by_customer"), "refund_application_fee": flag,
        "reverse_transfer": flag,
    }
)  # fmt: skip
REFUND_LIST = listing(charge=ID, payment_intent=ID)
DISPUTE_LIST = listing(charge=ID, payment_intent=ID)
PAYOUT_LIST = listing(
    status=choice("pending", "paid", "failed", "canceled", "in_transit"), arrival_date=created, destination=ID
)

# Subscriptions and invoices
PRICE_DATA: dict[str, Rule] = {
    "currency": currency, "product": ID, "recurring": RECURRING, "unit_amount": whole(least=0),
    "tax_behavior": choice("exclusive", "inclusive", "unspecified"),
}  # fmt: skip
ITEM: dict[str, Rule] = META | {
    "price": ID, "quantity": whole(least=0),
    "price_data": Record(PRICE_DATA, required=("currency", "product", "recurring")),
}  # fmt: skip
PRORATION = choice("always_invoice", "create_prorations", "none")
TRIAL_SETTINGS = Record({
    "end_behavior": Record({"missing_payment_method": choice("cancel", "create_invoice", "pause")})
})  # fmt: skip
PAYMENT_SETTINGS = Record({
    "save_default_payment_method": choice("off", "on_subscription"), "payment_method_types": Unset(METHOD_TYPES),
    "payment_method_options": anything,
})  # fmt: skip
SUBSCRIPTION: dict[str, Rule] = EXPAND | META | {
    "cancel_at": Unset(TIMESTAMP), "cancel_at_period_end": flag, "days_until_due": whole(least=0),
    "collection_method": choice("charge_automatically", "send_invoice"), "default_payment_method": ID,
    "description": Unset(text(most=500)), "off_session": flag, "payment_settings": PAYMENT_SETTINGS,
    "payment_behavior": choice(
        "allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"
    ),
    "proration_behavior": PRORATION, "trial_end": moment_or_now, "trial_settings": TRIAL_SETTINGS,
}  # fmt: skip
SUBSCRIPTION_CREATE = Record(
    SUBSCRIPTION | {
        "customer": ID, "currency": currency, "items": Listed(Record(ITEM), most=20), "trial_period_days": whole(
            least=1, most=730
        ),
        "billing_cycle_anchor": TIMESTAMP,
        "billing_mode": Record({"type": choice("classic", "flexible")}, required=("type",)),
    },
    required=("customer", "items"),
)  # fmt: skip
ANCHOR = Record({"type": choice("now", "unchanged")}, required=("type",))
SUBSCRIPTION_UPDATE = Record(
    SUBSCRIPTION | {
        "items": Listed(Record(ITEM | {"id": ID, "deleted": flag}), most=20), "billing_cycle_anchor": ANCHOR,
        "cancellation_details": Record({"comment": Unset(text()), "feedback": Unset(text(most=40))}),
        "proration_date": TIMESTAMP,
        "pause_collection": Unset(Record(
            {"behavior": choice("keep_as_draft", "mark_uncollectible", "void"), "resumes_at": TIMESTAMP},
            required=("behavior",),
        )),
    }
)  # fmt: skip
SUBSCRIPTION_CANCEL = Record(
    EXPAND | {
        "cancellation_details": Record({"comment": Unset(text()), "feedback": Unset(text(most=40))}),
        "invoice_now": flag, "prorate": flag,
    }
)  # fmt: skip
SUBSCRIPTION_RESUME = Record(
    EXPAND | {"billing_cycle_anchor": ANCHOR, "proration_behavior": PRORATION, "proration_date": TIMESTAMP}
)
SUBSCRIPTION_PAUSE = Record(
    EXPAND | {
        "type": choice("subscription"), "invoicing_behavior": choice("invoice", "pending_invoice_item"),
        "bill_for": anything,
    }
)  # fmt: skip
SUBSCRIPTION_LIST = listing(
    customer=ID, price=ID, collection_method=text(most=30),
    status=choice("active", "all", "canceled", "ended", "incomplete", "incomplete_expired", "past_due", "paused",
                  "trialing", "unpaid"),
)  # fmt: skip
INVOICE_LIST = listing(
    customer=ID, subscription=ID, collection_method=text(most=30),
    status=choice("draft", "open", "paid", "uncollectible", "void"),
)  # fmt: skip
INVOICE_PAYMENT_LIST = listing(
    invoice=ID, status=choice("canceled", "open", "paid"),
    payment=Record(
        {"type": choice("charge", "payment_intent", "payment_record"), "payment_intent": ID, "charge": ID},
        required=("type",),
    ),
)  # fmt: skip
