"""List the providers of this installation."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from integrations import registry
from integrations.generate.catalogue import describe
from integrations.generate.schema import connect_schema

COLUMNS = ("key", "label", "category", "api_version", "auth")


class Command(BaseCommand):
    """`manage.py providers [--json]`."""

    help = "List what can be connected: a table, or everything known as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the format."""
        parser.add_argument(
            "--json", action="store_true", dest="as_json", help="all facts and the schema of connecting"
        )

    def handle(self, *args: Any, as_json: bool, **options: Any) -> None:
        """Print the catalogue."""
        found = registry.providers().values()
        if as_json:
            entries = [{**describe(provider), "connect_schema": connect_schema(provider)} for provider in found]
            self.stdout.write(json.dumps(entries, indent=2, ensure_ascii=False))
            return
        rows = [COLUMNS, *(tuple(str(describe(provider)[name]) for name in COLUMNS) for provider in found)]
        widths = [max(len(row[index]) for row in rows) for index in range(len(COLUMNS))]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())
