"""Tokens that rotate: one call per version, the new pair stored before use, a refused grant said aloud."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections

from audit.models import ActorKind, AuditEntry
from audit.services import Actor
from core import clock
from core.secret import Secret, Secrets
from dispatch.models import Link, Vendor
from integrations.contract import (
    AppContext,
    Attempt,
    AuthenticationFailed,
    IntegrationContext,
    RateLimited,
    Unavailable,
    UnexpectedResponse,
)
from integrations.models import Integration
from integrations.services import courier, credentials, health, tokens
from integrations.services.credentials import Purpose
from integrations.services.providers import CallLog, guard_for, provider_for
from notifications.models import Notification
from tenants.context import in_organization
from tests.fictitious.conftest import ACTOR, Shop, connect_merchant
from tests.fictitious.parcelbox import ParcelboxProvider
from tests.fictitious.vendor import Parcelbox

WORKERS = 20


@pytest.fixture
def inside_shop(shop: Shop) -> Iterator[Shop]:
    """Run the test inside the shop's organization."""
    with in_organization(shop.organization):
        yield shop


def opened(integration: Integration) -> dict[str, str]:
    """The plaintext that serves now."""
    return {name: secret.reveal() for name, secret in credentials.open_for(integration, Purpose.CALL).items()}


def states(integration: Integration) -> list[tuple[int, str, bool]]:
    """Version, state and whether there are secrets left, oldest first."""
    return [(row.version, row.state, row.sealed is not None) for row in integration.credentials.order_by("version")]


@pytest.mark.django_db
class TestOAuth:
    def test_a_code_becomes_the_tokens_of_an_account(self, organization: Any, vendor: Parcelbox) -> None:
        merchant = vendor.open_account(1)
        app = AppContext(provider="parcelbox", client_id="app_1", secrets=Secrets({"app_key": merchant.app_keys[0]}))
        attempt = Attempt(state="s1", redirect_uri="https://registry.example/oauth/parcelbox/callback/")
        context = IntegrationContext(id="", provider="parcelbox", environment="test", settings={}, secrets=Secrets({}))
        outbound = guard_for(context, reports=CallLog("", "parcelbox"))

        address = ParcelboxProvider.authorize_url(app, attempt)
        pair = ParcelboxProvider.exchange_code(
            app, outbound, Attempt(state="s1", redirect_uri=attempt.redirect_uri, code=Secret("code_test"))
        )
        accounts = ParcelboxProvider.list_accounts(app, outbound, pair)

        assert address.startswith("https://login.parcelbox.example/authorize?client_id=app_1&")
        assert [account.external_id for account in accounts] == ["mer_1"]
        assert pair.refresh_token is not None
        integration = connect_merchant(
            organization, merchant, access_token=pair.access_token.reveal(), refresh_token=pair.refresh_token.reveal()
        )
        assert integration.status == "active"


