"""What is past its time goes, what is not stays, and a row survives the body it describes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from core import clock
from dispatch.models import DeliveryStatus, InboxKey, RefusedRequest, WebhookDelivery
from integrations.services import deliveries, retention
from tests.fictitious.conftest import Shop

pytestmark = pytest.mark.django_db(databases=["default", "owner"])

AGES = {
    DeliveryStatus.PROCESSED: timedelta(days=30),
    DeliveryStatus.IGNORED: timedelta(days=30),
    DeliveryStatus.DEAD: timedelta(days=90),
    DeliveryStatus.QUARANTINED: timedelta(hours=24),
}
MARGIN = timedelta(minutes=1)


@pytest.fixture
def stored(shop: Shop, post: Callable[..., int]) -> WebhookDelivery:
    """One delivery, with its inbox key where the provider has them."""
    assert post(shop.path, "locker,lo_1,mer_1", key=shop.merchant.app_keys[0]) == 200
    return WebhookDelivery.objects.get()


class TestSweep:
    @pytest.mark.parametrize("status", list(AGES))
    def test_a_body_goes_when_its_time_is_over(self, stored: WebhookDelivery, status: str) -> None:
        age = AGES[DeliveryStatus(status)]

        make_older(age - MARGIN, status)
        retention.sweep()
        stored.refresh_from_db()
        assert stored.sealed_body is not None

        make_older(age + MARGIN, status)
        retention.sweep()
        stored.refresh_from_db()
        assert stored.sealed_body is None
        assert stored.headers

    @pytest.mark.parametrize("status", [DeliveryStatus.RECEIVED, DeliveryStatus.FAILED, DeliveryStatus.PROCESSING])
    def test_what_is_still_to_do_keeps_its_body(self, stored: WebhookDelivery, status: str) -> None:
        make_older(timedelta(days=365), status)

        retention.sweep()

        stored.refresh_from_db()
        assert stored.sealed_body is not None
        assert deliveries.body_of(stored)

    def test_a_key_goes_after_eight_days_and_a_refused_sample_after_thirty(
        self, shop: Shop, other_shop: Shop, post: Callable[..., int]
    ) -> None:
        for one in (shop, other_shop):
            post(one.path, "locker,lo_1,mer_1", key="pak_test_wrong")
        for days in (7, 9):
            at = clock.now() - timedelta(days=days)
            InboxKey.objects.create(route_key="route:test", digest=bytes([days]) * 32, received_at=at)
        RefusedRequest.objects.filter(link_id=shop.integration.id).update(received_at=clock.now() - timedelta(days=31))

        gone = retention.sweep()

        assert (gone["inbox_keys"], gone["refused"]) == (1, 1)
        assert RefusedRequest.objects.get().link_id == other_shop.integration.id


def make_older(age: timedelta, status: str) -> None:
    """Age the delivery, not the clock: a shifted clock would drop the database's partitions."""
    received_at = clock.now() - age
    WebhookDelivery.objects.update(
        status=status, received_at=received_at, expires_at=received_at + AGES[DeliveryStatus.QUARANTINED]
    )
