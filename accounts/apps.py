"""People, memberships, API keys."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Public tables: User, Membership, Invitation, ApiKey, StoredAnswer."""

    name = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        """Let a user be deleted without asking the admin's log, whose table does not exist (RELIABILITY 4.15)."""
        from django.contrib.admin.models import LogEntry
        from django.db.models import DO_NOTHING

        LogEntry._meta.get_field("user").remote_field.on_delete = DO_NOTHING
