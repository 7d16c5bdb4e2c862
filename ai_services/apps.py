"""AI services as a Django app."""

from django.apps import AppConfig


class AiServicesConfig(AppConfig):
    """The app's name and label; its providers are found by the registry."""

    name = "ai_services"
    verbose_name = "AI services"
