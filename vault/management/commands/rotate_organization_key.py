"""Give one organization a new key."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.models import Organization
from vault import services


class Command(BaseCommand):
    """Make a new key version for one organization."""

    help = "Give an organization a new key that seals from now on; older versions still open what they sealed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the organization's slug."""
        parser.add_argument("slug")

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate and say which version seals now."""
        organization = Organization.objects.filter(slug=options["slug"]).first()
        if organization is None:
            raise CommandError(f"There is no organization {options['slug']!r}.")
        try:
            version = services.rotate_organization_key(organization.schema_name)
        except services.KeysDestroyed as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{organization} seals under key version {version} now.")
