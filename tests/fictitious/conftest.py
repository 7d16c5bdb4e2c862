"""Parcelbox: registered for one test, its vendor on loopback behind the real guard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from audit.services import Actor
from dispatch import inbox
from dispatch.models import OAuthApp
from integrations import registry
from integrations.models import Integration
from integrations.services.connect import connect
from tenants.context import in_organization
from tests.fictitious.parcelbox import PROVIDER
from tests.fictitious.vendor import Merchant, Parcelbox, Running, webhook

PLATFORM_KEY = "pak_test_platform"
ACTOR = Actor.system("test")


@dataclass
class Shop:
    """A merchant connected to an organization."""

    organization: Any
    merchant: Merchant
    integration: Integration

    @property
    def path(self) -> str:
        """The path of its own webhook URL."""
        return self.integration.webhook_url.removeprefix("https://registry.example")


@pytest.fixture
def vendor(settings: Any) -> Iterator[Parcelbox]:
    """The running vendor, to which an operator's override leads."""
    parcelbox = Parcelbox()
    registry.register(PROVIDER)
    with Running(parcelbox) as running:
        settings.PROVIDER_OVERRIDES = {"parcelbox": {"": running.url}}
        yield parcelbox
    del registry._loaded.providers["parcelbox"]


@pytest.fixture
def open_shop(vendor: Parcelbox) -> Callable[..., Shop]:
    """Open an account at the vendor and connect it: ``open_shop(organization, 1)``."""

    def make(organization: Any, number: int) -> Shop:
        merchant = vendor.open_account(number)
        return Shop(organization, merchant, connect_merchant(organization, merchant))

    return make


@pytest.fixture
def shop(organization: Any, open_shop: Callable[..., Shop]) -> Shop:
    """Merchant 1 of acme."""
    return open_shop(organization, 1)


@pytest.fixture
def other_shop(other_organization: Any, open_shop: Callable[..., Shop]) -> Shop:
    """Merchant 2 of globex."""
    return open_shop(other_organization, 2)


@pytest.fixture
def platform_app(db: None) -> Iterator[OAuthApp]:
    """The platform's own application at Parcelbox."""
    inbox._APP_CACHE.clear()
    app = OAuthApp(provider="parcelbox", label="platform", client_id="app_1")
    inbox.seal_app_secrets(app, {"app_key": PLATFORM_KEY})
    app.save()
    yield app
    inbox._APP_CACHE.clear()


@pytest.fixture
def post(client: Client) -> Callable[..., int]:
    """Post events as the vendor does and return the status: ``post(path, "charge,ch_1,mer_1", key=...)``."""

    def send(path: str, *events: str, key: str, at: float | None = None) -> int:
        body, signature = webhook(*events, keys=[key], at=at)
        answer = client.generic(
            "POST", path, body, content_type="application/x-www-form-urlencoded", HTTP_PARCELBOX_SIGNATURE=signature
        )
        return answer.status_code

    return send


def connect_merchant(organization: Any, merchant: Merchant, **changes: str) -> Integration:
    """Connect with what the merchant's dashboard shows, changed as asked."""
    with in_organization(organization):
        return connect(
            provider="parcelbox",
            name=merchant.name,
            environment="test",
            credentials={**merchant.credentials, **changes},
            settings={"locker": "north"},
            actor=ACTOR,
        )
