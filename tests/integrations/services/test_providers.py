"""Making provider instances: what is opened, renewed and gated before a call."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from core import clock
from dispatch.models import OAuthApp
from integrations.contract import OAuth2Auth, Scope
from integrations.models import Credential
from integrations.services import gates
from integrations.services.credentials import Purpose
from integrations.services.providers import context_of, provider_for
from tenants.context import in_organization, in_public_schema
from tests.fictitious.conftest import Shop
from tests.fictitious.parcelbox import ParcelboxProvider
from tests.fictitious.vendor import Parcelbox

pytestmark = pytest.mark.django_db


def charge(shop: Shop) -> str:
    """Call the vendor; return the charge's status."""
    provider: Any = provider_for(shop.integration, Purpose.CALL)
    return str(provider.create_charge(amount_minor=500, currency="BRL", payer="Ana", reference="a1").status)


class TestTokens:
    @pytest.mark.parametrize(("ahead", "renewals"), [(timedelta(minutes=59), 0), (timedelta(minutes=59.8), 1),
                                                     (timedelta(minutes=61), 1)])  # fmt: skip
    def test_that_end_any_moment_are_renewed_before_a_call(
        self, inside_shop: Shop, vendor: Parcelbox, ahead: timedelta, renewals: int
    ) -> None:
        with clock.shifted(ahead):
            assert charge(inside_shop) == "succeeded"

        assert vendor.count("/token") == renewals
        assert Credential.objects.filter(state="current").count() == 1


class OfOneApp(ParcelboxProvider):
    """Parcelbox with a limit of its application, which several shops share."""

    @classmethod
    def limit_owner(cls, integration: Any, scope: Scope) -> str:
        """Name the app."""
        return "app_1" if scope is Scope.APP else ""


class TestGates:
    @pytest.fixture
    def of_one_app(self, vendor: Parcelbox) -> Iterator[None]:
        """Let Parcelbox count by application; the ids of apps are read anew."""
        from integrations import registry

        gates._apps.clear()
        registry.register(OfOneApp)
        yield
        gates._apps.clear()

    def brake_key(self, shop: Shop) -> str:
        """Return where readings of the app's limit are kept for a shop."""
        with in_organization(shop.organization):
            credential = shop.integration.current_credential
            assert credential is not None
            gate = gates.gate_for(context_of(shop.integration, {}))  # type: ignore[arg-type]  # no secret is read
            return gate._limits.brake_key(Scope.APP)

    @pytest.mark.usefixtures("of_one_app")
    def test_an_app_of_the_platform_is_shared(self, shop: Shop, other_shop: Shop, platform_app: OAuthApp) -> None:
        assert isinstance(ParcelboxProvider.spec.auth, OAuth2Auth)

        assert self.brake_key(shop) == self.brake_key(other_shop)
        assert self.brake_key(shop).startswith("vendor:parcelbox:")

    @pytest.mark.usefixtures("of_one_app")
    def test_an_app_that_only_claims_to_be_the_same_is_not(self, shop: Shop, other_shop: Shop) -> None:
        assert self.brake_key(shop) != self.brake_key(other_shop)
        assert self.brake_key(shop).startswith(shop.organization.schema_name)

    @pytest.mark.usefixtures("of_one_app")
    def test_an_organizations_own_app_is_not_the_platforms(self, shop: Shop, other_shop: Shop) -> None:
        with in_public_schema():
            OAuthApp.objects.create(
                provider="parcelbox", label="own", client_id="app_1", organization_schema=shop.organization.schema_name
            )

        assert self.brake_key(shop).startswith(shop.organization.schema_name)
