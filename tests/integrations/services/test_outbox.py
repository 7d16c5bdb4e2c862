"""Work outside: what each error does, what is parked and until when, and that row and effect end together."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from core import clock
from dispatch import outbox
from dispatch.claims import claim_outbox
from dispatch.models import LEASE, Link, OutboxEntry
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
from integrations.contract.strategies import CRASHED
from integrations.models import Integration
from integrations.services import credentials, crew, lifecycle
from integrations.services import outbox as service
from integrations.services.crew import work_outbox
from integrations.services.outbox import wake_expired, work_entry
from tenants.context import in_organization
from tests.fictitious.conftest import ACTOR, Shop
from tests.fictitious.vendor import Parcelbox
from tests.integrations.services.outside_work import Work, add, kind, name_of, revoke, wait_of

__all__ = ["kind"]

pytestmark = pytest.mark.django_db


class TestDone:
    def test_calls_inside_the_organization_and_outside_any_transaction(
        self, shop: Shop, other_shop: Shop, kind: Work
    ) -> None:
        work_outbox()  # what connecting published
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
            (Unavailable(), 1.0, 5.0),
            (ProviderOutage(), 1.0, 5.0),
            (RateLimited(), 60.0, 66.0),
            (RateLimited(retry_after_s=77.0), 77.0, 84.7),
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
        with clock.shifted(timedelta(seconds=67)):
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
        revoke(shop)

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

        assert 0 < wait_of(entry) <= 5
        assert (entry.status, entry.error_class) == ("waiting", "AuthenticationFailed")
        assert Link.objects.get(pk=shop.integration.id).status == "active"

    def test_a_refusal_that_a_check_disproves_gets_one_more_try_and_then_fails_as_what_it_was(
        self, shop: Shop, kind: Work
    ) -> None:
        entry = add(shop)
        kind.errors = [AuthenticationFailed(), AuthenticationFailed()]

        work_outbox()
        with clock.shifted(timedelta(seconds=6)):
            work_outbox()

        entry.refresh_from_db()
        link = Link.objects.get(pk=shop.integration.id)
        assert (entry.status, entry.attempts, entry.error_class) == ("failed", 2, "AuthenticationFailed")
        assert kind.given_up == [("o1", "AuthenticationFailed")]
        assert (link.status, link.open_issues) == ("active", 0)

    def test_a_refusal_that_nobody_can_judge_waits_like_a_passing_failure(
        self, shop: Shop, kind: Work, vendor: Parcelbox
    ) -> None:
        entry = add(shop)
        kind.errors = [AuthenticationFailed()]
        vendor.failing["/token"] = "error__html_502"

        work_outbox()

        entry.refresh_from_db()
        assert (entry.status, entry.error_class) == ("waiting", "Unavailable")
        assert Link.objects.get(pk=shop.integration.id).status == "active"

    def test_what_was_parked_goes_on_in_its_order(self, shop: Shop, kind: Work) -> None:
        with in_organization(shop.organization):
            lifecycle.disable(shop.integration, actor=ACTOR)
        for number in range(4):
            with clock.shifted(timedelta(minutes=number - 10)):
                add(shop, f"o{number}")
        work_outbox()

        with in_organization(shop.organization):
            lifecycle.enable(shop.integration, actor=ACTOR)
        work_outbox()

        assert [call[1] for call in kind.calls] == ["o0", "o1", "o2", "o3"]

    def test_what_was_parked_as_the_account_was_mended_is_found_by_the_sweep(
        self, shop: Shop, other_shop: Shop, kind: Work
    ) -> None:
        stranded, other = add(shop), add(other_shop)
        OutboxEntry.objects.filter(pk__in=[stranded.pk, other.pk]).update(status="parked", expires_at=None)
        Link.objects.filter(pk=other_shop.integration.id).update(status="needs_reauth")

        assert wake_expired() == 1

        stranded.refresh_from_db()
        other.refresh_from_db()
        assert (stranded.status, other.status) == ("waiting", "parked")

    def test_an_account_that_was_mended_before_the_parking_keeps_the_work_going(self, shop: Shop, kind: Work) -> None:
        with in_organization(shop.organization):
            Integration.objects.filter(pk=shop.integration.pk).update(status="needs_reauth")
        entry = add(shop)

        work_outbox()

        entry.refresh_from_db()
        assert (entry.status, entry.attempts) == ("waiting", 0)

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
        assert kind.given_up == [("o1", "Expired")]
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
        work_outbox()  # what connecting published
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
        assert (entry.status, len(kind.calls)) == ("failed", CRASHED.tries)
