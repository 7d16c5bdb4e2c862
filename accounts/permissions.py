"""Scopes of API keys, checked before a view runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.models import ApiKey
from accounts.roles import scope_allows

if TYPE_CHECKING:  # rest_framework.views reads this module's class from the settings while it is imported
    from rest_framework.views import APIView

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class HasScope(BasePermission):
    """A view names `scope = "messages"`; reading asks for messages:read, all else for messages:write."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Answer for one request; `required_scopes` maps a method to another scope."""
        if not isinstance(request.auth, ApiKey):
            raise NotAuthenticated
        special: dict[str, str] = getattr(view, "required_scopes", {})
        suffix = "read" if request.method in _READING else "write"
        wanted = special.get(request.method or "") or f"{view.scope}:{suffix}"  # type: ignore[attr-defined]
        self.message = f"This key lacks the scope {wanted}."
        return scope_allows(request.auth.scopes, wanted)
