"""What people and machines ask of channels. Views, admin actions and the demo call one of these."""

from channels_app.services.accounts import get_profile, report_account, update_profile
from channels_app.services.conversations import mark_read, send_typing
from channels_app.services.media import keep_upload, media_of_message
from channels_app.services.sending import send_message
from channels_app.services.templates import create_template, delete_template, refresh_templates, sync_templates

__all__ = [
    "create_template",
    "delete_template",
    "get_profile",
    "keep_upload",
    "mark_read",
    "media_of_message",
    "refresh_templates",
    "report_account",
    "send_message",
    "send_typing",
    "sync_templates",
    "update_profile",
]
