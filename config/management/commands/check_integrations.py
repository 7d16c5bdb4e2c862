"""Test connections live, one after the other."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.services import Actor
from config.commands import chosen_organizations
from dispatch.models import LinkStatus
from integrations import registry
from integrations.models import Integration
from integrations.services.health import TestResult, test_connection
from tenants.context import in_organization
from tenants.models import Organization

TESTED = (LinkStatus.ACTIVE, LinkStatus.NEEDS_REAUTH)


class Command(BaseCommand):
    """`manage.py check_integrations [--organization SLUG] [--provider KEY]`."""

    help = "Test connections live and say what is broken; exit 1 if anything is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what narrows the choice."""
        parser.add_argument("--organization", metavar="SLUG", default="")
        parser.add_argument("--provider", metavar="KEY", default="")

    def handle(self, *args: Any, organization: str, provider: str, **options: Any) -> None:
        """Test, print one line each, fail if one failed."""
        if provider and registry.find(provider) is None:
            raise CommandError(f"There is no provider {provider!r}; `manage.py providers` lists them.")
        tested = failed = 0
        for found in chosen_organizations(organization):
            with in_organization(found):
                for integration in _integrations(provider):
                    result = test_connection(integration, actor=Actor.system("check_integrations"))
                    self.stdout.write(_line(found, integration, result))
                    tested += 1
                    failed += not result.success
        self.stdout.write(f"{tested} tested, {failed} failing.")
        if failed:
            raise CommandError(f"{failed} of {tested} integrations do not work.")


def _integrations(provider: str) -> list[Integration]:
    found = Integration.objects.filter(status__in=TESTED).order_by("id")
    return list(found.filter(provider=provider) if provider else found)


def _line(organization: Organization, integration: Integration, result: TestResult) -> str:
    start = f"{organization.slug}  {integration.provider}  {integration.name}"
    if result.error is None:
        lacking = [verdict.capability for verdict in result.verdicts if not verdict.ok]
        return f"{start}: ok in {result.duration_ms:.0f} ms" + (f"; lacks {', '.join(lacking)}" if lacking else "")
    return f"{start}: {result.error.api_code}. {result.error.message} {result.error.next_action}"
