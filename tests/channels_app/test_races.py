"""Deliveries of one person at once, over real connections and commits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connection, connections

from core import clock
from tests.channels_app.conftest import connected, let_in, status_of, text_from

THREADS = 6
PHONE = "+15550100188"
USER = "BR.18800000000000000017"


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: Any) -> Iterator[Any]:
    """An integration whose rows are committed, and deleted at the end."""
    from tenants.context import in_organization
    from tenants.models import Organization

    with django_db_blocker.unblock():
        organization = Organization.objects.get(slug="acme")
        with in_organization(organization):
            integration = connected()
        try:
            yield organization, integration
        finally:
            with in_organization(organization):
                _clean(integration)
            connections.close_all()


def _clean(integration: Any) -> None:
    from channels_app.models import Contact, Conversation, Message
    from dispatch.models import AccountClaim, Link, OutboxEntry, Route, WebhookDelivery
    from integrations.models import Credential, Event

    for model in (Message, Conversation, Contact, Event, Credential):
        model.objects.all().delete()
    for model in (Route, OutboxEntry, WebhookDelivery):
        model.objects.filter(link_id=integration.id).delete()
    AccountClaim.objects.all().delete()
    Link.objects.filter(pk=integration.pk).delete()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM meter_usagerecord WHERE link_id = %s", [integration.id])
    integration.delete()


def at_once(organization: Any, integration: Any, bodies: list[bytes]) -> None:
    """Process one delivery per thread; what the database broke off is tried again, as the worker does."""
    from tenants.context import in_organization

    def run(body: bytes) -> None:
        try:
            with in_organization(organization):
                _stubbornly(lambda: let_in(integration, body))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(run, bodies))


def _stubbornly(work: Callable[[], Any]) -> None:
    for _ in range(5):
        try:
            work()
            return
        except OperationalError:
            continue
    raise AssertionError("five deadlocks in a row")


class TestAtOnce:
    def test_one_person_becomes_one_contact_and_one_conversation(self, committed):
        from channels_app.models import Contact, Conversation, Message
        from tenants.context import in_organization

        now = clock.now()
        bodies = [
            text_from(PHONE, f"text {number}", at=now, external_id=f"wamid.race-{number}", user_id=USER * (number % 2))
            for number in range(12)
        ]

        at_once(*committed, bodies * 2)

        with in_organization(committed[0]):
            contact = Contact.objects.get()
            assert (contact.phone, contact.bsuid) == (PHONE, USER)
            assert Message.objects.count() == 12
            assert Conversation.objects.get().unread_count == 12

    def test_a_status_and_its_echo_never_miss_each_other(self, committed):
        from channels_app.models import Message
        from tenants.context import in_organization
        from tests.channels_app.conftest import change

        now = clock.now()
        bodies = []
        for number in range(10):
            external_id = f"wamid.race-echo-{number}"
            echo = {"from": "15550100001", "to": PHONE[1:], "id": external_id, "timestamp": str(int(now.timestamp()))}
            bodies.append(
                change("smb_message_echoes", message_echoes=[{**echo, "type": "text", "text": {"body": "x"}}])
            )
            bodies.append(status_of(external_id, "read", at=now))

        at_once(*committed, bodies)

        with in_organization(committed[0]):
            assert list(Message.objects.values_list("status", flat=True)) == ["read"] * 10
