"""Links, routes, inbox and outbox."""

from django.apps import AppConfig


class DispatchConfig(AppConfig):
    """Public tables: Link, Route, WebhookDelivery, InboxKey, OutboxEntry, OAuthApp, Vendor."""

    name = "dispatch"
    verbose_name = "Dispatch"
