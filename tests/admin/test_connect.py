"""Connecting, testing and ending an integration by the pages that the spec generates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from integrations import registry
from integrations.generate.forms import connect_form, initial_values, reconnect_form
from integrations.models import Integration
from tenants.context import in_organization
from tests.admin.conftest import Place
from tests.wire import Wire

CONNECT = "/o/acme/admin/integrations/integration/connect/whatsapp/"
JSON = {"HTTP_ACCEPT": "application/json"}


def _filled(vendor: Wire, **changes: str) -> dict[str, str]:
    connection = vendor.fixtures.conformance["connection"]
    values = {f"credentials__{name}": value for name, value in connection["secrets"].items()}
    values |= {f"settings__{name}": value for name, value in connection["settings"].items()}
    return {"name": "Orders", "environment": "test", **values, **changes}


@pytest.fixture
def owner(organization: Any, member: Callable[..., Any], enter: Callable[[Any], Client]) -> Client:
    """The browser of an owner."""
    return enter(member("owner"))


class TestForm:
    def test_comes_from_the_spec_alone(self) -> None:
        for found in registry.providers().values():
            fields = connect_form(found.spec)().fields

            assert {f"credentials__{item.name}" for item in found.spec.credentials} <= set(fields)
            assert {f"settings__{item.name}" for item in found.spec.settings} <= set(fields)

    def test_never_renders_a_secret_back(self) -> None:
        spec = registry.provider("whatsapp").spec

        html = str(connect_form(spec)({"credentials__access_token": "EAAtest-typed", "settings__waba_id": "shown"}))

        assert "EAAtest-typed" not in html
        assert "shown" in html

    def test_keeps_settings_and_no_secret_for_a_reconnect(self) -> None:
        spec = registry.provider("whatsapp").spec

        html = str(reconnect_form(spec)(initial=initial_values(spec, {"waba_id": "200", "access_token": "x-secret"})))

        assert "200" in html
        assert "x-secret" not in html


class TestConnect:
    def test_stores_what_the_vendor_confirmed(self, organization: Any, owner: Client, vendor: Wire) -> None:
        vendor.play("ok")

        answer = owner.post(CONNECT, _filled(vendor))

        with in_organization(organization):
            row = Integration.objects.get(provider="whatsapp")
        assert answer.status_code == 302
        assert answer["Location"].endswith(f"/integrations/integration/{row.pk}/change/")
        assert (row.name, row.health) == ("Orders", "healthy")

    def test_names_the_field_that_is_malformed_and_stores_nothing(
        self, organization: Any, owner: Client, vendor: Wire
    ) -> None:
        answer = owner.post(CONNECT, _filled(vendor, settings__phone_number_id="abc", credentials__access_token=""))

        page = answer.content.decode()
        assert answer.status_code == 422
        assert page.count("rg-field-wrong") == 2
        with in_organization(organization):
            assert not Integration.objects.exists()

    def test_says_at_the_field_what_the_vendor_refused(self, organization: Any, owner: Client, vendor: Wire) -> None:
        vendor.play("unauthorized")

        answer = owner.post(CONNECT, _filled(vendor))

        assert answer.status_code == 422
        assert "access_token" in str(answer.context["form"].errors)
        assert "EAAtest" not in answer.content.decode().replace("EAAtest-access-token", "")  # the example stays
        with in_organization(organization):
            assert not Integration.objects.exists()

    def test_refuses_an_account_that_is_connected_elsewhere(
        self, organization: Any, other_place: Place, owner: Client, vendor: Wire
    ) -> None:
        from integrations.contract import AccountKey
        from integrations.services import links

        vendor.play("ok")
        with in_organization(other_place.organization):
            theirs = Integration.objects.get(provider="whatsapp")
            links.claim_accounts(theirs, [AccountKey(value="phone_number:100000000000001")])

        answer = owner.post(CONNECT, _filled(vendor))

        assert answer.status_code == 422
        assert "connected already" in answer.content.decode()
        assert "globex" not in answer.content.decode().lower()

    def test_an_unknown_provider_is_not_there(self, owner: Client) -> None:
        assert owner.get("/o/acme/admin/integrations/integration/connect/nosuch/").status_code == 404

    def test_a_closed_vendor_is_refused(self, owner: Client) -> None:
        from dispatch.models import Vendor

        Vendor.objects.create(provider="whatsapp", is_enabled=False)

        assert owner.get(CONNECT).status_code == 403
        assert (
            "integration/connect/whatsapp"
            not in owner.get("/o/acme/admin/integrations/integration/add/").content.decode()
        )


class TestActions:
    def test_a_test_answers_in_json_for_the_script(self, place: Place, owner: Client, vendor: Wire) -> None:
        vendor.play("ok")

        answer = owner.post(place.url("integrations/integration/{integration}/test/"), **JSON).json()

        assert answer["success"] is True
        assert {verdict["ok"] for verdict in answer["verdicts"]} == {True}
        assert answer["health"]["key"] == "healthy"

    def test_a_failed_test_says_what_to_do(self, place: Place, owner: Client, vendor: Wire) -> None:
        vendor.play("unauthorized")

        answer = owner.post(place.url("integrations/integration/{integration}/test/"), **JSON).json()

        assert answer["success"] is False
        assert answer["error"]["code"] == "provider_authentication_failed"
        assert answer["summary"].endswith(".")

    def test_works_without_script(self, place: Place, owner: Client, vendor: Wire) -> None:
        vendor.play("ok")

        page = owner.post(place.url("integrations/integration/{integration}/test/"), follow=True)

        assert "The connection works." in page.content.decode()

    def test_a_get_changes_nothing(self, place: Place, owner: Client) -> None:
        for action in ("test", "disable", "enable", "disconnect", "rename"):
            owner.get(place.url("integrations/integration/{integration}/" + action + "/"))

        with in_organization(place.organization):
            assert Integration.objects.get(provider="whatsapp").status == "active"

    def test_disables_enables_and_renames(self, place: Place, owner: Client) -> None:
        address = place.url("integrations/integration/{integration}/")

        owner.post(f"{address}disable/")
        with in_organization(place.organization):
            assert Integration.objects.get(provider="whatsapp").status == "disabled"
        owner.post(f"{address}enable/")
        owner.post(f"{address}rename/", {"name": "Renamed"})

        with in_organization(place.organization):
            row = Integration.objects.get(provider="whatsapp")
        assert (row.status, row.name) == ("active", "Renamed")

    def test_disconnects_after_asking_and_destroys_the_credential(
        self, place: Place, owner: Client, vendor: Wire
    ) -> None:
        vendor.reset("DELETE", "*")
        vendor.reset("GET", "*")
        vendor.reset("POST", "*")
        address = place.url("integrations/integration/{integration}/disconnect/")
        asked = owner.get(address).content.decode()

        owner.post(address)

        assert "credential is destroyed" in asked
        with in_organization(place.organization):
            row = Integration.objects.get(provider="whatsapp")
            assert row.status == "disconnected"
            assert row.credentials.get().sealed is None

    def test_the_history_shows_the_audit_trail(self, place: Place, owner: Client) -> None:
        owner.post(place.url("integrations/integration/{integration}/disable/"))

        page = owner.get(place.url("integrations/integration/{integration}/history/")).content.decode()

        assert "integration.connected" in page
        assert "integration.disabled" in page
