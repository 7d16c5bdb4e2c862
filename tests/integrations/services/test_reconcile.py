"""What no webhook brought is taken in once, on the way of the others, and marked by having no delivery."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from audit.models import AuditEntry
from core import clock
from dispatch.models import Link
from integrations import registry
from integrations.contract import InboundEvent, Unavailable
from integrations.contract.strategies import BREAKER_OPEN
from integrations.models import Event, Integration
from integrations.services import reconcile
from integrations.services.crew import work_deliveries
from tenants.context import in_organization
from tests.fictitious.conftest import Shop
from tests.fictitious.parcelbox import PROVIDER
from tests.fictitious.vendor import Parcelbox
from tests.fictitious.watched import CHANGES, Watched

pytestmark = pytest.mark.django_db

OBJECT = "/v1/objects/ch_a"
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def watched(vendor: Parcelbox) -> None:
    """Let Parcelbox register webhooks and list changes."""
    registry.register(Watched)


@pytest.fixture
def old_shop(shop: Shop, other_shop: Shop) -> Shop:
    """A shop that was connected a month ago."""
    with in_organization(shop.organization):
        Integration.objects.update(created_at=clock.now() - timedelta(days=30))
        shop.integration.refresh_from_db()
    return shop


def seconds(moment: datetime) -> int:
    """Unix seconds."""
    return int(moment.timestamp())


def taken(shop: Shop) -> int:
    """Reconcile inside the shop's organization."""
    with in_organization(shop.organization):
        return reconcile.reconcile(shop.integration)


def keys(organization: Any) -> list[tuple[str, bool]]:
    """The events' keys, and whether a delivery brought each."""
    with in_organization(organization):
        return [(event.key, event.delivery_id is not None) for event in Event.objects.order_by("occurred_at")]


