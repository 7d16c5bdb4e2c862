"""Making and finding keys, adding members."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import transaction

from accounts.models import ApiKey, Environment, Membership, User, new_api_key
from accounts.roles import ALL_SCOPES, SCOPES, Role
from core import clock
from core.errors import ValidationFailed
from tenants.models import Organization


class FoundKey(NamedTuple):
    """A usable key and its open organization."""

    api_key: ApiKey
    organization: Organization


def create_api_key(
    *,
    schema_name: str,
    name: str,
    scopes: Sequence[str],
    environment: str = Environment.LIVE,
    expires_at: datetime | None = None,
    created_by: str = "",
) -> tuple[ApiKey, str]:
    """
    Create a key and return it with its text, which is shown once and never known again.

    :raises ValidationFailed: an unknown scope or environment
    """
    unknown = sorted(set(scopes) - {*SCOPES, ALL_SCOPES})
    if unknown or not scopes:
        known = ", ".join((ALL_SCOPES, *SCOPES))
        raise ValidationFailed(
            "The key needs scopes that exist.",
            errors={"scopes": [f"Unknown: {', '.join(unknown) or '-'}. Known: {known}"]},
        )
    if environment not in Environment.values:
        raise ValidationFailed("The environment is 'test' or 'live'.", errors={"environment": ["Use test or live."]})
    text = new_api_key(environment)
    api_key = ApiKey.objects.create(
        organization_schema=schema_name,
        name=name,
        scopes=list(scopes),
        environment=environment,
        expires_at=expires_at,
        created_by_label=created_by,
        digest=ApiKey.digest_of(text),
        last4=text[-4:],
    )
    return api_key, text


def find_api_key(authorization: str) -> FoundKey | None:
    """Find the usable key of an Authorization header; runs in public, before the organization is known."""
    scheme, _separator, text = authorization.partition(" ")
    if scheme.lower() != "bearer" or not text.startswith("ir_"):
        return None
    api_key = ApiKey.objects.usable(clock.now()).filter(digest=ApiKey.digest_of(text.strip())).first()
    if api_key is None:
        return None
    organization = Organization.objects.open().filter(schema_name=api_key.organization_schema).first()
    if organization is None:
        return None
    api_key.mark_used(clock.now())
    return FoundKey(api_key, organization)


@transaction.atomic
def add_member(*, user: User, schema_name: str, role: str) -> Membership:
    """Make a user a member, or give a member another role."""
    if role not in Role.values:
        raise ValidationFailed("Unknown role.", errors={"role": [f"Use one of {', '.join(Role.values)}."]})
    membership, _created = Membership.objects.update_or_create(
        user=user, organization_schema=schema_name, defaults={"role": role, "is_active": True}
    )
    return membership
