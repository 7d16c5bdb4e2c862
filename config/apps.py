"""The top floor as a Django app: it holds commands and middleware, no models."""

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Loads Celery, so that `shared_task` finds the app in every process."""

    name = "config"
    verbose_name = "Installation"

    def ready(self) -> None:
        """Bind the Celery app."""
        from config import celery  # noqa: F401
