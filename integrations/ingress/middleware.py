"""
The short way for webhooks: from the request's id and TLS rules straight to the view.

A vendor has no session, language, cookie, page or account, so nothing behind this middleware has anything to say to
it, and together it costs more than the signature and the INSERT (benchmarks/ingest.py).
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, get_resolver

GetResponse = Callable[[HttpRequest], HttpResponseBase]

PREFIX = "/webhooks/"
URLCONF = "integrations.ingress.urls"


class WebhookMiddleware:
    """
    Answer `/webhooks/…` here, whatever stands behind in MIDDLEWARE.

    It must stand behind what names the organization, gives the request its id and enforces HTTPS. What it skips and
    webhooks need, it does itself: the host is checked against ALLOWED_HOSTS and the answer gets its Content-Length.
    A path that is no webhook's, and an organization's own host, take the long way.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Call the view of a webhook; raises `DisallowedHost`, which Django answers with 400."""
        if not request.path_info.startswith(PREFIX) or getattr(request, "organization", None) is not None:
            return self.get_response(request)
        try:
            match = get_resolver(URLCONF).resolve(request.path_info)
        except Resolver404:
            return self.get_response(request)
        request.get_host()
        request.resolver_match = match
        response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
        if isinstance(content := getattr(response, "content", None), bytes):
            response.headers.setdefault("Content-Length", str(len(content)))
        return response
