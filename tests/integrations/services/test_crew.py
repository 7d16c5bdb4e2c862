"""
The crew of threads: continuous, bounded, fair to others, and without a connection while it waits.

Real threads and a real slow vendor; rows are committed, because a thread does not see a test's transaction.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connections

from config import runtime
from core import clock
from core.ids import new_id
from core.secret import Secrets
from dispatch.models import Link, OutboxEntry
from integrations import registry
from integrations.contract import ProviderError
from integrations.models import Integration
from integrations.services import crew
from integrations.services.crew import Outbound
from integrations.services.providers import unborn_provider
from tenants.context import current_schema
from tenants.models import Organization
from tests.fictitious.parcelbox import PROVIDER

KIND = "test.slow"
SLOW_S = 20.0


class SlowVendor:
    """A vendor that takes a connection and answers when it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._server.settimeout(0.1)
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.waiting = 0
        self._open: list[socket.socket] = []
        self._is_over = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Answer all who wait and end."""
        self.released.set()
        self._is_over = True
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        while not self._is_over:
            try:
                connection, _address = self._server.accept()
            except TimeoutError:
                continue
            self._open.append(connection)
            self.waiting += 1
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        connection.recv(65_536)
        self.released.wait(30)
        connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.close()


@dataclass
class Kind:
    """Work of which some waits for a slow vendor; notes when each began and ended, and where."""

    call_vendor: Callable[[OutboxEntry], None] = lambda entry: None
    began: dict[UUID, float] = field(default_factory=dict)
    done: dict[UUID, float] = field(default_factory=dict)
    schemas: set[tuple[str, str]] = field(default_factory=set)
    at_once: int = 0
    most_at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, entry: OutboxEntry, integration: Integration | None) -> None:
        """Wait as the entry says."""
        with self._lock:
            self.began[entry.id] = time.monotonic()
            self.schemas.add((entry.organization_schema, current_schema()))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self.call_vendor(entry)
        except ProviderError:
            pass  # the slow vendor says that it is busy; what is tested is the waiting
        finally:
            with self._lock:
                self.at_once -= 1
                self.done[entry.id] = time.monotonic()

    def settle(self, entry: OutboxEntry, integration: Integration | None, result: None) -> None:
        """Nothing to write."""

    def give_up(self, entry: OutboxEntry, integration: Integration | None, error: ProviderError) -> None:
        """Nothing to write."""


@pytest.fixture
def kind(django_db_setup: None, django_db_blocker: Any) -> Iterator[Kind]:
    """The handler of the test's work; what it committed is taken away at the end."""
    handler = Kind()
    registry._loaded.outbox[KIND] = handler
    with django_db_blocker.unblock():
        yield handler
        OutboxEntry.objects.filter(kind=KIND).delete()
        Link.objects.filter(label="crew test").delete()
        connections.close_all()
    del registry._loaded.outbox[KIND]


@pytest.fixture
def slow_vendor(settings: Any) -> Iterator[SlowVendor]:
    """A provider whose vendor does not answer for now."""
    vendor = SlowVendor()
    registry.register(PROVIDER)
    settings.PROVIDER_OVERRIDES = {"parcelbox": {"": vendor.url}}
    yield vendor
    vendor.close()
    del registry._loaded.providers["parcelbox"]


@pytest.fixture
def outbound() -> Iterator[Outbound]:
    """The crew of a process, with eight threads."""
    ours = Outbound(8)
    yield ours
    assert ours.stop(within_s=30)


def schema(slug: str = "acme") -> str:
    """The schema of one of the suite's organizations."""
    return str(Organization.objects.get(slug=slug).schema_name)


def link(provider: str, *, slug: str = "acme") -> UUID:
    """A link of a provider."""
    return Link.objects.create(
        id=new_id(), organization_schema=schema(slug), organization_label=slug, provider=provider,
        category="communication", label="crew test", environment="test",
    ).id  # fmt: skip


def add(link_id: UUID | None, count: int = 1, *, slug: str = "acme") -> list[UUID]:
    """Commit work."""
    rows = [
        OutboxEntry(organization_schema=schema(slug), link_id=link_id, kind=KIND, next_attempt_at=clock.now())
        for _ in range(count)
    ]
    return [row.id for row in OutboxEntry.objects.bulk_create(rows)]


def until(condition: Callable[[], bool], *, within_s: float = 15.0) -> None:
    """Wait for something that other threads bring about."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def check_slowly(entry: OutboxEntry) -> None:
    """Call the slow vendor through the real guard."""
    values = {"access_token": "pat_test_1", "app_key": "pak_test_1"}
    unborn_provider("parcelbox", environment="test", settings_values={}, secrets=Secrets(values)).check()


def open_connections() -> int:
    """How many connections of this process to the test's database PostgreSQL counts, apart from the counting one."""
    name = str(connections["default"].settings_dict["NAME"])
    data_dir = runtime.data_dir()
    place = runtime.database_settings(data_dir, role="owner")
    with psycopg.connect(
        host=place["HOST"], port=place.get("PORT") or None, user=place["USER"], dbname="postgres"
    ) as counting:
        found = counting.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [name]).fetchone()
    return int(found[0]) if found else -1


