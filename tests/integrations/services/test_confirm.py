"""An authentication failure is believed after one re-check, and nothing else is ever taken for one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core import clock
from dispatch.models import Link
from integrations.contract import AuthenticationFailed, PermissionMissing, Unavailable
from integrations.models import Integration
from integrations.services import confirm, credentials, lifecycle
from tenants.context import in_organization
from tests.fictitious.conftest import ACTOR, Shop
from tests.fictitious.vendor import Parcelbox
from tests.integrations.services.outside_work import revoke

pytestmark = pytest.mark.django_db

REFUSED = AuthenticationFailed("the call was refused")


def examine(shop: Shop) -> confirm.Finding:
    """Examine a refusal of a call that began now."""
    with in_organization(shop.organization):
        return confirm.examine(shop.integration, REFUSED, started=clock.now())


def version_of(shop: Shop) -> int:
    """The version of the credential that serves."""
    with in_organization(shop.organization):
        return credentials.require_current(Integration.objects.get(pk=shop.integration.pk)).version


class TestExamine:
    def test_a_token_that_ended_is_renewed_and_the_credential_is_fine(self, shop: Shop, vendor: Parcelbox) -> None:
        shop.merchant.access_token = "pat_test_of_later"

        found = examine(shop)

        assert (found.refused, found.unanswered) == (None, None)
        assert version_of(shop) == 2
        assert (vendor.count("/token"), vendor.count("/v1/introspections")) == (1, 2)  # one check was the connect's

    def test_a_second_refusal_is_believed(self, shop: Shop, vendor: Parcelbox) -> None:
        revoke(shop)
        before = vendor.count("/v1/introspections")

        found = examine(shop)

        assert isinstance(found.refused, AuthenticationFailed)
        assert vendor.count("/v1/introspections") > before

    def test_a_refused_refresh_alone_is_not_believed_while_the_token_works(self, shop: Shop) -> None:
        shop.merchant.refresh_token = "prt_test_gone"

        found = examine(shop)

        assert found.refused is None
        assert Link.objects.get(pk=shop.integration.id).status == "active"

    @pytest.mark.parametrize("path", ["/token", "/v1/introspections"])
    def test_a_vendor_that_is_ill_proves_nothing(self, shop: Shop, vendor: Parcelbox, path: str) -> None:
        vendor.failing[path] = "error__html_502"

        found = examine(shop)

        assert found.refused is None
        assert isinstance(found.unanswered, Unavailable)
        assert Link.objects.get(pk=shop.integration.id).status == "active"

    def test_a_credential_replaced_since_the_call_began_is_not_asked_about(self, shop: Shop, vendor: Parcelbox) -> None:
        started = clock.now() - timedelta(minutes=1)
        hits = len(vendor.hits)

        with in_organization(shop.organization):
            found = confirm.judge(shop.integration, REFUSED, started=started)

        assert found is None
        assert len(vendor.hits) == hits

    def test_no_other_error_is_judged(self, shop: Shop, vendor: Parcelbox) -> None:
        revoke(shop)

        with in_organization(shop.organization):
            found = confirm.judge(shop.integration, PermissionMissing(), started=clock.now())

        assert found is None

    def test_judge_returns_what_the_vendor_said_the_second_time(self, shop: Shop) -> None:
        revoke(shop)

        with in_organization(shop.organization):
            found = confirm.judge(shop.integration, REFUSED, started=clock.now())

        assert isinstance(found, AuthenticationFailed)
        assert found is not REFUSED


class TestLoseAccess:
    def test_asks_for_a_reconnect_once(self, shop: Shop, other_shop: Shop) -> None:
        for _ in range(2):
            with in_organization(shop.organization):
                assert confirm.lose_access(shop.integration, REFUSED, asked_at=clock.now())

        link = Link.objects.get(pk=shop.integration.id)
        assert (link.status, link.open_issues) == ("needs_reauth", 1)
        assert Link.objects.get(pk=other_shop.integration.id).status == "active"

    def test_does_not_blame_a_credential_that_the_vendor_was_not_asked_about(self, shop: Shop) -> None:
        asked_at = clock.now()

        with in_organization(shop.organization):
            credentials.store(shop.integration, {"access_token": "pat_test_new"})
            assert confirm.lose_access(shop.integration, REFUSED, asked_at=asked_at)

        assert Link.objects.get(pk=shop.integration.id).status == "active"

    def test_leaves_what_was_disconnected(self, shop: Shop) -> None:
        with in_organization(shop.organization):
            lifecycle.disconnect(shop.integration, actor=ACTOR)
            assert not confirm.lose_access(shop.integration, REFUSED, asked_at=clock.now())

        assert Link.objects.get(pk=shop.integration.id).status == "disconnected"
