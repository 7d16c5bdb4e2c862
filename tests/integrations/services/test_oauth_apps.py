"""An app's secrets: handed to the calls of the accounts that were connected through it, and kept nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from core.errors import ValidationFailed
from core.secret import Secrets
from dispatch.inbox import seal_app_secrets
from dispatch.models import OAuthApp
from integrations import registry
from integrations.contract import Misconfigured, TokenSet
from integrations.models import Integration
from integrations.services import oauth_apps, tokens
from integrations.services.connect import Granted, connect, reconnect
from integrations.services.credentials import Purpose
from integrations.services.oauth_apps import with_app_secrets
from integrations.services.providers import app_context, provider_for
from tenants.context import in_organization
from tests.fictitious.conftest import ACTOR, Shop
from tests.fictitious.parcelbox import ParcelboxProvider
from tests.fictitious.vendor import Parcelbox

pytestmark = pytest.mark.django_db


class OfAnApp(ParcelboxProvider):
    """Parcelbox where an account belongs to an app: its checks and renewals need what the app has."""

    seen: ClassVar[list[dict[str, str]]] = []

    def check(self) -> Any:
        """Note what was handed over."""
        self.seen.append({name: secret.reveal() for name, secret in self.integration.secrets.items()})
        return super().check()

    def refresh(self) -> TokenSet:
        """Renew with the app's secret."""
        if "client_secret" not in self.integration.secrets:
            raise Misconfigured("no app")
        return super().refresh()


@pytest.fixture(autouse=True)
def of_an_app(app: OAuthApp, vendor: Parcelbox) -> Iterator[None]:
    """Let Parcelbox have apps; rows are read anew. The app is kept before the vendor's settings are changed."""
    registry.register(OfAnApp)
    OfAnApp.seen.clear()
    oauth_apps._known.clear()
    yield
    oauth_apps._known.clear()


def made_app(**changes: Any) -> OAuthApp:
    """Keep an app; the platform's at Parcelbox unless changed."""
    app = OAuthApp(**{"provider": "parcelbox", "label": "platform", "client_id": "app_1"} | changes)
    seal_app_secrets(app, {"client_secret": "pcs_test_1", "app_key": "pak_test_of_the_platform"})
    app.save()
    return app


@pytest.fixture
def app(db: None) -> OAuthApp:
    """The platform's app."""
    return made_app()


def granted_by(app: OAuthApp) -> Granted:
    """A grant that settles one setting of the spec, and one that nobody may type."""
    return Granted(app_id=app.pk, settings={"locker": "south", "merchant_of": "app_1"})


def connected(shop: Any, vendor: Parcelbox, *, granted: Granted | None) -> Integration:
    """Connect merchant 3 of an organization by a dialog."""
    merchant = vendor.open_account(3)
    with in_organization(shop):
        return connect(
            provider="parcelbox", name="", environment="test", credentials=merchant.credentials, settings={},
            actor=ACTOR, granted=granted,
        )  # fmt: skip


def handed(integration: Integration, purpose: Purpose = Purpose.CHECK) -> set[str]:
    """Return the names of the secrets that a provider is made with."""
    return set(provider_for(integration, purpose).integration.secrets)


OWN = {"access_token", "refresh_token", "app_key"}
WITH_APP = OWN | {"client_id", "client_secret"}


