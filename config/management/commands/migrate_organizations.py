"""Bring the public schema, the template and every organization up to date."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from config.startup import require_master_keys
from integrations.services.oauth_apps import seed_platform_apps
from meter.partitions import make_partitions
from tenants.services import migrate_everything


class Command(BaseCommand):
    """`manage.py migrate_organizations`: safe to repeat, goes on where a stopped run was."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate and make the days' partitions."""
        moved = migrate_everything()
        make_partitions()
        require_master_keys()
        seed_platform_apps(settings.OAUTH_APP_SEEDS)
        self.stdout.write(f"Migrated. Organizations brought up to date: {moved}.")
