"""Parcelbox: registered for one test, its vendor on loopback behind the real guard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from audit.models import AuditEntry
from audit.services import Actor
from dispatch import inbox
from dispatch.models import AccountClaim, Link, OAuthApp, OutboxEntry, Route
from integrations import registry
from integrations.models import Integration
from integrations.services.connect import connect
from meter.models import Call
from notifications.models import Notification
from tenants.context import in_organization
from tenants.models import Organization, SchemaState
from tenants.services import build_organization, create_organization
from tests.fictitious.parcelbox import PROVIDER
from tests.fictitious.race.driver import Callers, Prize, calling
from tests.fictitious.vendor import Merchant, Parcelbox, Running, webhook
from vault.models import OrganizationKey

OWNER = "owner"
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
def committed(django_db_setup: None, django_db_blocker: Any, vendor: Parcelbox) -> Iterator[Shop]:
    """Merchant 9 of an organization of its own, for threads and processes: everybody sees it, nothing of it stays."""
    with django_db_blocker.unblock():
        organization = build(create_organization(slug="committed", name="Committed"))
        merchant = vendor.open_account(9)
        try:
            yield Shop(organization, merchant, connect_merchant(organization, merchant))
        finally:
            remove(organization)
            connections.close_all()


@pytest.fixture
def callers(committed: Shop, settings: Any, tmp_path: Path) -> Iterator[Callers]:
    """Processes that want the tokens of the committed shop; when the test ends, so has the courier."""
    prize = Prize(organization=committed.organization.schema_name, integration=str(committed.integration.pk))
    url, folder = settings.PROVIDER_OVERRIDES["parcelbox"][""], tmp_path / "points"
    folder.mkdir()
    data_dir, database = Path(settings.DATA_DIR), settings.TEST_DATABASE
    with calling(prize, url=url, data_dir=data_dir, database=database, folder=folder) as found:
        yield found


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


def build(organization: Organization) -> Organization:
    """Build the schema now."""
    build_organization(organization)
    organization.refresh_from_db()
    return organization


def remove(organization: Organization) -> None:
    """Take an organization away with all that it left in public."""
    schema = organization.schema_name
    for model in (Link, Route, AccountClaim, OutboxEntry, AuditEntry, Call, Notification, OrganizationKey):
        model.objects.using(OWNER).filter(organization_schema=schema).delete()
    SchemaState.objects.using(OWNER).filter(pk=schema).delete()
    Organization.objects.using(OWNER).filter(pk=organization.pk).delete()
    with connections[OWNER].cursor() as cursor:
        cursor.execute(f'DROP SCHEMA "{schema}" CASCADE')
