"""Billing as a Django app."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Tables of an organization: payments and what hangs on them, mirrored from their vendors."""

    name = "billing"
    verbose_name = "Billing"
    handlers = {
        "inbound": "billing.inbound.handle",
        "reconciles": "billing.services.reconciliation.compare_days",
        "payloads": {
            "payment.updated": "billing.api.payloads.payments",
            "refund.updated": "billing.api.payloads.refunds",
            "subscription.updated": "billing.api.payloads.subscriptions",
            "dispute.opened": "billing.api.payloads.disputes",
            "dispute.closed": "billing.api.payloads.disputes",
        },
        "panels": ["billing.admin.payments.LATEST"],
        "outbox": {
            "payment.settle": "billing.outbox.SETTLE_PAYMENT",
            "refund.send": "billing.outbox.SEND_REFUND",
            "billing.read": "billing.outbox.READ_OBJECT",
            "card_page.expire": "billing.pages.outbox.EXPIRE",
        },
    }
