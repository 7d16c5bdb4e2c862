"""Django's authentication by e-mail and password; permissions come from `User.has_perm`."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from accounts.models import User


class RoleBackend(ModelBackend):
    """Checks the password; addresses compare without regard to case."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """Return the user of a right pair; an unknown address takes as long as a wrong password."""
        email = (username or kwargs.get("email") or "").strip().lower()
        user = super().authenticate(request, username=email, password=password)
        return user if isinstance(user, User) else None
