"""Mail to the platform's staff: nothing of the database is held while the server is waited for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pytest
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection, connections

from accounts.models import User
from core.ids import new_id
from notifications.models import Notification
from notifications.services import notify_staff


class Watching(BaseEmailBackend):
    """A mail server that looks whether its caller holds a connection to the database."""

    seen: ClassVar[list[bool]] = []

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Take everything, and look."""
        self.seen.append(connection.connection is not None)
        return len(email_messages)


@pytest.fixture
def staff(django_db_setup: None, django_db_blocker: Any, settings: Any) -> Iterator[User]:
    """A superuser, committed, who is mailed by `Watching`."""
    settings.EMAIL_BACKEND = f"{__name__}.Watching"
    Watching.seen.clear()
    with django_db_blocker.unblock():
        user = User.objects.create_superuser(f"{new_id()}@example.com", "a-long-test-password")
        try:
            yield user
        finally:
            Notification.objects.filter(organization_schema=None, kind="test.staff").delete()
            user.delete()
            connections.close_all()


class TestNotifyStaff:
    def test_holds_no_connection_while_it_mails(self, staff: User) -> None:
        assert notify_staff(kind="test.staff", text="Look.") is not None

        assert Watching.seen == [False]
