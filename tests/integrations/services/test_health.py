"""A test is an answer and a row, and moves health by the rules."""

from __future__ import annotations

from typing import Any

import pytest

from audit.models import AuditEntry
from core.errors import Conflict
from dispatch import outbox
from dispatch.models import Link, OutboxEntry, OutboxStatus
from integrations.models import Integration, Issue
from integrations.services import confirm, courier, health, lifecycle, tokens
from meter.models import HealthCheck
from tenants.context import in_organization
from tests.fictitious.conftest import ACTOR, Shop
from tests.fictitious.vendor import Parcelbox

pytestmark = pytest.mark.django_db

CHECK = "/v1/introspections"


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
            ("error__html_502", ("active", "degraded"), []),
            ("error__slow_down", ("active", "degraded"), []),
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

    def test_says_nothing_of_the_link_while_its_tokens_are_being_renewed(
        self, inside_shop: Shop, vendor: Parcelbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tokens, "WAIT_S", 0.1)
        health.test_connection(inside_shop.integration)
        before = fields(inside_shop)
        tokens._ask(inside_shop.integration, 1, None)
        assert courier.claim(None) is not None  # another process renews them
        vendor.failing[CHECK] = "error__invalid_token"

        results = [health.test_connection(inside_shop.integration) for _ in range(3)]

        assert {result.error.reason if result.error else "" for result in results} == {confirm.BEING_RENEWED}
        assert fields(inside_shop) == before
        assert Link.objects.get(pk=inside_shop.integration.id).bad_checks == 0

    def test_a_good_one_mends_what_it_disproves(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        vendor.failing[CHECK] = "error__invalid_token"
        health.test_connection(inside_shop.integration)
        entry = outbox.add("webhook.register", link_id=inside_shop.integration.id)
        OutboxEntry.objects.filter(pk=entry.pk).update(status=OutboxStatus.PARKED)

        vendor.failing.clear()
        health.test_connection(inside_shop.integration)

        assert fields(inside_shop) == ("active", "degraded")
        assert inside_shop.integration.health_cause == health.RECOVERING
        health.test_connection(inside_shop.integration)
        assert fields(inside_shop) == ("active", "healthy")
        assert not Issue.objects.filter(resolved_at=None).exists()
        assert Link.objects.get().open_issues == 0
        entry.refresh_from_db()
        assert entry.status == "waiting"

    def test_three_failures_that_may_pass_make_it_failing_and_since_moves_once(
        self, inside_shop: Shop, vendor: Parcelbox
    ) -> None:
        vendor.failing[CHECK] = "error__html_502"
        seen = []
        for _check in range(4):
            health.test_connection(inside_shop.integration)
            seen.append((inside_shop.integration.health, inside_shop.integration.health_since))

        assert [state for state, _since in seen] == ["degraded", "degraded", "failing", "failing"]
        assert seen[0][1] == seen[1][1] != seen[2][1] == seen[3][1]
        assert inside_shop.integration.health_who == "nobody"
        assert inside_shop.integration.health_next_action
        assert [row.health for row in HealthCheck.objects.order_by("at")][-4:] == [state for state, _since in seen]

    def test_a_refusal_that_the_second_look_does_not_confirm_is_none(
        self, inside_shop: Shop, vendor: Parcelbox
    ) -> None:
        refused = []

        def refuse_once() -> None:
            vendor.failing.pop(CHECK, None)
            if not refused:
                refused.append(True)
                vendor.failing[CHECK] = "error__invalid_token"

        vendor.before[CHECK] = refuse_once

        result = health.test_connection(inside_shop.integration)

        assert (result.success, fields(inside_shop)) == (True, ("active", "healthy"))

    def test_when_it_was_tested_is_the_links_to_tell(self, inside_shop: Shop) -> None:
        result = health.test_connection(inside_shop.integration)

        with_check = Integration.objects.with_last_check().get()
        assert with_check.link_checked_at == result.checked_at == Integration.objects.get().tested_at

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
