"""Every address x every role x own and foreign rows, generated from the resolver (RELIABILITY section 4, rule 11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.roles import Role
from audit.services import Actor
from integrations.services import incidents
from tests.admin.conftest import Place
from tests.admin.routes import Route, organization_routes, platform_routes

ROUTES = organization_routes()
OF_ROWS = [route for route in ROUTES if route.names_a_row]
ROLES = [str(role.value) for role in Role]

FORBIDDEN_TO_READ: dict[str, frozenset[str]] = {
    "apikey": frozenset({"viewer"}),
    "membership": frozenset({"viewer", "developer"}),
    "invitation": frozenset({"viewer", "developer"}),
}
"""Whose pages some roles may not even look at."""

WRITES: dict[str, frozenset[str]] = {
    "integration_connect": frozenset({"owner", "admin", "developer"}),
    "integration_reconnect": frozenset({"owner", "admin", "developer"}),
    "integration_test": frozenset({"owner", "admin", "developer"}),
    "integration_disable": frozenset({"owner", "admin", "developer"}),
    "integration_enable": frozenset({"owner", "admin", "developer"}),
    "integration_mute": frozenset({"owner", "admin", "developer"}),
    "integration_rename": frozenset({"owner", "admin", "developer"}),
    "integration_disconnect": frozenset({"owner", "admin"}),
    "outbox_cancel": frozenset({"owner", "admin"}),
    "outbox_try": frozenset({"owner", "admin"}),
    "delivery_replay": frozenset({"owner", "admin", "developer"}),
    "delivery_body": frozenset({"owner", "admin", "developer"}),
    "conversation_new": frozenset({"owner", "admin", "developer"}),
    "conversation_send": frozenset({"owner", "admin", "developer"}),
    "templates_sync": frozenset({"owner", "admin", "developer"}),
    "payment_charge": frozenset({"owner", "admin", "developer"}),
    "pix_static_code": frozenset({"owner", "admin", "developer"}),
    "payment_refund": frozenset({"owner", "admin", "developer"}),
    "payment_cancel": frozenset({"owner", "admin", "developer"}),
    "payment_ask": frozenset({"owner", "admin", "developer"}),
    "subscription_cancel": frozenset({"owner", "admin", "developer"}),
    "reconciliation_compare": frozenset({"owner", "admin", "developer"}),
    "subscription_period_end": frozenset({"owner", "admin", "developer"}),
    "accounts_apikey_add": frozenset({"owner", "admin", "developer"}),
    "api_key_revoke": frozenset({"owner", "admin", "developer"}),
    "accounts_invitation_add": frozenset({"owner", "admin"}),
    "invitation_withdraw": frozenset({"owner", "admin"}),
    "member_remove": frozenset({"owner", "admin"}),
    "integrations_integration_add": frozenset({"owner", "admin", "developer"}),
}
"""Who may do what; everything else in the site is only read."""


def _id(route: Route) -> str:
    return f"{route.name}"


class TestMatrix:
    def test_the_resolver_was_read(self) -> None:
        names = {route.name for route in ROUTES}

        assert set(WRITES) <= names
        assert len(OF_ROWS) > 50

    @pytest.mark.parametrize("role", ROLES)
    def test_own_pages_answer_by_role(
        self, role: str, place: Place, member: Callable[..., Any], enter: Callable[[Any], Client]
    ) -> None:
        client = enter(member(role))

        for route in ROUTES:
            answer = client.get(f"/o/acme/admin/{route.path(place)}")
            assert answer.status_code in {200, 302, 403, 404}, (route, answer.status_code)
            if route.name.endswith(("_changelist", "_change", "_history")):
                is_closed = role in FORBIDDEN_TO_READ.get(route.model, ())
                assert answer.status_code == (403 if is_closed else 200), (role, route, answer.status_code)

    @pytest.mark.parametrize("role", ROLES)
    def test_writing_is_refused_to_roles_that_may_not(
        self, role: str, place: Place, member: Callable[..., Any], enter: Callable[[Any], Client]
    ) -> None:
        client = enter(member(role))

        for route in ROUTES:
            if role in WRITES.get(route.name, (role,)):
                continue
            answer = client.post(f"/o/acme/admin/{route.path(place)}")
            assert answer.status_code == 403, (role, route, answer.status_code)

    @pytest.mark.parametrize("role", ROLES)
    def test_foreign_rows_are_not_there(
        self,
        role: str,
        place: Place,
        other_place: Place,
        member: Callable[..., Any],
        enter: Callable[[Any], Client],
    ) -> None:
        client = enter(member(role))

        for route in OF_ROWS:
            for method in (client.get, client.post):
                answer = method(f"/o/acme/admin/{route.path(other_place)}", follow=True)
                assert answer.status_code == 404, (role, route, method, answer.status_code)

    def test_malformed_ids_are_not_there(
        self, place: Place, member: Callable[..., Any], enter: Callable[[Any], Client]
    ) -> None:
        client = enter(member("owner"))

        for route in OF_ROWS:
            path = route.template.replace("{" + route.model + "}", "not-an-id").format(
                **{name: str(value) for name, value in place.ids.items()}
            )
            assert client.get(f"/o/acme/admin/{path}", follow=True).status_code == 404, route


@pytest.fixture
def member_elsewhere(other_organization: Any, member: Callable[..., Any]) -> Any:
    """An owner of the other organization."""
    return member("owner", of=other_organization, email="else@example.com")


class TestStrangers:
    def test_log_in_first_and_learn_nothing(self, place: Place, client: Client) -> None:
        for slug in ("acme", "no-such-organization"):
            answer = client.get(f"/o/{slug}/admin/")

            assert answer.status_code == 302
            assert answer["Location"].startswith("/login/?next=/o/")

    @pytest.mark.parametrize("who", ["member_elsewhere", "staff"])
    def test_who_is_no_member_finds_nothing(
        self, who: str, place: Place, request: pytest.FixtureRequest, enter: Callable[[Any], Client]
    ) -> None:
        client = enter(request.getfixturevalue(who))

        for route in ROUTES:
            for method in (client.get, client.post):
                answer = method(f"/o/acme/admin/{route.path(place)}")
                assert answer.status_code == 404, (who, route, answer.status_code)

    def test_a_removed_member_finds_nothing(
        self, place: Place, member: Callable[..., Any], enter: Callable[[Any], Client]
    ) -> None:
        user = member("owner")
        client = enter(user)
        assert client.get("/o/acme/admin/").status_code == 200

        user.memberships.update(is_active=False)

        assert client.get("/o/acme/admin/").status_code == 404


class TestPlatform:
    def test_members_find_no_platform(
        self, place: Place, member: Callable[..., Any], enter: Callable[[Any], Client]
    ) -> None:
        client = enter(member("owner"))

        for route in platform_routes():
            if route.names_a_row:
                continue
            assert client.get(f"/admin/{route.template}").status_code == 404, route

    def test_staff_read_every_page(self, place: Place, staff: Any, enter: Callable[[Any], Client]) -> None:
        client = enter(staff)
        incident = incidents.open_by_hand("whatsapp", text="", actor=Actor.system("test"))
        ids = {**place.ids, "organization": place.organization.pk, "user": staff.pk, "providerincident": incident.pk}

        for route in platform_routes():
            if route.model in {"refusedrequest", "oauthapp", "vendor"} and route.names_a_row:
                continue
            path = route.template.format(**{name: str(value) for name, value in ids.items()})
            answer = client.get(f"/admin/{path}")
            assert answer.status_code in {200, 302, 403}, (route, answer.status_code)
            if route.name.endswith(("_changelist", "_change", "_history")):
                assert answer.status_code == 200, route

    def test_staff_without_permissions_see_no_rows(self, place: Place, enter: Callable[[Any], Client]) -> None:
        from accounts.models import User

        client = enter(User.objects.create_user("junior@example.com", "a-long-test-password", is_staff=True))

        assert client.get("/admin/").status_code == 200
        assert client.get("/admin/dispatch/link/").status_code == 403
        assert client.get(f"/admin/dispatch/link/{place.ids['link']}/change/").status_code == 403
