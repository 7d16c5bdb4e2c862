"""Bring the public schema, the template and every organization up to date."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from config.startup import require_master_keys
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
        self.stdout.write(f"Migrated. Organizations brought up to date: {moved}.")
