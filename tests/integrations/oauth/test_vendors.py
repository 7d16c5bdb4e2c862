"""MercadoPago's and Stripe's logins, at their strict stand-ins over loopback."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from audit.services import Actor
from core import clock
from dispatch.models import Link
from integrations.models import Integration
from integrations.services import credentials, health, oauth, tokens
from integrations.services.credentials import Purpose
from tenants.context import in_organization
from tests.integrations.oauth.conftest import Browser, app_at
from tests.sandbox.conftest import Sandbox
from tests.sandbox.conftest import sandbox as sandbox  # noqa: PLC0414 - a fixture
from tests.sandbox.conftest import server as server  # noqa: PLC0414 - a fixture
from tests.sandbox.mercadopago import Shop
from tests.sandbox.mercadopago import shop as shop  # noqa: PLC0414 - a fixture

pytestmark = pytest.mark.django_db

PUBLIC = "https://registry.example"
ACTOR = Actor.system("test")


@pytest.fixture
def pointed(sandbox: Sandbox, settings: Any, db: None) -> Callable[[str], None]:
    """Lead a provider to the sandbox by an operator's override."""

    def point(provider: str) -> None:
        settings.PROVIDER_OVERRIDES = {**settings.PROVIDER_OVERRIDES, provider: {"": f"{sandbox.url}/{provider}"}}

    return point


def begin(organization: Any, provider: str, **wanted: Any) -> str:
    """Begin a run; return the address of the consent page."""
    with in_organization(organization):
        asked = oauth.Wanted(provider=provider, environment="test", **wanted)
        return oauth.start(asked, actor=ACTOR).url


def answered(address: str, **form: str) -> str:
    """Look at the vendor's dialog and press a button of it; return where it sends the browser."""
    assert requests.get(address, timeout=10).status_code == 200
    answer = requests.post(address, data=form, allow_redirects=False, timeout=10)
    assert answer.status_code in {302, 303}, answer.text
    return str(answer.headers["Location"])


class TestMercadoPago:
    @pytest.fixture
    def dialog(
        self, organization: Any, browser: Browser, shop: Shop, pointed: Callable[[str], None]
    ) -> Callable[..., str]:
        """The address of the dialog, with consent given here."""
        apps = shop.control("GET", "/apps")["apps"]
        platform = next(app for app in apps if app["owner"] is None)
        shop.control("POST", f"/apps/{platform['id']}", {"redirect_uris": [f"{PUBLIC}/oauth/mercadopago/callback/"]})
        app_at("mercadopago", platform["id"], {"client_secret": platform["client_secret"]})
        pointed("mercadopago")

        def go(**wanted: Any) -> str:
            return str(browser.press(begin(organization, "mercadopago", **wanted)).headers["Location"])

        return go

    def test_is_connected_checked_and_renewed(
        self, organization: Any, dialog: Callable[..., str], browser: Browser, shop: Shop
    ) -> None:
        address = dialog()
        assert address.startswith(f"{shop.url}/authorization?")

        done = browser.get(answered(address, user_id=str(shop.seller_id)))

        assert done.status_code == 303, done.content.decode()
        with in_organization(organization):
            integration = Integration.objects.get()
            assert integration.account_external_id == str(shop.seller_id)
            assert integration.settings["country"] == "BR"
            assert integration.facts["granted_scopes"] == ["offline_access", "read", "write"]
            first = credentials.open_for(integration, Purpose.CALL)
            assert {"access_token", "refresh_token"} <= set(first)
            assert "client_secret" not in first
            ends_at = integration.current_credential.expires_at
            assert (ends_at - clock.now()).days in {179, 180}
            assert Link.objects.get(pk=integration.pk).next_refresh_at is not None
            tokens.refresh(integration, actor=ACTOR)
            second = credentials.open_for(integration, Purpose.CALL)
            assert second["refresh_token"].reveal() != first["refresh_token"].reveal()
            assert health.test_connection(integration, actor=ACTOR).success

    def test_without_offline_access_is_connected_and_said(
        self, organization: Any, dialog: Callable[..., str], browser: Browser, shop: Shop
    ) -> None:
        address = dialog()
        shop.control(
            "POST", f"/apps/{parse_qs(urlsplit(address).query)['client_id'][0]}", {"scopes": ["read", "write"]}
        )

        done = browser.get(answered(address, user_id=str(shop.seller_id)))

        page = browser.get(done.headers["Location"]).content.decode()
        assert "offline_access" in page
        with in_organization(organization):
            assert Integration.objects.get().issues.get().cause == "scopes_missing"

    def test_denied_by_the_seller_stores_nothing(
        self, organization: Any, dialog: Callable[..., str], browser: Browser
    ) -> None:
        page = browser.get(answered(dialog(), user_id=""))

        assert page.status_code == 403
        with in_organization(organization):
            assert not Integration.objects.exists()


class TestStripe:
    @pytest.fixture
    def dialog(
        self, organization: Any, browser: Browser, sandbox: Sandbox, pointed: Callable[[str], None]
    ) -> Callable[..., str]:
        """The address of the dialog, with consent given here."""
        accounts = sandbox.control("GET", "/stripe/accounts")["accounts"]
        found = next(account for account in accounts if account.get("platform"))
        app_at("stripe", found["client_id"], {"platform_key": found["keys"][0]["key"]})
        pointed("stripe")

        def go(**wanted: Any) -> str:
            return str(browser.press(begin(organization, "stripe", **wanted)).headers["Location"])

        return go

    def test_is_connected_by_the_platforms_key(
        self, organization: Any, dialog: Callable[..., str], browser: Browser, sandbox: Sandbox
    ) -> None:
        address = dialog()
        assert address.startswith(f"{sandbox.url}/stripe/oauth/authorize?")
        account = re.findall(r'option value="(acct_\w+)"', requests.get(address, timeout=10).text)[0]

        done = browser.get(answered(address, act="connect", account=account))

        assert done.status_code == 303, done.content.decode()
        with in_organization(organization):
            integration = Integration.objects.get()
            assert integration.account_external_id == account
            assert integration.settings["account_id"] == account
            assert set(credentials.open_for(integration, Purpose.CALL)) == set()
            assert health.test_connection(integration, actor=ACTOR).success

    def test_denied_stores_nothing(self, organization: Any, dialog: Callable[..., str], browser: Browser) -> None:
        assert browser.get(answered(dialog(), act="deny")).status_code == 403
        with in_organization(organization):
            assert not Integration.objects.exists()
