"""Monitoring as a Django app."""

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    """The app's name and label; its providers are found by the registry."""

    name = "monitoring"
    verbose_name = "Monitoring"