class TestThreads:
    def test_hold_no_connection_while_they_wait_for_a_vendor(
        self, kind: Kind, slow_vendor: SlowVendor, outbound: Outbound
    ) -> None:
        kind.call_vendor = check_slowly
        for provider in ("parcelbox", "stripe"):
            add(link(provider), 5)
        assert open_connections() > 0
        connections.close_all()

        outbound.rouse()
        until(lambda: slow_vendor.waiting == 8)
        held = open_connections()
        slow_vendor.released.set()

        assert held == 0
        assert outbound.wait_until_idle(20)
        assert len(kind.done) == 10

    def test_enter_the_organization_of_their_entry_each(self, kind: Kind, outbound: Outbound) -> None:
        kind.call_vendor = lambda entry: time.sleep(0.02)
        add(link("parcelbox"), 20)
        add(link("parcelbox", slug="globex"), 20, slug="globex")
        add(None, 10, slug="globex")

        outbound.rouse()

        assert outbound.wait_until_idle(20)
        assert len(kind.done) == 50
        assert kind.schemas == {(schema(), schema()), (schema("globex"), schema("globex"))}
        assert set(OutboxEntry.objects.filter(kind=KIND).values_list("status", flat=True)) == {"done"}

    def test_begin_the_next_entry_as_soon_as_one_is_free(self, kind: Kind, outbound: Outbound) -> None:
        slow, fast = link("stripe"), link("parcelbox")
        over = threading.Event()
        kind.call_vendor = lambda entry: over.wait(60) and None if entry.link_id == slow else time.sleep(0.05)
        add(slow, 1)
        add(fast, 40)

        outbound.rouse()
        until(lambda: len(kind.done) == 40, within_s=50)

        assert kind.at_once == 1, "only the slow one is left, and nobody waited for it"
        assert kind.most_at_once <= 6, "five of a link, and the slow one"
        over.set()
        assert outbound.wait_until_idle(20)


class TestSlowVendor:
    def test_does_not_delay_the_message_of_another_link(self, kind: Kind, outbound: Outbound) -> None:
        """Ten links of a vendor that takes 20 s for each of 50 entries; another's message takes its own time."""
        over = threading.Event()
        slow = {link("stripe") for _ in range(10)}
        kind.call_vendor = lambda entry: over.wait(SLOW_S) and None if entry.link_id in slow else time.sleep(0.1)
        for link_id in slow:
            add(link_id, 5)
        outbound.rouse()
        until(lambda: kind.at_once == 6)

        delays, quiet = [], link("parcelbox")
        for _ in range(5):
            sent_at = time.monotonic()
            (entry_id,) = add(quiet)
            outbound.rouse()
            until(lambda entry_id=entry_id: entry_id in kind.done)
            delays.append(kind.done[entry_id] - sent_at)
        over.set()

        # 0.15 s on a quiet machine; the bound leaves room for a busy one, and is far below the 20 s of a call.
        assert max(delays) < 5.0, f"delayed for {max(delays):.2f} s"
        assert outbound.wait_until_idle(30)

    def test_leaves_its_place_when_the_process_stops(self, kind: Kind) -> None:
        kind.call_vendor = lambda entry: time.sleep(0.5)
        entries = add(link("stripe"), 12)
        outbound = Outbound(8)
        outbound.rouse()
        until(lambda: kind.at_once == 5)

        assert outbound.stop(within_s=5)

        begun = set(kind.began)
        assert len(begun) == 5
        left = OutboxEntry.objects.filter(id__in=set(entries) - begun)
        assert {(row.status, row.attempts) for row in left} == {("waiting", 0)}


class TestProcess:
    def test_has_one_crew(self) -> None:
        assert crew.outbound() is crew.outbound()
        assert os.getpid() in crew._outbound


class TestSuspects:
    def test_one_that_a_worker_died_of_has_the_crew_to_itself(self, kind: Kind, outbound: Outbound) -> None:
        kind.call_vendor = lambda entry: time.sleep(0.2)
        add(link("parcelbox"), 4)
        (suspect,) = add(link("stripe"))
        OutboxEntry.objects.filter(pk=suspect).update(crashes=1)
        add(link("stripe"), 4)

        outbound.rouse()

        assert outbound.wait_until_idle(15)
        assert len(kind.done) == 9
        beside = [
            entry
            for entry in kind.began
            if entry != suspect and kind.began[entry] < kind.done[suspect] and kind.done[entry] > kind.began[suspect]
        ]
        assert beside == []
        assert kind.most_at_once > 1
        assert set(OutboxEntry.objects.filter(kind=KIND).values_list("status", "attempts")) == {("done", 1)}
