"""Mail about issues: owed with its cause, one for what is due together, none for what is over."""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail as outbound_mail

from core import clock
from dispatch.claims import claim_outbox
from dispatch.models import Link, OutboxEntry, Vendor
from integrations.contract import AuthenticationFailed, PermissionMissing, Unavailable
from integrations.models import Integration, Issue
from integrations.services import issues
from integrations.services.outbox import work_entry
from notifications import mail, preferences
from notifications.models import MailMode, Notification, OwedMail
from tenants.context import in_organization

pytestmark = pytest.mark.django_db

SOON = timedelta(minutes=1)
AFTER_WAIT = timedelta(minutes=7)


@pytest.fixture
def connected(inside: Any) -> Callable[..., Integration]:
    """Make an integration of acme with its Link: ``connected("Shop")``."""

    def make(name: str = "Shop", **fields: Any) -> Integration:
        from integrations.services import links

        row = Integration.objects.create(
            provider="whatsapp", name=name, environment="test", account_label="Ana & Co", health="healthy", **fields
        )
        links.mirror(row)
        return row

    return make


@pytest.fixture
def owner(member: Callable[..., Any]) -> Any:
    """An owner who reads English."""
    return _reads(member("owner"), "en")


def _reads(user: Any, locale: str) -> Any:
    user.locale = locale
    user.save()
    return user


def refuse(integration: Integration) -> Issue:
    """Let the vendor refuse the credential."""
    issues.require_reconnect(integration, AuthenticationFailed("test"))
    return integration.issues.get(cause="authentication_error")


def lack(integration: Integration) -> Issue:
    """Let a permission be missing."""
    return issues.open_issue_for(integration, PermissionMissing("test"))


def work(after: timedelta = timedelta()) -> list[Any]:
    """Work off the outbox some time later, and return what was mailed."""
    outbound_mail.outbox.clear()
    with clock.shifted(after):
        while claims := claim_outbox():
            for claim in claims:
                work_entry(claim)
    return list(outbound_mail.outbox)


class TestWho:
    def test_owners_and_admins_are_mailed_others_when_they_ask(self, connected, owner, member):
        member("admin")
        developer, viewer = member("developer"), member("viewer")
        preferences.choose(developer, MailMode.IMMEDIATE)

        lack(connected())

        assert {to for message in work(SOON) for to in message.to} == {
            "owner@example.com", "admin@example.com", "developer@example.com"
        }  # fmt: skip
        assert preferences.mode_of(viewer) == MailMode.NEVER

    def test_nobody_of_another_organization_is(self, connected, owner, member, other_organization):
        with in_organization(other_organization):
            member("owner", of=other_organization, email="stranger@example.com")

        lack(connected())

        assert [message.to for message in work(SOON)] == [["owner@example.com"]]
        with in_organization(other_organization):
            assert not OwedMail.objects.exists()
            assert not Notification.objects.exists()

    def test_who_left_or_wants_none_by_now_is_not(self, connected, owner, member):
        admin = member("admin")
        lack(connected())
        admin.memberships.update(is_active=False)
        preferences.choose(owner, MailMode.NEVER)

        assert work(SOON) == []
        assert set(OwedMail.objects.values_list("outcome", "reason")) == {("dropped", "not_wanted")}

    @pytest.mark.parametrize("error", [Unavailable("x")])
    def test_what_nobody_can_mend_is_a_note_alone(self, connected, owner, error):
        issues.open_issue_for(connected(), error)

        assert not OwedMail.objects.exists()
        assert Notification.objects.get().said


class TestWhat:
    def test_names_account_and_the_one_thing_to_do_with_a_link(self, connected, owner, settings):
        settings.ADMIN_HOST = "people.registry.example"
        integration = connected()
        refuse(integration)

        (message,) = work(AFTER_WAIT)

        html = message.alternatives[0].content
        link = f"https://people.registry.example/o/acme/admin/integrations/integration/{integration.id}/reconnect/"
        assert message.subject == "[Acme] Shop · Ana & Co: The provider does not accept this credential."
        assert "Reconnect the account with a valid credential." in message.body
        assert link in message.body
        assert f'href="{link}"' in html
        assert "Shop · Ana &amp; Co" in html
        assert "?" not in link

    def test_leads_to_the_public_host_where_no_other_is_set(self, connected, owner):
        integration = connected()
        lack(integration)

        (message,) = work(SOON)

        assert (
            f"https://registry.example/o/acme/admin/integrations/integration/{integration.id}/change/" in message.body
        )

    def test_speaks_the_readers_language(self, connected, owner, member):
        _reads(member("admin"), "pt-br")
        lack(connected())

        texts = {message.to[0]: message.body for message in work(SOON)}

        assert "Grant the permission at the provider" in texts["owner@example.com"]
        assert "Conceda" in texts["admin@example.com"]

    def test_a_name_cannot_write_a_header(self, connected, owner):
        lack(connected("Shop\nBcc: evil@example.com"))

        (message,) = work(SOON)

        assert "\n" not in message.subject
        assert message.recipients() == ["owner@example.com"]

    def test_is_the_same_mail_when_it_is_sent_again(self, connected, owner):
        lack(connected())
        entry = OutboxEntry.objects.get(kind=mail.KIND)
        OutboxEntry.objects.update(next_attempt_at=clock.now())
        (first,) = work(SOON)
        OutboxEntry.objects.update(status="waiting")
        OwedMail.objects.update(closed_at=None, outcome="")

        (second,) = work(SOON)

        assert first.extra_headers["Message-ID"] == second.extra_headers["Message-ID"]
        assert str(entry.pk) in first.extra_headers["Message-ID"]


