"""Members, invitations and API keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from accounts.models import ApiKey, Invitation, Membership, User
from accounts.services import find_api_key
from audit.models import AuditEntry
from core import clock
from tests.admin.conftest import Place

INVITE = "/o/acme/admin/accounts/invitation/add/"


@pytest.fixture
def owner(place: Place, member: Callable[..., Any], enter: Callable[[Any], Client]) -> Client:
    """The browser of an owner."""
    return enter(member("owner"))


def _invite(client: Client, email: str = "ana@example.com", role: str = "developer") -> str:
    """Invite a person and return the path of the link in the mail."""
    answer = client.post(INVITE, {"email": email, "role": role})
    assert answer.status_code == 302, answer.content.decode()[-1500:]
    found = re.search(r"https://registry\.example(/\S+)", mail.outbox[-1].body)
    assert found
    return found[1]


class TestInvitation:
    def test_makes_a_new_person_a_member(self, owner: Client) -> None:
        path = _invite(owner)
        browser = Client()
        assert browser.get(path).status_code == 200
        assert not User.objects.filter(email="ana@example.com").exists()

        answer = browser.post(path, {"name": "Ana", "password": "a-long-test-password"})

        assert (answer.status_code, answer["Location"]) == (302, "/o/acme/admin/")
        assert Membership.objects.get(user__email="ana@example.com").role == "developer"
        assert browser.get("/o/acme/admin/").status_code == 200
        assert browser.get(path).status_code == 404

    def test_refuses_a_weak_password(self, owner: Client) -> None:
        path = _invite(owner)

        Client().post(path, {"name": "Ana", "password": "12345678"})

        assert not User.objects.filter(email="ana@example.com").exists()

    def test_a_known_person_logs_in_to_accept(self, owner: Client) -> None:
        user = User.objects.create_user("ana@example.com", "a-long-test-password")
        path = _invite(owner, email="Ana@Example.com")
        browser = Client()

        browser.post(path, {"name": "Mallory", "password": "another-long-password"})
        assert not Membership.objects.filter(user=user).exists()
        browser.force_login(user, backend="accounts.backends.RoleBackend")
        browser.post(path)

        assert Membership.objects.get(user=user).role == "developer"
        user.refresh_from_db()
        assert user.check_password("a-long-test-password")

    def test_is_for_one_address_alone(self, owner: Client, member: Callable[..., Any], other_organization: Any) -> None:
        path = _invite(owner)
        other = member("viewer", of=other_organization, email="bo@example.com")
        browser = Client()
        browser.force_login(other, backend="accounts.backends.RoleBackend")

        browser.post(path)

        assert not Membership.objects.filter(user=other, organization_schema__contains="acme").exists()
        assert Invitation.objects.filter(email="ana@example.com", accepted_at=None).exists()

    def test_ends_after_a_week(self, owner: Client) -> None:
        path = _invite(owner)

        with clock.shifted(timedelta(days=7, minutes=1)):
            assert Client().get(path).status_code == 404

    def test_taken_back_stops_working(self, owner: Client) -> None:
        path = _invite(owner)
        invitation = Invitation.objects.get(email="ana@example.com")

        owner.post(f"/o/acme/admin/accounts/invitation/{invitation.pk}/withdraw/")

        assert Client().get(path).status_code == 404

    def test_an_admin_makes_no_owner(
        self, place: Place, member: Callable[..., Any], enter: Callable[[Any], Client]
    ) -> None:
        client = enter(member("admin"))

        answer = client.post(INVITE, {"email": "ana@example.com", "role": "owner"})

        assert answer.status_code == 422
        assert not mail.outbox

    def test_nobody_is_invited_when_the_mail_cannot_leave(self, owner: Client, settings: Any) -> None:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1

        answer = owner.post(INVITE, {"email": "ana@example.com", "role": "viewer"})

        assert answer.status_code == 422
        assert not Invitation.objects.filter(email="ana@example.com").exists()

    def test_the_name_of_an_organization_stays_one_line(self, organization: Any, owner: Client) -> None:
        type(organization).objects.filter(pk=organization.pk).update(name="Acme\r\nBcc: eve@example.com")

        _invite(owner)

        assert mail.outbox[0].subject.endswith("Acme Bcc: eve@example.com")
        assert mail.outbox[0].recipients() == ["ana@example.com"]


class TestMembers:
    def test_change_their_role_by_an_owner(self, owner: Client, member: Callable[..., Any]) -> None:
        row = member("viewer").memberships.get()

        owner.post(f"/o/acme/admin/accounts/membership/{row.pk}/change/", {"role": "admin"})

        row.refresh_from_db()
        assert row.role == "admin"
        assert AuditEntry.objects.get(action="membership.role_changed").details == {"from": "viewer", "to": "admin"}

    def test_the_last_owner_stays(
        self, organization: Any, member: Callable[..., Any], enter: Callable[[Any], Client]
    ) -> None:
        user = member("owner")
        row = user.memberships.get()
        client = enter(user)

        removed = client.post(f"/o/acme/admin/accounts/membership/{row.pk}/remove/", follow=True)
        changed = client.post(f"/o/acme/admin/accounts/membership/{row.pk}/change/", {"role": "viewer"})

        row.refresh_from_db()
        assert (row.role, row.is_active) == ("owner", True)
        assert "last owner" in removed.content.decode()
        assert changed.status_code == 422

    def test_an_admin_removes_no_owner(
        self, place: Place, member: Callable[..., Any], enter: Callable[[Any], Client]
    ) -> None:
        client = enter(member("admin"))

        client.post(place.url("accounts/membership/{membership}/remove/"))

        assert Membership.objects.get(pk=place.ids["membership"]).is_active


class TestApiKeys:
    def test_are_shown_once(self, place: Place, owner: Client) -> None:
        data = {"name": "Shop", "environment": "test", "scopes": ["messages:read", "messages:write"]}

        page = owner.post("/o/acme/admin/accounts/apikey/add/", data).content.decode()

        found = re.search(r"ir_test_[\w-]{20,}", page)
        assert found
        key = ApiKey.objects.exclude(pk=place.ids["apikey"]).get()
        assert key.organization_schema == place.organization.schema_name
        assert found[0] not in owner.get(f"/o/acme/admin/accounts/apikey/{key.pk}/change/").content.decode()
        assert AuditEntry.objects.get(action="api_key.created").target_id == str(key.pk)

    @pytest.mark.parametrize(
        ("role", "scope", "status"),
        [
            ("developer", "*", 422),
            ("developer", "members:read", 422),
            ("developer", "messages:write", 200),
            ("admin", "*", 200),
        ],
    )
    def test_cannot_be_given_what_the_role_keeps_from_its_holder(
        self, role: str, scope: str, status: int, member: Callable[..., Any], enter: Callable[[Any], Client]
    ) -> None:
        client = enter(member(role))
        data = {"name": "Backend", "environment": "test", "scopes": [scope]}

        answer = client.post("/o/acme/admin/accounts/apikey/add/", data)

        assert answer.status_code == status
        assert ("ir_test_" in answer.content.decode()) == (status == 200)

    def test_revoked_ones_open_nothing(self, place: Place, owner: Client) -> None:
        assert find_api_key(f"Bearer {place.api_key}")

        owner.post(place.url("accounts/apikey/{apikey}/revoke/"))

        assert find_api_key(f"Bearer {place.api_key}") is None
