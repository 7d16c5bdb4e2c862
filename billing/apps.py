"""Billing as a Django app."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """The app's name and label; its providers are found by the registry."""

    name = "billing"
    verbose_name = "Billing"
