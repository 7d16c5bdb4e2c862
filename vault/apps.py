"""Keys, seal, open."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured


class VaultConfig(AppConfig):
    """Public table: OrganizationKey."""

    name = "vault"
    verbose_name = "Vault"

    def ready(self) -> None:
        """
        Stop the start of any process whose keys cannot protect anything.

        :raises ImproperlyConfigured: one line that names the setting and the fix
        """
        from vault import conf
        from vault.keys import BadKeyRing

        try:
            conf.master_keys()
            conf.platform_keys()
        except BadKeyRing as error:
            raise ImproperlyConfigured(str(error)) from None
