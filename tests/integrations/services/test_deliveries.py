"""From a stored delivery to facts: nothing lost, nothing twice, nothing to somebody else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from audit.models import AuditEntry
from core import clock
from core.errors import Conflict
from dispatch.claims import claim_deliveries
from dispatch.models import LEASE, DeliveryStatus, Link, WebhookDelivery
from integrations.contract import AccountKey, RateLimited
from integrations.models import Event
from integrations.services import crew, deliveries, links, quarantine
from integrations.services.crew import work_deliveries
from integrations.services.deliveries import process, replay
from tenants.context import in_organization
from tests.fictitious.conftest import ACTOR, PLATFORM_KEY, Shop
from tests.fictitious.parcelbox import ParcelboxProvider
from tests.fictitious.vendor import Parcelbox

pytestmark = pytest.mark.django_db

PLATFORM_URL = "/webhooks/parcelbox/"
OBJECT = "/v1/objects/ch_a"


@pytest.fixture
def receive(shop: Shop, vendor: Parcelbox, post: Callable[..., int]) -> Callable[..., WebhookDelivery]:
    """Store one delivery at the shop's own URL: ``receive("charge,ch_a,mer_1")``."""
    vendor.change("ch_a", shop.merchant)

    def make(*events: str) -> WebhookDelivery:
        before = set(WebhookDelivery.objects.values_list("id", flat=True))
        assert post(shop.path, *(events or ("charge,ch_a,mer_1",)), key=shop.merchant.app_keys[0]) == 200
        return WebhookDelivery.objects.exclude(pk__in=before).get()

    return make


def keys_of(organization: Any) -> list[str]:
    """The keys of an organization's events."""
    with in_organization(organization):
        return sorted(Event.objects.values_list("key", flat=True))


def work_all() -> None:
    """Work until nothing is due."""
    while work_deliveries():
        pass


