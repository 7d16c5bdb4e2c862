"""What is refused on the way, with nothing stored and a page that says what to do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from accounts.models import ApiKey, Membership
from accounts.services import create_api_key
from audit.models import AuditEntry
from audit.services import Actor, ActorKind
from core import clock
from core.errors import ValidationFailed
from dispatch.models import AccountClaim, Link, OAuthAttempt, OAuthStatus
from integrations.models import Integration
from integrations.services import oauth_attempts as attempts
from integrations.services.people import as_actor
from tenants.context import in_organization
from tests.integrations.oauth.conftest import Browser
from tests.integrations.oauth.orchard import Vendor

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_stored(organization: Any, request: pytest.FixtureRequest) -> Any:
    """Whatever is refused, no integration, link or claim is left."""
    yield
    if "stores" not in request.keywords:
        with in_organization(organization):
            assert not Integration.objects.exists()
        assert not Link.objects.filter(organization_schema=organization.schema_name).exists()
        assert not AccountClaim.objects.filter(organization_schema=organization.schema_name).exists()


def requests_of(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return the records that carry the request, as an error report would read it."""
    return [entry for entry in caplog.records if hasattr(entry, "request")]


def exchanges(vendor: Vendor) -> int:
    """How often a code reached the vendor."""
    return sum(1 for path, _form in vendor.hits if path == "POST /token")


class TestConsentPage:
    def test_of_another_provider_or_a_wrong_token_is_unknown(self, begin: Callable[..., str], browser: Browser) -> None:
        url = begin()

        assert browser.get(url.replace("orchard", "mercadopago")).status_code == 404
        assert browser.get(f"{url[:-2]}x/").status_code == 404

    def test_serves_one_browser(self, begin: Callable[..., str], browser: Browser) -> None:
        url = begin()
        browser.press(url)

        other = Browser()
        assert other.get(url).status_code == 403
        assert "Acme" not in other.get(url).content.decode()

    def test_needs_the_form_of_the_page(self, begin: Callable[..., str], browser: Browser) -> None:
        url = urlsplit(begin())

        assert browser.client.post(url.path, secure=True).status_code == 403
        assert OAuthAttempt.objects.get().status == OAuthStatus.WAITING

    def test_ends_after_ten_minutes(self, begin: Callable[..., str], browser: Browser) -> None:
        url = begin()

        with clock.shifted(timedelta(minutes=10, seconds=1)):
            assert browser.get(url).status_code == 410

    def test_of_a_closed_organization_is_unknown(
        self, organization: Any, begin: Callable[..., str], browser: Browser
    ) -> None:
        url = begin()
        organization.mark_suspended()

        assert browser.get(url).status_code == 404

    def test_of_somebody_who_may_no_more_is_unknown(
        self, organization: Any, begin: Callable[..., str], browser: Browser, member: Callable[..., Any]
    ) -> None:
        person = member("admin")
        key, _text = create_api_key(schema_name=organization.schema_name, name="k", scopes=["*"], environment="test")
        urls = begin(actor=as_actor(person)), begin(actor=Actor(kind=ActorKind.API_KEY, id=str(key.pk)))
        assert [browser.get(url).status_code for url in urls] == [200, 200]

        Membership.objects.filter(user=person).update(is_active=False)
        ApiKey.objects.filter(pk=key.pk).update(revoked_at=clock.now())

        assert [browser.get(url).status_code for url in urls] == [404, 404]


