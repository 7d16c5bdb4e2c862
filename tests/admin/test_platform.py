"""The platform's pages for its staff."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.test import Client, RequestFactory

from accounts.models import ApiKey, Invitation, Membership, User
from audit.models import AuditEntry
from dispatch.models import Vendor, WebhookDelivery
from integrations.admin.platform import VendorAdmin, VendorForm
from integrations.admin.sites import platform_site
from tenants.models import Organization
from tests.admin.conftest import Place


@pytest.fixture
def browser(staff: Any, enter: Callable[[Any], Client]) -> Client:
    """The browser of a member of staff."""
    return enter(staff)


class TestOrganizations:
    def test_are_registered_and_their_creation_is_followed(self, browser: Client, staff: Any) -> None:
        data = {"name": "New Shop", "slug": "new-shop", "locale": "en", "owner": str(staff.pk)}

        answer = browser.post("/admin/tenants/organization/add/", data)

        organization = Organization.objects.get(slug="new-shop")
        assert answer["Location"] == f"/admin/tenants/organization/{organization.pk}/change/"
        assert 'id="creation"' in browser.get(answer["Location"]).content.decode()
        state = browser.get(f"/admin/tenants/organization/{organization.pk}/progress/").json()
        assert (state["status"], state["is_done"]) == ("creating", False)
        assert Membership.objects.get(organization_schema=organization.schema_name).role == "owner"
        assert AuditEntry.objects.get(action="organization.created").target_id == str(organization.pk)

    @pytest.mark.parametrize("slug", ["acme", "Not A Slug", "-x", ""])
    def test_refuse_a_slug_that_cannot_be(self, slug: str, organization: Any, browser: Client) -> None:
        answer = browser.post("/admin/tenants/organization/add/", {"name": "X", "slug": slug, "locale": "en"})

        assert answer.status_code == 422
        assert Organization.objects.count() == 2

    def test_get_their_first_owner_by_mail(self, organization: Any, browser: Client) -> None:
        browser.post(f"/admin/tenants/organization/{organization.pk}/invite/", {"email": "ana@example.com"})

        invitation = Invitation.objects.get(email="ana@example.com")
        assert (invitation.role, invitation.organization_schema) == ("owner", organization.schema_name)
        assert mail.outbox[0].to == ["ana@example.com"]
        assert AuditEntry.objects.get(action="invitation.sent").organization_schema == organization.schema_name

    def test_suspended_ones_are_closed_to_their_members(
        self, organization: Any, browser: Client, member: Callable[..., Any]
    ) -> None:
        inside = Client()
        inside.force_login(member("owner"), backend="accounts.backends.RoleBackend")

        browser.post(f"/admin/tenants/organization/{organization.pk}/suspend/")
        closed = inside.get("/o/acme/admin/").status_code
        browser.post(f"/admin/tenants/organization/{organization.pk}/open/")

        assert closed == 404
        assert inside.get("/o/acme/admin/").status_code == 200


class TestInbox:
    def test_a_dead_letter_is_replayed(self, place: Place, browser: Client) -> None:
        browser.post(f"/admin/dispatch/webhookdelivery/{place.ids['webhookdelivery']}/replay/")

        assert WebhookDelivery.objects.get(pk=place.ids["webhookdelivery"]).status == "received"
        entry = AuditEntry.objects.get(action="delivery.replayed")
        assert entry.organization_schema == place.organization.schema_name

    def test_many_are_replayed_at_once(self, place: Place, other_place: Place, browser: Client) -> None:
        chosen = [str(p.ids["webhookdelivery"]) for p in (place, other_place)]

        browser.post("/admin/dispatch/webhookdelivery/", {"action": "replay_chosen", "_selected_action": chosen})

        assert set(WebhookDelivery.objects.values_list("status", flat=True)) == {"received"}

    def test_dead_letters_are_a_click_away(self, place: Place, browser: Client) -> None:
        page = browser.get("/admin/dispatch/webhookdelivery/dead-letters/", follow=True).content.decode()

        assert "UnexpectedResponse" in page
        assert "Acme" in page


class TestRows:
    def test_a_vendor_is_one_of_the_registry(self, browser: Client, db: None) -> None:
        browser.post("/admin/dispatch/vendor/add/", {"provider": "nosuch", "is_enabled": "on"})
        browser.post("/admin/dispatch/vendor/add/", {"provider": "whatsapp"})

        assert list(Vendor.objects.values_list("provider", "is_enabled")) == [("whatsapp", False)]
        assert AuditEntry.objects.filter(action="vendor.created").count() == 1

    def test_the_history_of_what_the_admin_changed_is_the_audit_trail(self, browser: Client, db: None) -> None:
        Vendor.objects.create(provider="whatsapp")

        browser.post("/admin/dispatch/vendor/whatsapp/change/", {"is_enabled": "on", "transfer_mechanism": "none"})

        page = browser.get("/admin/dispatch/vendor/whatsapp/history/").content.decode()
        assert "vendor.changed" in page

    def test_saving_a_vendor_keeps_what_the_engine_wrote_meanwhile(self, rf: RequestFactory, db: None) -> None:
        read_before = Vendor.objects.create(provider="whatsapp")
        Vendor.objects.update(breaker="open", incident="Down.", incident_class="Unavailable")
        form = VendorForm({"provider": "whatsapp", "transfer_mechanism": "none"}, instance=read_before)

        form.is_valid()
        VendorAdmin(Vendor, platform_site).save_model(rf.post("/"), form.instance, form, change=True)

        kept = Vendor.objects.get()
        assert (kept.breaker, kept.incident, kept.incident_class) == ("open", "Down.", "Unavailable")
        assert (kept.is_enabled, kept.transfer_mechanism) == (False, "none")

    def test_an_incident_is_not_written_into_the_vendor_by_hand(self, browser: Client, db: None) -> None:
        Vendor.objects.create(provider="whatsapp", incident="Slow.", incident_class="Unavailable")

        browser.post("/admin/dispatch/vendor/whatsapp/change/", {"is_enabled": "on", "incident": ""})

        assert Vendor.objects.get().incident == "Slow."
        page = browser.get("/admin/dispatch/vendor/whatsapp/change/").content.decode()
        assert "Slow." in page
        assert 'name="incident"' not in page

    def test_a_user_is_made_without_a_password(self, browser: Client, db: None) -> None:
        browser.post(
            "/admin/accounts/user/add/", {"email": "Ana@Example.com", "name": "Ana", "locale": "en", "is_active": "on"}
        )

        user = User.objects.get(email="ana@example.com")
        assert not user.has_usable_password()
        assert not user.is_staff

    def test_staff_without_superuser_make_no_staff(self, enter: Callable[[Any], Client], db: None) -> None:
        from django.contrib.auth.models import Permission

        junior = User.objects.create_user("junior@example.com", "a-long-test-password", is_staff=True)
        junior.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
        client = enter(junior)

        client.post(f"/admin/accounts/user/{junior.pk}/change/", {"email": junior.email, "locale": "en",
                    "is_active": "on", "is_staff": "on", "is_superuser": "on"})  # fmt: skip

        junior.refresh_from_db()
        assert not junior.is_superuser

    def test_a_leaked_key_is_ended(self, place: Place, browser: Client) -> None:
        browser.post("/admin/accounts/apikey/", {"action": "revoke", "_selected_action": [str(place.ids["apikey"])]})

        assert ApiKey.objects.get(pk=place.ids["apikey"]).revoked_at


class TestBanner:
    @pytest.mark.parametrize("path", ["/", "/login/", "/admin/", "/admin/dispatch/link/"])
    def test_shows_overrides_on_every_page(self, path: str, browser: Client, settings: Any) -> None:
        settings.SANDBOX = True
        assert "rg-banner" in browser.get(path).content.decode()

        settings.SANDBOX = False
        assert "rg-banner" not in browser.get(path).content.decode()


class TestStaffWhoAreNoSuperusers:
    def test_change_no_superuser(self, staff: Any, enter: Callable[[Any], Client]) -> None:
        from django.contrib.auth.models import Permission

        helper = User.objects.create_user("helper@example.com", "a-long-test-password", is_staff=True)
        helper.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_user"]))
        browser = enter(helper)
        data = {"email": "helper+mine@example.com", "name": "x", "locale": "en", "is_active": "on"}

        assert browser.post(f"/admin/accounts/user/{staff.pk}/change/", data).status_code == 403
        assert browser.post(f"/admin/accounts/user/{helper.pk}/change/", {**data, "name": "me"}).status_code == 302

        staff.refresh_from_db()
        assert staff.email == "staff@example.com"
