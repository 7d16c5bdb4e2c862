"""Start a provider: its module, fixture folder and test."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from config.commands import refusals_as_text
from integrations.generate.skeleton import write_skeleton
from integrations.registry import APP_OF_CATEGORY


class Command(BaseCommand):
    """`manage.py newprovider APP KEY`."""

    help = "Write the module, the fixture folder and the test of a new provider; ADDING_A_PROVIDER.md says what next."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the app of its category and its key."""
        parser.add_argument("app", choices=sorted(APP_OF_CATEGORY.values()))
        parser.add_argument("key", help="module name, URL part and database value; it never changes")

    def handle(self, *args: Any, app: str, key: str, **options: Any) -> None:
        """Write the files and list them."""
        with refusals_as_text():
            files = write_skeleton(settings.BASE_DIR, app=app, key=key)
        for path in files:
            self.stdout.write(str(path.relative_to(settings.BASE_DIR)))
        self.stdout.write("Next: fill in the spec and the check; ADDING_A_PROVIDER.md shows the way.")
