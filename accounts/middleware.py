"""Who may enter what was routed: members into organizations, API keys into theirs."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponseBase

from accounts.models import User, membership_of
from accounts.services import find_api_key
from tenants.context import in_organization

GetResponse = Callable[[HttpRequest], HttpResponseBase]

API_PREFIX = "/api/v1/"
ORGANIZATION_PREFIX = "/o/"


class MembershipMiddleware:
    """
    Answer 404 inside an organization to everybody who is no active member of it; strangers log in first.

    Whoever is not logged in is sent to the login page for existing and unknown organizations alike, so that
    nobody learns which exist.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Check one request."""
        organization = getattr(request, "organization", None)
        if organization is None and not request.path_info.startswith(ORGANIZATION_PREFIX):
            return self.get_response(request)
        if not isinstance(request.user, User):
            return redirect_to_login(request.get_full_path(), settings.LOGIN_URL)
        if organization is None or membership_of(request.user) is None:
            raise Http404("not a member")
        return self.get_response(request)


class ApiKeyMiddleware:
    """Let the key of an API request name the organization, and work inside it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Find the key; without a usable one the request stays in public and the API answers 401."""
        request.api_key = None  # type: ignore[attr-defined]
        if not request.path_info.startswith(API_PREFIX):
            return self.get_response(request)
        found = find_api_key(request.headers.get("Authorization", ""))
        if found is None:
            return self.get_response(request)
        request.api_key, request.organization = found  # type: ignore[attr-defined]
        with in_organization(found.organization):
            return self.get_response(request)
