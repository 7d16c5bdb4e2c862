"""Write the page of every provider from its spec."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from integrations.generate import docs

FOLDER = "docs/providers"


class Command(BaseCommand):
    """`manage.py document_providers [--check]`."""

    help = "Write docs/providers/<key>.md from the specs; --check only compares and fails when one is stale."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the mode."""
        parser.add_argument("--check", action="store_true")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        """Write or compare."""
        folder = settings.BASE_DIR / FOLDER
        stale = docs.stale_pages(folder)
        if check and stale:
            raise CommandError(f"Stale: {', '.join(sorted(stale))}. Run `manage.py document_providers`.")
        for name, text in stale.items():
            if text is None:
                (folder / name).unlink()
            else:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(text, encoding="utf-8")
        self.stdout.write(
            f"{len(stale)} pages {'are stale' if check else 'written'}." if stale else "All pages are fresh."
        )
