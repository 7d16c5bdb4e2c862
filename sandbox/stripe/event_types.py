"""The event types that an endpoint may ask for. Source: the SDK's WebhookEndpointCreateParams, 2026-10-28.endive."""

from __future__ import annotations

BY_RESOURCE: dict[str, tuple[str, ...]] = {
    "account": (
        "application.authorized", "application.deauthorized", "external_account.created", "external_account.deleted",
        "external_account.updated", "updated",
    ),
    "balance": ("available",),
    "charge": (
        "captured", "dispute.closed", "dispute.created", "dispute.funds_reinstated", "dispute.funds_withdrawn",
        "dispute.updated", "expired", "failed", "pending", "refund.updated", "refunded", "succeeded", "updated",
    ),
    "checkout": (
        "session.async_payment_failed", "session.async_payment_succeeded", "session.completed", "session.expired",
    ),
    "customer": (
        "created", "deleted", "updated", "discount.created", "discount.deleted", "discount.updated", "source.created",
        "source.deleted", "source.expiring", "source.updated", "subscription.created", "subscription.deleted",
        "subscription.paused", "subscription.pending_update_applied", "subscription.pending_update_expired",
        "subscription.resumed", "subscription.trial_will_end", "subscription.updated", "tax_id.created",
        "tax_id.deleted", "tax_id.updated",
    ),
    "invoice": (
        "created", "deleted", "finalization_failed", "finalized", "marked_uncollectible", "overdue", "overpaid",
        "paid", "payment_action_required", "payment_attempt_required", "payment_failed", "payment_succeeded", "sent",
        "upcoming", "updated", "voided", "will_be_due",
    ),
    "invoice_payment": ("paid",),
    "payment_intent": (
        "amount_capturable_updated", "canceled", "created", "partially_funded", "payment_failed", "processing",
        "requires_action", "succeeded",
    ),
    "payment_method": ("attached", "automatically_updated", "detached", "updated"),
    "payout": ("canceled", "created", "failed", "paid", "reconciliation_completed", "updated"),
    "price": ("created", "deleted", "updated"),
    "product": ("created", "deleted", "updated"),
    "refund": ("created", "failed", "updated"),
    "setup_intent": ("canceled", "created", "requires_action", "setup_failed", "succeeded"),
}  # fmt: skip
OTHER_RESOURCES = frozenset({
    "application_fee", "apps", "balance_settings", "billing", "billing_portal", "capability", "cash_balance",
    "climate", "coupon", "credit_note", "customer_cash_balance_transaction", "entitlements", "file",
    "financial_connections", "identity", "invoiceitem", "issuing_authorization", "issuing_card", "issuing_cardholder",
    "issuing_dispute", "issuing_personalization_design", "issuing_token", "issuing_transaction", "mandate",
    "payment_link", "person", "plan", "promotion_code", "quote", "radar", "reporting", "reserve", "review", "sigma",
    "source", "subscription_schedule", "tax", "tax_rate", "terminal", "test_helpers", "topup", "transfer", "treasury",
})  # fmt: skip
