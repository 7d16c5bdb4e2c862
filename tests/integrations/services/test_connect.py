"""Connecting is all or nothing; reconnecting is in place."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from audit.models import AuditEntry
from core import clock
from core.errors import Conflict, ValidationFailed
from dispatch import outbox
from dispatch.models import AccountClaim, Link, OutboxEntry, OutboxStatus, Route, Vendor
from integrations.contract import AuthenticationFailed, ProviderError, Unavailable
from integrations.models import Credential, Integration
from integrations.services import lifecycle
from integrations.services.connect import connect, reconnect
from integrations.services.credentials import Purpose, open_for
from integrations.services.links import AccountTaken
from tenants.context import in_organization
from tests.fictitious.conftest import ACTOR, Shop, connect_merchant
from tests.fictitious.vendor import Parcelbox

pytestmark = pytest.mark.django_db

STORED = (Integration, Credential, Link, Route, AccountClaim, OutboxEntry, AuditEntry)


def count_stored(organization: Any) -> dict[str, int]:
    """How many rows of each kind an organization has."""
    with in_organization(organization):
        return {model.__name__: model.objects.count() for model in STORED}


def replace_key(shop: Shop, key: str) -> None:
    """Let the vendor replace the application key, and reconnect with it."""
    shop.merchant.app_keys = [key]
    with in_organization(shop.organization):
        reconnect(shop.integration, credentials={"app_key": key}, actor=ACTOR)


class TestConnect:
    def test_stores_integration_credential_link_routes_and_audit_together(self, shop: Shop) -> None:
        with in_organization(shop.organization):
            link = Link.objects.get()
            routes = Route.objects.filter(link_id=shop.integration.id)

            assert link.id == shop.integration.id
            assert (link.provider, link.status, link.health) == ("parcelbox", "active", "healthy")
            assert link.next_check_at is not None
            assert sorted(route.account_key for route in routes) == ["", "merchant:mer_1"]
            assert AuditEntry.objects.get().action == "integration.connected"

    def test_a_vendor_that_staff_switched_off_takes_no_new_account(self, shop: Shop, other_organization: Any) -> None:
        Vendor.objects.create(provider="parcelbox", is_enabled=False)

        with in_organization(other_organization), pytest.raises(ValidationFailed, match="cannot be connected"):
            connect(provider="parcelbox", name="x", environment="test", credentials={}, settings={}, actor=ACTOR)

        replace_key(shop, "pak_test_1second")  # what is connected is kept alive

    def test_nothing_of_it_is_in_another_organization(self, shop: Shop, other_organization: Any) -> None:
        assert set(count_stored(other_organization).values()) == {0}

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"access_token": "pat_test_wrong"}, AuthenticationFailed),
            ({"app_key": "pak_test_wrong"}, AuthenticationFailed),
            ({"access_token": "not a token"}, ValidationFailed),
            ({"access_token": ""}, ValidationFailed),
            ({"access_token": "pat_test_1\x00"}, ValidationFailed),
            ({"surprise": "x"}, ValidationFailed),
        ],
    )
    def test_stores_nothing_when_a_step_fails(
        self, organization: Any, vendor: Parcelbox, changes: dict[str, str], error: type[Exception]
    ) -> None:
        merchant = vendor.open_account(1)
        before = count_stored(organization)

        with pytest.raises(error):
            connect_merchant(organization, merchant, **changes)

        assert count_stored(organization) == before

    def test_stores_nothing_when_the_vendor_is_down(self, organization: Any, vendor: Parcelbox) -> None:
        merchant = vendor.open_account(1)
        vendor.failing["/v1/introspections"] = "error__html_502"

        with pytest.raises(Unavailable):
            connect_merchant(organization, merchant)

        assert set(count_stored(organization).values()) == {0}

    def test_names_every_field_that_is_wrong_before_any_call(self, inside: Any, vendor: Parcelbox) -> None:
        with pytest.raises(ValidationFailed) as caught:
            connect(
                provider="parcelbox", name="", environment="nowhere", actor=ACTOR,
                credentials={"app_key": "x" * 5000}, settings={"colour": "red"},
            )  # fmt: skip

        assert set(caught.value.errors) == {
            "environment", "credentials.access_token", "credentials.refresh_token", "credentials.app_key",
            "settings.colour",
        }  # fmt: skip
        assert vendor.hits == []

    def test_refuses_a_credential_of_the_other_environment(self, organization: Any, vendor: Parcelbox) -> None:
        merchant = vendor.open_account(1, environment="live")

        with pytest.raises(ValidationFailed) as caught:
            connect_merchant(organization, merchant)

        assert "environment" in caught.value.errors
        assert set(count_stored(organization).values()) == {0}

    def test_an_account_of_another_organization_is_taken_and_nobody_is_told_whose(
        self, shop: Shop, other_organization: Any
    ) -> None:
        with pytest.raises(AccountTaken) as caught:
            connect_merchant(other_organization, shop.merchant)

        assert caught.value.code == "account_already_connected"
        assert "acme" not in caught.value.detail.lower()
        assert set(count_stored(other_organization).values()) == {0}

    def test_an_account_is_connected_once_in_an_organization(self, shop: Shop) -> None:
        before = count_stored(shop.organization)

        with pytest.raises(Conflict) as caught:
            connect_merchant(shop.organization, shop.merchant)

        assert caught.value.code == "account_already_connected"
        assert count_stored(shop.organization) == before


class TestReconnect:
    def test_keeps_id_url_and_account_and_makes_a_new_version(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        integration, url = inside_shop.integration, inside_shop.integration.webhook_url
        inside_shop.merchant.access_token = "pat_test_1second"

        again = reconnect(integration, credentials={"access_token": "pat_test_1second"}, actor=ACTOR)

        assert (again.id, again.webhook_url) == (integration.id, url)
        opened = open_for(again, Purpose.CALL)
        assert opened["access_token"].reveal() == "pat_test_1second"
        assert opened["app_key"].reveal() == inside_shop.merchant.app_keys[0]
        assert [row.state for row in again.credentials.order_by("version")] == ["previous", "current"]
        assert AuditEntry.objects.filter(action="credential.replaced").count() == 1

    def test_refuses_another_account(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        stranger = vendor.open_account(9)

        with pytest.raises(ValidationFailed) as caught:
            reconnect(inside_shop.integration, credentials=stranger.credentials, actor=ACTOR)

        assert list(caught.value.errors) == ["credentials.access_token"]
        assert open_for(inside_shop.integration, Purpose.CALL)["access_token"].reveal() == "pat_test_1first"

    def test_sends_no_kept_secret_to_another_address(self, inside_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        integration = inside_shop.integration
        spec = integration.provider_class.spec
        moving = replace(spec, settings=tuple(replace(item, destination=True) for item in spec.settings))
        monkeypatch.setattr(integration.provider_class, "spec", moving)

        with pytest.raises(ValidationFailed) as caught:
            reconnect(integration, credentials={"app_key": "pak_test_1"}, settings={"locker": "south"}, actor=ACTOR)

        assert sorted(caught.value.errors) == ["credentials.access_token", "credentials.refresh_token"]

    def test_the_old_credential_serves_until_the_new_one_passed(self, inside_shop: Shop) -> None:
        with pytest.raises(ProviderError):
            reconnect(inside_shop.integration, credentials={"access_token": "pat_test_wrong"}, actor=ACTOR)

        inside_shop.integration.refresh_from_db()
        assert inside_shop.integration.status == "active"
        assert [row.version for row in inside_shop.integration.credentials.all()] == [1]

    def test_verifies_webhooks_with_the_new_key(self, shop: Shop, post: Any) -> None:
        replace_key(shop, "pak_test_1second")

        assert post(shop.path, "locker,lo_1,mer_1", key="pak_test_1second") == 200

    def test_the_old_key_verifies_for_a_day_more(self, shop: Shop, other_shop: Shop, post: Any) -> None:
        old = shop.merchant.app_keys[0]
        replace_key(shop, "pak_test_1second")

        for hours, expected in ((0, 200), (23, 200), (25, 401)):
            with clock.shifted(timedelta(hours=hours)):
                assert post(shop.path, "locker,lo_1,mer_1", key=old, at=clock.now().timestamp()) == expected
                assert post(shop.path, "locker,lo_1,mer_1", key="pak_test_wrong") == 401
                assert post(other_shop.path, "locker,lo_1,mer_2", key=old, at=clock.now().timestamp()) == 401

    def test_a_reconnect_with_the_same_key_does_not_end_the_overlap(self, shop: Shop, post: Any) -> None:
        old = shop.merchant.app_keys[0]
        replace_key(shop, "pak_test_1second")
        replace_key(shop, "pak_test_1second")

        assert post(shop.path, "locker,lo_1,mer_1", key=old) == 200

        replace_key(shop, "pak_test_1third")

        assert post(shop.path, "locker,lo_1,mer_1", key="pak_test_1second") == 200
        assert post(shop.path, "locker,lo_1,mer_1", key=old) == 401

    def test_lets_parked_work_go_on(self, inside_shop: Shop, other_shop: Shop) -> None:
        entries = {}
        for shop in (inside_shop, other_shop):
            with in_organization(shop.organization):
                entry = outbox.add("webhook.register", link_id=shop.integration.id)
                OutboxEntry.objects.filter(pk=entry.pk).update(status=OutboxStatus.PARKED, attempts=1)
                entries[shop.merchant.id] = entry

        reconnect(inside_shop.integration, credentials={}, actor=ACTOR)

        entries["mer_1"].refresh_from_db()
        assert (entries["mer_1"].status, entries["mer_1"].attempts) == ("waiting", 0)
        with in_organization(other_shop.organization):
            entries["mer_2"].refresh_from_db()
            assert entries["mer_2"].status == "parked"

    def test_mends_what_the_vendor_ended(self, inside_shop: Shop, post: Any) -> None:
        inside_shop.integration.mark_disconnected()
        inside_shop.integration.save()

        again = reconnect(inside_shop.integration, credentials={}, actor=ACTOR)

        assert (again.status, again.health) == ("active", "healthy")
        assert post(inside_shop.path, "locker,lo_1,mer_1", key=inside_shop.merchant.app_keys[0]) == 200

    def test_a_disconnected_integration_is_connected_anew_instead(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        lifecycle.disconnect(inside_shop.integration, actor=ACTOR)
        calls = len(vendor.hits)

        with pytest.raises(Conflict) as caught:
            reconnect(inside_shop.integration, credentials=inside_shop.merchant.credentials, actor=ACTOR)

        assert caught.value.code == "disconnected"
        assert len(vendor.hits) == calls
        anew = connect_merchant(inside_shop.organization, inside_shop.merchant)
        assert anew.id != inside_shop.integration.id
