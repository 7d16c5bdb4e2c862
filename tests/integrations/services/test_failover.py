"""Moving work to a second integration: by the error's class, within the organization, and never after an attempt."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from audit.models import AuditEntry
from core import clock
from core.errors import ValidationFailed
from dispatch import outbox
from dispatch.models import LEASE, Link, OutboxEntry, Vendor
from integrations.contract import (
    AnswersChallenge,
    AuthenticationFailed,
    NotFound,
    ProviderError,
    ReceivesWebhooks,
    Unavailable,
)
from integrations.contract.strategies import BREAKER_OPEN
from integrations.services import lifecycle
from integrations.services.crew import claim_outbox, work_outbox
from notifications.models import Notification
from tenants.context import in_organization
from tests.fictitious.conftest import ACTOR, Shop
from tests.integrations.services.outside_work import KIND, Work, add, kind

__all__ = ["kind"]

pytestmark = pytest.mark.django_db

HELD = Unavailable("the breaker is open", reason=BREAKER_OPEN, retry_after_s=60.0)


@pytest.fixture
def second(organization: Any, shop: Shop, open_shop: Callable[..., Shop]) -> Shop:
    """Merchant 3, of the same organization as merchant 1."""
    return open_shop(organization, 3)


@pytest.fixture
def entry(shop: Shop, second: Shop) -> OutboxEntry:
    """Work of merchant 1 that may go through merchant 3."""
    return add(shop, failover_link_id=second.integration.id)


def place_of(entry: OutboxEntry) -> tuple[Any, str]:
    """Where an entry is and how it stands."""
    entry.refresh_from_db()
    return entry.link_id, entry.status


class TestMoves:
    def test_by_the_errors_class_in_one_step_that_is_written_down(
        self, shop: Shop, second: Shop, other_shop: Shop, kind: Work, entry: OutboxEntry
    ) -> None:
        kind.fails_over_on, kind.after_attempt, kind.errors = frozenset({"NotFound"}), True, [NotFound()]

        work_outbox()

        assert place_of(entry) == (second.integration.id, "waiting")
        assert (entry.failed_over_from, entry.failover_link_id, entry.attempts) == (shop.integration.id, None, 0)
        audit = AuditEntry.objects.get(action="outbox_entry.failed_over")
        assert (audit.target_id, audit.details["error"]) == (str(entry.id), "NotFound")
        note = Notification.objects.get(kind="outbox.failed_over", target_id=str(shop.integration.id))
        assert (note.title, note.text) == (shop.integration.name, NotFound.message)
        assert "%(second)s" in note.next_action
        assert note.said_action.endswith(f"through {note.details['second']}.")

        work_outbox()

        assert place_of(entry) == (second.integration.id, "done")
        assert kind.given_up == []

    def test_after_the_last_try_of_a_passing_failure(self, second: Shop, kind: Work, entry: OutboxEntry) -> None:
        kind.fails_over_on, kind.after_attempt, kind.errors = frozenset({"Unavailable"}), True, [Unavailable()] * 5

        for minutes in range(5):
            with clock.shifted(timedelta(minutes=5 * minutes)):
                work_outbox()

        assert len(kind.calls) == 5
        assert place_of(entry)[0] == second.integration.id

    def test_a_second_failure_does_not_move_it_back(self, second: Shop, kind: Work, entry: OutboxEntry) -> None:
        kind.fails_over_on, kind.after_attempt = frozenset({"NotFound"}), True
        kind.errors = [NotFound(), NotFound()]

        work_outbox()
        work_outbox()

        assert place_of(entry) == (second.integration.id, "failed")

    def test_instead_of_waiting_for_an_incident_of_the_first_vendor_alone(
        self, shop: Shop, second: Shop, kind: Work, entry: OutboxEntry
    ) -> None:
        kind.fails_over_on = frozenset({"ProviderOutage"})
        Link.objects.filter(pk=second.integration.id).update(provider="stripe")
        Vendor.objects.create(provider="parcelbox", incident="down", incident_class="Unavailable")

        work_outbox()

        assert place_of(entry)[0] == second.integration.id
        assert kind.calls == []

    def test_instead_of_parking(self, shop: Shop, second: Shop, kind: Work, entry: OutboxEntry) -> None:
        kind.fails_over_on = frozenset({"Misconfigured"})
        with in_organization(shop.organization):
            lifecycle.disable(shop.integration, actor=ACTOR)

        work_outbox()

        assert place_of(entry)[0] == second.integration.id


class TestStays:
    @pytest.mark.parametrize("fails_over_on", [frozenset(), frozenset({"Unavailable"})])
    def test_unless_its_kind_names_the_class(
        self, shop: Shop, kind: Work, entry: OutboxEntry, fails_over_on: frozenset[str]
    ) -> None:
        kind.fails_over_on, kind.after_attempt, kind.errors = fails_over_on, True, [NotFound()]

        work_outbox()

        assert place_of(entry) == (shop.integration.id, "failed")

    @pytest.mark.parametrize(
        "change",
        [
            {"status": "needs_reauth"},
            {"status": "disabled"},
            {"environment": "live"},
            {"category": "ai"},
            {"organization_schema": "org_of_somebody_else"},
        ],
    )
    def test_unless_the_second_is_one_of_the_same_organization_that_can_do_the_same(
        self, shop: Shop, second: Shop, kind: Work, entry: OutboxEntry, change: dict[str, str]
    ) -> None:
        kind.fails_over_on, kind.after_attempt, kind.errors = frozenset({"NotFound"}), True, [NotFound()]
        Link.objects.filter(pk=second.integration.id).update(**change)

        work_outbox()

        assert place_of(entry) == (shop.integration.id, "failed")

    @pytest.mark.parametrize(("capability", "moves"), [(ReceivesWebhooks, True), (AnswersChallenge, False)])
    def test_unless_the_second_has_the_verb(
        self, second: Shop, kind: Work, entry: OutboxEntry, capability: type, moves: bool
    ) -> None:
        first_id = entry.link_id
        kind.fails_over_on, kind.after_attempt, kind.errors = frozenset({"NotFound"}), True, [NotFound()]
        kind.capability = capability

        work_outbox()

        assert place_of(entry)[0] == (second.integration.id if moves else first_id)


class TestMoney:
    """A kind without `after_attempt`, as payments are."""

    def test_moves_while_nothing_was_tried(self, second: Shop, kind: Work, entry: OutboxEntry) -> None:
        kind.fails_over_on, kind.errors = frozenset({"Unavailable"}), [HELD]

        work_outbox()

        assert place_of(entry) == (second.integration.id, "waiting")

    @pytest.mark.parametrize("error", [NotFound(), AuthenticationFailed()])
    def test_never_moves_after_a_call(self, shop: Shop, kind: Work, entry: OutboxEntry, error: ProviderError) -> None:
        kind.fails_over_on = frozenset({"NotFound", "AuthenticationFailed", "Unavailable", "ProviderOutage"})
        kind.errors = [error, error]

        work_outbox()
        with clock.shifted(timedelta(seconds=6)):
            work_outbox()

        assert place_of(entry) == (shop.integration.id, "failed")

    def test_never_moves_once_the_intent_is_written(self, shop: Shop, kind: Work, entry: OutboxEntry) -> None:
        kind.fails_over_on, kind.errors = frozenset({"Unavailable"}), [HELD]
        OutboxEntry.objects.filter(pk=entry.pk).update(intent_at=clock.now())

        work_outbox()

        assert place_of(entry)[0] == shop.integration.id

    def test_never_moves_after_a_try_that_failed(self, shop: Shop, kind: Work, entry: OutboxEntry) -> None:
        kind.fails_over_on, kind.errors = frozenset({"Unavailable"}), [Unavailable(), HELD]

        work_outbox()
        with clock.shifted(timedelta(minutes=1)):
            work_outbox()

        assert len(kind.calls) == 2
        assert place_of(entry)[0] == shop.integration.id

    def test_never_moves_after_a_worker_that_died_over_it(self, shop: Shop, kind: Work, entry: OutboxEntry) -> None:
        kind.fails_over_on, kind.errors = frozenset({"Unavailable"}), [HELD]
        claim_outbox()

        with clock.shifted(LEASE + timedelta(seconds=1)):
            work_outbox()

        assert len(kind.calls) == 1
        assert place_of(entry)[0] == shop.integration.id


class TestAdd:
    def test_refuses_a_second_that_could_never_take_the_work(self, shop: Shop, second: Shop, other_shop: Shop) -> None:
        Link.objects.filter(pk=second.integration.id).update(environment="live")

        for wrong in (shop, second, other_shop):
            with in_organization(shop.organization), pytest.raises(ValidationFailed):
                outbox.add(KIND, link_id=shop.integration.id, failover_link_id=wrong.integration.id)
