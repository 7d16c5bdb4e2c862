"""From the consent page to the connected account, as a browser walks it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from audit.models import AuditEntry
from core import clock
from dispatch.models import OAuthApp, OAuthAttempt
from integrations.models import Integration
from integrations.services import credentials, oauth
from integrations.services.credentials import Purpose
from tenants.context import in_organization
from tests.integrations.oauth.conftest import Browser, app_at
from tests.integrations.oauth.orchard import CLIENT_ID, CLIENT_SECRET, LIVES_S, Vendor

pytestmark = pytest.mark.django_db


def only(organization: Any) -> Integration:
    """Return the only integration of an organization."""
    with in_organization(organization):
        return Integration.objects.get()


class TestConsent:
    def test_names_the_organization_and_the_vendor(self, begin: Callable[..., str], browser: Browser) -> None:
        page = browser.get(begin(name="Harvest"))

        text = page.content.decode()
        assert page.status_code == 200
        assert "Acme" in text
        assert "Orchard" in text
        assert "Harvest" in text
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Referrer-Policy"] == "same-origin"

    def test_looking_changes_nothing(self, begin: Callable[..., str], browser: Browser) -> None:
        url = begin()
        before = OAuthAttempt.objects.values().get()

        for _ in range(3):
            Browser().get(url)

        assert OAuthAttempt.objects.values().get() == before
        assert browser.press(url).status_code == 303

    def test_is_read_in_portuguese(self, begin: Callable[..., str]) -> None:
        url = begin()

        assert '<html lang="pt-br">' in Browser(language="pt-BR").get(url).content.decode()
        assert '<html lang="pt-br">' in Browser().get(f"{url}?language=pt-br").content.decode()

    def test_lets_the_form_lead_to_the_vendor_alone(self, begin: Callable[..., str], browser: Browser) -> None:
        policy = browser.get(begin()).headers["Content-Security-Policy"]

        directive = next(part for part in policy.split("; ") if part.startswith("form-action"))
        assert directive == "form-action 'self' https: https://login.orchard.example"

    def test_sets_a_cookie_of_this_host_alone(self, begin: Callable[..., str], browser: Browser) -> None:
        answer = browser.press(begin())

        (name,) = [name for name in answer.cookies if "oauth" in name]
        cookie = answer.cookies[name]
        assert name.startswith("__Host-")
        assert (cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, True, "Lax", "/")
        assert cookie["domain"] == ""

    def test_sets_a_plain_cookie_where_there_is_no_https(
        self, begin: Callable[..., str], browser: Browser, settings: Any
    ) -> None:
        settings.SESSION_COOKIE_SECURE = False

        answer = browser.press(begin())

        (name,) = [name for name in answer.cookies if "oauth" in name]
        assert name.startswith("oauth-")
        assert not answer.cookies[name]["secure"]

    def test_asks_the_vendor_for_what_the_spec_says(self, at_vendor: Callable[..., str]) -> None:
        query = parse_qs(urlsplit(at_vendor()).query)

        assert query["client_id"] == [CLIENT_ID]
        assert query["redirect_uri"] == ["https://registry.example/oauth/orchard/callback/"]
        assert query["scope"] == ["pick water"]
        assert query["code_challenge_method"] == ["S256"]
        assert len(query["code_challenge"][0]) == 43

    def test_may_be_given_again_after_the_back_button(
        self, begin: Callable[..., str], browser: Browser, vendor: Vendor
    ) -> None:
        url = begin()
        first = browser.press(url).headers["Location"]
        second = browser.press(url).headers["Location"]

        assert browser.get(vendor.allow(first)).status_code == 404
        assert browser.get(vendor.allow(second)).status_code == 303


class TestConnecting:
    def test_stores_the_account_its_tokens_and_what_was_granted(
        self, organization: Any, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor
    ) -> None:
        answer = browser.get(vendor.allow(at_vendor()))
        page = browser.get(answer.headers["Location"])

        assert answer.status_code == 303
        assert "code" not in answer.headers["Location"]
        assert "Orchard is connected to Acme" in page.content.decode()
        integration = only(organization)
        assert (integration.account_external_id, integration.name) == ("north", "Orchard north")
        assert integration.facts["granted_scopes"] == ["pick", "water"]
        with in_organization(organization):
            opened = credentials.open_for(integration, Purpose.CALL)
            assert opened["access_token"].reveal() == "oat_test_17"
            assert opened["refresh_token"].reveal() == "ort_test_17"
            ends_at = integration.current_credential.expires_at
        assert abs(ends_at - clock.now() - timedelta(seconds=LIVES_S)) < timedelta(seconds=60)

    def test_leaves_no_token_code_or_state_behind(
        self,
        organization: Any,
        at_vendor: Callable[..., str],
        browser: Browser,
        vendor: Vendor,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        dialog = at_vendor()
        browser.get(vendor.allow(dialog))

        (attempt,) = OAuthAttempt.objects.all()
        state = parse_qs(urlsplit(dialog).query)["state"][0]
        kept = " ".join(str(bytes(v) if isinstance(v, memoryview) else v) for v in vars(attempt).values())
        trail = " ".join(str(entry) for entry in AuditEntry.objects.values_list("details", flat=True))
        for secret in (state, "orchard-code-1", "oat_test_17", "ort_test_17", CLIENT_SECRET):
            assert secret not in kept + trail + caplog.text
        assert attempt.sealed_grant is None
        assert attempt.sealed_verifier is None

    def test_opens_an_issue_for_rights_that_were_dropped(
        self, organization: Any, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor
    ) -> None:
        vendor.scope = "pick"

        page = browser.get(browser.get(vendor.allow(at_vendor())).headers["Location"])

        assert "water" in page.content.decode()
        with in_organization(organization):
            issue = Integration.objects.get().issues.get()
            assert (issue.cause, issue.details) == ("scopes_missing", {"scopes": "water"})

    def test_goes_back_to_a_registered_origin(
        self, organization: Any, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor
    ) -> None:
        organization.allowed_origins = ["https://app.example.com"]
        organization.save()

        answer = browser.get(vendor.allow(at_vendor(redirect_url="https://app.example.com/done?page=2#top")))

        integration = only(organization)
        assert answer.headers["Location"] == (
            f"https://app.example.com/done?page=2&status=connected&integration={integration.pk}#top"
        )

    def test_prefers_the_organizations_own_application(
        self, organization: Any, other_organization: Any, at_vendor: Callable[..., str]
    ) -> None:
        app_at("orchard", "own-app", {"client_secret": "x-test"}, of=organization)

        assert parse_qs(urlsplit(at_vendor()).query)["client_id"] == ["own-app"]
        assert parse_qs(urlsplit(at_vendor(of=other_organization)).query)["client_id"] == [CLIENT_ID]


class TestChoosing:
    @pytest.fixture
    def choice(self, vendor: Vendor, at_vendor: Callable[..., str], browser: Browser) -> str:
        """The address of the list of two accounts."""
        vendor.orchards = ["north", "south"]
        answer = browser.get(vendor.allow(at_vendor()))
        assert answer.status_code == 303
        return str(answer.headers["Location"])

    def test_connects_the_one_that_was_chosen(self, organization: Any, choice: str, browser: Browser) -> None:
        assert "Orchard south" in browser.get(choice).content.decode()

        answer = browser.press(choice, account="south")

        assert answer.status_code == 303
        assert only(organization).account_external_id == "south"
        assert OAuthAttempt.objects.get().sealed_grant is None

    def test_refuses_an_account_that_was_not_offered_and_waits_on(
        self, organization: Any, choice: str, browser: Browser
    ) -> None:
        assert browser.press(choice, account="east").status_code == 422
        assert browser.press(choice, account="north").status_code == 303
        assert only(organization).account_external_id == "north"

    def test_serves_once_and_this_browser_alone(self, organization: Any, choice: str, browser: Browser) -> None:
        assert Browser().get(choice).status_code == 403
        assert browser.press(choice, account="north").status_code == 303
        assert browser.press(choice, account="south").status_code == 409
        assert only(organization).account_external_id == "north"

    def test_ends_with_the_ten_minutes(self, organization: Any, choice: str, browser: Browser) -> None:
        with clock.shifted(timedelta(minutes=11)):
            assert browser.get(choice).status_code == 410
            oauth.attempts.forget_expired()

        assert OAuthAttempt.objects.get().sealed_grant is None


class TestReconnecting:
    @pytest.fixture
    def integration(
        self, organization: Any, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor
    ) -> Integration:
        browser.get(vendor.allow(at_vendor()))
        return only(organization)

    def test_is_in_place_for_the_same_account(
        self, organization: Any, integration: Integration, at_vendor: Callable[..., str], browser: Browser,
        vendor: Vendor,
    ) -> None:  # fmt: skip
        vendor.orchards = ["south", "north"]

        answer = browser.get(vendor.allow(at_vendor(integration=integration)))

        assert answer.status_code == 303
        assert only(organization).pk == integration.pk
        with in_organization(organization):
            assert integration.current_credential.version == 2

    def test_refuses_another_account(
        self, organization: Any, integration: Integration, at_vendor: Callable[..., str], browser: Browser,
        vendor: Vendor,
    ) -> None:  # fmt: skip
        vendor.orchards = ["south"]

        page = browser.get(vendor.allow(at_vendor(integration=integration)))

        assert page.status_code == 422
        assert "another account" in page.content.decode()
        with in_organization(organization):
            assert integration.current_credential.version == 1


class TestApplication:
    def test_that_is_switched_off_begins_nothing(self, app: OAuthApp, begin: Callable[..., str]) -> None:
        OAuthApp.objects.update(is_enabled=False)

        with pytest.raises(oauth.ValidationFailed) as refused:
            begin()

        assert "provider" in refused.value.errors
