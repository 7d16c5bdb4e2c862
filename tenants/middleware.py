"""
Path and domain routing: the first middleware of all.

`/o/<slug>/…` enters the organization and serves one organization URLconf under that script prefix. Naming an
organization grants nothing: `accounts.middleware.MembershipMiddleware` answers 404 to whoever is no member.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.urls import set_script_prefix, set_urlconf

from tenants.connection import tenant_connection
from tenants.context import in_organization
from tenants.models import Domain, Organization

PATH = re.compile(r"^/o/(?P<slug>[a-z0-9-]{1,40})(?P<rest>/.*)$")
GetResponse = Callable[[HttpRequest], HttpResponseBase]


class OrganizationMiddleware:
    """Enter the organization that the path or the host names; leave it whatever happens."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.own_hosts = {host.lower() for host in settings.ALLOWED_HOSTS}

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Route one request."""
        tenant_connection().set_schema_to_public()
        request.organization = None  # type: ignore[attr-defined]
        try:
            if match := PATH.match(request.path_info):
                organization = Organization.objects.open().filter(slug=match["slug"]).first()
                if organization is None:  # answered by MembershipMiddleware like an organization one is no member of
                    return self.get_response(request)
                return self._inside(request, organization, prefix=f"/o/{match['slug']}", rest=match["rest"])
            if organization := self._by_host(request):
                return self._inside(request, organization, prefix="", rest=request.path_info)
            return self.get_response(request)
        finally:
            set_script_prefix("/")
            set_urlconf(None)
            tenant_connection().set_schema_to_public()

    def _by_host(self, request: HttpRequest) -> Organization | None:
        host = request.META.get("HTTP_HOST", "").rsplit(":", 1)[0].lower()
        if not host or host in self.own_hosts or "*" in self.own_hosts:
            return None
        domain = Domain.objects.select_related("tenant").filter(domain=host).first()
        return domain.tenant if domain and domain.tenant.is_open else None

    def _inside(self, request: HttpRequest, organization: Organization, *, prefix: str, rest: str) -> HttpResponseBase:
        request.organization = organization  # type: ignore[attr-defined]
        request.urlconf = settings.ORGANIZATION_URLCONF
        request.path_info = rest
        request.META["SCRIPT_NAME"] = prefix
        set_script_prefix(f"{prefix}/")
        with in_organization(organization):
            return self.get_response(request)
