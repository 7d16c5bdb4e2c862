"""Storage as a Django app."""

from django.apps import AppConfig


class StorageConfig(AppConfig):
    """The app's name and label; its providers are found by the registry."""

    name = "storage"
    verbose_name = "Storage"
