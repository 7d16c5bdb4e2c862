"""`POST /oauth/{provider}/start/`, as API.md promises it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from core import clock
from dispatch.models import OAuthAttempt
from integrations.models import Integration
from tenants.context import in_organization
from tests.integrations.oauth.conftest import PUBLIC, Browser
from tests.integrations.oauth.orchard import Vendor

pytestmark = pytest.mark.django_db

START = "/api/v1/oauth/orchard/start/"


class TestStart:
    def test_answers_with_an_address_of_ours(self, vendor: Vendor, api: Callable[..., Any], browser: Browser) -> None:
        answer = api().post(START, {"name": "Harvest"})

        assert answer.status_code == 200, answer.content
        assert set(answer.json()) == {"authorize_url", "expires_at"}
        assert answer.json()["authorize_url"].startswith(f"{PUBLIC}/oauth/orchard/start/")
        ends_at = datetime.fromisoformat(answer.json()["expires_at"])
        assert timedelta(minutes=9) < ends_at - clock.now() <= timedelta(minutes=10)
        assert "Acme" in browser.get(answer.json()["authorize_url"]).content.decode()

    def test_connects_in_the_keys_environment_and_name(
        self, organization: Any, vendor: Vendor, api: Callable[..., Any], browser: Browser
    ) -> None:
        url = api().post(START, {"name": "Harvest"}).json()["authorize_url"]

        browser.get(vendor.allow(browser.press(url).headers["Location"]))

        with in_organization(organization):
            integration = Integration.objects.get()
        assert (integration.name, integration.environment) == ("Harvest", "test")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"environment": "live"}, "environment"), ({"environment": "moon"}, "environment"),
            ({"redirect_url": "https://evil.example/"}, "redirect_url"), ({"novelty": 1}, "novelty"),
            ({"integration": "17"}, "integration"), ({"name": "x" * 121}, "name"),
        ],
    )  # fmt: skip
    def test_refuses_what_it_cannot_use(
        self, vendor: Vendor, api: Callable[..., Any], body: dict[str, Any], field: str
    ) -> None:
        answer = api().post(START, body)

        assert answer.status_code == 422
        assert field in answer.json()["errors"]
        assert not OAuthAttempt.objects.exists()

    @pytest.mark.parametrize("provider", ["pix", "nobody"])
    def test_refuses_a_provider_without_a_login(self, vendor: Vendor, api: Callable[..., Any], provider: str) -> None:
        assert api().post(f"/api/v1/oauth/{provider}/start/", {}).status_code == 422

    def test_needs_the_scope(self, vendor: Vendor, api: Callable[..., Any]) -> None:
        assert api(scopes=("integrations:read",)).post(START, {}).status_code == 403

    @pytest.fixture
    def own(self, organization: Any, at_vendor: Callable[..., str], browser: Browser, vendor: Vendor) -> str:
        """The id of a connected orchard of acme."""
        browser.get(vendor.allow(at_vendor()))
        with in_organization(organization):
            return str(Integration.objects.get().pk)

    def test_knows_the_integrations_of_its_key_alone(
        self, other_organization: Any, own: str, api: Callable[..., Any]
    ) -> None:
        assert api().post(START, {"integration": own}).status_code == 200
        assert api(of=other_organization).post(START, {"integration": own}).status_code == 404
        assert api().post("/api/v1/oauth/mercadopago/start/", {"integration": own}).status_code == 409
