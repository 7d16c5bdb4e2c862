"""Members through the API: listed, invited, removed; never more than an admin may."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import mail

from accounts.models import Invitation, Membership

MEMBERS = "/api/v1/members/"


class TestMembers:
    def test_are_those_of_the_organization(self, api: Any, member: Any, other_organization: Any) -> None:
        member("viewer")
        member("owner", of=other_organization, email="stranger@example.com")

        rows = api().get(MEMBERS).json()["results"]

        assert [(row["email"], row["role"]) for row in rows] == [("viewer@example.com", "viewer")]


class TestInvite:
    def test_mails_a_link(self, api: Any, organization: Any) -> None:
        answer = api().post(MEMBERS, {"email": "New@Example.com", "role": "developer"})

        assert answer.status_code == 201
        assert {"id", "email", "role", "expires_at"} == set(answer.json())
        assert (answer.json()["email"], answer.json()["role"]) == ("new@example.com", "developer")
        [sent] = mail.outbox
        assert sent.to == ["new@example.com"]
        invited = Invitation.objects.get(email="new@example.com")
        assert invited.organization_schema == organization.schema_name

    @pytest.mark.parametrize(
        ("body", "field"),
        [({"email": "nobody", "role": "viewer"}, "email"), ({"email": "a@example.com", "role": "owner"}, "role"),
         ({"email": "a@example.com", "role": "king"}, "role"), ({"role": "viewer"}, "email"),
         ({"email": "a@example.com", "role": "viewer", "rol": "admin"}, "rol")],
    )  # fmt: skip
    def test_refuses_what_it_cannot_use(self, api: Any, body: dict[str, str], field: str) -> None:
        answer = api().post(MEMBERS, body)

        assert answer.status_code == 422
        assert list(answer.json()["errors"]) == [field]
        assert mail.outbox == []

    def test_needs_its_scope(self, api: Any) -> None:
        answer = api(scopes=("members:read",)).post(MEMBERS, {"email": "a@example.com", "role": "viewer"})

        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


class TestRemove:
    def test_ends_the_membership(self, api: Any, member: Any) -> None:
        user = member("developer")
        found = Membership.objects.get(user=user)

        assert api().delete(f"{MEMBERS}{found.pk}/").status_code == 204
        assert api().get(MEMBERS).json()["results"] == []
        assert api().delete(f"{MEMBERS}{found.pk}/").status_code == 404

    def test_leaves_owners_and_strangers_alone(self, api: Any, member: Any, other_organization: Any) -> None:
        owner = Membership.objects.get(user=member("owner"))
        stranger = Membership.objects.get(user=member("viewer", of=other_organization, email="s@example.com"))

        assert api().delete(f"{MEMBERS}{owner.pk}/").status_code == 403
        assert api().delete(f"{MEMBERS}{stranger.pk}/").status_code == 404
        assert Membership.objects.filter(is_active=True).count() == 2
