"""
What a role may do inside an organization, and the scopes of API keys. Tables, not ladders.

Inside an organization the membership's role alone answers `has_perm`; `is_staff` and `is_superuser` count on the
platform's pages only.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import models
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    """Roles of a member, the mightiest first."""

    OWNER = "owner", _("Owner")
    ADMIN = "admin", _("Admin")
    DEVELOPER = "developer", _("Developer")
    VIEWER = "viewer", _("Viewer")


_READ = frozenset({"view"})
_WORK = frozenset({"view", "add", "change", "test", "send", "replay", "inspect"})
_KEEP = _WORK | {"delete", "connect", "disconnect", "rotate", "cancel"}

_PEOPLE_MODELS = frozenset({"membership", "invitation"})
_KEY_MODELS = frozenset({"apikey"})

VERBS: dict[str, frozenset[str]] = {
    Role.OWNER: _KEEP,
    Role.ADMIN: _KEEP,
    Role.DEVELOPER: _WORK | {"connect"},
    Role.VIEWER: _READ,
}
"""Verbs of a Django permission codename (`change_integration` → change) that a role may do."""


def role_allows(role: str, permission: str) -> bool:
    """
    Answer for one permission such as ``integrations.change_integration``.

    Members are managed by owners and admins, API keys by owners, admins and developers; viewers only look,
    and not at keys or people.
    """
    verb, _separator, model = permission.rpartition(".")[2].partition("_")
    if model in _PEOPLE_MODELS:
        return role in {Role.OWNER, Role.ADMIN}
    if model in _KEY_MODELS:
        return role in {Role.OWNER, Role.ADMIN, Role.DEVELOPER}
    return verb in VERBS.get(role, frozenset())


SCOPES: tuple[str, ...] = (
    "integrations:read", "integrations:write", "deliveries:read", "deliveries:body", "deliveries:write",
    "messages:read", "messages:write", "templates:read", "templates:write", "media:read", "media:write",
    "events:read", "events:write", "usage:read", "audit:read", "api_keys:read", "api_keys:write",
    "members:read", "members:write", "billing:read", "billing:write",
)  # fmt: skip
"""What an API key may be allowed; `*` is all of it."""

ALL_SCOPES = "*"


_WITHHELD: dict[str, frozenset[str]] = {Role.DEVELOPER: frozenset({ALL_SCOPES, "members:read", "members:write"})}


def withheld_scopes(role: str, scopes: Iterable[str]) -> list[str]:
    """Name the wanted scopes that a role may not give to a key: what its own pages keep from it."""
    return sorted(set(scopes) & _WITHHELD.get(role, frozenset()))


def scope_allows(scopes: list[str], wanted: str) -> bool:
    """Whether a key's scopes cover the wanted one."""
    return ALL_SCOPES in scopes or wanted in scopes
