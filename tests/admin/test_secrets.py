"""No page of either site shows a secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.test import Client

from audit.services import Actor
from dispatch import inbox
from dispatch.models import OAuthApp
from integrations.services import incidents
from tests.admin.conftest import SECRETS, Place
from tests.admin.routes import organization_routes, platform_routes

APP_SECRET = "planted-client-secret-of-an-app"


class TestPages:
    def test_hold_no_secret_of_the_organization(
        self, place: Place, member: Callable[..., Any], enter: Callable[[Any], Client]
    ) -> None:
        client = enter(member("owner"))
        planted = [*SECRETS.values(), place.api_key, f"planted-invitation-{place.organization.schema_name}"]

        for route in organization_routes():
            text = client.get(f"/o/acme/admin/{route.path(place)}").content.decode("utf-8", "replace")
            assert not [secret for secret in planted if secret in text], route

    def test_hold_no_secret_of_the_platform(self, place: Place, staff: Any, enter: Callable[[Any], Client]) -> None:
        client = enter(staff)
        app, incident = _app(), incidents.open_by_hand("whatsapp", text="", actor=Actor.system("test"))
        ids = {
            **place.ids, "organization": place.organization.pk, "user": staff.pk, "oauthapp": app.pk,
            "providerincident": incident.pk,
        }  # fmt: skip

        for route in platform_routes():
            if route.model in {"refusedrequest", "vendor"} and route.names_a_row:
                continue
            path = route.template.format(**{name: str(value) for name, value in ids.items()})
            text = client.get(f"/admin/{path}").content.decode("utf-8", "replace")
            assert not [secret for secret in (APP_SECRET, *SECRETS.values(), place.api_key) if secret in text], route


class TestDeliveryBody:
    def test_is_redacted_and_the_look_is_written_down(
        self, place: Place, member: Callable[..., Any], enter: Callable[[Any], Client]
    ) -> None:
        from audit.models import AuditEntry

        client = enter(member("developer"))

        page = client.post(place.url("dispatch/webhookdelivery/{webhookdelivery}/body/")).content.decode()

        assert "whatsapp_business_account" in page
        assert "planted-in-body-test" not in page
        entry = AuditEntry.objects.get(action="delivery.body_opened")
        assert entry.target_id == str(place.ids["webhookdelivery"])
        assert entry.organization_schema == place.organization.schema_name

    def test_is_not_opened_by_looking_at_the_page(
        self, place: Place, member: Callable[..., Any], enter: Callable[[Any], Client]
    ) -> None:
        client = enter(member("developer"))

        page = client.get(place.url("dispatch/webhookdelivery/{webhookdelivery}/change/")).content.decode()

        assert "whatsapp_business_account" not in page


class TestOAuthApp:
    def test_keeps_a_secret_that_is_left_blank(self, place: Place, staff: Any, enter: Callable[[Any], Client]) -> None:
        app = _app()
        client = enter(staff)
        data = {"provider": "whatsapp", "label": "Renamed", "client_id": "1", "settings": "{}", "is_enabled": "on"}

        answer = client.post(f"/admin/dispatch/oauthapp/{app.pk}/change/", {**data, "verify_token": "second"})

        assert answer.status_code == 302, answer.content.decode()[:2000]
        app.refresh_from_db()
        opened = {name: secret.reveal() for name, secret in inbox.open_app_secrets(app).items()}
        assert opened == {"client_secret": APP_SECRET, "verify_token": "second"}
        assert app.label == "Renamed"

    def test_is_sealed_when_it_is_added(self, place: Place, staff: Any, enter: Callable[[Any], Client]) -> None:
        client = enter(staff)
        data = {"provider": "whatsapp", "label": "New", "client_id": "2", "settings": "{}", "is_enabled": "on"}

        client.post("/admin/dispatch/oauthapp/add/", {**data, "client_secret": APP_SECRET})

        app = OAuthApp.objects.get(client_id="2")
        assert APP_SECRET.encode() not in bytes(app.sealed_secrets or b"")
        assert inbox.open_app_secrets(app)["client_secret"].reveal() == APP_SECRET


def _app() -> OAuthApp:
    app = OAuthApp(provider="whatsapp", label="Platform", client_id="1")
    inbox.seal_app_secrets(app, {"client_secret": APP_SECRET})
    app.save()
    return app
