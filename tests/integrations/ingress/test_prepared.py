"""Receiving's two statements as real processes run them: outside a transaction, in libpq's binary format."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection

from core import clock
from dispatch import inbox
from dispatch.models import InboxKey, WebhookDelivery
from dispatch.prepared import Statement
from tests.integrations.ingress.conftest import Connected

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the way of a connection in autocommit, though a test's transaction is open."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")  # psycopg opens the test's transaction with the first cursor; libpq would not
    monkeypatch.setattr(Statement, "first", lambda self, values, *, over: self.call(over.connection, values))


class TestStatement:
    def test_finds_and_stores_again_and_again(self, connected: Connected) -> None:
        token = connected.path.rstrip("/").rpartition("/")[2]

        for number in range(4):
            route = inbox.find_route(provider="whatsapp", token=token)
            assert route is not None
            assert route.organization_schema == connected.organization.schema_name
            assert route.link_id == connected.integration.id
            assert (route.is_enabled, route.secrets_version) == (True, 1)
            assert route.open()["app_secret"].matches(connected.secret)
            assert inbox.store(hit(b"%d" % number, route)) is not None

        assert inbox.store(hit(b"3", route)) is None
        assert inbox.find_route(provider="whatsapp", token="unknown") is None

    def test_stores_what_a_cursor_would_store(self, connected: Connected) -> None:
        route = inbox.find_route(provider="whatsapp", token=connected.path.rstrip("/").rpartition("/")[2])
        given = hit(b"\x00\xff" * 40_000, route, headers={"host": 'a"\\é', "cookie": "test"})

        row = WebhookDelivery.objects.get(id=inbox.store(given))

        assert (row.received_at, row.next_attempt_at) == (given.received_at, given.received_at)
        assert (row.organization_schema, row.link_id) == (connected.organization.schema_name, connected.integration.id)
        assert row.headers == {"host": 'a"\\é', "cookie": "[hidden]"}
        assert (row.body_bytes, row.status, row.event_ids) == (80_000, "received", [])
        opened = inbox.open_body(row.sealed_body, organization_schema=row.organization_schema, delivery_id=row.id)
        assert opened == given.body
        assert InboxKey.objects.get(route_key=f"route:{route.id}").received_at == given.received_at

    def test_gives_the_platforms_delivery_no_organization(self) -> None:
        ids = [inbox.store(hit(body, None)) for body in (b"", b"two", b"x" * 70_000)]

        assert WebhookDelivery.objects.filter(id__in=ids, organization_schema=None, link_id=None).count() == 3

    def test_stores_repetitions_where_the_vendor_repeats_bytes(self) -> None:
        ids = {inbox.store(hit(b"same", None, repeats=True)) for _ in range(3)}

        assert len(ids - {None}) == 3

    def test_refuses_a_text_that_ends_early(self) -> None:
        with pytest.raises(psycopg.DataError):
            inbox.find_route(provider="what\x00sapp", token="any")

    def test_says_that_the_connection_is_gone(self) -> None:
        elsewhere = psycopg.connect(connection.connection.info.dsn)
        elsewhere.close()

        with pytest.raises(psycopg.OperationalError):
            inbox.FIND_ROUTE.call(elsewhere, {"digest": b"", "provider": "whatsapp"})


def hit(body: bytes, route: inbox.FoundRoute | None, **facts: Any) -> inbox.Hit:
    """Make a verified hit, a little older than now."""
    facts = {
        "provider": "whatsapp",
        "headers": {"host": "a"},
        "received_at": clock.now() - timedelta(seconds=1),
    } | facts
    return inbox.Hit(body=body, route=route, **facts)
