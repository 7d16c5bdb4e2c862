"""People, memberships, API keys."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Public tables: User, Membership, Invitation, ApiKey, StoredAnswer."""

    name = "accounts"
    verbose_name = "Accounts"