@pytest.mark.django_db
class TestRefresh:
    def test_is_due_before_the_tokens_end(self, inside_shop: Shop) -> None:
        link = Link.objects.get(pk=inside_shop.integration.id)
        credential = inside_shop.integration.current_credential

        assert credential is not None
        assert credential.expires_at is not None
        assert link.next_refresh_at is not None
        margin = credential.expires_at - link.next_refresh_at
        assert timedelta(seconds=600) <= margin <= timedelta(seconds=720)

    def test_stores_the_new_pair_and_forgets_the_spent_one(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        before = opened(inside_shop.integration)

        tokens.refresh(inside_shop.integration, actor=ACTOR)

        after = opened(inside_shop.integration)
        assert after["access_token"] == inside_shop.merchant.access_token != before["access_token"]
        assert after["refresh_token"] == inside_shop.merchant.refresh_token != before["refresh_token"]
        assert after["app_key"] == before["app_key"]
        assert states(inside_shop.integration) == [(1, "destroyed", False), (2, "current", True)]
        assert health.test_connection(inside_shop.integration).success
        assert AuditEntry.objects.filter(action="token.refreshed").get().details["fields"] == [
            "access_token", "refresh_token",
        ]  # fmt: skip

    def test_leaves_the_other_organization_alone(self, shop: Shop, other_shop: Shop) -> None:
        with in_organization(shop.organization):
            tokens.refresh(shop.integration)

        with in_organization(other_shop.organization):
            assert states(other_shop.integration) == [(1, "current", True)]
            assert not AuditEntry.objects.filter(action="token.refreshed").exists()

    def test_does_nothing_when_somebody_was_faster(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        tokens.refresh(inside_shop.integration, seen_version=1)
        tokens.refresh(inside_shop.integration, seen_version=1)

        assert vendor.count("/token") == 1

    def test_waits_for_the_attempt_that_is_out_but_not_for_ever(
        self, inside_shop: Shop, vendor: Parcelbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tokens, "WAIT_S", 0.2)
        tokens._ask(inside_shop.integration, 1, None)
        assert courier.claim(None) is not None

        with pytest.raises(tokens.BeingRefreshed):
            tokens.refresh(inside_shop.integration)

        assert vendor.count("/token") == 0

    def test_says_who_asked_for_it(self, inside_shop: Shop) -> None:
        person = Actor(kind=ActorKind.USER, id="1", label="Ana")

        tokens.refresh(inside_shop.integration, actor=person)

        assert AuditEntry.objects.get(action="token.refresh_requested").actor_label == "Ana"

    def test_a_reconnect_meanwhile_wins(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        def reconnect() -> None:
            credentials.store(inside_shop.integration, {**opened(inside_shop.integration), "app_key": "pak_test_new"})

        original = ParcelboxProvider.refresh

        class Overtaken(ParcelboxProvider):
            def refresh(self) -> Any:
                reconnect()
                return original(self)

        from integrations import registry

        registry.register(Overtaken)

        tokens.refresh(inside_shop.integration)

        assert opened(inside_shop.integration)["app_key"] == "pak_test_new"
        assert states(inside_shop.integration)[-1] == (2, "current", True)
        assert Link.objects.get(pk=inside_shop.integration.pk).refresh_id is None

    def test_a_provider_without_tokens_says_so(self, inside: Any) -> None:
        integration = Integration.objects.create(provider="stripe", name="Stripe", environment="test")

        with pytest.raises(tokens.CannotRefresh) as caught:
            tokens.refresh(integration)

        assert caught.value.code == "not_supported"


@pytest.mark.django_db
class TestFailure:
    def test_a_refused_grant_asks_for_a_reconnect_once(self, inside_shop: Shop) -> None:
        inside_shop.merchant.refresh_token = "prt_test_elsewhere"
        inside_shop.merchant.access_token = "pat_test_elsewhere"

        for _time in range(2):
            with pytest.raises(AuthenticationFailed):
                tokens.refresh(inside_shop.integration)

        integration = Integration.objects.get()
        assert (integration.status, integration.health) == ("needs_reauth", "failing")
        assert [issue.cause for issue in integration.issues.all()] == ["authentication_error"]
        assert Notification.objects.filter(kind="issue.opened").count() == 1
        assert Link.objects.get(pk=integration.id).next_refresh_at is None
        assert states(integration) == [(1, "current", True)]

    def test_a_refused_grant_warns_while_the_token_works(self, inside_shop: Shop) -> None:
        inside_shop.merchant.refresh_token = "prt_test_elsewhere"

        with pytest.raises(AuthenticationFailed):
            tokens.refresh(inside_shop.integration)

        integration = Integration.objects.get()
        issue = integration.issues.get()
        due = Link.objects.get(pk=integration.id).next_refresh_at
        assert (integration.status, integration.health) == ("active", "healthy")
        assert issue.cause == "token_not_renewed"
        assert "It still works until 2" in issue.english
        assert due is not None
        assert timedelta(minutes=29) < due - clock.now() < timedelta(minutes=37)

    def test_the_warning_ends_with_the_next_pair(self, inside_shop: Shop) -> None:
        kept, inside_shop.merchant.refresh_token = inside_shop.merchant.refresh_token, "prt_test_elsewhere"
        with pytest.raises(AuthenticationFailed):
            tokens.refresh(inside_shop.integration)

        inside_shop.merchant.refresh_token = kept
        tokens.refresh(inside_shop.integration)

        assert inside_shop.integration.issues.get().resolved_at is not None

    def test_a_refusal_becomes_a_reconnect_when_the_token_ends(self, inside_shop: Shop) -> None:
        inside_shop.merchant.refresh_token = "prt_test_elsewhere"
        with pytest.raises(AuthenticationFailed):
            tokens.refresh(inside_shop.integration)

        inside_shop.merchant.access_token = "pat_test_elsewhere"
        with clock.shifted(timedelta(minutes=61)):
            assert tokens.refresh_due_links() == 1

        integration = Integration.objects.get()
        assert integration.status == "needs_reauth"
        assert [issue.cause for issue in integration.issues.filter(resolved_at=None)] == ["authentication_error"]

    def test_a_refusal_of_a_vendor_that_refuses_everybody_is_tried_again(self, inside_shop: Shop) -> None:
        kept = inside_shop.merchant.refresh_token, inside_shop.merchant.access_token
        inside_shop.merchant.refresh_token = inside_shop.merchant.access_token = "pat_test_elsewhere"
        Vendor.objects.create(provider="parcelbox", incident="Ill.", incident_class="AuthenticationFailed")

        with pytest.raises(AuthenticationFailed):
            tokens.refresh(inside_shop.integration)

        assert Integration.objects.get().status == "active"
        assert Link.objects.get(pk=inside_shop.integration.pk).next_refresh_at is not None
        inside_shop.merchant.refresh_token, inside_shop.merchant.access_token = kept
        with clock.shifted(timedelta(minutes=2)):
            assert tokens.refresh_due_links() == 0  # the vendor is left alone until it is well
            Vendor.objects.update(incident="", incident_class="")
            assert tokens.refresh_due_links() == 1
        assert states(inside_shop.integration)[-1] == (2, "current", True)

    def test_a_refusal_says_nothing_of_a_credential_that_was_replaced(
        self, inside_shop: Shop, vendor: Parcelbox
    ) -> None:
        def reconnect() -> None:
            credentials.store(inside_shop.integration, {**opened(inside_shop.integration), "app_key": "pak_test_new"})

        class Refused(ParcelboxProvider):
            def refresh(self) -> Any:
                reconnect()
                raise AuthenticationFailed("the chain was revoked")

        from integrations import registry

        registry.register(Refused)
        asked = vendor.count("/v1/introspections")

        tokens.refresh(inside_shop.integration)

        assert Integration.objects.get().status == "active"
        assert not inside_shop.integration.issues.exists()
        assert vendor.count("/v1/introspections") == asked

    def test_a_refusal_that_cannot_be_confirmed_is_tried_again(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        inside_shop.merchant.refresh_token = "prt_test_elsewhere"
        vendor.failing["/v1/introspections"] = "error__html_502"

        with pytest.raises(AuthenticationFailed):
            tokens.refresh(inside_shop.integration)

        due = Link.objects.get(pk=inside_shop.integration.id).next_refresh_at
        assert Integration.objects.get().status == "active"
        assert due is not None
        assert due - clock.now() < timedelta(seconds=73)

    def test_tries_come_further_apart(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        vendor.failing["/token"] = "error__html_502"

        for _try in range(3):
            with pytest.raises(Unavailable):
                tokens.refresh(inside_shop.integration)

        due = Link.objects.get(pk=inside_shop.integration.id).next_refresh_at
        assert due is not None
        assert timedelta(seconds=238) <= due - clock.now() <= timedelta(seconds=288)

    def test_our_own_crash_ends_the_attempt(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        class Broken(ParcelboxProvider):
            def refresh(self) -> Any:
                raise ZeroDivisionError

        from integrations import registry

        registry.register(Broken)

        with pytest.raises(UnexpectedResponse):
            tokens.refresh(inside_shop.integration)

        link = Link.objects.get(pk=inside_shop.integration.id)
        assert (link.refresh_id, link.refresh_asked_at) == (None, None)
        assert link.next_refresh_at is not None
        assert link.next_refresh_at > clock.now() + timedelta(minutes=59)

    @pytest.mark.parametrize(
        ("answer", "error", "wait_s"),
        [("error__html_502", Unavailable, 60.0), ("error__slow_down", RateLimited, 7.0)],
    )
    def test_a_passing_failure_is_tried_again(
        self, inside_shop: Shop, vendor: Parcelbox, answer: str, error: type[Exception], wait_s: float
    ) -> None:
        vendor.failing["/token"] = answer

        with pytest.raises(error):
            tokens.refresh(inside_shop.integration)

        due = Link.objects.get(pk=inside_shop.integration.id).next_refresh_at
        assert due is not None
        assert timedelta(seconds=wait_s - 2) <= due - clock.now() <= timedelta(seconds=wait_s * 1.2)
        inside_shop.integration.refresh_from_db()
        assert inside_shop.integration.status == "active"
        assert not inside_shop.integration.issues.exists()


@pytest.mark.django_db
class TestEnsureFresh:
    def test_leaves_a_token_alone_that_lives_long_enough(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        tokens.ensure_fresh(inside_shop.integration, min_left_s=60)

        assert vendor.count("/token") == 0

    def test_renews_one_that_is_about_to_end(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        with clock.shifted(timedelta(minutes=59, seconds=30)):
            tokens.ensure_fresh(inside_shop.integration, min_left_s=60)

        assert states(inside_shop.integration)[-1] == (2, "current", True)

    def test_uses_what_still_lives_when_the_vendor_fails(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        vendor.failing["/token"] = "error__html_502"

        with clock.shifted(timedelta(minutes=59, seconds=30)):
            tokens.ensure_fresh(inside_shop.integration, min_left_s=60)
            tokens.ensure_fresh(inside_shop.integration, min_left_s=60)

        assert vendor.count("/token") == 1

    def test_waits_no_longer_than_the_vendors_error_says(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        vendor.failing["/token"] = "error__html_502"
        with clock.shifted(timedelta(minutes=61)), pytest.raises(Unavailable):
            tokens.ensure_fresh(inside_shop.integration)

        vendor.failing.clear()
        with clock.shifted(timedelta(minutes=63)):
            tokens.ensure_fresh(inside_shop.integration)

        assert states(inside_shop.integration)[-1] == (2, "current", True)

    def test_says_so_when_renewing_takes_too_long(self, inside_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tokens, "WAIT_S", 0.1)
        tokens._ask(inside_shop.integration, 1, None)

        with clock.shifted(timedelta(minutes=59)):
            assert courier.claim(None) is not None
            tokens.ensure_fresh(inside_shop.integration, min_left_s=120)
        with clock.shifted(timedelta(minutes=61)), pytest.raises(Unavailable) as caught:
            tokens.ensure_fresh(inside_shop.integration)

        assert caught.value.reason == "being_renewed"

    def test_asks_nothing_of_a_provider_without_tokens(self, inside: Any, django_assert_num_queries: Any) -> None:
        integration = Integration.objects.create(provider="stripe", name="Stripe", environment="test")

        with django_assert_num_queries(0):
            tokens.ensure_fresh(integration)

    def test_refuses_what_has_ended(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        vendor.failing["/token"] = "error__html_502"

        with clock.shifted(timedelta(minutes=61)):
            for _caller in range(2):
                with pytest.raises(Unavailable):
                    tokens.ensure_fresh(inside_shop.integration)

        assert vendor.count("/token") == 1


@pytest.mark.django_db
class TestSweep:
    def test_refreshes_what_is_due_in_every_organization(self, shop: Shop, other_shop: Shop, vendor: Parcelbox) -> None:
        assert tokens.refresh_due_links() == 0

        with clock.shifted(timedelta(minutes=51)):
            assert tokens.refresh_due_links() == 2
            assert tokens.refresh_due_links() == 0

        assert vendor.count("/token") == 2

    def test_one_failure_does_not_stop_the_others(self, shop: Shop, other_shop: Shop, vendor: Parcelbox) -> None:
        shop.merchant.refresh_token = "prt_test_elsewhere"

        with clock.shifted(timedelta(minutes=51)):
            assert tokens.refresh_due_links() == 2

        with in_organization(other_shop.organization):
            assert states(other_shop.integration)[-1] == (2, "current", True)

    def test_takes_over_from_a_courier_of_another_machine_when_its_lease_ended(self, shop: Shop) -> None:
        with in_organization(shop.organization):
            tokens._ask(shop.integration, 1, None)
        assert courier.claim(uuid4()) is not None
        assert tokens.refresh_due_links() == 0

        with clock.shifted(courier.LEASE + timedelta(seconds=1)):
            assert tokens.refresh_due_links() == 1

        with in_organization(shop.organization):
            assert states(shop.integration)[-1] == (2, "current", True)

    def test_takes_over_from_a_dead_courier_of_this_machine_at_once(self, shop: Shop) -> None:
        here = uuid4()
        with in_organization(shop.organization):
            tokens._ask(shop.integration, 1, None)
        assert courier.claim(here) is not None

        courier._release_dead(uuid4())
        assert courier.claim(here) is None
        courier._release_dead(here)

        assert courier.claim(here) is not None

    def test_a_courier_serves_for_a_time_and_leaves_the_rest_to_the_next(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with in_organization(shop.organization):
            tokens._ask(shop.integration, 1, None)
        monkeypatch.setattr(courier, "SERVE_S", 0.0)

        courier.work(uuid4(), is_stopped=threading.Event())

        assert Link.objects.get(pk=shop.integration.pk).refresh_id is None
        assert courier.is_anything_due()

    def test_takes_what_somebody_waits_for_first(self, shop: Shop, other_shop: Shop) -> None:
        with in_organization(other_shop.organization):
            tokens._ask(other_shop.integration, 1, None)

        with clock.shifted(timedelta(minutes=51)):
            first, second = courier.claim(None), courier.claim(None, busy=["parcelbox"])
            third = courier.claim(None)

        assert first is not None
        assert first.link_id == other_shop.integration.pk
        assert second is None
        assert third is not None
        assert third.link_id == shop.integration.pk


class TestManyWorkers:
    """Real commits and connections: twenty threads find the same token too old."""

    def test_one_makes_the_call(self, committed: Shop, vendor: Parcelbox) -> None:
        vendor.pause_s = 0.2
        start = threading.Barrier(WORKERS)

        with ThreadPoolExecutor(WORKERS) as pool:
            outcomes = list(pool.map(lambda _n: self.worker(committed, start), range(WORKERS)))

        assert vendor.count("/token") == 1
        assert set(outcomes) == {committed.merchant.access_token}
        with in_organization(committed.organization):
            assert states(committed.integration) == [(1, "destroyed", False), (2, "current", True)]
            assert provider_for(committed.integration, Purpose.CHECK).check().account.external_id == "mer_9"

    @staticmethod
    def worker(shop: Shop, start: threading.Barrier) -> str:
        """Refresh what was seen as version 1, all at once."""
        try:
            with in_organization(shop.organization.schema_name):
                integration = Integration.objects.get(pk=shop.integration.pk)
                start.wait(10)
                tokens.refresh(integration, seen_version=1)
                return opened(integration)["access_token"]
        finally:
            connections.close_all()
