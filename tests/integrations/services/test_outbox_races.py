"""Workers, people and limits at one entry at once, over real connections and commits."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections, transaction

from audit.models import AuditEntry
from audit.services import Actor
from core.ids import new_id
from dispatch import outbox
from dispatch.claims import claim_outbox
from dispatch.models import Link, LinkStatus, OutboxEntry, OutboxStatus
from integrations import registry
from integrations.contract import ProviderError, Unavailable
from integrations.models import Integration
from integrations.services import outbox_actions
from integrations.services.entries import hold_link, park
from integrations.services.outbox import release_held, release_parked, work_entry
from tenants.context import in_organization

KIND = "test.race"
PROVIDER = "test_racing"
ENTRIES = 40
ACTOR = Actor.system("test")


class Race:
    """Counts what is done with each object."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.settled: Counter[str] = Counter()
        self.given_up: Counter[str] = Counter()
        self.is_giving_up, self.is_reconnecting = threading.Event(), threading.Event()
        self._lock = threading.Lock()

    def call(self, entry: OutboxEntry, integration: Any) -> None:
        """Count a call."""
        with self._lock:
            self.calls[entry.object_id] += 1

    def settle(self, entry: OutboxEntry, integration: Any, result: None) -> None:
        """Count an effect."""
        with self._lock:
            self.settled[entry.object_id] += 1

    def give_up(self, entry: OutboxEntry, integration: Any, error: ProviderError) -> None:
        """Count a failure, and note it at the integration, as those do that open an issue."""
        with self._lock:
            self.given_up[entry.object_id] += 1
        if integration is not None:
            self.is_giving_up.set()
            self.is_reconnecting.wait(0.5)
            Integration.objects.select_for_update().get(pk=integration.pk)


@pytest.fixture
def race(django_db_setup: None, django_db_blocker: Any) -> Iterator[tuple[Race, Any, UUID]]:
    """Committed work of one link, deleted at the end."""
    from tenants.models import Organization

    handler = Race()
    registry._loaded.outbox[KIND] = handler
    link_id = new_id()
    with django_db_blocker.unblock():
        organization = Organization.objects.get(slug="acme")
        with in_organization(organization):
            Link.objects.create(
                id=link_id, organization_schema=organization.schema_name, organization_label="Acme",
                provider=PROVIDER, category="payments", label="Race", environment="test",
            )  # fmt: skip
            for number in range(ENTRIES):
                outbox.add(KIND, link_id=link_id, object_id=f"o{number}")
        try:
            yield handler, organization, link_id
        finally:
            ours = [str(pk) for pk in OutboxEntry.objects.filter(link_id=link_id).values_list("pk", flat=True)]
            AuditEntry.objects.using("owner").filter(target_id__in=ours).delete()
            OutboxEntry.objects.filter(link_id=link_id).delete()
            Link.objects.filter(pk=link_id).delete()
            connections.close_all()
    del registry._loaded.outbox[KIND]


def at_once(*jobs: Callable[[], None]) -> None:
    """Run jobs in threads that close their connections."""

    def run(job: Callable[[], None]) -> None:
        try:
            job()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(jobs)) as pool:
        list(pool.map(run, jobs))


def work(organization: Any) -> None:
    """Claim and work until nothing is due, a few times more."""
    for _ in range(ENTRIES):
        for claim in claim_outbox(batch=2):
            with in_organization(organization):
                work_entry(claim)


class TestAtOnce:
    def test_what_is_canceled_is_not_done_and_what_is_done_is_not_canceled(self, race: tuple[Race, Any, UUID]) -> None:
        handler, organization, link_id = race

        def cancel_all() -> None:
            with in_organization(organization):
                for entry in OutboxEntry.objects.filter(link_id=link_id).order_by("-id"):
                    with suppress(outbox_actions.NotWaiting):
                        outbox_actions.cancel(entry, actor=ACTOR)

        at_once(*[lambda: work(organization)] * 4, cancel_all, cancel_all)

        statuses = dict(OutboxEntry.objects.filter(link_id=link_id).values_list("object_id", "status"))
        assert set(statuses.values()) <= {"done", "canceled"}
        for object_id, status in statuses.items():
            counted = (handler.calls[object_id], handler.settled[object_id], handler.given_up[object_id])
            assert counted == ((1, 1, 0) if status == "done" else (0, 0, 1)), object_id

    def test_holds_and_releases_stop_no_worker_and_lose_nothing(self, race: tuple[Race, Any, UUID]) -> None:
        handler, organization, link_id = race

        def hold() -> None:
            for _ in range(15):
                with in_organization(organization):
                    hold_link(link_id, wait_s=0.01)

        def release() -> None:
            for _ in range(15):
                release_held(PROVIDER)

        at_once(*[lambda: work(organization)] * 4, hold, hold, release)
        OutboxEntry.objects.filter(link_id=link_id).update(not_before=None)
        work(organization)

        assert set(OutboxEntry.objects.filter(link_id=link_id).values_list("status", flat=True)) == {"done"}
        assert set(handler.settled.values()) == {1}
        assert len(handler.settled) == ENTRIES
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM dispatch_outboxentry WHERE link_id = %s AND crashes > 0", [link_id])
            assert cursor.fetchone() == (0,)

    def test_parking_and_holding_never_wait_for_each_other(self, race: tuple[Race, Any, UUID]) -> None:
        _handler, organization, link_id = race
        Link.objects.filter(pk=link_id).update(status=LinkStatus.DISABLED)
        entries = OutboxEntry.objects.filter(link_id=link_id)
        entries.update(status=OutboxStatus.WORKING, lease_id=link_id, attempts=50)

        def hold() -> None:
            with in_organization(organization):
                for _ in range(ENTRIES):
                    hold_link(link_id, wait_s=60)

        def park_all() -> None:
            with in_organization(organization):
                for entry in entries.order_by("id"):
                    park(entry, Unavailable("test"))

        at_once(hold, hold, park_all)

        assert set(entries.values_list("status", flat=True)) == {OutboxStatus.PARKED}

    def test_canceling_and_reconnecting_never_wait_for_each_other(self, race: tuple[Race, Any, UUID]) -> None:
        handler, organization, link_id = race
        entries = OutboxEntry.objects.filter(link_id=link_id)
        entries.update(status=OutboxStatus.PARKED)
        with in_organization(organization):
            integration = Integration.objects.create(pk=link_id, provider=PROVIDER, name="Race", environment="test")

        def cancel() -> None:
            with in_organization(organization):
                outbox_actions.cancel(entries.order_by("id")[0], actor=ACTOR)

        def reconnect() -> None:
            handler.is_giving_up.wait(10)
            with in_organization(organization), transaction.atomic():
                fresh = Integration.objects.select_for_update().get(pk=link_id)
                handler.is_reconnecting.set()
                release_parked(fresh)

        try:
            at_once(cancel, reconnect)
        finally:
            with in_organization(organization):
                integration.delete()

        assert Counter(entries.values_list("status", flat=True)) == {"canceled": 1, "waiting": ENTRIES - 1}