class TestWhen:
    def test_a_reconnect_waits_five_minutes(self, connected, owner):
        refuse(connected())

        assert work(timedelta(minutes=4)) == []
        assert len(work(AFTER_WAIT)) == 1

    def test_what_is_resolved_by_then_is_not_mailed(self, connected, owner):
        integration = connected()
        refuse(integration)
        issues.resolve_issues(integration)

        assert work(AFTER_WAIT) == []
        assert OwedMail.objects.get().reason == "resolved"

    def test_what_opens_together_is_one_mail(self, connected, owner):
        for number in range(5):
            lack(connected(f"Shop {number}", account_external_id=f"a{number}"))

        (message,) = work(SOON)

        assert message.subject == "[Acme] 5 integrations need you"
        assert all(f"Shop {number} · Ana & Co" in message.body for number in range(5))
        assert not OutboxEntry.objects.filter(status__in=["waiting", "failed"], kind=mail.KIND).exists()
        assert OwedMail.objects.filter(outcome="mailed").count() == 5

    def test_an_incident_of_the_vendor_holds_it_until_it_ended(self, connected, owner):
        refuse(connected())
        Vendor.objects.update_or_create(
            provider="whatsapp", defaults={"incident": "Meta has trouble.", "incident_class": "AuthenticationFailed"}
        )

        assert work(AFTER_WAIT) == []
        Vendor.objects.update(incident="", incident_class="")

        assert len(work(AFTER_WAIT + timedelta(hours=1))) == 1

    def test_a_muted_integration_opens_issues_and_mails_nobody(self, connected, owner):
        integration = connected()
        preferences.mute(integration.id, until=clock.now() + timedelta(days=1), by_label="Ana")

        lack(integration)

        assert work(SOON) == []
        assert OwedMail.objects.get().reason == "muted"
        assert Issue.objects.get().resolved_at is None
        with clock.shifted(timedelta(days=2)):
            assert preferences.muted_until(integration.id) is None

    def test_a_daily_reader_gets_one_mail_in_the_morning(self, connected, owner):
        preferences.choose(owner, MailMode.DAILY)
        lack(connected("Shop"))
        refuse(connected("Forum", account_external_id="2"))
        gone = connected("Gone", account_external_id="3")
        lack(gone)
        issues.resolve_issues(gone)

        assert mail.begin_digests() == 0
        assert work(SOON) == []
        with clock.shifted(timedelta(days=1, minutes=10)):
            assert _in_public(mail.begin_digests) == 1
            assert _in_public(mail.begin_digests) == 0
        (message,) = work(timedelta(days=1, minutes=11))

        assert message.subject == "[Acme] Daily summary: 2 notes"
        assert "Gone" not in message.body


def _in_public(work_: Callable[[], int]) -> int:
    from tenants.context import in_public_schema

    with in_public_schema():
        return work_()


class FailingBackend:
    """A mail server in one of its moods; used by its dotted path, as any backend of Django."""

    mood: Exception | None = None

    def __init__(self, **options: Any) -> None:
        from django.core.mail.backends.locmem import EmailBackend

        self._real = EmailBackend(**options)

    def send_messages(self, messages: list[Any]) -> int:
        """Fail, or keep the mail."""
        if self.mood is not None:
            raise self.mood
        return self._real.send_messages(messages)


class TestServer:
    @pytest.fixture
    def server(self, settings: Any) -> Iterator[type[FailingBackend]]:
        settings.EMAIL_BACKEND = f"{__name__}.FailingBackend"
        yield FailingBackend
        FailingBackend.mood = None

    @pytest.mark.parametrize(
        "mood",
        [ConnectionRefusedError(), smtplib.SMTPServerDisconnected("x"), smtplib.SMTPAuthenticationError(535, b"no")],
    )
    def test_one_that_is_down_for_hours_loses_no_mail(self, connected, owner, server, mood):
        server.mood = mood
        issue = lack(connected())
        for hours in range(1, 30):
            assert work(timedelta(hours=hours)) == []
        server.mood = None

        sent = work(timedelta(hours=31)) + work(timedelta(hours=32))

        assert issue.resolved_at is None
        assert len(sent) == 1
        assert OwedMail.objects.get().outcome == "mailed"

    def test_after_three_days_it_is_old_news(self, connected, owner, server):
        server.mood = ConnectionRefusedError()
        lack(connected())
        for hours in range(1, 85):
            work(timedelta(hours=hours))

        assert OwedMail.objects.get().outcome == "dropped"
        assert not OutboxEntry.objects.filter(kind=mail.KIND, status="waiting").exists()

    def test_an_address_it_refuses_is_given_up(self, connected, owner, server):
        server.mood = smtplib.SMTPRecipientsRefused({"owner@example.com": (550, b"no such mailbox")})
        lack(connected())

        work(SOON)

        assert OwedMail.objects.get().outcome == "dropped"
        assert OutboxEntry.objects.get(kind=mail.KIND).status == "failed"


def test_links_are_counted(connected) -> None:
    integration = connected()
    lack(integration)

    assert Link.objects.get(pk=integration.pk).open_issues == 1
