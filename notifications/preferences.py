"""Who of the entered organization wants mail, how often, and about which integrations nobody does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from accounts.models import Membership, User
from accounts.roles import Role
from core import clock
from notifications.models import MailMode, MailPreference, Mute
from tenants.context import require_organization

BY_ROLE: dict[str, str] = {Role.OWNER: MailMode.IMMEDIATE, Role.ADMIN: MailMode.IMMEDIATE}
"""Owners and admins can act, so they are mailed unless they say otherwise; the others when they ask for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A member and how often this member wants mail."""

    user: User
    role: str
    mode: str


def readers(*, user_id: UUID | None = None) -> list[Reader]:
    """Return the active members with their wish, or the one asked for; in an order that does not change."""
    schema = require_organization()
    members = Membership.objects.filter(organization_schema=schema, is_active=True, user__is_active=True)
    wishes = MailPreference.objects.filter(organization_schema=schema)
    if user_id is not None:
        members, wishes = members.filter(user_id=user_id), wishes.filter(user_id=user_id)
    chosen = dict(wishes.values_list("user_id", "mode"))
    return [
        Reader(user=row.user, role=row.role, mode=chosen.get(row.user_id) or default_mode(row.role))
        for row in members.select_related("user").order_by("user_id")
    ]


def default_mode(role: str) -> str:
    """Return how often a role is mailed that said nothing."""
    return str(BY_ROLE.get(role, MailMode.NEVER))


def mode_of(user: User) -> str:
    """Return how often a member of the entered organization is mailed; never for others."""
    return next((reader.mode for reader in readers(user_id=user.pk)), str(MailMode.NEVER))


def choose(user: User, mode: str) -> MailPreference:
    """Keep a member's own choice for the entered organization."""
    row, _created = MailPreference.objects.update_or_create(
        organization_schema=require_organization(), user_id=user.pk, defaults={"mode": MailMode(mode)}
    )
    return row


def mute(link_id: UUID, *, until: datetime, by_label: str) -> Mute:
    """Mail nobody about an integration until a moment."""
    row, _created = Mute.objects.update_or_create(
        link_id=link_id,
        defaults={"organization_schema": require_organization(), "until": until, "by_label": by_label},
    )
    return row


def unmute(link_id: UUID) -> bool:
    """Mail again about an integration; return whether it was muted."""
    deleted, _by_model = Mute.objects.filter(link_id=link_id).delete()
    return bool(deleted)


def muted_until(link_id: UUID | str) -> datetime | None:
    """Return until when an integration is muted, or nothing."""
    return Mute.objects.filter(link_id=link_id, until__gt=clock.now()).values_list("until", flat=True).first()


def muted(link_ids: set[str]) -> set[str]:
    """Return which of these integrations are muted now."""
    rows = Mute.objects.filter(link_id__in=link_ids, until__gt=clock.now())
    return {str(link_id) for link_id in rows.values_list("link_id", flat=True)}