class TestAnswer:
    def test_that_is_a_denial_is_said_plainly(
        self, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor
    ) -> None:
        page = browser.get(vendor.deny(at_vendor(redirect_url="https://registry.example/o/acme/admin/")))

        text = page.content.decode()
        assert page.status_code == 403
        assert "not granted" in text
        assert 'href="https://registry.example/o/acme/admin/"' in text
        assert OAuthAttempt.objects.get().status == OAuthStatus.DENIED
        assert AuditEntry.objects.filter(action="oauth_attempt.denied").count() == 1

    @pytest.mark.parametrize("changes", [{"code": ""}, {"code": "", "error": "server_error"}])
    def test_without_a_code_is_refused(
        self, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor, changes: dict[str, str]
    ) -> None:
        assert browser.get(vendor.allow(at_vendor(), **changes)).status_code == 422
        assert exchanges(vendor) == 0

    @pytest.mark.parametrize("state", ["", "x" * 43, "x" * 5000, "\x00", "é"])
    def test_with_a_foreign_state_is_unknown(
        self, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor, state: str
    ) -> None:
        assert browser.get(vendor.allow(at_vendor(), state=state)).status_code == 404
        assert exchanges(vendor) == 0

    def test_with_a_value_twice_is_unknown(
        self, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor
    ) -> None:
        assert browser.get(f"{vendor.allow(at_vendor())}&code=other").status_code == 404
        assert exchanges(vendor) == 0

    def test_in_another_browser_is_refused_and_spends_nothing(
        self, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor
    ) -> None:
        address = vendor.allow(at_vendor())

        page = Browser().get(address)

        assert page.status_code == 403
        assert "another browser" in page.content.decode()
        assert "Acme" not in page.content.decode()
        assert exchanges(vendor) == 0
        assert OAuthAttempt.objects.get().status == OAuthStatus.STARTED

    def test_with_the_cookie_of_another_run_is_refused(
        self, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor, begin: Callable[..., str]
    ) -> None:
        mine = at_vendor()
        stranger = Browser()
        theirs = vendor.allow(stranger.press(begin()).headers["Location"])

        assert browser.get(theirs).status_code == 403
        assert stranger.get(vendor.allow(mine)).status_code == 403
        assert exchanges(vendor) == 0

    def test_too_late_is_refused(self, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor) -> None:
        address = vendor.allow(at_vendor())

        with clock.shifted(timedelta(minutes=10, seconds=1)):
            page = browser.get(address)

        assert page.status_code == 410
        assert exchanges(vendor) == 0

    def test_at_another_providers_address_is_unknown(
        self, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor
    ) -> None:
        address = vendor.allow(at_vendor()).replace("/oauth/orchard/", "/oauth/mercadopago/")

        assert browser.get(address).status_code == 404

    def test_of_another_issuer_is_refused(
        self, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor
    ) -> None:
        page = browser.get(vendor.allow(at_vendor(), iss="https://login.elsewhere.example"))

        assert page.status_code == 422
        assert OAuthAttempt.objects.get().error_code == "oauth_wrong_issuer"
        assert exchanges(vendor) == 0

    def test_whose_code_the_vendor_refuses_connects_nothing(
        self, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor
    ) -> None:
        page = browser.get(vendor.allow(at_vendor(), code="guessed"))

        assert page.status_code == 422
        assert OAuthAttempt.objects.get().error_code == "provider_authentication_failed"

    def test_that_crashes_us_leaves_its_code_in_no_log(
        self, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        vendor.tokens = {}
        browser.client.raise_request_exception = False
        address = vendor.allow(at_vendor())

        assert browser.get(address).status_code == 500
        assert browser.get(address).status_code == 409
        assert "Internal Server Error: /oauth/orchard/callback/" in caplog.text
        for value in parse_qs(urlsplit(address).query).values():
            assert value[0] not in caplog.text
            assert all(value[0] not in str(vars(entry.__dict__.get("request"))) for entry in requests_of(caplog))

    def test_of_a_login_without_accounts_connects_nothing(
        self, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor
    ) -> None:
        vendor.orchards = []

        assert "controls no account" in browser.get(vendor.allow(at_vendor())).content.decode()

    def test_of_an_account_of_the_other_environment_connects_nothing(
        self, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor
    ) -> None:
        vendor.environment = "live"

        page = browser.get(vendor.allow(at_vendor()))

        assert page.status_code == 422
        assert "Choose live" in page.content.decode()

    def test_of_the_right_issuer_is_taken(
        self, organization: Any, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor, request: Any
    ) -> None:
        request.keywords["stores"] = True
        address = vendor.allow(at_vendor(), iss="https://login.orchard.example")

        assert browser.get(address).status_code == 303

    def test_that_comes_twice_at_once_is_taken_once(
        self, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor
    ) -> None:
        at_vendor()
        (cookie,) = [item.value for name, item in browser.client.cookies.items() if "oauth" in name]
        first, second = OAuthAttempt.objects.get(), OAuthAttempt.objects.get()

        attempts.claim(first, browser=cookie)

        with pytest.raises(attempts.AttemptSpent):
            attempts.claim(second, browser=cookie)

    def test_that_comes_twice_connects_once(
        self, organization: Any, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor, request: Any
    ) -> None:
        request.keywords["stores"] = True
        address = vendor.allow(at_vendor())

        answers = [browser.get(address).status_code for _ in range(3)]

        assert answers == [303, 409, 409]
        assert exchanges(vendor) == 1
        with in_organization(organization):
            assert Integration.objects.count() == 1


class TestAccountConnectedElsewhere:
    def test_is_told_without_naming_whom(
        self,
        organization: Any,
        other_organization: Any,
        at_vendor: Callable[..., str],
        browser: Browser,
        vendor: Vendor,
    ) -> None:
        assert browser.get(vendor.allow(at_vendor(of=other_organization))).status_code == 303

        page = browser.get(vendor.allow(at_vendor()))

        text = page.content.decode()
        assert page.status_code == 409
        assert "connected already" in text
        assert other_organization.name not in text

    def test_an_organization_sees_its_own_runs_alone(
        self, organization: Any, other_organization: Any, begin: Callable[..., str]
    ) -> None:
        begin()

        with in_organization(other_organization):
            assert not OAuthAttempt.objects.exists()
        with in_organization(organization):
            assert OAuthAttempt.objects.count() == 1


class TestRedirectUrl:
    @pytest.mark.parametrize(
        "url",
        [
            "https://app.example.com/", "http://registry.example/", "https://registry.example:444/",
            "https://registry.example@evil.example/", "https://user@registry.example/", "//registry.example/",
            "https://registry.example.evil.example/", "javascript:alert(1)", "/admin/", "https://[::1/",
            "https://registry.example/\\evil.example", "https://registry.example/\n", "https:registry.example",
        ],
    )  # fmt: skip
    def test_of_an_origin_that_is_not_registered_is_refused(self, begin: Callable[..., str], url: str) -> None:
        with pytest.raises(ValidationFailed) as refused:
            begin(redirect_url=url)

        assert "redirect_url" in refused.value.errors

    def test_of_another_organizations_origin_is_refused(
        self, other_organization: Any, begin: Callable[..., str]
    ) -> None:
        other_organization.allowed_origins = ["https://app.example.com"]
        other_organization.save()

        with pytest.raises(ValidationFailed):
            begin(redirect_url="https://app.example.com/")


def test_state_is_as_long_as_a_key(at_vendor: Callable[..., str]) -> None:
    assert len(parse_qs(urlsplit(at_vendor()).query)["state"][0]) >= 43
