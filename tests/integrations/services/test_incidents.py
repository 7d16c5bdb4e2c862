"""Many organizations failing at one vendor is one incident: opened once, ended by evidence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.models import AuditEntry
from audit.services import Actor
from core import clock
from core.errors import Conflict
from core.ids import new_id
from dispatch.failing import note_failure, note_success
from dispatch.models import Link, LinkHealth, OutboxEntry, OutboxStatus, ProviderIncident, Vendor
from dispatch.vendors import vendor_state
from integrations.contract import AuthenticationFailed
from integrations.models import Issue
from integrations.services import drift, incidents, issues, links, reconcile, silence
from integrations.services.incidents import WINDOW
from notifications.models import Notification
from tenants.context import in_organization
from tests.fictitious.conftest import Shop

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
PERIOD = timedelta(seconds=600)
"""Parcelbox is checked every ten minutes."""


def make_links(count: int, *, organizations: int, provider: str = "parcelbox", **facts: Any) -> list[UUID]:
    """Make links spread evenly over organizations that exist by name alone."""
    rows = [
        Link(id=new_id(), organization_schema=f"o_{at % organizations}", organization_label="O", provider=provider,
             category="payments", label="L", environment="test", **facts)
        for at in range(count)
    ]  # fmt: skip
    return [row.id for row in Link.objects.bulk_create(rows)]


def checked(link_ids: list[UUID], *, error_class: str = "") -> None:
    """Let these links be probed now, with or without an error."""
    Link.objects.filter(pk__in=link_ids).update(last_checked_at=clock.now())
    if error_class:
        note_failure(link_ids, error_class)
    else:
        note_success(link_ids)


def later(by: timedelta) -> Any:
    """Move the clock."""
    return clock.shifted(by)


@pytest.fixture
def outage(vendor: Any) -> list[UUID]:
    """Twenty links of ten organizations, six of which fail; the incident is open."""
    link_ids = make_links(20, organizations=10, next_check_at=clock.now() + 5 * PERIOD)
    checked(link_ids[:6], error_class="Unavailable")
    incidents.sweep()
    return link_ids


class TestOpening:
    def test_opens_one_row_and_tells_staff_once(self, outage: list[UUID], staff: Any) -> None:
        incidents.sweep()

        incident = ProviderIncident.objects.get()
        assert (incident.error_class, incident.organizations, incident.links, incident.active_links) == (
            "Unavailable", 6, 6, 20,
        )  # fmt: skip
        state = vendor_state("parcelbox")
        assert state.has_incident
        assert (state.incident_class, state.incident_since) == ("Unavailable", incident.opened_at)
        assert Notification.objects.filter(kind=incidents.OPENED).count() == 1
        assert AuditEntry.objects.filter(action=incidents.OPENED).count() == 1

    @pytest.mark.parametrize(
        ("failing", "links_of", "organizations", "opens"),
        [(6, 20, 10, True), (5, 20, 10, False), (8, 20, 4, False), (5, 16, 16, True), (4, 4, 4, False)],
    )
    def test_wants_five_organizations_and_a_share_of_thirty_percent(
        self, vendor: Any, failing: int, links_of: int, organizations: int, opens: bool
    ) -> None:
        note_failure(make_links(links_of, organizations=organizations)[:failing], "Unavailable")

        incidents.sweep()

        assert ProviderIncident.objects.exists() is opens

    def test_counts_one_class_and_five_minutes(self, vendor: Any) -> None:
        link_ids = make_links(20, organizations=10)
        note_failure(link_ids[:4], "Unavailable")
        note_failure(link_ids[4:8], "RateLimited")
        with later(-WINDOW - SECOND):
            note_failure(link_ids[8:12], "Unavailable")

        incidents.sweep()

        assert not ProviderIncident.objects.exists()

    def test_leaves_out_who_was_refused_long_ago(self, vendor: Any) -> None:
        since = clock.now() - incidents.ONSET - SECOND
        link_ids = make_links(20, organizations=10, health=LinkHealth.FAILING, since=since)
        note_failure(link_ids, "PermissionMissing")

        incidents.sweep()

        assert not ProviderIncident.objects.exists()

    def test_mixes_no_vendors(self, vendor: Any) -> None:
        note_failure(make_links(4, organizations=4), "Unavailable")
        note_failure(make_links(4, organizations=8, provider="stripe"), "Unavailable")

        incidents.sweep()

        assert not ProviderIncident.objects.exists()


class TestSuspicion:
    def due(self, link_ids: list[UUID]) -> int:
        """How many of these the clock checks now."""
        return Link.objects.filter(pk__in=link_ids, next_check_at__lte=clock.now()).count()

    def test_asks_four_others_for_each_that_fails(self, vendor: Any) -> None:
        link_ids = make_links(40, organizations=20, next_check_at=clock.now() + PERIOD)
        note_failure(link_ids[:1], "Unavailable")

        incidents.sweep()

        assert (self.due(link_ids), ProviderIncident.objects.exists()) == (4, False)
        asked = Link.objects.filter(next_check_at__lte=clock.now()).values("organization_schema")
        assert asked.distinct().count() == 4

    def test_asks_no_more_than_decide(self, vendor: Any) -> None:
        link_ids = make_links(20, organizations=10, next_check_at=clock.now() + PERIOD)
        note_failure(link_ids[:5], "Unavailable")

        incidents.sweep()

        assert self.due(link_ids) == 1

    def test_asks_nobody_while_most_are_well(self, vendor: Any) -> None:
        link_ids = make_links(40, organizations=20, next_check_at=clock.now() + PERIOD)
        checked(link_ids[:8])
        note_failure(link_ids[:2], "Unavailable")

        incidents.sweep()

        assert self.due(link_ids) == 0


class TestIdle:
    @pytest.mark.parametrize(
        ("sweep", "statements"),
        [(incidents.sweep, 2), (drift.sweep, 2), (reconcile.sweep, 1), (silence.sweep, 1), (silence.sweep_rhythms, 1)],
    )
    def test_costs_a_look_at_an_index_whatever_is_connected(
        self, vendor: Any, sweep: Callable[[], Any], statements: int
    ) -> None:
        make_links(200, organizations=50, next_drift_at=clock.now() + PERIOD)

        with CaptureQueriesContext(connection) as seen:
            sweep()

        looked = [
            query["sql"] for query in seen.captured_queries if query["sql"].split()[0] in {"SELECT", "WITH", "UPDATE"}
        ]
        assert len(looked) <= statements, looked

    def test_can_look_for_failing_links_by_their_own_index(self, vendor: Any) -> None:
        with connection.cursor() as cursor:  # the application's role may not ANALYZE: the planner knows no sizes here
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {incidents._POOLED}", incidents._bars(clock.now()))
            plan = "\n".join(row[0] for row in cursor.fetchall())

        assert "link_failing" in plan


class TestLasting:
    def test_moves_last_seen_while_canaries_fail(self, outage: list[UUID]) -> None:
        with later(PERIOD):
            checked(outage[:6], error_class="Unavailable")
            checked(outage[6:])
            incidents.sweep()

            incident = ProviderIncident.objects.get(closed_at=None)
            assert incident.last_seen_at > incident.opened_at + PERIOD - SECOND

    def test_does_not_end_for_want_of_evidence(self, outage: list[UUID]) -> None:
        with later(10 * PERIOD):
            incidents.sweep()

        assert vendor_state("parcelbox").has_incident

    def test_ends_within_two_periods_of_the_recovery(self, outage: list[UUID]) -> None:
        with later(3 * PERIOD):
            checked(outage[:6], error_class="Unavailable")
            incidents.sweep()
        ended = _periods_until_closed(outage)

        assert ended is not None
        assert ended <= 2.0

    def test_few_that_still_fail_do_not_keep_it_open(self, outage: list[UUID]) -> None:
        with later(PERIOD):
            checked(outage[:2], error_class="Unavailable")
            checked(outage[2:])
            incidents.sweep()

        assert not vendor_state("parcelbox").has_incident

    def test_half_of_the_share_keeps_it_open(self, outage: list[UUID]) -> None:
        with later(PERIOD):
            checked(outage[:3], error_class="Unavailable")
            checked(outage[3:])
            incidents.sweep()

        assert vendor_state("parcelbox").has_incident


class TestEnding:
    def test_releases_what_was_held_and_probes_again(self, outage: list[UUID]) -> None:
        entry = OutboxEntry.objects.create(
            organization_schema="o_0", link_id=outage[0], kind="test", not_before=clock.now() + PERIOD
        )
        foreign = OutboxEntry.objects.create(
            organization_schema="o_0", link_id=new_id(), kind="test", not_before=clock.now() + PERIOD
        )

        assert incidents.close(ProviderIncident.objects.get(), actor=Actor.system("test"))
        assert not incidents.close(ProviderIncident.objects.get(), actor=Actor.system("test"))

        entry.refresh_from_db()
        foreign.refresh_from_db()
        assert (entry.status, entry.not_before) == (OutboxStatus.WAITING, None)
        assert foreign.not_before is not None
        assert Link.objects.filter(pk__in=outage, next_check_at__lte=clock.now() + PERIOD).count() == len(outage)
        vendor = Vendor.objects.get(provider="parcelbox")
        assert (vendor.incident, vendor.incident_class, vendor.incident_since) == ("", "", None)
        assert AuditEntry.objects.filter(action=incidents.CLOSED).count() == 1

    def test_one_opened_by_hand_is_closed_by_hand(self, vendor: Any) -> None:
        incident = incidents.open_by_hand("parcelbox", text="", actor=Actor.system("test"))
        with pytest.raises(Conflict):
            incidents.open_by_hand("parcelbox", text="", actor=Actor.system("test"))

        with later(10 * PERIOD):
            checked(make_links(3, organizations=3))
            incidents.sweep()
            assert vendor_state("parcelbox").has_incident
            incidents.close(incident, actor=Actor.system("test"))

        assert not vendor_state("parcelbox").has_incident


class TestReconnects:
    @pytest.fixture
    def refused(self, shop: Shop, other_shop: Shop) -> Shop:
        """A shop that was asked to reconnect a minute ago, among many; another shop as long ago as a day."""
        for one, ago in ((shop, timedelta(minutes=1)), (other_shop, timedelta(days=1))):
            with in_organization(one.organization), later(-ago):
                issues.require_reconnect(one.integration, AuthenticationFailed())
                note_failure([one.integration.id], "AuthenticationFailed")
        note_failure([other_shop.integration.id], "AuthenticationFailed")
        note_failure(make_links(6, organizations=6), "AuthenticationFailed")
        mail.outbox.clear()
        return shop

    def test_are_taken_back_where_the_incident_was_the_cause(self, refused: Shop, other_shop: Shop) -> None:
        incidents.sweep()

        with in_organization(refused.organization):
            refused.integration.refresh_from_db()
            issue = Issue.objects.get()
            assert (refused.integration.status, refused.integration.health) == ("active", "failing")
            assert refused.integration.health_cause == incidents.TEXTS["AuthenticationFailed"]
            assert (refused.integration.health_who, issue.resolved_at is None) == ("nobody", False)
            assert AuditEntry.objects.filter(action="integration.restored").count() == 1
            assert Link.objects.get(pk=refused.integration.id).status == "active"
        with in_organization(other_shop.organization):
            other_shop.integration.refresh_from_db()
            assert other_shop.integration.status == "needs_reauth"
            assert Issue.objects.get().resolved_at is None

    def test_have_their_tokens_renewed_again(self, refused: Shop) -> None:
        Link.objects.filter(pk=refused.integration.id).update(next_refresh_at=None)

        incidents.sweep()

        assert Link.objects.get(pk=refused.integration.id).next_refresh_at is not None

    def test_are_taken_back_as_far_as_the_incident_may_have_gone_unseen(self, shop: Shop) -> None:
        with in_organization(shop.organization), later(-PERIOD):
            issues.require_reconnect(shop.integration, AuthenticationFailed())
            note_failure([shop.integration.id], "AuthenticationFailed")
        note_failure(make_links(6, organizations=6), "AuthenticationFailed")

        incidents.sweep()

        assert Link.objects.get(pk=shop.integration.id).status == "active"

    def test_an_organization_reads_nothing_of_others(self, refused: Shop, other_shop: Shop) -> None:
        incidents.sweep()

        with in_organization(refused.organization):
            refused.integration.refresh_from_db()
            links.mirror(refused.integration)
            texts = [refused.integration.health_cause, *Notification.objects.filter(
                organization_schema=refused.organization.schema_name).values_list("text", flat=True)]  # fmt: skip
        assert not any("globex" in text.lower() or "o_1" in text for text in texts)


def _periods_until_closed(link_ids: list[UUID]) -> float | None:
    """Recover after three periods: each link is probed good once a period, and the sweep runs at each step."""
    for step in range(1, 41):
        at = step / 10
        with later((3 + at) * PERIOD):
            due = [link_id for place, link_id in enumerate(link_ids) if place % 10 == step % 10]
            checked(due)
            incidents.sweep()
            if not vendor_state("parcelbox").has_incident:
                return at
    return None
