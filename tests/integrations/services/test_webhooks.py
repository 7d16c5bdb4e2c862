"""Our URL at the vendor: registered after the connect, a failure said with its remedy, removed at the end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from audit.models import AuditEntry
from core import clock
from core.secret import Secrets
from dispatch.models import OutboxEntry
from integrations import registry
from integrations.contract import RegisteredWebhook, RegistersWebhook, WebhookState
from integrations.models import Issue
from integrations.services import health, lifecycle
from integrations.services.crew import work_outbox
from integrations.services.webhooks import CAUSE, follow_public_url
from tenants.context import in_organization
from tests.fictitious.conftest import ACTOR, Shop
from tests.fictitious.parcelbox import ParcelboxProvider
from tests.fictitious.vendor import Parcelbox

pytestmark = pytest.mark.django_db

CALLBACKS = "/v1/callbacks"


class Registering(RegistersWebhook, ParcelboxProvider):
    """Parcelbox as it would be with an API for its callback, which answers with the key that signs."""

    def register_webhook(self, url: str) -> RegisteredWebhook:
        """Set the address and take the key."""
        made = self._post("/callbacks", operation="register_webhook", data={"url": url})
        return RegisteredWebhook(url=made["url"], secrets=Secrets({"app_key": made["key"]}))

    def unregister_webhook(self) -> None:
        """Set no address."""
        self._post("/callbacks", operation="unregister_webhook", data={"url": ""})

    def inspect_webhook(self) -> WebhookState:
        """Compare what the vendor has with ours."""
        url = self._post("/callbacks", operation="inspect_webhook", data={}).get("url", "")
        return WebhookState(registered=url == self.integration.webhook_url, url=url, detail=f"It posts to {url}.")


@pytest.fixture(autouse=True)
def registering(vendor: Parcelbox) -> None:
    """Let Parcelbox register webhooks."""
    registry.register(Registering)


class TestRegister:
    def test_follows_the_connect_by_outbox(self, shop: Shop, other_shop: Shop, vendor: Parcelbox) -> None:
        assert not shop.integration.webhook_registered
        assert vendor.callbacks == {}

        work_outbox()

        for one in (shop, other_shop):
            with in_organization(one.organization):
                one.integration.refresh_from_db()
                assert one.integration.webhook_registered
                assert one.integration.webhook_verified_at is not None
                assert one.integration.capabilities.count("receives_webhooks") == 1
                assert vendor.callbacks[one.merchant.id] == one.integration.webhook_url
                assert AuditEntry.objects.filter(action="webhook.registered").count() == 1

    def test_seals_the_key_that_the_vendor_signs_with(self, shop: Shop, post: Callable[..., int]) -> None:
        shop.merchant.app_keys.append("pak_test_1signing")

        work_outbox()

        assert post(shop.path, "locker,lo_1,mer_1", key="pak_test_1signing") == 200

    def test_keeps_the_end_of_the_credential_with_the_new_key(self, inside_shop: Shop) -> None:
        ends_at = clock.now() + timedelta(days=30)
        inside_shop.integration.credentials.update(expires_at=ends_at)
        inside_shop.merchant.app_keys.append("pak_test_1signing")

        work_outbox()

        credential = inside_shop.integration.current_credential
        assert credential is not None
        assert (credential.version, credential.expires_at) == (2, ends_at)

    def test_writes_nothing_to_what_was_disconnected_during_the_call(
        self, inside_shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        integration = inside_shop.integration

        def end_meanwhile(self: Registering) -> WebhookState:
            lifecycle.disconnect(integration, actor=ACTOR)
            return WebhookState(registered=False, detail="It posts to nobody.")

        monkeypatch.setattr(Registering, "inspect_webhook", end_meanwhile)

        work_outbox()

        assert not Issue.objects.exists()
        assert OutboxEntry.objects.get(kind="webhook.register").status == "done"
        assert [row.state for row in integration.credentials.all()] == ["destroyed"]

    def test_a_failure_opens_an_issue_and_leaves_the_rest_usable(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        vendor.failing[CALLBACKS] = "error__declined"

        work_outbox()

        issue = Issue.objects.get()
        assert (issue.cause, issue.who) == (CAUSE, "user")
        assert "test the connection again" in issue.next_action
        inside_shop.integration.refresh_from_db()
        assert (inside_shop.integration.status, inside_shop.integration.webhook_registered) == ("active", False)

    def test_a_test_of_the_connection_mends_it(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        vendor.failing[CALLBACKS] = "error__declined"
        work_outbox()
        vendor.failing.clear()

        health.test_connection(inside_shop.integration, actor=ACTOR)
        assert Issue.objects.get().resolved_at is None
        work_outbox()

        inside_shop.integration.refresh_from_db()
        assert inside_shop.integration.webhook_registered
        assert Issue.objects.get().resolved_at is not None

    def test_an_outage_is_tried_again_before_anybody_is_told(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        vendor.failing[CALLBACKS] = "error__html_502"
        work_outbox()
        assert not Issue.objects.exists()
        vendor.failing.clear()

        with clock.shifted(timedelta(minutes=1)):
            work_outbox()

        assert vendor.callbacks["mer_1"] == inside_shop.integration.webhook_url

    def test_a_vendor_that_posts_elsewhere_all_the_same_is_an_issue(
        self, inside_shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = WebhookState(registered=False, url="https://example.com/", detail="It posts to example.com.")
        monkeypatch.setattr(Registering, "inspect_webhook", lambda self: elsewhere)

        work_outbox()

        assert "It posts to example.com." in Issue.objects.get().english

    def test_follows_a_new_public_address_with_the_same_token(
        self, inside_shop: Shop, vendor: Parcelbox, settings: Any
    ) -> None:
        work_outbox()
        assert not follow_public_url(inside_shop.integration)
        settings.PUBLIC_URL = "https://moved.example"

        assert follow_public_url(inside_shop.integration)
        work_outbox()

        assert vendor.callbacks["mer_1"] == f"https://moved.example{_path(inside_shop)}"


class TestUnregister:
    def test_a_disconnect_removes_it_and_cancels_what_waits(
        self, shop: Shop, other_shop: Shop, vendor: Parcelbox
    ) -> None:
        work_outbox()

        with in_organization(shop.organization):
            lifecycle.disconnect(shop.integration, actor=ACTOR)

        assert vendor.callbacks["mer_1"] == ""
        assert vendor.callbacks["mer_2"] == other_shop.integration.webhook_url

    def test_a_vendor_that_cannot_be_reached_keeps_nobody_connected(self, inside_shop: Shop, vendor: Parcelbox) -> None:
        vendor.failing[CALLBACKS] = "error__html_502"

        lifecycle.disconnect(inside_shop.integration, actor=ACTOR)

        assert inside_shop.integration.status == "disconnected"
        assert inside_shop.integration.current_credential is None
        assert OutboxEntry.objects.get(kind="webhook.register").status == "canceled"


def _path(shop: Shop) -> str:
    return shop.integration.webhook_url[shop.integration.webhook_url.index("/webhooks/") :]
