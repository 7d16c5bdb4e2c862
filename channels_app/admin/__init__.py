"""Channels in an organization's admin: conversations to read and answer, messages, templates."""

from channels_app.admin import conversations, records

__all__ = ["conversations", "records"]
