"""Logging in and out, resetting a password, the start page and the language."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.test import Client

from audit.models import AuditEntry

PASSWORD = "a-long-test-password"


def _log_in(client: Client, email: str, *, to: str = "") -> Any:
    return client.post("/login/", {"username": email, "password": PASSWORD, "next": to})


class TestLogin:
    def test_leads_staff_to_the_platform(self, client: Client, staff: Any) -> None:
        assert _log_in(client, "Staff@Example.com")["Location"] == "/admin/"

    def test_leads_a_member_to_the_organization(self, client: Client, member: Callable[..., Any]) -> None:
        member("viewer")

        assert _log_in(client, "viewer@example.com")["Location"] == "/o/acme/admin/"
        assert AuditEntry.objects.get(action="user.logged_in").actor_label == "viewer@example.com"

    def test_lists_several_organizations(
        self, client: Client, member: Callable[..., Any], other_organization: Any
    ) -> None:
        from accounts.services import add_member

        user = member("viewer")
        add_member(user=user, schema_name=other_organization.schema_name, role="viewer")

        answer = _log_in(client, "viewer@example.com")

        assert answer["Location"] == "/"
        page = client.get("/").content.decode()
        assert "/o/acme/admin/" in page
        assert "/o/globex/admin/" in page

    @pytest.mark.parametrize(
        "to", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\\evil.example"]
    )
    def test_leads_to_no_other_host(self, to: str, client: Client, member: Callable[..., Any]) -> None:
        member("viewer")

        assert _log_in(client, "viewer@example.com", to=to)["Location"] == "/o/acme/admin/"

    def test_goes_on_to_where_the_person_was_going(self, client: Client, member: Callable[..., Any]) -> None:
        member("viewer")

        asked = client.get("/o/acme/admin/integrations/issue/")
        answer = _log_in(client, "viewer@example.com", to=asked["Location"].partition("next=")[2])

        assert answer["Location"] == "/o/acme/admin/integrations/issue/"

    def test_says_the_same_for_a_wrong_password_and_an_unknown_address(
        self, client: Client, member: Callable[..., Any]
    ) -> None:
        member("viewer")

        texts = [
            re.findall(
                r'role="alert">([^<]+)', client.post("/login/", {"username": email, "password": "x"}).content.decode()
            )
            for email in ("viewer@example.com", "nobody@example.com")
        ]

        assert texts[0] == texts[1] != []

    def test_both_sites_send_strangers_here(self, client: Client, organization: Any) -> None:
        assert client.get("/admin/")["Location"].startswith("/admin/login/")
        assert client.get("/admin/login/?next=/admin/")["Location"] == "/login/?next=%2Fadmin%2F"
        assert client.get("/o/acme/admin/")["Location"].startswith("/login/")

    @pytest.mark.parametrize("path", ["/logout/", "/admin/logout/"])
    def test_logging_out_ends_the_session_by_post_alone(self, path: str, client: Client, staff: Any) -> None:
        _log_in(client, "staff@example.com")

        assert client.get(path).status_code == 405
        assert client.get("/admin/").status_code == 200
        client.post(path)

        assert client.get("/admin/").status_code == 302


class TestLockout:
    @pytest.fixture(autouse=True)
    def _counts_failures(self, settings: Any) -> None:
        settings.AXES_ENABLED = True  # elsewhere in the suite people log in as often as they like

    def test_a_guessed_password_opens_nothing_after_five_failures(
        self, client: Client, member: Callable[..., Any]
    ) -> None:
        member("viewer")
        for number in range(5):
            client.post("/login/", {"username": "viewer@example.com", "password": f"guess {number}"})

        answer = _log_in(client, "Viewer@Example.com")

        assert answer.status_code == 429
        assert client.get("/o/acme/admin/").status_code == 302

    def test_the_failures_of_one_address_lock_no_other(self, client: Client, member: Callable[..., Any]) -> None:
        member("viewer")
        for number in range(6):
            client.post("/login/", {"username": "nobody@example.com", "password": f"guess {number}"})

        assert _log_in(client, "viewer@example.com")["Location"] == "/o/acme/admin/"


class TestPasswordReset:
    def test_sets_a_password_by_mail(self, client: Client, member: Callable[..., Any]) -> None:
        user = member("viewer")
        user.set_unusable_password()
        user.save()

        client.post("/password-reset/", {"email": "Viewer@example.com"})
        link = re.search(rf"{re.escape(settings.PUBLIC_URL)}(/\S+)", mail.outbox[0].body)
        assert link
        form = client.get(link[1], follow=True)
        client.post(
            form.redirect_chain[-1][0], {"new_password1": "another-long-word", "new_password2": "another-long-word"}
        )

        user.refresh_from_db()
        assert user.check_password("another-long-word")
        assert AuditEntry.objects.filter(action="user.password_reset").exists()

    def test_the_link_does_not_follow_the_host_header(self, client: Client, member: Callable[..., Any]) -> None:
        member("viewer")

        client.post("/password-reset/", {"email": "viewer@example.com"}, headers={"host": "127.0.0.1:6666"})

        assert "6666" not in mail.outbox[0].body
        assert f"{settings.PUBLIC_URL}/password-reset/" in mail.outbox[0].body

    def test_says_the_same_for_an_unknown_address(self, client: Client, db: None) -> None:
        answer = client.post("/password-reset/", {"email": "nobody@example.com"})

        assert answer["Location"] == "/password-reset/done/"
        assert not mail.outbox


class TestPasswordChange:
    def test_is_in_the_trail(self, client: Client, member: Callable[..., Any]) -> None:
        user = member("viewer")
        client.force_login(user, backend="accounts.backends.RoleBackend")
        data = {"old_password": PASSWORD, "new_password1": "another-long-word", "new_password2": "another-long-word"}

        client.post("/o/acme/admin/password_change/", {**data, "old_password": "wrong"})
        assert not AuditEntry.objects.filter(action="user.password_changed").exists()
        client.post("/o/acme/admin/password_change/", data)

        assert AuditEntry.objects.get(action="user.password_changed").target_id == str(user.pk)


class TestHome:
    def test_says_what_this_is_to_strangers(self, client: Client, db: None) -> None:
        page = client.get("/").content.decode()

        assert "/api/docs/" in page
        assert "/login/" in page
        assert "/admin/" not in page

    def test_the_language_is_kept_and_noted_at_the_account(self, client: Client, member: Callable[..., Any]) -> None:
        user = member("viewer")
        _log_in(client, "viewer@example.com")

        client.post("/o/acme/language/", {"language": "en", "next": "/o/acme/admin/"})
        assert "Overview" in client.get("/o/acme/admin/").content.decode()
        client.post("/login/language/", {"language": "pt-br", "next": "/"})

        assert "Vis\u00e3o geral" in client.get("/o/acme/admin/").content.decode()
        user.refresh_from_db()
        assert user.locale == "pt-br"

    def test_times_are_in_the_persons_zone(self, client: Client, member: Callable[..., Any], organization: Any) -> None:
        from datetime import UTC, datetime

        from notifications.services import notify
        from tenants.context import in_organization

        with in_organization(organization):
            note = notify(kind="x", text="Noon")
            type(note).objects.filter(pk=note.pk).update(created_at=datetime(2026, 11, 1, 12, 0, tzinfo=UTC))
        member("viewer")
        _log_in(client, "viewer@example.com")
        client.cookies["tz"] = "America/Sao_Paulo"
        local = client.get("/o/acme/admin/notifications/notification/").content.decode()
        client.cookies["tz"] = "../../etc/passwd"
        plain = client.get("/o/acme/admin/notifications/notification/")

        assert "9:00 AM" in local
        assert "12:00 PM" in plain.content.decode()


class TestHeaders:
    @pytest.mark.parametrize("path", ["/", "/login/", "/nothing/", "/o/acme/admin/", "/o/nothing/admin/", "/api/docs/"])
    def test_every_page_has_a_content_security_policy(self, path: str, client: Client, organization: Any) -> None:
        answer = client.get(path)

        assert "object-src 'none'" in answer["Content-Security-Policy"]
        assert answer["X-Frame-Options"] == "DENY"

    def test_so_has_the_404_of_who_is_no_member(
        self, client: Client, member: Callable[..., Any], other_organization: Any
    ) -> None:
        client.force_login(member("owner"), backend="accounts.backends.RoleBackend")

        answer = client.get("/o/globex/admin/")

        assert answer.status_code == 404
        assert "object-src 'none'" in answer["Content-Security-Policy"]
