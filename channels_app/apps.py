"""Channels: messages, conversations, contacts, templates."""

from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


class ChannelsConfig(AppConfig):
    """Tables of an organization: Contact, Conversation, Message, Template."""

    name = "channels_app"
    verbose_name = "Channels"
    handlers = {
        "inbound": "channels_app.inbound.handle",
        "inbound_together": "channels_app.inbound.together",
        "published": {"integration.disconnected": "channels_app.outbox.fail_canceled"},
        "payloads": dict.fromkeys(("message.received", "message.status_changed"), "channels_app.api.payloads.messages"),
        "panels": ["channels_app.admin.conversations.LATEST"],
        "personal_data": "channels_app.personal_data.PERSONAL_DATA",
        "outbox": {
            "message.send": "channels_app.outbox.SEND_MESSAGE",
            "message.read": "channels_app.outbox.MARK_READ",
            "message.typing": "channels_app.outbox.SEND_TYPING",
            "media.download": "channels_app.outbox.DOWNLOAD_MEDIA",
        },
    }

    def ready(self) -> None:
        """
        Refuse a Graph version that ended, before the first call would.

        :raises ImproperlyConfigured: one line that names the setting and a version that lives
        """
        from channels_app.providers._meta import graph_version
        from integrations.contract import Misconfigured

        try:
            graph_version({"graph_version": settings.META_GRAPH_VERSION})
        except Misconfigured as error:
            raise ImproperlyConfigured(
                f"META_GRAPH_VERSION is {settings.META_GRAPH_VERSION!r}: {error.internal}. {error.next_action}"
            ) from None
