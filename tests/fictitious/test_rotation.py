"""Two slots at the vendor: mint, prove, switch, retire; the old key serves until the new one passed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from audit.models import AuditEntry
from core import clock
from core.errors import Conflict
from dispatch.models import Link, OutboxEntry
from integrations import registry
from integrations.contract import AuthenticationFailed, NewCredential, Unavailable
from integrations.models import Integration
from integrations.services import credentials, health, rotation, tokens
from integrations.services.crew import work_outbox
from tenants.context import in_organization
from tests.fictitious.conftest import ACTOR, Shop
from tests.fictitious.parcelbox import ParcelboxProvider
from tests.fictitious.test_tokens import opened, states
from tests.fictitious.vendor import Parcelbox

pytestmark = pytest.mark.django_db

CHECK, MINT, RETIRE = "/v1/introspections", "/v1/application-keys", "/v1/application-keys/retired"


@pytest.fixture
def inside_shop(shop: Shop) -> Iterator[Shop]:
    """Run the test inside the shop's organization."""
    with in_organization(shop.organization):
        yield shop


def later(shop: Shop) -> None:
    """Work off the outbox when no call can hold the old key any more."""
    with clock.shifted(rotation.RETIRE_AFTER + timedelta(seconds=1)):
        work_outbox()
    shop.integration.refresh_from_db()


class TestRotate:
    def test_goes_through_its_four_steps_in_order(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        old = inside_shop.merchant.app_keys[0]
        vendor.hits.clear()

        rotation.rotate(inside_shop.integration, actor=ACTOR)

        assert [hit.path for hit in vendor.hits] == [MINT, CHECK]
        assert vendor.hits[1].form["app_key"] == opened(inside_shop.integration)["app_key"] != old
        assert inside_shop.merchant.app_keys[0] == old
        assert states(inside_shop.integration) == [(1, "previous", True), (2, "current", True)]

        later(inside_shop)

        assert vendor.hits[-1].path == RETIRE
        assert vendor.hits[-1].form == {"app_key": old}
        assert inside_shop.merchant.app_keys == [opened(inside_shop.integration)["app_key"]]
        assert states(inside_shop.integration) == [(1, "destroyed", False), (2, "current", True)]
        assert health.test_connection(inside_shop.integration).success

    def test_keeps_the_tokens_and_says_who_did_it(self, inside_shop: Shop, other_organization: Any) -> None:
        before = opened(inside_shop.integration)

        rotation.rotate(inside_shop.integration, actor=ACTOR)

        after = opened(inside_shop.integration)
        assert {**after, "app_key": ""} == {**before, "app_key": ""}
        entries = AuditEntry.objects.filter(action__in=["credential.opened", "credential.rotated"]).order_by("id")
        assert [(entry.action, entry.details.get("purpose")) for entry in entries] == [
            ("credential.opened", "rotate"), ("credential.rotated", None),
        ]  # fmt: skip
        with in_organization(other_organization):
            assert not AuditEntry.objects.exists()
            assert not OutboxEntry.objects.exists()

    def test_webhooks_of_the_new_key_are_verified_at_once(
        self, shop: Shop, vendor: Parcelbox, post: Callable[..., int]
    ) -> None:
        with in_organization(shop.organization):
            rotation.rotate(shop.integration, actor=ACTOR)

        assert post(shop.path, "locker,lo_1,mer_1", key=shop.merchant.app_keys[1]) == 200

    @pytest.mark.parametrize(
        ("path", "answer", "error"),
        [(MINT, "error__html_502", Unavailable), (CHECK, "error__invalid_client", AuthenticationFailed)],
    )
    def test_a_failure_before_the_switch_leaves_nothing_behind(
        self, inside_shop: Shop, vendor: Parcelbox, path: str, answer: str, error: type[Exception]
    ) -> None:
        before = opened(inside_shop.integration)
        vendor.failing[path] = answer

        with pytest.raises(error):
            rotation.rotate(inside_shop.integration, actor=ACTOR)

        assert opened(inside_shop.integration) == before
        assert states(inside_shop.integration) == [(1, "current", True)]
        assert inside_shop.merchant.app_keys == [before["app_key"]]
        assert not OutboxEntry.objects.filter(kind=rotation.RETIRE).exists()

    def test_a_reconnect_meanwhile_wins(self, inside_shop: Shop) -> None:
        class Overtaken(ParcelboxProvider):
            def mint(self) -> NewCredential:
                credentials.store(inside_shop.integration, opened(inside_shop.integration))
                return super().mint()

        registry.register(Overtaken)

        with pytest.raises(Conflict):
            rotation.rotate(inside_shop.integration, actor=ACTOR)

        assert states(inside_shop.integration)[-1] == (2, "current", True)
        assert len(inside_shop.merchant.app_keys) == 1

    def test_a_provider_with_one_slot_says_what_to_do(self, inside: Any) -> None:
        integration = Integration.objects.create(provider="stripe", name="Stripe", environment="test")

        with pytest.raises(rotation.CannotRotate) as caught:
            rotation.rotate(integration, actor=ACTOR)

        assert "reconnect" in caught.value.detail


class TestRetire:
    def test_survives_a_refresh_in_between(self, inside_shop: Shop) -> None:
        rotation.rotate(inside_shop.integration, actor=ACTOR)
        tokens.refresh(inside_shop.integration)

        later(inside_shop)

        assert states(inside_shop.integration) == [
            (1, "destroyed", False), (2, "destroyed", False), (3, "current", True),
        ]  # fmt: skip
        assert inside_shop.merchant.app_keys == [opened(inside_shop.integration)["app_key"]]

    def test_is_safe_when_the_key_is_gone(self, inside_shop: Shop) -> None:
        rotation.rotate(inside_shop.integration, actor=ACTOR)
        del inside_shop.merchant.app_keys[0]

        later(inside_shop)

        assert OutboxEntry.objects.get(kind=rotation.RETIRE).status == "done"

    def test_tells_the_user_when_the_vendor_keeps_the_old_key(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        rotation.rotate(inside_shop.integration, actor=ACTOR)
        vendor.failing[RETIRE] = "error__declined"

        later(inside_shop)

        issue = inside_shop.integration.issues.get()
        assert issue.cause == rotation.NOT_RETIRED
        assert "dashboard" in issue.next_action
        assert Link.objects.get(pk=inside_shop.integration.id).open_issues == 1
        assert states(inside_shop.integration) == [(1, "destroyed", False), (2, "current", True)]
