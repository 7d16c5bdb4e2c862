"""What its owner leaves broken is warned of, switched off and tried daily, and never against a person's will."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from audit.models import AuditEntry
from core import clock
from dispatch import outbox
from dispatch.models import Link, OutboxEntry, Vendor
from integrations.contract import AuthenticationFailed, Unavailable
from integrations.models import Integration, Issue
from integrations.services import alerts, health, issues, ladder, lifecycle
from notifications.models import Notification
from tenants.context import in_organization
from tests.fictitious.conftest import ACTOR, Shop, connect_merchant
from tests.fictitious.vendor import Parcelbox

pytestmark = pytest.mark.django_db

CHECK = "/v1/introspections"
TYPES = {"integration.disabled", "integration.recovered", "integration.needs_reauth"}


@pytest.fixture(autouse=True)
def listened() -> Iterator[None]:
    """Let somebody listen to what is published, so that it is kept."""
    before = set(outbox._subscribed)
    outbox.set_subscribed(before | TYPES)
    yield
    outbox.set_subscribed(before)


@pytest.fixture
def broken(shop: Shop, vendor: Parcelbox) -> Shop:
    """A shop whose credential the vendor refuses since now."""
    vendor.failing[CHECK] = "error__invalid_token"
    with in_organization(shop.organization):
        health.test_connection(shop.integration)
    return shop


def link(shop: Shop) -> Link:
    return Link.objects.get(pk=shop.integration.pk)


def days(number: float) -> int:
    """Run the sweep that many days from now, in public; return how many links it looked at."""
    with clock.shifted(timedelta(days=number)):
        return alerts.sweep()


def published(type_: str) -> int:
    return OutboxEntry.objects.filter(kind=outbox.PUBLISH, details__type=type_).count()


class TestLadder:
    def test_warns_three_times_then_switches_off(self, broken: Shop) -> None:
        assert days(6.9) == 0
        for after, percent in ((7.1, 50), (9.9, 70), (12.7, 90)):
            assert days(after) == 1
            assert link(broken).alerted_percent == percent
            assert days(after) == 0

        assert days(13.9) == 0
        assert days(14.2) == 1

        with in_organization(broken.organization):
            integration = Integration.objects.get()
            assert (integration.status, link(broken).status) == ("disabled", "disabled")
            warnings = Notification.objects.filter(kind="integration.alert").order_by("created_at")
            ends = clock.now() + timedelta(days=14)
            assert warnings.count() == 3
            assert f"{ends:%Y-%m-%d}" in warnings[0].said
            assert Issue.objects.get(cause="disabled_by_system").resolved_at is None
            entry = AuditEntry.objects.get(action="integration.disabled")
            assert (entry.actor_kind, entry.details) == ("system", {"cause": "disabled_by_system"})
        assert published("integration.disabled") == 1

    def test_what_is_mended_is_not_warned_of(self, broken: Shop, vendor: Parcelbox) -> None:
        days(7.1)
        vendor.failing.clear()
        with in_organization(broken.organization):
            health.test_connection(broken.integration)

        row = link(broken)
        assert (row.broken_since, row.alerted_percent, row.next_alert_at) == (None, 0, None)
        assert days(15) == 0

    def test_a_platform_that_stood_still_skips_no_warning(self, broken: Shop) -> None:
        assert days(30) == 1
        assert link(broken).alerted_percent == 50
        assert days(30.5) == 0

        steps = []
        for after in range(31, 41):
            days(after)
            steps.append(link(broken).alerted_percent)

        assert steps[-1] == 100
        assert {50, 70, 90, 100} == set(steps)

    def test_a_vendors_failure_never_switches_off(self, shop: Shop, vendor: Parcelbox) -> None:
        vendor.failing[CHECK] = "error__html_502"
        with in_organization(shop.organization):
            for _time in range(5):
                health.test_connection(shop.integration)
            issues.open_issue_for(shop.integration, Unavailable("x"))

        assert link(shop).broken_since is None
        assert days(30) == 0

    def test_an_incident_stops_it(self, broken: Shop) -> None:
        Vendor.objects.update_or_create(
            provider="parcelbox", defaults={"incident": "Trouble.", "incident_class": "Unavailable"}
        )

        assert days(7.1) == 1
        assert link(broken).alerted_percent == 0
        Vendor.objects.update(incident="", incident_class="")
        days(7.2)

        assert link(broken).alerted_percent == 50

    def test_leaves_the_other_organization_alone(
        self, broken: Shop, other_organization: Any, vendor: Parcelbox
    ) -> None:
        vendor.failing.clear()
        other = connect_merchant(other_organization, vendor.open_account(2))

        days(7.1)

        assert Link.objects.get(pk=other.pk).alerted_percent == 0
        with in_organization(other_organization):
            assert not Notification.objects.exists()


@pytest.fixture
def switched_off(broken: Shop) -> Shop:
    """A shop that the platform switched off."""
    for after in (7.1, 9.9, 12.7, 14.2):
        days(after)
    assert link(broken).status == "disabled"
    return broken


class TestRecovery:
    def test_a_good_test_a_day_later_switches_on_and_says_so(self, switched_off: Shop, vendor: Parcelbox) -> None:
        with in_organization(switched_off.organization):
            parked = outbox.add("webhook.register", link_id=switched_off.integration.id)
            OutboxEntry.objects.filter(pk=parked.pk).update(status="parked")
        assert days(15.3) == 1
        assert link(switched_off).status == "disabled"
        vendor.failing.clear()

        assert days(15.4) == 0
        assert days(16.4) == 1

        row = link(switched_off)
        assert (row.status, row.alerted_percent, row.broken_since) == ("active", 0, None)
        assert published("integration.recovered") == 1
        parked.refresh_from_db()
        assert parked.status == "waiting"
        with in_organization(switched_off.organization):
            assert not Issue.objects.filter(resolved_at=None).exists()
            assert Notification.objects.filter(kind="integration.recovered").count() == 1

    def test_what_a_person_switched_off_stays_off(self, broken: Shop, vendor: Parcelbox) -> None:
        with in_organization(broken.organization):
            lifecycle.disable(broken.integration, actor=ACTOR)
        vendor.failing.clear()

        assert [days(after) for after in (7.1, 15, 16)] == [0, 0, 0]
        assert link(broken).status == "disabled"

    def test_a_persons_decision_ends_the_platforms(self, switched_off: Shop, vendor: Parcelbox) -> None:
        with in_organization(switched_off.organization):
            lifecycle.disable(switched_off.integration, actor=ACTOR)
        vendor.failing.clear()

        assert days(17) == 0
        assert link(switched_off).status == "disabled"

    def test_a_person_may_switch_on_and_has_the_whole_time_again(self, switched_off: Shop) -> None:
        with clock.shifted(timedelta(days=15)), in_organization(switched_off.organization):
            switched_off.integration.refresh_from_db()
            lifecycle.enable(switched_off.integration, actor=ACTOR)
            assert not Issue.objects.filter(cause="disabled_by_system", resolved_at=None).exists()

        row = link(switched_off)
        assert (row.status, row.alerted_percent) == ("active", 0)
        assert row.next_alert_at is not None
        assert row.next_alert_at > clock.now() + timedelta(days=21)

    def test_reconnecting_ends_it(self, switched_off: Shop, vendor: Parcelbox) -> None:
        from integrations.services.connect import reconnect

        vendor.failing.clear()
        with in_organization(switched_off.organization):
            switched_off.integration.refresh_from_db()
            reconnect(switched_off.integration, credentials=switched_off.merchant.credentials, actor=ACTOR)

        row = link(switched_off)
        assert (row.status, row.alerted_percent, row.next_alert_at, row.open_issues) == ("active", 0, None, 0)
        assert published("integration.recovered") == 1


class TestBroken:
    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"status": "needs_reauth", "health": "failing", "health_who": "user"}, True),
            ({"status": "active", "health": "failing", "health_who": "user"}, True),
            ({"status": "active", "health": "failing", "health_who": "nobody"}, False),
            ({"status": "active", "health": "degraded", "health_who": "user"}, False),
            ({"status": "disabled", "health": "failing", "health_who": "user"}, False),
            ({"status": "disconnected"}, False),
        ],
    )
    def test_is_what_the_owner_alone_can_mend(self, fields: dict[str, str], expected: bool) -> None:
        assert ladder.is_broken(Integration(provider="parcelbox", **fields)) is expected

    def test_starts_once(self, inside_shop: Shop) -> None:
        integration: Integration = inside_shop.integration
        issues.require_reconnect(integration, AuthenticationFailed("x"))
        since = link(inside_shop).broken_since

        with clock.shifted(timedelta(days=3)):
            issues.require_reconnect(integration, AuthenticationFailed("x"))

        assert link(inside_shop).broken_since == since