class TestLease:
    def test_who_lost_the_lease_leaves_no_event(
        self, shop: Shop, other_shop: Shop, vendor: Parcelbox, receive: Callable[..., WebhookDelivery],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        delivery = receive()
        fetch = ParcelboxProvider.fetch

        def slow(provider: ParcelboxProvider, event: Any) -> Any:
            with clock.shifted(LEASE + timedelta(seconds=1)):
                claim_deliveries()
            return fetch(provider, event)

        monkeypatch.setattr(ParcelboxProvider, "fetch", slow)

        work_deliveries()

        delivery.refresh_from_db()
        assert (delivery.status, delivery.attempts, delivery.crashes) == ("processing", 2, 1)
        assert keys_of(shop.organization) == keys_of(other_shop.organization) == []

    def test_who_comes_too_late_does_not_begin(
        self, vendor: Parcelbox, receive: Callable[..., WebhookDelivery]
    ) -> None:
        receive()
        (claim,) = claim_deliveries()
        with clock.shifted(LEASE + timedelta(seconds=1)):
            claim_deliveries()

        process(claim)

        assert vendor.count(OBJECT) == 0

    def test_five_workers_that_died_make_a_dead_letter(
        self, vendor: Parcelbox, receive: Callable[..., WebhookDelivery]
    ) -> None:
        delivery = receive()
        for number in range(5):
            with clock.shifted((LEASE + timedelta(seconds=1)) * number):
                claim_deliveries()

        with clock.shifted((LEASE + timedelta(seconds=1)) * 5):
            work_deliveries()

        delivery.refresh_from_db()
        assert (delivery.status, delivery.error_class) == ("dead", "WorkerDied")
        assert vendor.count(OBJECT) == 0

    def test_what_does_not_fit_into_the_time_is_given_back_unblamed(
        self, receive: Callable[..., WebhookDelivery], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        delivery = receive()
        monkeypatch.setattr(crew, "WORK_FOR", timedelta(0))

        assert work_deliveries() == 0

        delivery.refresh_from_db()
        assert (delivery.status, delivery.attempts, delivery.crashes) == ("received", 0, 0)

    def test_a_split_that_lost_the_lease_leaves_no_parts(
        self, platform_app: Any, shop: Shop, post: Callable[..., int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        post(PLATFORM_URL, "charge,ch_a,mer_1", "charge,ch_b,mer_2", key=PLATFORM_KEY)
        split = ParcelboxProvider.split

        def slow(request: Any) -> Any:
            with clock.shifted(LEASE + timedelta(seconds=1)):
                claim_deliveries()
            return split(request)

        monkeypatch.setattr(ParcelboxProvider, "split", slow)

        work_deliveries()

        whole = WebhookDelivery.objects.get()
        assert whole.status == "processing"
        assert whole.sealed_body is not None


class TestFetching:
    def test_is_left_to_others_where_somebody_takes_it(
        self, shop: Shop, vendor: Parcelbox, receive: Callable[..., WebhookDelivery]
    ) -> None:
        delivery = receive()
        (claim,) = claim_deliveries()
        taken: list[WebhookDelivery] = []

        process(claim, fetch_elsewhere=taken.append)

        assert [row.id for row in taken] == [delivery.id]
        assert (vendor.count(OBJECT), keys_of(shop.organization)) == (0, [])
        process(claim)
        assert keys_of(shop.organization) == ["ch_a:1"]

    def test_waits_untried_where_no_thread_is_free(
        self, receive: Callable[..., WebhookDelivery], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        delivery = receive()
        monkeypatch.setattr(crew, "fetching", lambda: crew.Crew(0, name="none"))
        (claim,) = claim_deliveries()

        process(claim, fetch_elsewhere=crew._fetch_elsewhere)

        delivery.refresh_from_db()
        assert (delivery.status, delivery.attempts) == ("received", 0)
        assert delivery.next_attempt_at > clock.now()


class TestFailure:
    @pytest.mark.parametrize(
        ("answer", "error_class", "status"),
        [
            ("error__html_502", "Unavailable", "failed"),
            ("error__slow_down", "RateLimited", "failed"),
            ("error__invalid_token", "AuthenticationFailed", "failed"),
            ("error__no_such_object", "NotFound", "dead"),
        ],
    )
    def test_the_class_decides_whether_a_fetch_is_tried_again(
        self, vendor: Parcelbox, receive: Callable[..., WebhookDelivery], answer: str, error_class: str, status: str
    ) -> None:
        delivery = receive()
        vendor.failing[OBJECT] = answer

        work_deliveries()

        delivery.refresh_from_db()
        assert (delivery.status, delivery.error_class) == (status, error_class)
        assert delivery.sealed_body is not None

    def test_a_refused_credential_is_looked_at_by_the_next_check(
        self, shop: Shop, other_shop: Shop, vendor: Parcelbox, receive: Callable[..., WebhookDelivery]
    ) -> None:
        receive()
        vendor.failing[OBJECT] = "error__invalid_token"

        work_deliveries()

        assert Link.objects.get(pk=shop.integration.id).next_check_at <= clock.now()
        assert Link.objects.get(pk=other_shop.integration.id).next_check_at > clock.now()

    def test_a_limit_is_waited_for_as_long_as_the_vendor_asks_and_holds_the_link_back(
        self, shop: Shop, other_shop: Shop, vendor: Parcelbox, receive: Callable[..., WebhookDelivery],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        first = receive()
        calls: list[str] = []

        def limited(provider: ParcelboxProvider, event: Any) -> Any:
            calls.append(event.key)
            raise RateLimited("slow down", retry_after_s=600.0)

        monkeypatch.setattr(ParcelboxProvider, "fetch", limited)
        monkeypatch.setattr(crew, "DELIVERIES", 1)
        second = receive()

        work_deliveries()
        work_deliveries()

        first.refresh_from_db()
        second.refresh_from_db()
        assert len(calls) == 1
        assert 600 <= (first.next_attempt_at - clock.now()).total_seconds() + 1 <= 662
        assert second.not_before is not None
        assert (second.status, second.attempts) == ("received", 0)

    def test_ten_failures_make_a_dead_letter_that_can_be_replayed(
        self, shop: Shop, vendor: Parcelbox, receive: Callable[..., WebhookDelivery]
    ) -> None:
        delivery = receive()
        vendor.failing[OBJECT] = "error__html_502"
        for number in range(12):
            with clock.shifted(timedelta(hours=2 * number)):
                work_deliveries()
        delivery.refresh_from_db()
        assert (delivery.status, delivery.attempts) == ("dead", deliveries.MAX_ATTEMPTS)

        vendor.failing.clear()
        with clock.shifted(timedelta(days=2)):  # the breaker, too, has seen ten failures
            with in_organization(shop.organization):
                replay(delivery, actor=ACTOR)
            work_deliveries()

        assert keys_of(shop.organization) == ["ch_a:1"]

    def test_one_that_crashes_does_not_keep_the_others_back(
        self, shop: Shop, receive: Callable[..., WebhookDelivery]
    ) -> None:
        broken, fine = receive(), receive()
        WebhookDelivery.objects.filter(pk=broken.pk).update(sealed_body=b"broken")

        work_deliveries()

        broken.refresh_from_db()
        fine.refresh_from_db()
        assert (broken.status, broken.error_class) == ("failed", "SealBroken")
        assert fine.status == "processed"


class TestReplay:
    def test_changes_nothing_that_was_handled(
        self, shop: Shop, other_shop: Shop, receive: Callable[..., WebhookDelivery]
    ) -> None:
        delivery = receive()
        work_all()
        delivery.refresh_from_db()
        events = delivery.event_ids

        for _ in range(2):
            with in_organization(shop.organization):
                replay(delivery, actor=ACTOR)
            work_all()

        delivery.refresh_from_db()
        assert delivery.event_ids == events
        assert keys_of(shop.organization) == ["ch_a:1"]
        assert keys_of(other_shop.organization) == []
        with in_organization(shop.organization):
            assert AuditEntry.objects.filter(action="delivery.replayed").count() == 2

    def test_is_refused_while_a_worker_has_it_and_when_the_body_is_gone(
        self, shop: Shop, receive: Callable[..., WebhookDelivery]
    ) -> None:
        delivery = receive()
        claim_deliveries()
        with in_organization(shop.organization):
            with pytest.raises(Conflict) as busy:
                replay(delivery, actor=ACTOR)
            delivery.sealed_body = None
            with pytest.raises(Conflict) as gone:
                replay(delivery, actor=ACTOR)

        assert (busy.value.code, gone.value.code) == ("in_progress", "body_gone")


class TestQuarantine:
    def test_the_foreign_part_of_a_mixed_delivery_waits_beside_it(
        self, shop: Shop, other_shop: Shop, receive: Callable[..., WebhookDelivery]
    ) -> None:
        delivery = receive("charge,ch_a,mer_1", "charge,ch_x,mer_2")
        work_all()
        with in_organization(shop.organization):
            replay(delivery, actor=ACTOR)
        work_all()

        part = WebhookDelivery.objects.get(part_of=delivery.id)
        assert (part.status, part.account_key) == ("quarantined", "merchant:mer_2")
        assert part.link_id == shop.integration.id
        assert deliveries.body_of(part) == b"event=charge%2Cch_x%2Cmer_2"
        assert keys_of(shop.organization) == ["ch_a:1"]
        assert keys_of(other_shop.organization) == []

    def test_what_waits_at_a_link_is_released_when_that_link_connects_the_account(
        self, shop: Shop, vendor: Parcelbox, receive: Callable[..., WebhookDelivery]
    ) -> None:
        vendor.change("ch_late", shop.merchant)
        delivery = receive("charge,ch_late,mer_1b")
        work_all()
        delivery.refresh_from_db()
        assert delivery.status == DeliveryStatus.QUARANTINED
        assert "24 hours" in delivery.error_text

        with in_organization(shop.organization):
            links.claim_accounts(
                shop.integration, [AccountKey(value="merchant:mer_1"), AccountKey(value="merchant:mer_1b")]
            )
        work_all()

        assert keys_of(shop.organization) == ["ch_late:1"]

    @pytest.mark.usefixtures("platform_app")
    def test_a_flood_for_nobody_hides_no_part_that_is_claimed(
        self, shop: Shop, other_shop: Shop, vendor: Parcelbox, post: Callable[..., int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(quarantine, "BATCH", 2)
        vendor.change("ch_a", shop.merchant)
        with in_organization(shop.organization):
            links.drop_routes(shop.integration)
        for _ in range(3):
            post(PLATFORM_URL, "charge,ch_z,mer_99", key=PLATFORM_KEY)
        post(PLATFORM_URL, "charge,ch_a,mer_1", key=PLATFORM_KEY)
        work_all()

        with in_organization(shop.organization):
            links.claim_accounts(shop.integration, [AccountKey(value="merchant:mer_1")])
        assert quarantine.release(provider="parcelbox") == 1
        assert quarantine.release(provider="parcelbox") == 0
        work_all()

        assert keys_of(shop.organization) == ["ch_a:1"]
        assert keys_of(other_shop.organization) == []

    @pytest.mark.usefixtures("platform_app")
    def test_two_sweeps_hand_a_part_over_once(
        self, open_shop: Callable[..., Shop], organization: Any, other_shop: Shop, post: Callable[..., int]
    ) -> None:
        post(PLATFORM_URL, "charge,ch_a,mer_1", key=PLATFORM_KEY)
        work_all()
        shop = open_shop(organization, 1)
        part = WebhookDelivery.objects.get(account_key="merchant:mer_1")

        assert quarantine._hand_over(part)
        assert not quarantine._hand_over(part)

        assert WebhookDelivery.objects.filter(link_id=shop.integration.id).count() == 1
        assert WebhookDelivery.objects.filter(link_id=other_shop.integration.id).count() == 0
