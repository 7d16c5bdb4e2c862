"""The top floor as a Django app: it holds commands and middleware, no models."""

from django.apps import AppConfig
from django.conf import settings


class ConfigConfig(AppConfig):
    """Loads Celery, so that `shared_task` finds the app in every process."""

    name = "config"
    verbose_name = "Installation"

    def ready(self) -> None:
        """Bind the Celery app and start error reports."""
        from config import celery, observability  # noqa: F401

        observability.start(dsn=settings.SENTRY_DSN, environment=settings.ENVIRONMENT_NAME)
