"""Stripe as data: fields, hosts, webhook, the error table. Source: provider card, as of 2026-11."""

from __future__ import annotations

from typing import Final

from billing.contract import EventType
from integrations.contract import (
    ApiKeyAuth,
    AuthenticationFailed,
    Category,
    DataFlow,
    ErrorRule,
    Field,
    FieldKind,
    HealthSpec,
    NotFound,
    PermissionMissing,
    Priority,
    ProviderSpec,
    RateLimit,
    RateLimited,
    RequestRejected,
    Scope,
    Unavailable,
    UsageUnit,
    WebhookSpec,
)

API_VERSION: Final = "2026-10-28.endive"
"""The one version that is sent and that endpoints of ours are made with; payloads of older endpoints are read too."""

TOLERANCE_S = 300.0

WRITES = (
    "create_payment", "cancel_payment", "refund_payment", "create_customer", "create_subscription",
    "update_subscription", "cancel_subscription", "create_checkout", "create_portal", "register_webhook",
    "exchange_code", "open_account", "create_account_link",
)  # fmt: skip
"""Operations that change something at Stripe."""

WRITE_S = 30.0
"""A charge waits for a bank; Stripe's SDK waits 80 s, which a person at a checkout does not."""

ERRORS: tuple[ErrorRule, ...] = (
    ErrorRule(error=Unavailable, codes=("lock_timeout", "idempotency_key_in_use"), wait_s=1.0),
    ErrorRule(error=Unavailable, statuses=(409,), wait_s=1.0),
    ErrorRule(
        error=AuthenticationFailed,
        codes=("invalid_grant", "invalid_client"),
        remedy="Connect the account anew: the code of the dialog was used, is too old, or belongs to another platform.",
    ),
    ErrorRule(
        error=AuthenticationFailed,
        codes=("account_invalid",),
        remedy="Connect the account anew: its owner has ended the platform's access at Stripe.",
    ),
    ErrorRule(
        error=AuthenticationFailed,
        statuses=(401,),
        remedy="Copy a secret or restricted key from the Stripe dashboard (Developers, API keys) and reconnect.",
    ),
    ErrorRule(
        error=PermissionMissing,
        statuses=(403,),
        remedy="Give the restricted key the permission that Stripe's answer names, then test the connection.",
    ),
    ErrorRule(error=NotFound, statuses=(404,)),
    ErrorRule(error=NotFound, codes=("resource_missing",)),
    ErrorRule(
        error=RequestRejected,
        statuses=(402,),
        codes=("authentication_required",),
        reason="customer_action_required",
        remedy="The payer must confirm the payment with their bank.",
    ),
    ErrorRule(
        error=RequestRejected,
        statuses=(402,),
        reason="payment_declined",
        remedy="The payment was declined: ask the payer for another way to pay.",
    ),
    ErrorRule(error=RateLimited, statuses=(429,), wait_s=1.0),
    ErrorRule(
        error=RequestRejected,
        codes=("idempotency_error",),
        reason="idempotency_mismatch",
        remedy="Use a new idempotency key: this one was used for another request.",
    ),
    ErrorRule(
        error=RequestRejected,
        codes=("payment_intent_unexpected_state",),
        reason="unexpected_state",
        remedy="The payment has moved on: read it again, then decide.",
    ),
    ErrorRule(
        error=RequestRejected,
        codes=("charge_already_refunded", "charge_disputed"),
        reason="already_returned",
        remedy="The payment was given back already, or its payer's bank is taking it back: read it again.",
    ),
    ErrorRule(
        error=RequestRejected,
        codes=("amount_too_small", "amount_too_large"),
        reason="amount_out_of_range",
        remedy="Charge an amount that Stripe takes in this currency; its answer names the limit.",
    ),
    ErrorRule(error=RequestRejected, statuses=(400,)),
    ErrorRule(error=Unavailable, statuses=(range(500, 600),), wait_s=2.0),
)
"""Stripe's error table; a 500 of a POST may have had its effect, so it is repeated with the same key only."""

SPEC = ProviderSpec(
    key="stripe",
    label="Stripe",
    category=Category.PAYMENTS,
    priority=Priority.CORE,
    docs_url="https://docs.stripe.com/api",
    api_version=API_VERSION,
    auth=ApiKeyAuth(field="secret_key"),
    credentials=(
        Field(
            name="secret_key",
            label="Secret or restricted key",
            kind=FieldKind.SECRET,
            pattern=r"[sr]k_(test|live)_[A-Za-z0-9_]{4,250}",
            help="A restricted key (rk_…) with read rights on the account is recommended (Developers, API keys). "
            "Left empty where the account is connected through Stripe Connect.",
            example="rk_test_example",
        ),
        Field(
            name="webhook_secret",
            label="Webhook signing secret",
            kind=FieldKind.SECRET,
            pattern=r"whsec_\S{4,250}",
            help="Of the endpoint that posts to this integration's webhook URL (Developers, Webhooks).",
            example="whsec_test_example",
        ),
    ),
    settings=(
        Field(
            name="publishable_key",
            label="Publishable key",
            pattern=r"pk_(test|live)_[A-Za-z0-9_]{4,250}",
            help="For the payer's browser; not a secret.",
            example="pk_test_example",
        ),
    ),
    hosts={"api": "https://api.stripe.com", "connect": "https://connect.stripe.com"},
    deadlines=dict.fromkeys(WRITES, WRITE_S),
    limits=(RateLimit(scope=Scope.ACCOUNT, count=25, per_s=1.0),),
    webhook=WebhookSpec(
        signature="hmac_sha256_timestamp_body",
        signature_header="stripe-signature",
        secret_field="webhook_secret",  # noqa: S106  the name of a field
        events=tuple(kind.value for kind in EventType),
        routing_key="account; absent for an account's own endpoint, whose link is meant",
        event_key="id, with account where there is one",
        signs_time=True,
        tolerance_s=TOLERANCE_S,
        response_time_s=2.0,
    ),
    errors=ERRORS,
    health=HealthSpec(period_s=900.0, cost=0),
    usage=(UsageUnit(name="payments", label="Payments"),),
    compliance=("PCI DSS", "LGPD", "GDPR"),
    data=(
        DataFlow(
            data="name, e-mail, tax id, payment details entered at Stripe",
            subjects="the organization's payers",
            purpose="to charge, refund and bill",
            country="United States",
            mechanism="standard contractual clauses (Res. CD/ANPD 19/2024)",
        ),
    ),
)
