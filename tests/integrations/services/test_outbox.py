"""Work outside: what each error does, what is parked and until when, and that row and effect end together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from core import clock
from dispatch import outbox
from dispatch.claims import claim_outbox
from dispatch.models import LEASE, Link, OutboxEntry
from integrations import registry
from integrations.contract import (
    AuthenticationFailed,
    Misconfigured,
    NotFound,
    PermissionMissing,
    ProviderError,
    ProviderOutage,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    Scope,
    Unavailable,
    UnexpectedResponse,
)
from integrations.models import Integration
from integrations.services import credentials, crew, lifecycle
from integrations.services import outbox as service
from integrations.services.crew import work_outbox
from integrations.services.outbox import wake_expired, work_entry
from tenants.context import current_schema, in_organization
from tests.fictitious.conftest import ACTOR, Shop

pytestmark = pytest.mark.django_db

KIND = "test.work"


@dataclass
class Work:
    """A kind of work that fails as told and writes its effect as a row of the organization."""

    errors: list[Exception] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    given_up: list[tuple[str, str]] = field(default_factory=list)
    during: Callable[[OutboxEntry], None] | None = None
    settle_error: Exception | None = None
    give_up_error: Exception | None = None
    depths: list[int] = field(default_factory=list)

    def call(self, entry: OutboxEntry, integration: Integration | None) -> str:
        """Fail with the next planned error, or answer."""
        self.calls.append((current_schema(), entry.object_id))
        self.depths.append(len(connection.savepoint_ids))
        if self.during:
            self.during(entry)
        if self.errors:
            raise self.errors.pop(0)
        return "done outside"

    def settle(self, entry: OutboxEntry, integration: Integration | None, result: str) -> None:
        """Rename the integration: an effect that must come and go with the row."""
        if integration is not None:
            Integration.objects.filter(pk=integration.pk).update(name=result)
        if self.settle_error:
            raise self.settle_error

    def give_up(self, entry: OutboxEntry, integration: Integration | None, error: ProviderError) -> None:
        """Remember it."""
        self.given_up.append((entry.object_id, error.name))
        if self.give_up_error:
            raise self.give_up_error


@pytest.fixture
def kind() -> Iterator[Work]:
    """The handler of `test.work`."""
    handler = Work()
    registry._loaded.outbox[KIND] = handler
    yield handler
    del registry._loaded.outbox[KIND]


def add(shop: Shop, object_id: str = "o1", **more: Any) -> OutboxEntry:
    """Add work for a shop."""
    with in_organization(shop.organization):
        return outbox.add(KIND, link_id=shop.integration.id, object_id=object_id, **more)


def name_of(shop: Shop) -> str:
    """The effect, as it is stored."""
    with in_organization(shop.organization):
        return Integration.objects.get(pk=shop.integration.pk).name


def wait_of(entry: OutboxEntry) -> float:
    """Seconds until an entry is tried again."""
    entry.refresh_from_db()
    return (entry.next_attempt_at - clock.now()).total_seconds()


class TestDone:
    def test_calls_inside_the_organization_and_outside_any_transaction(
        self, shop: Shop, other_shop: Shop, kind: Work
    ) -> None:
        outside = len(connection.savepoint_ids)
        entry = add(shop)

        assert work_outbox() == 1

        entry.refresh_from_db()
        assert (entry.status, entry.attempts) == ("done", 1)
        assert kind.calls == [(shop.organization.schema_name, "o1")]
        assert kind.depths == [outside]
        assert (name_of(shop), name_of(other_shop)) == ("done outside", "Shop 2")

    def test_of_one_object_the_oldest_comes_first(self, shop: Shop, kind: Work) -> None:
        kind.errors = [Unavailable()]
        add(shop, "first", object_key="conversation")
        add(shop, "second", object_key="conversation")

        work_outbox()
        work_outbox()
        assert [call[1] for call in kind.calls] == ["first"]

        with clock.shifted(timedelta(minutes=1)):
            work_outbox()
            work_outbox()
        assert [call[1] for call in kind.calls] == ["first", "first", "second"]


class TestErrorTable:
    @pytest.mark.parametrize(
        ("error", "tries"),
        [
            (RateLimited, 3),
            (Unavailable, 5),
            (ProviderOutage, 5),
            (PermissionMissing, 1),
            (QuotaExhausted, 1),
            (RequestRejected, 1),
            (NotFound, 1),
            (Misconfigured, 1),
            (UnexpectedResponse, 1),
        ],
    )
    def test_the_class_decides_how_often_it_is_tried(
        self, shop: Shop, kind: Work, error: type[ProviderError], tries: int
    ) -> None:
        entry = add(shop)
        kind.errors = [error() for _ in range(10)]

        for hours in range(10):
            with clock.shifted(timedelta(hours=2 * hours)):
                work_outbox()

        entry.refresh_from_db()
        assert len(kind.calls) == tries
        assert (entry.status, entry.error_class) == ("failed", error.__name__)
        assert kind.given_up == [("o1", error.__name__)]

    @pytest.mark.parametrize(
        ("error", "shortest_s", "longest_s"),
        [
            (Unavailable(), 2.5, 5.0),
            (ProviderOutage(), 30.0, 60.0),
            (RateLimited(), 30.0, 60.0),
            (RateLimited(retry_after_s=77.0), 77.0, 77.0),
            (RateLimited(retry_after_s=99_999.0), 3600.0, 3600.0),
        ],
    )
    def test_the_first_wait(
        self, shop: Shop, kind: Work, error: ProviderError, shortest_s: float, longest_s: float
    ) -> None:
        entry = add(shop)
        kind.errors = [error]

        work_outbox()

        assert shortest_s - 1 <= wait_of(entry) <= longest_s
        assert entry.status == "waiting"

    def test_a_limit_holds_back_the_whole_integration_and_no_other(
        self, shop: Shop, other_shop: Shop, kind: Work
    ) -> None:
        entries = [add(shop, f"o{number}") for number in range(3)]
        kind.errors = [RateLimited(retry_after_s=60.0)]
        work_outbox()
        entries += [add(shop, "later"), add(other_shop, "other")]

        work_outbox()

        assert [call[1] for call in kind.calls][1:] == ["other"]
        with clock.shifted(timedelta(seconds=61)):
            work_outbox()
        for entry in entries:
            entry.refresh_from_db()
        assert {entry.status for entry in entries} == {"done"}
        assert [entry.attempts for entry in entries[1:]] == [1, 1, 1, 1]

    def test_a_limit_of_one_recipient_holds_back_one_entry(self, shop: Shop, kind: Work) -> None:
        add(shop, "o1")
        kind.errors = [RateLimited(retry_after_s=60.0, scope=Scope.RECIPIENT)]
        work_outbox()
        add(shop, "o2")

        work_outbox()

        assert [call[1] for call in kind.calls] == ["o1", "o2"]


class TestParking:
    def test_a_refused_credential_parks_the_work_and_asks_for_a_reconnect(
        self, shop: Shop, other_shop: Shop, kind: Work
    ) -> None:
        entry = add(shop)
        kind.errors = [AuthenticationFailed()]

        work_outbox()

        entry.refresh_from_db()
        link = Link.objects.get(pk=shop.integration.id)
        assert (entry.status, entry.attempts) == ("parked", 0)
        assert (link.status, link.open_issues) == ("needs_reauth", 1)
        assert kind.given_up == []
        assert Link.objects.get(pk=other_shop.integration.id).status == "active"

    def test_a_credential_replaced_during_the_call_is_not_blamed(self, shop: Shop, kind: Work) -> None:
        entry = add(shop)
        kind.errors = [AuthenticationFailed()]
        kind.during = lambda _entry: credentials.store(shop.integration, {"access_token": "pat_test_new"}) and None

        work_outbox()

        entry.refresh_from_db()
        assert entry.status == "parked"
        assert Link.objects.get(pk=shop.integration.id).status == "active"

    def test_work_of_a_disabled_integration_waits_for_it(self, shop: Shop, kind: Work) -> None:
        with in_organization(shop.organization):
            lifecycle.disable(shop.integration, actor=ACTOR)
        entry = add(shop)
        work_outbox()
        assert kind.calls == []

        with in_organization(shop.organization):
            lifecycle.enable(shop.integration, actor=ACTOR)
        work_outbox()

        entry.refresh_from_db()
        assert entry.status == "done"

    def test_what_is_parked_too_long_expires_and_says_so(self, shop: Shop, kind: Work) -> None:
        with in_organization(shop.organization):
            lifecycle.disable(shop.integration, actor=ACTOR)
        entry = add(shop)
        work_outbox()
        entry.refresh_from_db()
        assert entry.expires_at == entry.created_at + service.PARK_FOR
        assert wake_expired() == 0

        with clock.shifted(service.PARK_FOR + timedelta(seconds=1)):
            assert wake_expired() == 1
            work_outbox()

        entry.refresh_from_db()
        assert entry.status == "expired"
        assert kind.given_up == [("o1", "_Expired")]
        assert kind.calls == []


class TestLease:
    def test_who_lost_the_lease_leaves_no_effect(self, shop: Shop, kind: Work) -> None:
        entry = add(shop)

        def another_worker(_entry: OutboxEntry) -> None:
            with clock.shifted(LEASE + timedelta(seconds=1)):
                claim_outbox()

        kind.during = another_worker

        work_outbox()

        entry.refresh_from_db()
        assert (entry.status, entry.attempts, entry.crashes) == ("working", 2, 1)
        assert name_of(shop) == "Shop 1"

    def test_who_comes_too_late_does_not_begin(self, shop: Shop, kind: Work) -> None:
        add(shop)
        (claim,) = claim_outbox()
        with clock.shifted(LEASE + timedelta(seconds=1)):
            claim_outbox()

        with in_organization(shop.organization):
            work_entry(claim)

        assert kind.calls == []

    def test_five_workers_that_died_are_enough(self, shop: Shop, kind: Work) -> None:
        entry = add(shop)
        for number in range(5):
            with clock.shifted((LEASE + timedelta(seconds=1)) * number):
                claim_outbox()

        with clock.shifted((LEASE + timedelta(seconds=1)) * 5):
            work_outbox()

        entry.refresh_from_db()
        assert (entry.status, entry.crashes) == ("failed", 5)
        assert kind.calls == []
        assert len(kind.given_up) == 1

    def test_what_does_not_fit_into_the_time_is_given_back_unblamed(
        self, shop: Shop, kind: Work, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        entries = [add(shop, f"o{number}") for number in range(3)]
        monkeypatch.setattr(crew, "WORK_FOR", timedelta(0))

        assert work_outbox() == 0

        for entry in entries:
            entry.refresh_from_db()
            assert (entry.status, entry.attempts, entry.crashes) == ("waiting", 0, 0)

    def test_work_of_a_suspended_organization_waits_untried(self, shop: Shop, kind: Work) -> None:
        entry = add(shop)
        shop.organization.status = "suspended"
        shop.organization.save()

        work_outbox()

        assert kind.calls == []
        assert 3590 < wait_of(entry) <= 3600
        assert (entry.status, entry.attempts) == ("waiting", 0)


class TestCrash:
    def test_keeps_nothing_of_a_broken_effect_and_no_other_work_back(
        self, shop: Shop, other_shop: Shop, kind: Work
    ) -> None:
        broken, fine = add(shop, "broken"), add(other_shop, "fine")
        kind.errors = [ZeroDivisionError()]

        work_outbox()

        broken.refresh_from_db()
        fine.refresh_from_db()
        assert {broken.status, fine.status} == {"waiting", "done"}

    def test_an_effect_that_cannot_be_written_is_rolled_back(self, shop: Shop, kind: Work) -> None:
        entry = add(shop)
        kind.settle_error = ZeroDivisionError()

        work_outbox()

        entry.refresh_from_db()
        assert (entry.status, entry.error_class) == ("waiting", "ZeroDivisionError")
        assert name_of(shop) == "Shop 1"

    def test_a_kind_that_nobody_knows_does_not_stop_the_others(self, shop: Shop, kind: Work) -> None:
        with in_organization(shop.organization):
            unknown = outbox.add("test.of_tomorrow", link_id=shop.integration.id)
        fine = add(shop)

        work_outbox()

        unknown.refresh_from_db()
        fine.refresh_from_db()
        assert (unknown.status, unknown.error_class) == ("waiting", "KeyError")
        assert fine.status == "done"

    def test_ends_after_ten_attempts_even_when_giving_up_crashes(self, shop: Shop, kind: Work) -> None:
        entry = add(shop)
        kind.errors = [ZeroDivisionError() for _ in range(20)]
        kind.give_up_error = ZeroDivisionError()

        for hours in range(12):
            with clock.shifted(timedelta(hours=2 * hours)):
                work_outbox()

        entry.refresh_from_db()
        assert (entry.status, len(kind.calls)) == ("failed", service.MAX_ATTEMPTS)
