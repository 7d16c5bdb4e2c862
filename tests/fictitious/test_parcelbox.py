"""A provider that shares nothing with WhatsApp goes through the same services and the same door."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from core import clock
from dispatch.models import DeliveryStatus, Link, WebhookDelivery
from integrations import registry
from integrations.contract import AuthenticationFailed, RequestRejected
from integrations.models import Credential, Event, Integration
from integrations.services import crew, deliveries, health, quarantine
from integrations.services.credentials import Purpose
from integrations.services.providers import provider_for
from meter.models import Call
from tenants.context import in_organization
from tests.fictitious.conftest import ACTOR, PLATFORM_KEY, Shop, connect_merchant
from tests.fictitious.parcelbox import ParcelboxProvider
from tests.fictitious.vendor import Parcelbox

pytestmark = pytest.mark.django_db

PLATFORM_URL = "/webhooks/parcelbox/"


def events_of(organization: Any) -> list[tuple[str, str]]:
    """Type and key of all events of an organization, oldest first."""
    with in_organization(organization):
        return list(Event.objects.order_by("id").values_list("type", "key"))


def statuses(**filters: Any) -> list[str]:
    """The statuses of deliveries, oldest first, seen from public."""
    return list(WebhookDelivery.objects.filter(**filters).order_by("id").values_list("status", flat=True))


def work() -> None:
    """Work off deliveries, and the parts that a split makes."""
    while crew.work_deliveries():
        pass


class TestConnecting:
    def test_stores_a_proved_account(self, shop: Shop, vendor: Parcelbox, other_organization: Any) -> None:
        assert vendor.hits[0].content_type == "application/x-www-form-urlencoded"
        assert shop.integration.account_external_id == "mer_1"
        assert shop.integration.account_label == "Shop 1"
        assert shop.integration.capabilities == ["takes_payments"]
        assert shop.path.startswith("/webhooks/parcelbox/")
        with in_organization(other_organization):
            assert not Integration.objects.exists()
            assert not Link.objects.exists()

    def test_stores_nothing_when_a_token_is_refused(self, organization: Any, vendor: Parcelbox) -> None:
        merchant = vendor.open_account(1)

        with pytest.raises(AuthenticationFailed) as caught:
            connect_merchant(organization, merchant, access_token="pat_test_wrong")

        assert caught.value.vendor_code == "invalid_token"
        assert caught.value.field == "access_token"
        assert caught.value.trace_id == "tr_test_1"
        with in_organization(organization):
            assert not Integration.objects.exists()
            assert not Credential.objects.exists()

    def test_a_check_is_a_health_check(self, shop: Shop, vendor: Parcelbox) -> None:
        with in_organization(shop.organization):
            good = health.test_connection(shop.integration, actor=ACTOR)
            shop.merchant.access_token = shop.merchant.refresh_token = "revoked"
            bad = health.test_connection(shop.integration, actor=ACTOR)

        assert good.success
        assert bad.error is not None
        assert bad.error.name == "AuthenticationFailed"
        assert shop.integration.status == "needs_reauth"

    def test_a_check_mends_what_a_refresh_can_mend(self, shop: Shop, vendor: Parcelbox) -> None:
        with in_organization(shop.organization):
            shop.merchant.access_token = "pat_test_revoked"
            mended = health.test_connection(shop.integration, actor=ACTOR)

        assert mended.success
        assert vendor.count("/token") == 1
        assert shop.integration.status == "active"

    def test_is_gone_from_the_registry_after_a_test(self) -> None:
        assert registry.find("parcelbox") is None


class TestSynchronousVerb:
    def test_is_answered_in_the_request_and_logged(self, shop: Shop, other_shop: Shop) -> None:
        with in_organization(shop.organization):
            provider = provider_for(shop.integration, Purpose.CALL)
            assert isinstance(provider, ParcelboxProvider)

            first = provider.create_charge(amount_minor=1999, currency="BRL", payer="Ana", reference="a1")
            again = provider.create_charge(amount_minor=1999, currency="BRL", payer="Ana", reference="a1")

            calls = list(Call.objects.filter(link_id=shop.integration.id).values_list("operation", "status"))
        assert (first.status, first.amount_minor, first.currency) == ("succeeded", 1999, "BRL")
        assert again == first
        assert calls.count(("create_charge", 201)) == 2
        with in_organization(other_shop.organization):
            assert not Call.objects.filter(operation="create_charge").exists()

    def test_a_refusal_of_the_bank_is_typed(self, shop: Shop) -> None:
        with in_organization(shop.organization):
            provider = provider_for(shop.integration, Purpose.CALL)
            assert isinstance(provider, ParcelboxProvider)

            with pytest.raises(RequestRejected) as caught:
                provider.create_charge(amount_minor=5, currency="BRL", payer="Broke", reference="a2")

        assert caught.value.reason == "payment_declined"
        assert caught.value.next_action == "Ask for another card."
        assert caught.value.vendor_detail == "The bank said no."


class TestOwnUrl:
    def test_fetches_what_a_thin_notice_is_about(self, shop: Shop, vendor: Parcelbox, post: Callable[..., int]) -> None:
        vendor.change("ch_a", shop.merchant, status="paid")

        assert post(shop.path, "charge,ch_a,mer_1", key=shop.merchant.app_keys[0]) == 200
        work()

        assert events_of(shop.organization) == [("payment.updated", "ch_a:1")]
        with in_organization(shop.organization):
            assert Event.objects.get().data["object"]["status"] == "paid"

    def test_fetches_before_the_transaction(self, shop: Shop, vendor: Parcelbox, post: Callable[..., int]) -> None:
        vendor.change("ch_a", shop.merchant)
        outside = list(connection.savepoint_ids)
        depths: list[list[str]] = []
        here = connection.connection, connection
        vendor.before["/v1/objects/ch_a"] = lambda: depths.append(list(here[1].savepoint_ids))
        post(shop.path, "charge,ch_a,mer_1", key=shop.merchant.app_keys[0])

        work()

        assert depths == [outside]

    def test_equal_bytes_may_be_two_facts_and_one_fact_is_kept_once(
        self, shop: Shop, vendor: Parcelbox, post: Callable[..., int]
    ) -> None:
        key = shop.merchant.app_keys[0]
        for status in ("open", "paid"):
            vendor.change("ch_a", shop.merchant, status=status)
            post(shop.path, "charge,ch_a,mer_1", key=key)
            post(shop.path, "charge,ch_a,mer_1", key=key)
            work()

        assert events_of(shop.organization) == [("payment.updated", "ch_a:1"), ("payment.updated", "ch_a:2")]
        assert len(statuses()) == 4
        assert set(statuses()) <= {"processed", "ignored"}

    @pytest.mark.parametrize("case", ["wrong", "stale"])
    def test_refuses_a_signature(self, shop: Shop, post: Callable[..., int], case: str) -> None:
        key = shop.merchant.app_keys[0] if case == "stale" else "pak_test_wrong"
        at = (clock.now() - timedelta(minutes=6)).timestamp() if case == "stale" else None

        assert post(shop.path, "charge,ch_a,mer_1", key=key, at=at) == 401
        assert statuses() == []

    def test_an_unknown_topic_is_kept_as_unknown(self, shop: Shop, vendor: Parcelbox, post: Callable[..., int]) -> None:
        post(shop.path, "locker,lo_1,mer_1", key=shop.merchant.app_keys[0])
        calls = len(vendor.hits)

        work()

        assert events_of(shop.organization) == [("unknown", "lo_1:?")]
        assert len(vendor.hits) == calls

    def test_a_foreign_account_never_reaches_the_link(
        self, shop: Shop, other_shop: Shop, post: Callable[..., int]
    ) -> None:
        post(shop.path, "charge,ch_b,mer_2", key=shop.merchant.app_keys[0])
        work()

        assert statuses(link_id=shop.integration.id) == ["quarantined"]
        assert events_of(shop.organization) == []
        assert events_of(other_shop.organization) == []

    def test_a_form_that_says_nothing_is_a_dead_letter(self, shop: Shop, post: Callable[..., int]) -> None:
        assert post(shop.path, "nonsense", key=shop.merchant.app_keys[0]) == 200
        work()

        assert statuses() == ["dead"]
        assert WebhookDelivery.objects.get().error_class == "UnexpectedResponse"

    def test_a_failed_fetch_is_tried_again_and_replay_changes_nothing(
        self, shop: Shop, vendor: Parcelbox, post: Callable[..., int]
    ) -> None:
        vendor.change("ch_a", shop.merchant)
        vendor.failing["/v1/objects/ch_a"] = "error__html_502"
        post(shop.path, "charge,ch_a,mer_1", key=shop.merchant.app_keys[0])
        work()
        assert statuses() == ["failed"]

        vendor.failing.clear()
        with clock.shifted(timedelta(minutes=1)):
            work()
            with in_organization(shop.organization):
                deliveries.replay(WebhookDelivery.objects.get(), actor=ACTOR)
            work()

        assert statuses() == ["processed"]
        assert events_of(shop.organization) == [("payment.updated", "ch_a:1")]


@pytest.mark.usefixtures("platform_app")
class TestPlatformUrl:
    def test_splits_over_two_organizations_without_a_leak(
        self, shop: Shop, other_shop: Shop, vendor: Parcelbox, post: Callable[..., int]
    ) -> None:
        vendor.change("ch_a", shop.merchant)
        vendor.change("ch_b", other_shop.merchant)

        assert post(PLATFORM_URL, "charge,ch_a,mer_1", "charge,ch_b,mer_2", key=PLATFORM_KEY) == 200
        work()

        assert events_of(shop.organization) == [("payment.updated", "ch_a:1")]
        assert events_of(other_shop.organization) == [("payment.updated", "ch_b:1")]
        parent = WebhookDelivery.objects.get(part_of=None)
        assert parent.sealed_body is None
        ours = WebhookDelivery.objects.get(link_id=shop.integration.id)
        assert deliveries.body_of(ours) == b"event=charge%2Cch_a%2Cmer_1"
        with in_organization(other_shop.organization):
            assert not WebhookDelivery.objects.filter(pk=ours.pk).exists()

    def test_an_organizations_own_key_does_not_open_it(self, shop: Shop, post: Callable[..., int]) -> None:
        assert post(PLATFORM_URL, "charge,ch_a,mer_1", key=shop.merchant.app_keys[0]) == 401

    def test_keeps_what_nobody_claims_and_releases_it_on_connecting(
        self, shop: Shop, other_organization: Any, vendor: Parcelbox, open_shop: Callable[..., Shop],
        post: Callable[..., int],
    ) -> None:  # fmt: skip
        post(PLATFORM_URL, "charge,ch_b,mer_2", key=PLATFORM_KEY)
        work()
        assert statuses(account_key="merchant:mer_2") == [DeliveryStatus.QUARANTINED]

        late = open_shop(other_organization, 2)
        vendor.change("ch_b", late.merchant)
        assert quarantine.release(provider="parcelbox") == 1
        work()

        assert events_of(other_organization) == [("payment.updated", "ch_b:1")]
        assert events_of(shop.organization) == []