class TestReconcile:
    def test_takes_in_what_was_missed_once(self, old_shop: Shop, other_shop: Shop, vendor: Parcelbox) -> None:
        vendor.change("ch_b", old_shop.merchant, changed_at=seconds(clock.now() - 2 * HOUR))
        vendor.change("ch_a", old_shop.merchant, changed_at=seconds(clock.now() - 3 * HOUR))

        assert taken(old_shop) == 2
        assert taken(old_shop) == 0

        assert keys(old_shop.organization) == [("ch_a:1", False), ("ch_b:1", False)]
        assert keys(other_shop.organization) == []
        with in_organization(old_shop.organization):
            (entry,) = AuditEntry.objects.filter(action="events.reconciled")
        assert entry.details["events"] == 2

    def test_knows_what_a_webhook_brought(self, old_shop: Shop, vendor: Parcelbox, post: Callable[..., int]) -> None:
        vendor.change("ch_a", old_shop.merchant, changed_at=seconds(clock.now() - 2 * HOUR))
        post(old_shop.path, "charge,ch_a,mer_1", key=old_shop.merchant.app_keys[0])
        work_deliveries()

        assert taken(old_shop) == 0
        assert keys(old_shop.organization) == [("ch_a:1", True)]

    def test_a_webhook_that_comes_late_is_the_same_event(
        self, old_shop: Shop, vendor: Parcelbox, post: Callable[..., int]
    ) -> None:
        vendor.change("ch_a", old_shop.merchant, changed_at=seconds(clock.now() - 2 * HOUR))
        taken(old_shop)

        post(old_shop.path, "charge,ch_a,mer_1", key=old_shop.merchant.app_keys[0])
        work_deliveries()

        assert keys(old_shop.organization) == [("ch_a:1", False)]

    def test_leaves_the_youngest_to_their_webhooks(self, old_shop: Shop, vendor: Parcelbox) -> None:
        vendor.change("ch_a", old_shop.merchant, changed_at=seconds(clock.now() - timedelta(minutes=2)))

        assert taken(old_shop) == 0

    def test_asks_for_nothing_before_the_connect(self, shop: Shop, vendor: Parcelbox) -> None:
        taken(shop)

        (hit,) = [hit for hit in vendor.hits if hit.path == CHANGES]
        assert int(hit.form["since"]) >= seconds(shop.integration.created_at) - 1

    @pytest.mark.parametrize(("last_h", "since_h"), [(2, 25), (60, 61), (24 * 40, 24 * 28)])
    def test_begins_a_day_ago_or_at_the_last_delivery(
        self, old_shop: Shop, vendor: Parcelbox, last_h: int, since_h: int
    ) -> None:
        Link.objects.filter(pk=old_shop.integration.id).update(last_event_at=clock.now() - last_h * HOUR)

        taken(old_shop)

        (hit,) = [hit for hit in vendor.hits if hit.path == CHANGES]
        assert int(hit.form["since"]) == pytest.approx(seconds(clock.now() - since_h * HOUR), abs=5)

    def test_one_bad_event_keeps_none_out(self, old_shop: Shop, vendor: Parcelbox) -> None:
        vendor.change("ch_a", old_shop.merchant, changed_at=seconds(clock.now() - 3 * HOUR))
        vendor.change("ch_b", old_shop.merchant, changed_at=seconds(clock.now() - 2 * HOUR))
        vendor.failing[OBJECT] = "error__html_502"

        assert taken(old_shop) == 1
        assert keys(old_shop.organization) == [("ch_b:1", False)]

    def test_ends_when_our_own_gate_holds_calls_back(self, old_shop: Shop, vendor: Parcelbox) -> None:
        asked = []

        class Held(Watched):
            def fetch(self, event: InboundEvent) -> InboundEvent:
                asked.append(event.external_id)
                raise Unavailable("held", reason=BREAKER_OPEN)

        registry.register(Held)
        for number in range(3):
            vendor.change(f"ch_{number}", old_shop.merchant, changed_at=seconds(clock.now() - 2 * HOUR))

        assert taken(old_shop) == 0
        assert len(asked) == 1

    def test_a_provider_that_lists_nothing_is_not_asked(self, old_shop: Shop, vendor: Parcelbox) -> None:
        registry.register(PROVIDER)

        assert taken(old_shop) == 0
        assert vendor.count(CHANGES) == 0


class TestSweep:
    @pytest.mark.parametrize(("answer", "hours"), [("", 24), ("error__html_502", 1)])
    def test_comes_back_in_a_day_or_after_a_failure_in_an_hour(
        self, old_shop: Shop, vendor: Parcelbox, answer: str, hours: int
    ) -> None:
        if answer:
            vendor.failing[CHANGES] = answer
        self.comes_back(old_shop, hours)

    @pytest.mark.parametrize(
        ("name", "limit"), [("MOST_EVENTS", 1), ("LIST_FOR", timedelta()), ("TAKE_FOR", timedelta())]
    )
    def test_comes_back_in_an_hour_for_what_it_had_no_time_or_room_for(
        self, old_shop: Shop, vendor: Parcelbox, monkeypatch: pytest.MonkeyPatch, name: str, limit: Any
    ) -> None:
        monkeypatch.setattr(reconcile, name, limit)
        for number in range(2):
            vendor.change(f"ch_{number}", old_shop.merchant, changed_at=seconds(clock.now() - 2 * HOUR))

        self.comes_back(old_shop, 1)

        assert len(keys(old_shop.organization)) == (1 if name == "MOST_EVENTS" else 0)

    def comes_back(self, old_shop: Shop, hours: int) -> None:
        """Sweep, and find it due again in so many hours."""
        Link.objects.filter(pk=old_shop.integration.id).update(next_reconcile_at=clock.now())

        assert reconcile.sweep() == 1

        link = Link.objects.get(pk=old_shop.integration.id)
        assert link.next_reconcile_at is not None
        wait_h = (link.next_reconcile_at - clock.now()) / HOUR
        assert wait_h == pytest.approx(hours, rel=0.15)
