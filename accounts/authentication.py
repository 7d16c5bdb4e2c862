"""The API's authentication: the middleware found the key, DRF learns of it here."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.models import ApiKey


class ApiKeyAuthentication(BaseAuthentication):
    """Bearer keys; an absent or unusable one is 401 with a challenge."""

    def authenticate(self, request: Request) -> tuple[ApiKey, ApiKey] | None:
        """Return the key as the request's user and auth."""
        api_key = getattr(request._request, "api_key", None)
        return (api_key, api_key) if api_key is not None else None

    def authenticate_header(self, request: Request) -> str:
        """Name the scheme of the 401 answer."""
        return 'Bearer realm="api"'
