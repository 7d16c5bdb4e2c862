"""A webhook that the vendor forgot or moved is registered again; one that is in order costs a question."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from audit.models import AuditEntry
from core import clock
from dispatch.models import Link, OutboxEntry, Rhythm, Vendor
from integrations import registry
from integrations.models import Issue
from integrations.services import drift, issues
from integrations.services.crew import work_outbox
from integrations.services.drift import Found, inspect
from integrations.services.webhooks import CAUSE
from tenants.context import in_organization
from tests.fictitious.conftest import Shop
from tests.fictitious.parcelbox import PROVIDER
from tests.fictitious.vendor import Parcelbox
from tests.fictitious.watched import CALLBACKS, Watched

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def watched(vendor: Parcelbox) -> None:
    """Let Parcelbox register webhooks and list changes."""
    registry.register(Watched)


@pytest.fixture
def registered(shop: Shop, other_shop: Shop) -> Shop:
    """A shop whose webhook is registered."""
    work_outbox()
    with in_organization(shop.organization):
        shop.integration.refresh_from_db()
    return shop


def asked(shop: Shop) -> drift.Drift:
    """Inspect inside the shop's organization."""
    with in_organization(shop.organization):
        shop.integration.refresh_from_db()
        return inspect(shop.integration)


def actions(shop: Shop) -> list[str]:
    """What the trail says of webhooks."""
    with in_organization(shop.organization):
        return list(AuditEntry.objects.filter(action__startswith="webhook.").order_by("created_at").values_list(
            "action", flat=True))  # fmt: skip


class TestInspect:
    def test_finds_a_webhook_in_order(self, registered: Shop) -> None:
        assert asked(registered).found is Found.IN_ORDER
        assert OutboxEntry.objects.filter(status="waiting").count() == 0

    @pytest.mark.parametrize("elsewhere", ["", "https://elsewhere.example/hook"])
    def test_registers_again_what_was_forgotten_or_moved(
        self, registered: Shop, other_shop: Shop, vendor: Parcelbox, elsewhere: str
    ) -> None:
        vendor.callbacks[registered.merchant.id] = elsewhere

        assert asked(registered).found is Found.DRIFTED
        assert asked(registered).found is Found.DRIFTED
        assert OutboxEntry.objects.filter(kind="webhook.register", status="waiting").count() == 1
        work_outbox()

        assert vendor.callbacks[registered.merchant.id] == registered.integration.webhook_url
        assert asked(registered).found is Found.IN_ORDER
        assert actions(registered) == ["webhook.registered", "webhook.drifted", "webhook.repaired"]
        assert actions(other_shop) == ["webhook.registered"]

    def test_a_failed_repair_is_an_issue_that_a_good_look_resolves(self, registered: Shop, vendor: Parcelbox) -> None:
        vendor.callbacks[registered.merchant.id] = ""
        asked(registered)
        vendor.failing[CALLBACKS] = "error__declined"
        work_outbox()
        with in_organization(registered.organization):
            assert Issue.objects.get().cause == CAUSE

        vendor.failing.clear()
        vendor.callbacks[registered.merchant.id] = registered.integration.webhook_url
        asked(registered)

        with in_organization(registered.organization):
            registered.integration.refresh_from_db()
            assert Issue.objects.get().resolved_at is not None
            assert registered.integration.webhook_registered

    def test_a_vendor_that_does_not_answer_proves_nothing(self, registered: Shop, vendor: Parcelbox) -> None:
        vendor.failing[CALLBACKS] = "error__html_502"

        assert asked(registered).found is Found.UNKNOWN
        with in_organization(registered.organization):
            assert not Issue.objects.exists()

    def test_who_has_no_registration_is_not_asked(self, registered: Shop, vendor: Parcelbox) -> None:
        registry.register(PROVIDER)
        before = vendor.count(CALLBACKS)

        assert asked(registered).found is Found.NOT_ASKED
        assert vendor.count(CALLBACKS) == before

    def test_an_integration_that_nobody_posts_to_is_not_asked(
        self, registered: Shop, vendor: Parcelbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Watched, "has_webhook", lambda self: False)
        before = vendor.count(CALLBACKS)

        assert asked(registered).found is Found.NOT_ASKED
        assert vendor.count(CALLBACKS) == before

    def test_resolves_the_issue_of_a_silence(self, registered: Shop) -> None:
        with in_organization(registered.organization):
            issues.open_issue(registered.integration, cause=drift.SILENT, text="Silent.", who="nobody", next_action="-")

        asked(registered)

        with in_organization(registered.organization):
            assert Issue.objects.get().resolved_at is not None


class TestSweep:
    def test_welcomes_newcomers_once(self, registered: Shop) -> None:
        drift.sweep()

        link = Link.objects.get(pk=registered.integration.id)
        assert link.next_drift_at is not None
        assert link.next_reconcile_at is not None
        assert clock.now() < link.next_drift_at < clock.now() + DAY
        assert Rhythm.objects.filter(link_id=link.id).count() == 1
        assert drift.welcome() == 0

    def test_who_cannot_drift_is_welcomed_for_long(self, registered: Shop) -> None:
        registry.register(PROVIDER)

        drift.welcome()

        link = Link.objects.get(pk=registered.integration.id)
        assert link.next_drift_at is not None
        assert link.next_drift_at > clock.now() + 300 * DAY
        assert link.next_reconcile_at is None

    def test_inspects_what_is_due_and_nothing_else(self, registered: Shop, other_shop: Shop, vendor: Parcelbox) -> None:
        drift.welcome()
        Link.objects.filter(pk=registered.integration.id).update(next_drift_at=clock.now())
        before = vendor.count(CALLBACKS)

        assert drift.sweep() == 1
        assert drift.sweep() == 0

        assert vendor.count(CALLBACKS) == before + 1
        link = Link.objects.get(pk=registered.integration.id)
        assert link.next_drift_at is not None
        assert clock.now() + 0.8 * DAY < link.next_drift_at < clock.now() + 1.2 * DAY

    def test_waits_for_the_end_of_an_incident(self, registered: Shop, vendor: Parcelbox) -> None:
        Vendor.objects.create(provider="parcelbox", incident="Down.", incident_class="Unavailable")
        drift.welcome()
        Link.objects.filter(pk=registered.integration.id).update(next_drift_at=clock.now())
        before = vendor.count(CALLBACKS)

        drift.sweep()

        assert vendor.count(CALLBACKS) == before

    def test_one_that_crashes_keeps_nobody_from_it(
        self, registered: Shop, other_shop: Shop, vendor: Parcelbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drift.welcome()
        Link.objects.filter(provider="parcelbox").update(next_drift_at=clock.now())
        inspect_webhook = Watched.inspect_webhook

        def crash(provider: Any) -> Any:
            if provider.integration.id == str(registered.integration.id):
                raise RuntimeError("a defect")
            return inspect_webhook(provider)

        monkeypatch.setattr(Watched, "inspect_webhook", crash)

        assert drift.sweep() == 2
        assert Link.objects.filter(provider="parcelbox", next_drift_at__lte=clock.now()).count() == 0
