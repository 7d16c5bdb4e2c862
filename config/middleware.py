"""Request ids, and the separation of the hosts for machines and for people."""

from __future__ import annotations

import re
from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponseBase

from core.ids import new_id

GetResponse = Callable[[HttpRequest], HttpResponseBase]

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_FOR_PEOPLE = ("/admin/", "/o/", "/login/", "/logout/", "/password-reset/")


class RequestIdMiddleware:
    """Give each request an id: the caller's `X-Request-Id` where it is harmless, a new one otherwise."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Bind the id to the log and send it back."""
        given = request.headers.get("X-Request-Id", "")
        request_id = given if _SAFE_ID.fullmatch(given) else str(new_id())
        request.request_id = request_id  # type: ignore[attr-defined]
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self.get_response(request)
        response.headers["X-Request-Id"] = request_id
        return response


class HostSeparationMiddleware:
    """Serve people's pages on ADMIN_HOST only, so that the public host never carries a session cookie."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer 404 to pages asked on the wrong host; development has one host for all."""
        wanted = settings.ADMIN_HOST
        if wanted and request.path.startswith(_FOR_PEOPLE) and request.get_host().lower() != wanted.lower():
            raise Http404("people's pages are on the admin host")
        return self.get_response(request)
