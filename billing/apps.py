"""Billing as a Django app."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Tables of an organization: payments and what hangs on them, mirrored from their vendors."""

    name = "billing"
    verbose_name = "Billing"
    handlers = {
        "inbound": "billing.inbound.handle",
    }
