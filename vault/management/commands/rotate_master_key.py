"""Rewrap every organization key under the current master key."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from vault import conf, services
from vault.keys import BadKeyRing


class Command(BaseCommand):
    """Put the new key first in MASTER_KEYS everywhere, restart, run this, then drop the old key."""

    help = (
        "Rewrap every organization key under the first key of MASTER_KEYS. Put the new key first and keep the old one "
        "behind it in every process before you run this; sealed values are not touched. May be stopped and run again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Rewrap and say how many."""
        try:
            done = sum(services.rewrap())
        except BadKeyRing as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{done} organization keys rewrapped; all are under {conf.master_keys().current_id!r} now.")
