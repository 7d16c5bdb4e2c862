"""Privacy as a Django app."""

from django.apps import AppConfig


class PrivacyConfig(AppConfig):
    """The app's name and label; its providers are found by the registry."""

    name = "privacy"
    verbose_name = "Privacy"
