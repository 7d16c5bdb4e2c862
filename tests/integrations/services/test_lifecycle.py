"""Off, on and over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from audit.models import AuditEntry
from core.errors import Conflict
from dispatch import outbox
from dispatch.models import AccountClaim, Link, OutboxEntry, OutboxStatus, Route
from integrations.contract import Misconfigured
from integrations.models import Event, Integration
from integrations.services import crew, lifecycle
from integrations.services.credentials import Purpose, open_for
from tenants.context import in_organization
from tests.fictitious.conftest import ACTOR, Shop, connect_merchant

pytestmark = pytest.mark.django_db


class TestDisconnect:
    def test_destroys_secrets_and_routes_and_keeps_the_history(
        self, shop: Shop, other_shop: Shop, post: Callable[..., int]
    ) -> None:
        post(shop.path, "locker,lo_1,mer_1", key=shop.merchant.app_keys[0])
        crew.work_deliveries()

        with in_organization(shop.organization):
            lifecycle.disconnect(shop.integration, actor=ACTOR)

            assert [(row.state, row.sealed) for row in shop.integration.credentials.all()] == [("destroyed", None)]
            with pytest.raises(Misconfigured):
                open_for(shop.integration, Purpose.CALL)
            assert not Route.objects.exists()
            assert not AccountClaim.objects.exists()
            assert Event.objects.count() == 1
            assert Link.objects.get().status == "disconnected"
            assert Link.objects.get().next_check_at is None
            assert AuditEntry.objects.filter(action="integration.disconnected").get().details == {
                "credentials_destroyed": 1
            }
        assert post(shop.path, "locker,lo_1,mer_1", key=shop.merchant.app_keys[0]) == 404
        with in_organization(other_shop.organization):
            assert Route.objects.count() == 2
            assert other_shop.integration.current_credential is not None

    def test_cancels_what_waits(self, inside_shop: Shop) -> None:
        waiting = outbox.add("webhook.register", link_id=inside_shop.integration.id)
        parked = outbox.add("webhook.register", link_id=inside_shop.integration.id)
        OutboxEntry.objects.filter(pk=parked.pk).update(status=OutboxStatus.PARKED)

        lifecycle.disconnect(inside_shop.integration, actor=ACTOR)

        assert set(OutboxEntry.objects.filter(pk__in=[waiting.pk, parked.pk]).values_list("status", flat=True)) == {
            "canceled"
        }

    def test_frees_the_account_for_another_organization(self, shop: Shop, other_organization: Any) -> None:
        with in_organization(shop.organization):
            lifecycle.disconnect(shop.integration, actor=ACTOR)

        moved = connect_merchant(other_organization, shop.merchant)

        assert moved.account_external_id == "mer_1"
        with in_organization(shop.organization):
            assert Integration.objects.get().status == "disconnected"

    def test_destroys_the_credential_of_what_the_vendor_ended(self, inside_shop: Shop) -> None:
        inside_shop.integration.mark_disconnected()
        inside_shop.integration.save()

        lifecycle.disconnect(inside_shop.integration, actor=ACTOR)

        assert inside_shop.integration.current_credential is None

    def test_happens_once(self, inside_shop: Shop) -> None:
        lifecycle.disconnect(inside_shop.integration, actor=ACTOR)

        for verb in (lifecycle.disconnect, lifecycle.disable):
            with pytest.raises(Conflict) as caught:
                verb(inside_shop.integration, actor=ACTOR)
            assert caught.value.code == "disconnected"


class TestDisable:
    def test_still_receives_and_is_not_checked(self, shop: Shop, other_shop: Shop, post: Callable[..., int]) -> None:
        with in_organization(shop.organization):
            lifecycle.disable(shop.integration, actor=ACTOR)

            assert shop.integration.status == "disabled"
            assert Link.objects.get().next_check_at is None
        assert post(shop.path, "locker,lo_1,mer_1", key=shop.merchant.app_keys[0]) == 200
        with in_organization(other_shop.organization):
            assert Link.objects.get().status == "active"

    def test_enable_is_for_what_is_disabled(self, inside_shop: Shop) -> None:
        with pytest.raises(Conflict) as caught:
            lifecycle.enable(inside_shop.integration, actor=ACTOR)
        assert caught.value.code == "not_disabled"

        lifecycle.disable(inside_shop.integration, actor=ACTOR)
        lifecycle.enable(inside_shop.integration, actor=ACTOR)

        assert Integration.objects.get().status == "active"
        actions = AuditEntry.objects.order_by("id").values_list("action", flat=True)
        assert list(actions)[-2:] == ["integration.disabled", "integration.enabled"]


class TestRename:
    def test_mirrors_the_row_and_not_what_was_read_before(self, inside_shop: Shop) -> None:
        read_before = Integration.objects.get()
        lifecycle.disable(inside_shop.integration, actor=ACTOR)

        lifecycle.rename(read_before, name="Other", actor=ACTOR)

        link = Link.objects.get()
        assert (link.label, link.status, link.next_check_at) == ("Other", "disabled", None)
