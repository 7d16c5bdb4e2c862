"""Create an organization and build its schema right away."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.commands import refusals_as_text
from tenants.services import build_organization, create_organization


class Command(BaseCommand):
    """`manage.py create_organization SLUG --name NAME`."""

    help = "Create an organization, build its schema and open it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the slug and the name."""
        parser.add_argument("slug", help="lower-case letters, digits and hyphens; a part of its addresses")
        parser.add_argument("--name", default="", help="how people call it; the slug unless given")
        parser.add_argument("--locale", default="pt-br", choices=["pt-br", "en"])

    def handle(self, *args: Any, slug: str, name: str, locale: str, **options: Any) -> None:
        """Create, build, print where it is and what comes next."""
        with refusals_as_text():
            organization = create_organization(slug=slug, name=name or slug, locale=locale)
        build_organization(organization)
        if not organization.is_open:
            raise CommandError(f"{slug} was registered but not built: {organization.failure}")
        self.stdout.write(f"{organization.name} is ready at /o/{slug}/admin/.")
        self.stdout.write(f"Next: manage.py create_api_key {slug} --scopes '*'")
