"""Channels: messages, conversations, contacts, templates."""

from typing import Any, ClassVar

from django.apps import AppConfig


class ChannelsConfig(AppConfig):
    """Tables of an organization: Contact, Conversation, Message, Template."""

    name = "channels_app"
    verbose_name = "Channels"
    handlers: ClassVar[dict[str, Any]] = {
        # "inbound": "channels_app.inbound.handle",
        "outbox": {
            # "message.send": "channels_app.outbox.SEND_MESSAGE",
            # "message.read": "channels_app.outbox.MARK_READ",
            # "media.download": "channels_app.outbox.DOWNLOAD_MEDIA",
        },
    }
