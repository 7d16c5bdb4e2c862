"""Create an API key of an organization and print it once."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from accounts.models import Environment
from accounts.roles import ALL_SCOPES, SCOPES
from audit.services import Actor
from config.commands import open_organization, refusals_as_text
from integrations.services.people import make_api_key
from tenants.context import in_organization


class Command(BaseCommand):
    """`manage.py create_api_key SLUG --scopes … [--environment live|test]`."""

    help = "Create an API key and print it; it is never shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the organization, the scopes and the environment."""
        parser.add_argument("slug", help="the organization")
        scopes = f"'{ALL_SCOPES}' for all, or some of: {', '.join(SCOPES)}"
        parser.add_argument("--scopes", nargs="+", required=True, metavar="SCOPE", help=scopes)
        parser.add_argument("--environment", choices=Environment.values, default=Environment.LIVE)
        parser.add_argument("--name", default="command line")

    def handle(self, *args: Any, slug: str, scopes: list[str], environment: str, name: str, **options: Any) -> None:
        """Create the key, scopes apart by spaces or commas; its text alone goes to the standard output, for scripts."""
        with refusals_as_text(), in_organization(open_organization(slug)):
            _key, text = make_api_key(
                name=name,
                environment=environment,
                scopes=[scope for words in scopes for scope in words.split(",") if scope],
                expires_at=None,
                actor=Actor.system("create_api_key"),
            )
        self.stderr.write(f"A {environment} key of {slug}. Keep it: it is not shown again.")
        self.stdout.write(text)
