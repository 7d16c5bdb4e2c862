"""The people of the organization: listed, invited by mail, removed. A key acts as an admin does: it makes no owners."""

from __future__ import annotations

from typing import cast

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Membership
from accounts.roles import Role
from integrations.api.fields import ClosedSetField, OptionalText, TimeField
from integrations.api.openapi import PAGING, page_of
from integrations.api.serializers import Data
from integrations.api.views import RegistryView, get_or_404
from integrations.generate.strict import StrictSerializer
from integrations.services import people
from integrations.services.people import Acting
from tenants.context import require_organization
from tenants.models import Organization

GIVEN = tuple(role for role in Role.values if role != Role.OWNER)
"""Roles that a key may give."""


class GivenRoleField(ClosedSetField):
    """A role that a key may give."""

    values = GIVEN


class MemberSerializer(Data):
    """A person with a role."""

    id = serializers.UUIDField()
    email = serializers.CharField(source="user.email")
    name = OptionalText(source="user.name")
    role = serializers.CharField()
    is_active = serializers.BooleanField()
    created_at = TimeField()


class InvitationInputSerializer(StrictSerializer):
    """Who is invited, and as what."""

    email = serializers.EmailField(max_length=254)
    role = GivenRoleField()


class InvitationSerializer(Data):
    """An invitation that was mailed; the person is a member once it is accepted."""

    id = serializers.UUIDField()
    email = serializers.CharField()
    role = serializers.CharField()
    expires_at = TimeField()


class MembersView(RegistryView):
    """The people of the organization."""

    scope = "members"

    @extend_schema(operation_id="members_list", parameters=[*PAGING], responses=page_of(MemberSerializer))
    def get(self, request: Request) -> Response:
        """List active members, the newest first."""
        return self.paginate(_members().select_related("user"), MemberSerializer)

    @extend_schema(
        operation_id="members_invite", request=InvitationInputSerializer, responses={201: InvitationSerializer}
    )
    def post(self, request: Request) -> Response:
        """Invite a person by mail; an earlier open invitation of the same address ends."""
        values = self.validated(InvitationInputSerializer)
        organization = Organization.objects.get(schema_name=require_organization())
        invitation = people.invite_member(
            organization, email=values["email"], role=values["role"], by=Acting(actor=self.actor, role=Role.ADMIN)
        )
        return Response(InvitationSerializer(invitation).data, status=status.HTTP_201_CREATED)


class MemberView(RegistryView):
    """One member."""

    scope = "members"

    @extend_schema(operation_id="members_remove", responses={204: None})
    def delete(self, request: Request, member_id: str) -> Response:
        """End the membership; the person's account and what they did stay. Owners are removed by owners alone."""
        member = cast(Membership, get_or_404(_members(), member_id))
        people.remove_member(member, by=Acting(actor=self.actor, role=Role.ADMIN))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _members() -> QuerySet[Membership]:
    return Membership.objects.filter(organization_schema=require_organization(), is_active=True)
