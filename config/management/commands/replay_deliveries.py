"""Process stored webhooks of one integration provider again."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet
from django.utils.dateparse import parse_date, parse_datetime

from audit.services import Actor
from config.commands import open_organization
from core.errors import Conflict
from dispatch.models import DeliveryStatus, WebhookDelivery
from integrations import registry
from integrations.services.deliveries import replay
from tenants.context import in_organization

REPLAYED = [status for status in DeliveryStatus.values if status != DeliveryStatus.PROCESSING]


class Command(BaseCommand):
    """`manage.py replay_deliveries --organization … --provider … --since … --until … --status … [--dry-run]`."""

    help = "Process stored deliveries again; events that were handled stay handled once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what chooses the deliveries."""
        parser.add_argument("--organization", metavar="SLUG", required=True)
        parser.add_argument("--provider", metavar="KEY", required=True)
        parser.add_argument("--since", type=moment, required=True, help="2026-11-02 or 2026-11-02T15:00:00Z; UTC")
        parser.add_argument("--until", type=moment, default=None, help="before this moment; now unless given")
        parser.add_argument("--status", choices=REPLAYED, default=DeliveryStatus.DEAD)
        parser.add_argument("--dry-run", action="store_true", help="say what would be replayed, change nothing")

    def handle(self, *args: Any, organization: str, dry_run: bool, **options: Any) -> None:
        """Replay and say how many, and which could not be."""
        replayed = 0
        with in_organization(open_organization(organization)):
            chosen = _chosen(options)
            if dry_run:
                self.stdout.write(f"{chosen.count()} deliveries would be replayed.")
                return
            for delivery in chosen.iterator(chunk_size=100):
                replayed += self._replay(delivery)
        self.stdout.write(f"{replayed} deliveries are processed again.")

    def _replay(self, delivery: WebhookDelivery) -> bool:
        try:
            replay(delivery, actor=Actor.system("replay_deliveries"))
        except Conflict as error:
            self.stderr.write(f"{delivery.id}: {error.detail}")
            return False
        return True


def moment(text: str) -> datetime:
    """
    Read a day or a moment in UTC.

    :raises ValueError: it is neither; argparse names the option
    """
    found = parse_datetime(text)
    if found is None:
        day = parse_date(text)
        if day is None:
            raise ValueError(text)
        found = datetime(day.year, day.month, day.day)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _chosen(options: dict[str, Any]) -> QuerySet[WebhookDelivery]:
    if options["until"] and options["until"] <= options["since"]:
        raise CommandError("--until must come after --since.")
    if registry.find(options["provider"]) is None:
        raise CommandError(f"There is no provider '{options['provider']}'; `manage.py providers` lists them.")
    chosen = WebhookDelivery.objects.filter(
        provider=options["provider"], status=options["status"], received_at__gte=options["since"]
    ).exclude(organization_schema=None)
    return (chosen.filter(received_at__lt=options["until"]) if options["until"] else chosen).order_by("received_at")