class TestHandedSecrets:
    def test_are_there_from_the_live_check_on_and_never_stored(
        self, organization: Any, vendor: Parcelbox, app: OAuthApp
    ) -> None:
        integration = connected(organization, vendor, granted=granted_by(app))

        assert (OfAnApp.seen[0]["client_id"], OfAnApp.seen[0]["client_secret"]) == ("app_1", "pcs_test_1")
        with in_organization(organization):
            assert handed(integration) == handed(integration, Purpose.CALL) == WITH_APP
            assert integration.current_credential is not None
            assert set(integration.current_credential.fields) == OWN

    def test_leave_the_fields_of_the_credential_alone(self, organization: Any, app: OAuthApp) -> None:
        """The platform's own key signs the webhooks of all: no organization's call needs it."""
        with in_organization(organization):
            handed_over = with_app_secrets("parcelbox", {"oauth_app": str(app.pk)}, Secrets({"client_id": "own_1"}))

        assert {name: secret.reveal() for name, secret in handed_over.items()} == {
            "client_id": "own_1", "client_secret": "pcs_test_1",
        }  # fmt: skip

    def test_renew_tokens_and_stay_out_of_the_new_version(
        self, organization: Any, vendor: Parcelbox, app: OAuthApp
    ) -> None:
        integration = connected(organization, vendor, granted=granted_by(app))

        with in_organization(organization):
            renewed = tokens.refresh(integration, actor=ACTOR).current_credential

        assert renewed is not None
        assert (renewed.version, set(renewed.fields)) == (2, OWN)

    def test_are_not_for_who_was_connected_by_the_form(self, organization: Any, vendor: Parcelbox, shop: Shop) -> None:
        with in_organization(organization):
            assert handed(shop.integration) == OWN

    @pytest.mark.parametrize("state", ["disabled", "foreign", "of another provider", "gone"])
    def test_are_those_of_a_usable_app_only(
        self, organization: Any, other_organization: Any, vendor: Parcelbox, app: OAuthApp, state: str
    ) -> None:
        integration = connected(organization, vendor, granted=granted_by(app))
        changes: dict[str, Any] = {
            "disabled": {"is_enabled": False}, "foreign": {"organization_schema": other_organization.schema_name},
            "of another provider": {"provider": "whatsapp"}, "gone": {"id": uuid4()},
        }[state]  # fmt: skip
        OAuthApp.objects.filter(pk=app.pk).update(**changes)
        oauth_apps._known.clear()

        with in_organization(organization):
            assert handed(integration) == OWN


class TestSettingsOfAGrant:
    def test_are_kept_with_the_app(self, organization: Any, vendor: Parcelbox, app: OAuthApp) -> None:
        integration = connected(organization, vendor, granted=granted_by(app))

        assert integration.settings == {"locker": "south", "merchant_of": "app_1", "oauth_app": str(app.pk)}

    @pytest.mark.parametrize("name", ["merchant_of", "oauth_app"])
    def test_are_written_by_no_request(self, organization: Any, shop: Shop, app: OAuthApp, name: str) -> None:
        with in_organization(organization), pytest.raises(ValidationFailed) as caught:
            reconnect(shop.integration, credentials={}, settings={name: str(app.pk)}, actor=ACTOR)

        assert list(caught.value.errors) == [f"settings.{name}"]

    def test_outlive_a_change_of_other_settings(self, organization: Any, vendor: Parcelbox, app: OAuthApp) -> None:
        integration = connected(organization, vendor, granted=granted_by(app))

        with in_organization(organization):
            reconnect(integration, credentials={}, settings={"locker": "west"}, actor=ACTOR)

            assert integration.settings == {"locker": "west", "merchant_of": "app_1", "oauth_app": str(app.pk)}
            assert handed(integration) == WITH_APP

    def test_end_with_a_key_of_ones_own_and_begin_with_a_grant(
        self, organization: Any, vendor: Parcelbox, app: OAuthApp
    ) -> None:
        integration = connected(organization, vendor, granted=granted_by(app))
        credentials = dict(vendor.merchants["mer_3"].credentials)

        with in_organization(organization):
            reconnect(integration, credentials=credentials, actor=ACTOR)
            assert (integration.settings, handed(integration)) == ({"locker": "south"}, OWN)

            reconnect(integration, credentials=credentials, actor=ACTOR, granted=granted_by(app))
            assert handed(integration) == WITH_APP


class TestAppContext:
    def test_has_the_secrets_and_where_the_vendor_is(self, vendor: Parcelbox, settings: Any, app: OAuthApp) -> None:
        settings.PROVIDER_OVERRIDES = {"parcelbox": {"auth": "http://127.0.0.1:8420/parcelbox"}}

        context = app_context(app)

        assert (context.client_id, context.secrets["client_secret"].reveal()) == ("app_1", "pcs_test_1")
        assert context.base_urls == {
            "api": "https://api.parcelbox.example/v1", "auth": "http://127.0.0.1:8420/parcelbox",
        }  # fmt: skip

    def test_of_an_app_without_secrets_has_none(self, vendor: Parcelbox) -> None:
        app = OAuthApp.objects.create(provider="parcelbox", label="bare", client_id="app_2")

        assert dict(app_context(app).secrets) == {}
