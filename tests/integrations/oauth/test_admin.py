"""The button on the connect page, walked from the admin to the vendor and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from audit.models import AuditEntry
from dispatch.models import OAuthApp, OAuthAttempt
from integrations.models import Integration
from tenants.context import in_organization
from tests.integrations.oauth.conftest import PUBLIC, Browser
from tests.integrations.oauth.orchard import Vendor

pytestmark = pytest.mark.django_db

ADMIN = "/o/acme/admin/integrations/integration"
CONNECT = f"{ADMIN}/connect/orchard/"
LOGIN = f"{ADMIN}/connect/orchard/login/"


@pytest.fixture
def owner(vendor: Vendor, browser: Browser, member: Callable[..., Any]) -> Browser:
    """The browser of an owner who is logged in."""
    browser.client.force_login(member("owner"), backend="accounts.backends.RoleBackend")
    return browser


def walk(owner: Browser, vendor: Vendor, page: str, login: str) -> Any:
    """Press the button of a page, consent, allow; return the page on which it ends."""
    owner.get(page)
    begun = owner.post(login, environment="test")
    assert begun.status_code == 303, begun.content.decode()
    assert begun.headers["Location"].startswith(f"{PUBLIC}/oauth/orchard/start/")
    consent = owner.press(begun.headers["Location"])
    back = owner.get(vendor.allow(consent.headers["Location"]))
    assert back.status_code == 303, back.content.decode()
    shown = owner.get(back.headers["Location"])
    assert shown.status_code == 302
    return owner.get(shown.headers["Location"])


class TestButton:
    def test_is_there_where_there_is_an_application(self, owner: Browser) -> None:
        assert "Connect with Orchard" in owner.get(CONNECT).content.decode()

        OAuthApp.objects.update(is_enabled=False)

        assert "Connect with Orchard" not in owner.get(CONNECT).content.decode()

    def test_lets_its_form_lead_to_the_public_host(self, owner: Browser, settings: Any) -> None:
        assert f"form-action 'self' {settings.PUBLIC_URL}" in owner.get(CONNECT).headers["Content-Security-Policy"]

    def test_is_not_there_for_a_provider_without_a_login(self, owner: Browser) -> None:
        assert "Log in at" not in owner.get(CONNECT.replace("orchard", "pix")).content.decode()


class TestLogin:
    def test_ends_on_the_page_of_the_new_integration(self, organization: Any, owner: Browser, vendor: Vendor) -> None:
        page = walk(owner, vendor, CONNECT, LOGIN)

        assert "Orchard north is connected." in page.content.decode()
        entry = AuditEntry.objects.get(action="integration.connected")
        assert entry.actor_kind == "user"
        with in_organization(organization):
            assert Integration.objects.get().environment == "test"

    def test_reconnects_in_place(self, organization: Any, owner: Browser, vendor: Vendor) -> None:
        walk(owner, vendor, CONNECT, LOGIN)
        with in_organization(organization):
            first = Integration.objects.get()

        walk(owner, vendor, f"{ADMIN}/{first.pk}/reconnect/", f"{ADMIN}/{first.pk}/login/")

        with in_organization(organization):
            assert Integration.objects.get().current_credential.version == 2

    def test_that_was_denied_leads_back_to_the_form(self, owner: Browser, vendor: Vendor) -> None:
        owner.get(CONNECT)
        consent = owner.press(owner.post(LOGIN, environment="test").headers["Location"])

        page = owner.get(vendor.deny(consent.headers["Location"]))

        back = OAuthAttempt.objects.get().redirect_url
        assert f'href="{back}"' in page.content.decode()
        assert owner.get(back).headers["Location"] == CONNECT

    def test_is_begun_by_post_alone(self, owner: Browser) -> None:
        assert owner.get(LOGIN).headers["Location"] == CONNECT
        owner.get(CONNECT)
        assert owner.post(LOGIN.replace("orchard", "nobody")).status_code == 404
        assert not OAuthAttempt.objects.exists()

    def test_is_for_those_who_may_connect(self, vendor: Vendor, browser: Browser, member: Callable[..., Any]) -> None:
        browser.client.force_login(member("viewer"), backend="accounts.backends.RoleBackend")
        browser.get("/o/acme/admin/")

        assert browser.post(LOGIN, environment="test").status_code == 403
        assert not OAuthAttempt.objects.exists()
