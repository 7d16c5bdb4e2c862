"""Analytics as a Django app."""

from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    """The app's name and label; its providers are found by the registry."""

    name = "analytics"
    verbose_name = "Analytics"
