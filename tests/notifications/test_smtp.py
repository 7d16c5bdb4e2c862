"""Mail through a real socket: what servers answer, two workers at once, and a server that hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections

from accounts.models import Membership, User
from accounts.services import add_member
from core import clock
from core.ids import new_id
from dispatch.models import Link, OutboxEntry
from integrations.contract import PermissionMissing, RequestRejected, Unavailable
from integrations.models import Integration, Issue
from integrations.services import issues, links
from integrations.services.mailing import SEND_MAIL
from notifications import mail
from notifications.models import Notification, OwedMail
from tenants.context import in_organization
from tenants.models import Organization
from tests.notifications.smtp import MailServer

SOON = timedelta(minutes=1)


@pytest.fixture
def server(settings: Any) -> Iterator[MailServer]:
    """A mail server to which Django's own backend leads."""
    with MailServer() as running:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", running.port
        settings.EMAIL_TIMEOUT = 1
        yield running


@pytest.fixture
def owed(inside: Any, member: Callable[..., Any]) -> OutboxEntry:
    """The entry of a mail that is owed to an owner."""
    member("owner")
    return owe("Shop")


def owe(name: str) -> OutboxEntry:
    integration = Integration.objects.create(provider="whatsapp", name=name, environment="test", health="healthy")
    links.mirror(integration)
    issues.open_issue_for(integration, PermissionMissing("x"))
    return OutboxEntry.objects.filter(kind=mail.KIND).latest("created_at")


@pytest.mark.django_db
class TestAnswers:
    def test_taken_is_text_and_html(self, owed: OutboxEntry, server: MailServer) -> None:
        with clock.shifted(SOON):
            assert SEND_MAIL.call(owed, None) is True

        (taken,) = server.mood.taken
        assert "To: owner@example.com" in taken
        assert "Content-Type: text/plain" in taken
        assert "Content-Type: text/html" in taken
        assert f"Message-ID: <{owed.pk}@" in taken

    @pytest.mark.parametrize(
        ("answer", "raised"),
        [
            ({"rcpt": "550 no such mailbox"}, RequestRejected),
            ({"rcpt": "450 mailbox busy"}, Unavailable),
            ({"data": "554 spam"}, RequestRejected),
            ({"data": "451 try again later"}, Unavailable),
        ],
    )
    def test_refused_is_a_typed_error(
        self, owed: OutboxEntry, server: MailServer, answer: dict[str, str], raised: type[Exception]
    ) -> None:
        for name, value in answer.items():
            setattr(server.mood, name, value)

        with clock.shifted(SOON), pytest.raises(raised):
            SEND_MAIL.call(owed, None)

        assert OwedMail.objects.get().closed_at is None

    def test_a_server_that_hangs_is_left_in_time(self, owed: OutboxEntry, server: MailServer) -> None:
        server.mood.gate = threading.Event()

        with clock.shifted(SOON), pytest.raises(Unavailable):
            SEND_MAIL.call(owed, None)

        server.mood.gate.set()


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: Any) -> Iterator[Organization]:
    """An owner of acme, and a place that is cleaned at the end."""
    with django_db_blocker.unblock():
        organization = Organization.objects.get(slug="acme")
        user = User.objects.create_user(f"{new_id()}@example.com", "a-long-test-password")
        add_member(user=user, schema_name=organization.schema_name, role="owner")
        try:
            yield organization
        finally:
            with in_organization(organization):
                for model in (Issue, OwedMail, Notification, OutboxEntry):
                    model._default_manager.all().delete()
                for integration in Integration.objects.all():
                    Link.objects.filter(pk=integration.pk).delete()
                    integration.delete()
            Membership.objects.filter(user=user).delete()
            user.delete()
            connections.close_all()


def send(organization: Organization, entry: OutboxEntry) -> bool:
    """Do what a worker's thread does with an entry."""
    try:
        with in_organization(organization), clock.shifted(SOON):
            return SEND_MAIL.call(entry, None)
    finally:
        connections.close_all()


class TestWorkers:
    def test_many_at_once_send_one_mail_with_everything(self, committed: Organization, server: MailServer) -> None:
        with in_organization(committed):
            entries = [owe(f"Shop {number}") for number in range(8)]

        with ThreadPoolExecutor(8) as pool:
            sent = list(pool.map(lambda entry: send(committed, entry), entries))

        told = "".join(server.mood.taken)
        assert all(told.count(f"\r\nShop {number}\r\n") == 1 for number in range(8))
        assert sent.count(True) == len(server.mood.taken)
        with in_organization(committed):
            assert OwedMail.objects.filter(entry_id=None).count() == 0

    def test_one_that_waits_for_the_server_holds_no_transaction(
        self, committed: Organization, server: MailServer
    ) -> None:
        with in_organization(committed):
            entry = owe("Shop")
        server.mood.gate = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(send, committed, entry)
            assert server.mood.reached.wait(10)
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND pid <> pg_backend_pid() AND state <> 'idle' AND backend_type = 'client backend'"
                )
                busy = cursor.fetchone()[0]
            server.mood.gate.set()

            assert sending.result(10) is True
        assert busy == 0
