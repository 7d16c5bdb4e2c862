"""Run every sweep once, in this process: for installations without beat, and for looking at what is stuck."""

from __future__ import annotations

from typing import Any

import structlog
from django.core.management.base import BaseCommand, CommandError

from config.celery import SCHEDULE, app
from integrations.services import crew, probing

log = structlog.get_logger(__name__)

ROUNDS = 1000
"""Claims per table, 100 rows each: an end, should rows come in faster than they are worked off."""


class Command(BaseCommand):
    """`manage.py sweep`."""

    help = "One pass of every sweep, then deliveries, outbox and health checks until nothing is due."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run; a sweep that fails does not stop the others, and the command says so at the end."""
        app.loader.import_default_modules()  # tasks are known once their modules are, which a worker does at its start
        failed = [name for name in SCHEDULE if not self._run(name)]
        worked = {"deliveries": _until_empty(crew.work_deliveries), "outbox": _until_empty(crew.work_outbox)}
        checked = _until_empty(probing.check_due_links)
        self.stdout.write(
            f"Worked off: {worked['deliveries']} deliveries, {worked['outbox']} outbox entries, "
            f"{checked} health checks."
        )
        if failed:
            raise CommandError(f"These sweeps failed, see the log: {', '.join(failed)}.")

    def _run(self, name: str) -> bool:
        task = app.tasks[SCHEDULE[name]["task"]]
        try:
            task()
        except Exception:
            log.exception("sweep.failed", sweep=name)
            return False
        self.stdout.write(f"{name}: done")
        return True


def _until_empty(work: Any) -> int:
    total = 0
    for _round in range(ROUNDS):
        done = work()
        total += done
        if done == 0:
            break
    return total
