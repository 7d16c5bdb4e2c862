"""Channels: messages, conversations, contacts, templates."""

from django.apps import AppConfig


class ChannelsConfig(AppConfig):
    """Tables of an organization: Contact, Conversation, Message, Template."""

    name = "channels_app"
    verbose_name = "Channels"
    handlers = {
        "inbound": "channels_app.inbound.handle",
        "published": {"integration.disconnected": "channels_app.outbox.fail_canceled"},
        "panels": ["channels_app.admin.conversations.LATEST"],
        "personal_data": "channels_app.personal_data.PERSONAL_DATA",
        "outbox": {
            "message.send": "channels_app.outbox.SEND_MESSAGE",
            "message.read": "channels_app.outbox.MARK_READ",
            "message.typing": "channels_app.outbox.SEND_TYPING",
            "media.download": "channels_app.outbox.DOWNLOAD_MEDIA",
        },
    }
