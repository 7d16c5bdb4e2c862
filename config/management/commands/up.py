"""`manage.py up`: run the whole installation, or one part of it, in the foreground."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import OperationalError

from config import processes
from config.parts import COMMANDS, PYTHON
from config.startup import require_master_keys

NEEDS_KEYS = frozenset({"web", "worker", "beat"})
"""Parts that would fail at their first secret; without a part the migrations' process asks."""


class Command(BaseCommand):
    """Becomes another process, so that Django's memory is not kept beside the parts."""

    help = "Run web, worker, beat and the embedded servers, supervised; or one part, for a container of its own."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the part."""
        parser.add_argument("part", nargs="?", choices=list(COMMANDS), help="run this part alone")

    def handle(self, *args: Any, part: str | None, **options: Any) -> None:
        """Replace this process; it does not return."""
        if part in NEEDS_KEYS:
            self._check_keys()
        os.chdir(processes.PROJECT_ROOT)
        command = COMMANDS[part](os.environ) if part else (PYTHON, "-m", "config.parts")
        sys.stdout.flush()
        os.execv(command[0], command)  # noqa: S606 - our own command line, no shell

    def _check_keys(self) -> None:
        try:
            require_master_keys()
        except OperationalError:  # a part that starts during a restart of the database waits for it like the others
            self.stderr.write("The database does not answer yet, so the keys are unchecked: /readyz tells.")
