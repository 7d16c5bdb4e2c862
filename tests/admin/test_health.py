"""An integration's page tells when its state changed, and why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from core import clock
from dispatch.models import Link
from integrations.admin.health import changes, health_context
from integrations.models import Integration
from integrations.services.health import RECOVERING
from meter.models import HealthCheck
from tenants.context import in_organization
from tests.admin.conftest import Place

pytestmark = pytest.mark.django_db

HISTORY = (
    (60, "", "of before states were kept"),
    (50, "healthy", ""),
    (40, "healthy", ""),
    (30, "degraded", "The provider did not answer properly."),
    (20, "failing", "The provider did not answer properly."),
    (10, "failing", "The provider did not answer properly."),
    (5, "degraded", RECOVERING),
)
"""Minutes ago, the state that a check led to, its cause."""


def keep(place: Place, *rows: tuple[int, str, str]) -> Integration:
    """Give the place's integration this history and no other."""
    with in_organization(place.organization):
        integration = Integration.objects.get(provider="whatsapp")
        HealthCheck.objects.filter(link_id=integration.pk).delete()
        for minutes_ago, state, detail in rows:
            at = clock.now() - timedelta(minutes=minutes_ago)
            HealthCheck.objects.create(
                organization_schema=place.organization.schema_name, link_id=integration.pk, provider="whatsapp",
                at=at, day=at.date(), is_ok=state == "healthy" or detail == RECOVERING, health=state, duration_ms=1,
                detail=detail,
            )  # fmt: skip
    return integration


class TestList:
    def test_says_when_the_clock_checked(
        self, place: Place, member: Callable[..., Any], enter: Callable[[Any], Client]
    ) -> None:
        Link.objects.filter(organization_schema=place.organization.schema_name).update(
            last_checked_at=datetime(2031, 5, 4, 3, 2, tzinfo=UTC)
        )

        page = enter(member("owner")).get(place.url("integrations/integration/"))

        assert "May 4, 2031" in page.content.decode()


class TestChanges:
    def test_tells_each_change_once_the_newest_first(self, place: Place) -> None:
        integration = keep(place, *HISTORY)

        with in_organization(place.organization):
            told = changes(integration)
            shown = health_context(integration)

        pairs = [(change.before, change.after) for change in told]
        assert pairs == [("failing", "degraded"), ("degraded", "failing"), ("healthy", "degraded")]
        assert told[0].cause == HISTORY[-1][2]
        assert len(shown["checks"]) == len(HISTORY)
        assert shown["last_check"].detail == HISTORY[-1][2]

    def test_a_probe_leaves_the_verdicts_of_the_check_before_it(self, place: Place) -> None:
        integration = keep(place, *HISTORY)
        verdicts = [{"capability": "sends_messages", "ok": True, "detail": ""}]
        with in_organization(place.organization):
            whole = HealthCheck.objects.filter(link_id=integration.pk, health="healthy").latest("at")
            HealthCheck.objects.filter(pk=whole.pk).update(verdicts=verdicts)

            assert health_context(integration)["told"].verdicts == verdicts
            HealthCheck.objects.filter(link_id=integration.pk, detail=RECOVERING).update(is_ok=False)
            assert health_context(integration)["told"] is None

    def test_a_history_without_checks_has_none(self, place: Place) -> None:
        integration = keep(place)

        with in_organization(place.organization):
            assert health_context(integration) == {"checks": [], "last_check": None, "told": None, "changes": []}

    def test_are_shown_on_the_page_of_the_own_organization_alone(
        self, place: Place, other_place: Place, member: Callable[..., Any], enter: Callable[[Any], Client]
    ) -> None:
        integration = keep(place, *HISTORY)
        keep(other_place, (9, "healthy", ""), (8, "failing", "A foreign cause."))

        page = enter(member("owner")).get(place.url(f"integrations/integration/{integration.pk}/change/"))

        text = page.content.decode()
        assert text.count("rg-timeline") == 1
        assert HISTORY[-1][2] in text
        assert "A foreign cause." not in text
