"""One vendor's bad day, from the first failure to the last charge that was held, over the real services."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from rest_framework.test import APIClient

from core import clock
from dispatch.models import Link, OutboxEntry, ProviderIncident
from dispatch.vendors import vendor_state
from integrations.models import Issue
from integrations.services.incidents import OPENED, TEXTS
from meter.models import HealthCheck
from notifications.models import Notification
from tenants.context import in_organization
from tenants.models import Organization
from tests.engine.installation import (
    BAD_GATEWAY,
    CHARGE,
    CHECK,
    ORGANIZATIONS,
    PERIOD,
    TICK,
    UNAUTHORIZED,
    Installation,
    built,
    installed,
)

CLASSES = {BAD_GATEWAY: "Unavailable", UNAUTHORIZED: "AuthenticationFailed"}
LINKS, CHARGES = 12, 3
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def organizations(django_db_setup: None, django_db_blocker: Any) -> Iterator[list[Organization]]:
    """Seven organizations, committed, so that everybody sees them."""
    with django_db_blocker.unblock(), built() as made:
        yield made


@pytest.fixture
def house(organizations: list[Organization], django_db_blocker: Any, settings: Any) -> Iterator[Installation]:
    """Two vendors; three shops of the one that stays well."""
    with django_db_blocker.unblock(), installed(settings, organizations) as made:
        made.connect_others(3)
        yield made


def is_open() -> bool:
    """Whether an incident is."""
    return ProviderIncident.objects.filter(closed_at=None).exists()


def settle(house: Installation) -> None:
    """Let checks fall due at their own times, as they do after days."""
    house.run(2 * PERIOD, tick=PERIOD / 5)
    assert {link.health for link in house.links()} == {"healthy"}


class TestWhatIsAnIncident:
    def test_is_none_over_four_organizations(self, house: Installation) -> None:
        house.connect(8, over=4)
        fifth = house.connect_in(4)
        house.vendor.trouble = BAD_GATEWAY
        house.vendor.struck = frozenset(house.vendor.merchants) - {fifth.merchant.id}
        for shop in house.shops:
            house.send(shop, f"{shop.merchant.id}x")

        house.run(4 * TICK)
        assert (is_open(), len(failing())) == (False, 8)
        house.vendor.struck = None
        house.send(fifth, "again")
        house.run(2 * TICK, until=is_open)

        assert ProviderIncident.objects.get().organizations == 5

    def test_is_none_under_thirty_percent(self, house: Installation) -> None:
        house.connect(17)
        house.vendor.trouble = BAD_GATEWAY
        house.vendor.struck = frozenset(f"mer_{number}" for number in range(1, 6))
        for shop in house.shops:
            house.send(shop, f"{shop.merchant.id}x")

        house.run(4 * TICK)
        assert (is_open(), len(failing())) == (False, 5)
        house.vendor.struck |= {"mer_6"}
        house.send(house.shops[5], "again")
        house.run(2 * TICK, until=is_open)

        incident = ProviderIncident.objects.get()
        assert (incident.links, incident.active_links) == (6, 17)

    def test_one_that_fails_alone_costs_the_vendor_four_checks(self, house: Installation) -> None:
        house.connect(LINKS)
        house.run(PERIOD / 2 + TICK)  # what is known of the others is old, and none of them is due
        house.vendor.trouble, house.vendor.struck = BAD_GATEWAY, frozenset({"mer_1"})
        house.send(house.shops[0], "alone")
        house.vendor.hits.clear()

        house.run(3 * TICK)

        ours = house.shops[0].merchant.access_token
        assert 0 < len([hit for hit in house.vendor.hits if hit.path == CHECK and hit.token != ours]) <= 4
        assert not is_open()


@pytest.mark.parametrize("trouble", [BAD_GATEWAY, UNAUTHORIZED])
def test_from_the_outage_to_the_recovery(house: Installation, trouble: str) -> None:
    house.connect(LINKS)
    settle(house)

    opens(house, trouble)
    is_told_to_staff_alone(house, CLASSES[trouble])
    entries = lasts(house, CLASSES[trouble])
    ends(house, entries)
    leaves_nothing_behind(house)


def opens(house: Installation, trouble: str) -> None:
    """The health checks alone find it, before the first reconnect mail would leave."""
    house.vendor.trouble = trouble

    house.run(2 * PERIOD, until=lambda: bool(failing()))
    took = house.run(PERIOD, until=is_open)
    house.run(2 * TICK)

    assert took <= 5 * TICK
    incident = ProviderIncident.objects.get()
    assert incident.error_class == CLASSES[trouble]
    assert incident.organizations >= 5
    assert incident.links >= 0.3 * incident.active_links


def is_told_to_staff_alone(house: Installation, error_class: str) -> None:
    """Customers read that it is the vendor, and of nobody else."""
    assert Notification.objects.filter(kind=OPENED, organization_schema=None).count() == 1
    for number, organization in enumerate(house.organizations):
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {house.key_of(organization)}")
        answer = client.get("/api/v1/integrations/")
        assert answer.status_code == 200
        struck = [row for row in answer.json()["results"] if row["provider"] == "parcelbox"]
        assert {(row["status"], row["health_detail"]["cause"]) for row in struck} == {("active", TEXTS[error_class])}
        assert {row["health_detail"]["who"] for row in struck} == {"nobody"}
        notes = Notification.objects.filter(organization_schema=organization.schema_name)
        read = answer.content.decode() + "".join(f"{note.title} {note.text} {note.next_action}" for note in notes)
        foreign = [f"House {other}" for other in range(ORGANIZATIONS) if other != number]
        assert not any(name in read for name in foreign)


def lasts(house: Installation, error_class: str) -> list[OutboxEntry]:
    """Hardly a check is made, and what is accepted waits without a try."""
    entries = [house.send(shop, f"{shop.merchant.id}x{number}") for number in range(CHARGES) for shop in house.shops]
    house.vendor.hits.clear()

    with house.now():
        begun = clock.now()

    house.run(5 * PERIOD, tick=2 * TICK)

    checks = HealthCheck.objects.filter(provider="parcelbox", at__gt=begun)
    assert 0 < checks.count() <= 0.2 * 5 * LINKS
    assert checks.values("link_id").distinct().count() == checks.count()  # they take turns
    assert house.vendor.count(CHARGE) == 0
    for entry in entries:
        entry.refresh_from_db()
    assert {(entry.status, entry.attempts) for entry in entries} == {("waiting", 0)}
    assert {(link.status, link.open_issues) for link in house.links()} == {("active", 0)}
    assert vendor_state("parcelbox").incident_class == error_class
    return entries


def ends(house: Installation, entries: list[OutboxEntry]) -> None:
    """It closes by itself, the links are well again, and what was held goes out once and in order."""
    house.vendor.trouble = ""
    house.vendor.hits.clear()

    assert house.run(3 * PERIOD, until=lambda: not is_open()) <= 2 * PERIOD
    house.run(PERIOD + 2 * TICK)  # the clock of this test ticks once a minute only

    assert {(link.status, link.health, link.failing_class) for link in house.links()} == {("active", "healthy", "")}
    for entry in entries:
        entry.refresh_from_db()
    assert {(entry.status, entry.error_class) for entry in entries} == {("done", "")}
    charged = [hit.form["reference"] for hit in house.vendor.hits if hit.path == CHARGE]
    for shop in house.shops:
        wanted = [f"{shop.merchant.id}x{number}" for number in range(CHARGES)]
        assert [reference for reference in charged if reference in wanted] == wanted


def leaves_nothing_behind(house: Installation) -> None:
    """Tokens are renewed and work goes on; nobody was mailed but staff; the other vendor saw nothing of it."""
    house.run(1.5 * HOUR, tick=PERIOD / 2)
    late = [house.send(shop, f"{shop.merchant.id}late") for shop in house.shops]
    house.run(3 * TICK)

    for entry in late:
        entry.refresh_from_db()
    assert {(entry.status, entry.attempts) for entry in late} == {("done", 1)}
    assert {(link.status, link.health) for link in house.links()} == {("active", "healthy")}
    for organization in house.organizations:
        with in_organization(organization):
            assert not Issue.objects.filter(resolved_at=None).exists()
    assert ProviderIncident.objects.count() == 1
    assert {address for message in mail.outbox for address in message.to} == {"staff@example.com"}
    assert len(mail.outbox) == 1
    assert not HealthCheck.objects.filter(provider="postbox", is_ok=False).exists()
    assert {(link.status, link.health) for link in house.links(house.others)} == {("active", "healthy")}


def failing() -> list[Link]:
    """Links that fail now."""
    return list(Link.objects.exclude(failing_class=""))
