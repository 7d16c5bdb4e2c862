"""Accounts that were connected through the platform's app, at Stripe and MercadoPago of the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from audit.services import Actor
from billing.providers.mercadopago import MercadoPagoProvider
from billing.providers.stripe import StripeProvider
from core.errors import ValidationFailed
from core.secret import Secret
from dispatch.models import OAuthApp
from integrations.contract import Attempt, Misconfigured
from integrations.services import oauth_apps, tokens
from integrations.services.connect import Granted, connect
from integrations.services.credentials import Purpose
from integrations.services.oauth_apps import seed_platform_apps
from integrations.services.providers import CallLog, app_context, guard_for, provider_for, unborn_provider
from tenants.context import in_organization
from tests.sandbox.conftest import Sandbox
from tests.sandbox.conftest import sandbox as sandbox  # noqa: PLC0414 - a fixture
from tests.sandbox.conftest import server as server  # noqa: PLC0414 - a fixture
from tests.sandbox.mercadopago import shop_of
from tests.sandbox.stripe_client import PLATFORM_KEY
from tests.sandbox.test_mercadopago_connect import CHALLENGE, VERIFIER

pytestmark = pytest.mark.django_db

ACTOR = Actor.system("test")
BOREAL = "acct_1SandboxBoreal"


@pytest.fixture(autouse=True)
def at_the_sandbox(db: None, sandbox: Sandbox, settings: Any) -> Iterator[None]:
    """Let the operator's apps be kept, and both vendors be the sandbox's."""
    oauth_apps._known.clear()
    seller_app = next(app for app in sandbox.control("GET", "/mercadopago/apps")["apps"] if app["owner"] is None)
    seed_platform_apps(
        {
            "stripe": {"client_id": "ca_test_sandboxPlatform", "platform_key": PLATFORM_KEY},
            "mercadopago": {"client_id": seller_app["id"], "client_secret": seller_app["client_secret"]},
        }
    )
    settings.SANDBOX, settings.SANDBOX_URL = True, sandbox.url
    yield
    oauth_apps._known.clear()


def app_at(provider: str) -> OAuthApp:
    """Return the platform's app."""
    return OAuthApp.objects.get(provider=provider)


def boreal(organization: Any, **given: Any) -> Any:
    """Connect the account that lets the platform act for it."""
    granted = Granted(app_id=app_at("stripe").pk, settings={"account_id": BOREAL})
    values: dict[str, Any] = {"credentials": {}, "settings": {}, "granted": granted} | given
    with in_organization(organization):
        return connect(provider="stripe", name="", environment="test", actor=ACTOR, **values)


class TestStripe:
    def test_an_account_is_reached_with_the_platforms_key_and_keeps_none(self, organization: Any) -> None:
        integration = boreal(organization)

        assert (integration.account_external_id, integration.settings["account_id"]) == (BOREAL, BOREAL)
        with in_organization(organization):
            assert integration.current_credential.fields == []
            provider: Any = provider_for(integration, Purpose.CHECK)
            assert provider.check().account.external_id == BOREAL

    def test_without_the_app_nothing_is_called(self, organization: Any) -> None:
        integration = boreal(organization)
        OAuthApp.objects.update(is_enabled=False)
        oauth_apps._known.clear()

        with in_organization(organization), pytest.raises(Misconfigured):
            provider_for(integration, Purpose.CHECK).check()

    def test_no_request_names_an_account(self, organization: Any) -> None:
        with pytest.raises(ValidationFailed) as caught:
            boreal(organization, settings={"account_id": BOREAL}, granted=None)

        assert "settings.account_id" in caught.value.errors

    def test_a_refused_setting_is_named_as_the_form_names_it(self, organization: Any) -> None:
        key = {"secret_key": "sk_test_example", "webhook_secret": ""}

        with pytest.raises(ValidationFailed) as caught:
            boreal(organization, credentials=key, settings={"publishable_key": "pk_live_example"}, granted=None)

        assert list(caught.value.errors) == ["settings.publishable_key"]

    def test_the_dialog_opens_where_the_override_leads(self, sandbox: Sandbox) -> None:
        address = StripeProvider.authorize_url(
            app_context(app_at("stripe")), Attempt(state="s", redirect_uri="http://r")
        )

        assert address.startswith(f"{sandbox.url}/stripe/oauth/authorize?")
        assert requests.get(address, timeout=5).status_code == 200


class TestMercadoPago:
    def granted(self, sandbox: Sandbox) -> tuple[dict[str, str], Granted]:
        """Let a seller allow the app; return the credential and the grant."""
        app = app_at("mercadopago")
        shop, context = shop_of(sandbox, "MLB", pix=True), app_context(app)
        redirect_uri = next(
            one["redirect_uris"][0] for one in shop.control("GET", "/apps")["apps"] if one["owner"] is None
        )
        attempt = Attempt(state="s-1", redirect_uri=redirect_uri, code_challenge=CHALLENGE)
        address = MercadoPagoProvider.authorize_url(context, attempt)
        assert address.startswith(f"{sandbox.url}/mercadopago/authorization?")
        answer = requests.post(address, data={"user_id": str(shop.seller_id)}, allow_redirects=False, timeout=5)
        (code,) = parse_qs(urlsplit(answer.headers["Location"]).query)["code"]
        unborn = unborn_provider("mercadopago", environment="test", settings_values={}, secrets=context.secrets)
        guard = guard_for(unborn.integration, reports=CallLog("", "mercadopago"))
        back = Attempt(state="s-1", redirect_uri=redirect_uri, code=Secret(code), code_verifier=Secret(VERIFIER))
        made = MercadoPagoProvider.exchange_code(context, guard, back)
        (account,) = MercadoPagoProvider.list_accounts(context, guard, made)
        assert made.refresh_token is not None
        values = {"access_token": made.access_token.reveal(), "refresh_token": made.refresh_token.reveal()}
        return values, Granted(app_id=app.pk, settings=account.settings)

    def test_tokens_are_renewed_with_the_apps_secret_which_is_kept_nowhere(
        self, organization: Any, sandbox: Sandbox
    ) -> None:
        credentials, granted = self.granted(sandbox)
        with in_organization(organization):
            integration = connect(
                provider="mercadopago", name="", environment="test", credentials=credentials, settings={},
                actor=ACTOR, granted=granted,
            )  # fmt: skip
            before = integration.current_credential

            tokens.refresh(integration, actor=ACTOR)

            after = integration.current_credential
            assert before is not None
            assert after is not None
            assert (after.version, after.fields) == (2, ["access_token", "refresh_token"])
            assert after.fingerprint != before.fingerprint
            assert (
                provider_for(integration, Purpose.CHECK).check().account.external_id == granted.settings["collector_id"]
            )
