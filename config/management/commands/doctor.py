"""Check this installation and say what to fix."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config import doctor
from config.doctor import Level


class Command(BaseCommand):
    """`manage.py doctor`."""

    help = "Check settings, database roles, Redis, keys, migrations; say what to fix; exit 1 on errors."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Print one line per finding, then the settings with their state."""
        findings = doctor.examine()
        for finding in findings:
            self.stdout.write(f"{finding.level.value:<7} {finding.subject}: {finding.text}")
            if finding.remedy:
                self.stdout.write(f"        {finding.remedy}")
        self.stdout.write("")
        for name, state in doctor.settings_states():
            self.stdout.write(f"{name:<32} {state}")
        errors = [finding for finding in findings if finding.level is Level.ERROR]
        if errors:
            raise CommandError(f"{len(errors)} things must be fixed.")
