"""Notifications."""

from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    """Public table: Notification, personal values sealed."""

    name = "notifications"
    verbose_name = "Notifications"
