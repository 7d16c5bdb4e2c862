"""One issue per integration and cause, opened once and resolved once, whoever comes at the same moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connections
from django.utils.translation import gettext as translated
from django.utils.translation import override

from core import clock
from dispatch import outbox
from dispatch.models import Link, LinkStatus, OutboxEntry, Vendor
from integrations.contract import AuthenticationFailed, PermissionMissing
from integrations.models import Integration, Issue
from integrations.services import issues, links
from notifications.models import Notification, OwedMail
from tenants.context import in_organization
from tenants.models import Organization

THREADS = 20
TYPES = {"issue.opened", "issue.resolved", "integration.needs_reauth"}


@pytest.fixture
def listened() -> Iterator[None]:
    """Let somebody listen to what is published, so that it is kept."""
    before = set(outbox._subscribed)
    outbox.set_subscribed(before | TYPES)
    yield
    outbox.set_subscribed(before)


def published() -> list[str]:
    """The types that were published, in order."""
    rows = OutboxEntry.objects.filter(kind=outbox.PUBLISH).order_by("created_at")
    return [row.details["type"] for row in rows if row.details["type"] in TYPES]


def made(name: str = "Shop") -> Integration:
    """An active integration with its Link."""
    row = Integration.objects.create(provider="whatsapp", name=name, environment="test", health="healthy")
    links.mirror(row)
    return row


@pytest.mark.django_db
class TestOpen:
    def test_believes_the_row_and_not_what_was_read_before_a_call(self, inside: Any) -> None:
        read_before = made()
        issues.require_reconnect(Integration.objects.get(), AuthenticationFailed("x"))
        broken_since = Link.objects.get().broken_since

        issues.open_issue_for(read_before, PermissionMissing("x"))
        issues.resolve_issues(read_before, causes=[PermissionMissing.card_word])

        assert broken_since is not None
        assert Link.objects.get().broken_since == broken_since

    def test_counts_again_and_tells_once(self, inside: Any, listened: None) -> None:
        integration = made()

        for _time in range(3):
            issues.open_issue_for(integration, PermissionMissing("x"))

        issue = Issue.objects.get()
        assert (issue.count, issue.cause) == (3, "permission_error")
        assert published() == ["issue.opened"]
        assert Notification.objects.count() == 1
        assert Link.objects.get(pk=integration.pk).open_issues == 1

    def test_is_read_in_the_readers_language_with_its_values(self, inside: Any) -> None:
        integration = made()
        text, details = "for %(time)s", {"time": "10 %"}

        issue = issues.open_issue(
            integration,
            cause="x",
            text=text,
            details=details,
            who="user",
            next_action="Complete the integration's settings.",
        )

        note = Notification.objects.get()
        assert (issue.english, issue.english_action) == ("for 10 %", "Complete the integration's settings.")
        with override("pt-br"):
            assert issue.said == note.said == "h\u00e1 10 %"
            assert (
                issue.said_action
                == translated("Complete the integration's settings.")
                != "Complete the integration's settings."
            )

    def test_a_vendors_words_stay_as_they_are(self, inside: Any) -> None:
        issue = issues.open_issue(made(), cause="x", text="95 %(daily) used", who="user", next_action="")

        assert issue.english == issue.said == "95 %(daily) used"

    def test_one_that_comes_back_says_what_is_true_now(self, inside: Any) -> None:
        integration = made()
        told = {"cause": "x", "text": "Since %(day)s.", "who": "user", "next_action": ""}
        issues.open_issue(integration, **told, details={"day": "Monday"})
        issues.resolve_issues(integration)

        issues.open_issue(integration, **told, details={"day": "Tuesday"})

        assert Issue.objects.get().english == "Since Tuesday."

    def test_another_cause_is_another_issue(self, inside: Any) -> None:
        integration = made()

        issues.open_issue_for(integration, PermissionMissing("x"))
        issues.open_issue(integration, cause="other", text="T.", who="us", next_action="")

        assert Link.objects.get(pk=integration.pk).open_issues == 2

    def test_one_that_flaps_is_the_same_issue_and_no_second_mail(
        self, inside: Any, listened: None, member: Callable[..., Any]
    ) -> None:
        member("owner")
        integration = made()
        first = issues.open_issue_for(integration, PermissionMissing("x"))
        OwedMail.objects.update(outcome="mailed", closed_at=clock.now())

        for minutes in (1, 2, 3):
            with clock.shifted(timedelta(minutes=minutes)):
                issues.resolve_issues(integration)
                again = issues.open_issue_for(integration, PermissionMissing("x"))

        assert again.pk == first.pk
        assert (again.count, again.resolved_at) == (4, None)
        assert (Notification.objects.count(), OwedMail.objects.count()) == (1, 1)
        assert OwedMail.objects.get().outcome == "mailed"
        assert published() == ["issue.opened", *["issue.resolved", "issue.opened"] * 3]

    def test_after_an_hour_it_is_a_new_one(self, inside: Any) -> None:
        integration = made()
        first = issues.open_issue_for(integration, PermissionMissing("x"))
        issues.resolve_issues(integration)

        with clock.shifted(timedelta(minutes=61)):
            second = issues.open_issue_for(integration, PermissionMissing("x"))

        assert second.pk != first.pk

    def test_one_that_was_never_mailed_is_when_it_comes_back(self, inside: Any, member: Callable[..., Any]) -> None:
        member("owner")
        integration = made()
        issues.open_issue_for(integration, PermissionMissing("x"))
        issues.resolve_issues(integration)
        OwedMail.objects.update(outcome="dropped", reason="resolved", closed_at=clock.now())

        issues.open_issue_for(integration, PermissionMissing("x"))

        assert OwedMail.objects.get().closed_at is None


@pytest.mark.django_db
class TestReconnect:
    def test_is_required_and_published_once(self, inside: Any, listened: None) -> None:
        integration = made()

        for _time in range(3):
            issues.require_reconnect(integration, AuthenticationFailed("x"))

        assert integration.status == LinkStatus.NEEDS_REAUTH
        assert sorted(published()) == ["integration.needs_reauth", "issue.opened"]

    def test_is_not_while_the_vendor_refuses_everybody(self, inside: Any, listened: None) -> None:
        integration = made()
        Vendor.objects.update_or_create(
            provider="whatsapp", defaults={"incident": "Meta has trouble.", "incident_class": "AuthenticationFailed"}
        )

        issues.require_reconnect(integration, AuthenticationFailed("x"))

        integration.refresh_from_db()
        assert (integration.status, integration.health) == ("active", "failing")
        assert (integration.health_cause, integration.health_who) == ("Meta has trouble.", "nobody")
        assert not Issue.objects.exists()
        assert published() == []

    def test_is_while_the_vendor_has_trouble_of_another_kind(self, inside: Any) -> None:
        integration = made()
        Vendor.objects.update_or_create(
            provider="whatsapp", defaults={"incident": "Meta is slow.", "incident_class": "Unavailable"}
        )

        issues.require_reconnect(integration, AuthenticationFailed("x"))

        assert integration.status == LinkStatus.NEEDS_REAUTH


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: Any, listened: None) -> Iterator[tuple[Organization, Any]]:
    """An integration whose rows are committed, and deleted at the end."""
    with django_db_blocker.unblock():
        organization = Organization.objects.get(slug="acme")
        with in_organization(organization):
            integration = made()
        try:
            yield organization, integration
        finally:
            with in_organization(organization):
                Issue.objects.all().delete()
                Notification.objects.all().delete()
                OutboxEntry.objects.all().delete()
                Link.objects.filter(pk=integration.pk).delete()
                integration.delete()
            connections.close_all()


def at_once(organization: Organization, work: Callable[[], Any]) -> list[Any]:
    """Do the same in twenty threads, begun together, each with its own connection."""
    gate = Barrier(THREADS)

    def run(_number: int) -> Any:
        try:
            with in_organization(organization):
                gate.wait(timeout=30)
                return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


class TestRace:
    def test_twenty_at_once_open_one_and_resolve_one(self, committed: tuple[Organization, Any]) -> None:
        organization, integration = committed

        opened = at_once(organization, lambda: issues.open_issue_for(integration, PermissionMissing("x")))
        with in_organization(organization):
            issue = Issue.objects.get()
            assert {row.pk for row in opened} == {issue.pk}
            assert issue.count == THREADS
            assert Link.objects.get(pk=integration.pk).open_issues == 1
            assert (published(), Notification.objects.count()) == (["issue.opened"], 1)

        resolved = at_once(organization, lambda: issues.resolve_issues(integration))
        with in_organization(organization):
            assert sorted(resolved) == [0] * (THREADS - 1) + [1]
            assert published() == ["issue.opened", "issue.resolved"]
            assert Link.objects.get(pk=integration.pk).open_issues == 0

    def test_twenty_causes_at_once_are_all_counted(self, committed: tuple[Organization, Any]) -> None:
        organization, integration = committed
        causes = iter(range(THREADS))

        at_once(
            organization,
            lambda: issues.open_issue(integration, cause=f"c{next(causes)}", text="T.", who="us", next_action=""),
        )

        with in_organization(organization):
            assert Link.objects.get(pk=integration.pk).open_issues == THREADS
