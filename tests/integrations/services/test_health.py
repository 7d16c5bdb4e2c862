"""A test is an answer and a row; the clock's checks never forget a link."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from audit.models import AuditEntry
from core import clock
from core.errors import Conflict
from dispatch import outbox
from dispatch.models import Link, LinkStatus, OutboxEntry, OutboxStatus
from integrations.models import Issue
from integrations.services import health, lifecycle
from integrations.services.health import check_due_links
from meter.models import HealthCheck
from tenants.context import in_organization
from tests.fictitious.conftest import ACTOR, Shop
from tests.fictitious.vendor import Parcelbox

pytestmark = pytest.mark.django_db

CHECK = "/v1/introspections"
LATER = timedelta(minutes=12)


def fields(shop: Shop) -> tuple[str, str]:
    """Status and health as they are stored now, which the public mirror repeats."""
    with in_organization(shop.organization):
        shop.integration.refresh_from_db()
        link = Link.objects.get(pk=shop.integration.id)
    assert (link.status, link.health) == (shop.integration.status, shop.integration.health)
    return link.status, link.health


class TestTest:
    def test_writes_a_row_a_mirror_and_an_audit_entry(self, inside_shop: Shop, other_organization: Any) -> None:
        result = health.test_connection(inside_shop.integration, actor=ACTOR)

        assert result.success
        assert [(verdict.capability, verdict.ok) for verdict in result.verdicts] == [("takes_payments", True)]
        row = HealthCheck.objects.latest("at")
        assert (row.is_ok, row.link_id) == (True, inside_shop.integration.id)
        assert AuditEntry.objects.filter(action="integration.tested").count() == 1
        with in_organization(other_organization):
            assert not HealthCheck.objects.exists()

    @pytest.mark.parametrize(
        ("answer", "expected", "issues"),
        [
            ("error__invalid_token", ("needs_reauth", "failing"), ["authentication_error"]),
            ("error__html_502", ("active", "failing"), []),
            ("error__slow_down", ("active", "failing"), []),
            ("error__declined", ("active", "failing"), ["invalid_request"]),
        ],
    )
    def test_moves_health_by_the_class_of_the_error(
        self, inside_shop: Shop, vendor: Parcelbox, answer: str, expected: tuple[str, str], issues: list[str]
    ) -> None:
        vendor.failing[CHECK] = answer

        health.test_connection(inside_shop.integration)
        result = health.test_connection(inside_shop.integration)

        assert not result.success
        assert fields(inside_shop) == expected
        assert list(Issue.objects.values_list("cause", flat=True)) == issues
        assert inside_shop.integration.health_cause

    def test_a_good_one_mends_what_it_disproves(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        vendor.failing[CHECK] = "error__invalid_token"
        health.test_connection(inside_shop.integration)
        entry = outbox.add("webhook.register", link_id=inside_shop.integration.id)
        OutboxEntry.objects.filter(pk=entry.pk).update(status=OutboxStatus.PARKED)

        vendor.failing.clear()
        health.test_connection(inside_shop.integration)

        assert fields(inside_shop) == ("active", "healthy")
        assert not Issue.objects.filter(resolved_at=None).exists()
        assert Link.objects.get().open_issues == 0
        entry.refresh_from_db()
        assert entry.status == "waiting"

    def test_another_account_behind_the_credential_is_no_success(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        inside_shop.merchant.id = "mer_99"

        result = health.test_connection(inside_shop.integration)

        assert result.error is not None
        assert result.error.reason == health.ACCOUNT_CHANGED
        assert inside_shop.integration.account_external_id == "mer_1"

    @pytest.mark.parametrize("answer", ["", "error__invalid_token"])
    def test_what_is_switched_off_stays_off_and_its_work_parked(
        self, inside_shop: Shop, vendor: Parcelbox, answer: str
    ) -> None:
        lifecycle.disable(inside_shop.integration, actor=ACTOR)
        entry = outbox.add("webhook.register", link_id=inside_shop.integration.id)
        OutboxEntry.objects.filter(pk=entry.pk).update(status=OutboxStatus.PARKED)
        if answer:
            vendor.failing[CHECK] = answer

        health.test_connection(inside_shop.integration)

        assert fields(inside_shop)[0] == "disabled"
        entry.refresh_from_db()
        assert entry.status == "parked"

    def test_what_is_disconnected_is_not_tested(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        lifecycle.disconnect(inside_shop.integration, actor=ACTOR)

        with pytest.raises(Conflict) as caught:
            health.test_connection(inside_shop.integration)

        assert caught.value.code == "disconnected"
        assert not Issue.objects.exists()


class TestDueChecks:
    def test_checks_what_is_due_in_every_organization(self, shop: Shop, other_shop: Shop, vendor: Parcelbox) -> None:
        assert check_due_links() == 0
        vendor.hits.clear()

        with clock.shifted(LATER):
            assert check_due_links() == 2
            assert check_due_links() == 0

        assert vendor.count(CHECK) == 2
        assert all(link.next_check_at is not None for link in Link.objects.all())

    def test_one_that_crashes_does_not_keep_the_others_back_and_is_due_again(
        self, shop: Shop, other_shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Link.objects.filter(pk=shop.integration.id).update(next_check_at=clock.now() - timedelta(days=1))
        with in_organization(shop.organization):
            shop.integration.credentials.update(sealed=b"broken")

        with clock.shifted(LATER):
            assert check_due_links() == 2
            broken = Link.objects.get(pk=shop.integration.id)
            assert broken.next_check_at is not None
            assert broken.next_check_at > clock.now()

        with in_organization(other_shop.organization):
            assert HealthCheck.objects.filter(link_id=other_shop.integration.id, is_ok=True).exists()

    def test_what_needs_a_reconnect_is_looked_at_again(self, shop: Shop, vendor: Parcelbox) -> None:
        vendor.failing[CHECK] = "error__invalid_token"
        with clock.shifted(LATER):
            check_due_links()
        assert fields(shop)[0] == LinkStatus.NEEDS_REAUTH
        vendor.failing.clear()

        with clock.shifted(LATER * 6):
            check_due_links()

        assert fields(shop) == ("active", "healthy")
