"""The two sites of the admin: the platform's for staff, the organization's for its members by role."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import update_wrapper
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.views import LogoutView
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import SimpleTemplateResponse
from django.templatetags.static import static
from django.urls import URLPattern, URLResolver, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.settings import CONFIG_DEFAULTS
from unfold.sites import UnfoldAdminSite

from accounts.models import User, membership_of
from audit.services import Target, record_alone
from integrations import registry
from integrations.admin.base import actor_of, address_of
from integrations.admin.navigation import ORGANIZATION_MENU, PLATFORM_MENU, Menu, sidebar, unread_notes
from tenants.context import in_public

COLORS = {
    **CONFIG_DEFAULTS["COLORS"],
    "primary": {
        "50": "oklch(98.4% .014 180.7)", "100": "oklch(95.3% .051 180.8)", "200": "oklch(91% .096 180.4)",
        "300": "oklch(85.5% .138 181)", "400": "oklch(72% .14 182)", "500": "oklch(60% .118 184.7)",
        "600": "oklch(51.1% .096 186.4)", "700": "oklch(43.7% .078 188.2)", "800": "oklch(38.6% .063 188.4)",
        "900": "oklch(33% .054 188.4)", "950": "oklch(27.7% .046 192.5)",
    },
}  # fmt: skip
"""The palette of both sites; 600 on white reads at 5:1."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of an organization's start page that a category app adds: its template and what fills it."""

    template: str
    context: Callable[[HttpRequest], Mapping[str, Any]]


class RegistrySite(UnfoldAdminSite):
    """
    What both sites share: people log in at one page, and who may not be here finds nothing.

    Django's log of the admin is not used; the start page and the history show the audit trail (`base.py`).
    """

    menu: Menu = ()
    heading: Any = ""
    enable_nav_sidebar = True

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.disable_action("delete_selected")

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Return the site's URLs without Django's redirect by content type, which knows no organization."""
        return [url for url in super().get_urls() if getattr(url, "name", "") != "view_on_site"]

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Answer 404 to people who are logged in and do not belong here; strangers log in first."""
        guarded = super().admin_view(view, cacheable)

        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.user.is_authenticated and not self.has_permission(request):
                raise Http404("not for this person")
            if "%00" in request.META.get("QUERY_STRING", ""):
                raise BadRequest("NUL in the query: no text of the database holds it")
            with timezone.override(_zone_of(request)):
                response = guarded(request, *args, **kwargs)
                # Rendered here: later the zone is no longer the person's.
                return response.render() if isinstance(response, SimpleTemplateResponse) else response

        return update_wrapper(checked, guarded)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Send people to the one login page, and from there back to where they were going."""
        target = request.GET.get("next", "") or reverse("admin:index", current_app=self.name)
        return HttpResponseRedirect(f"{settings.LOGIN_URL}?{urlencode({'next': target})}")

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """End the session, by POST alone, and show the login page."""
        return LogoutView.as_view(next_page=settings.LOGIN_URL)(request)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Let people change their password, and write down that they did."""
        response: HttpResponse = super().password_change(request, extra_context)
        if request.method == "POST" and response.status_code == HTTPStatus.FOUND:
            actor = actor_of(request)
            record_alone(
                action="user.password_changed",
                actor=actor,
                target=Target(kind="user", id=actor.id),
                ip_address=address_of(request),
            )
        return response

    def app_index(
        self, request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead to the start page: lists are in the menu, not in a page per app."""
        return HttpResponseRedirect(reverse("admin:index", current_app=self.name))

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Add our own style and script, and where the language switch comes back to."""
        return {
            **super().each_context(request),
            "styles": [static("registry/registry.css")],
            "scripts": [static("registry/registry.js")],
            "redirect_to": request.get_full_path(),
            "site_favicons": [{"rel": "icon", "href": static("registry/icon.svg"), "type": "image/svg+xml"}],
        }

    def _get_config(self, key: str, *args: Any) -> Any:
        request = args[0] if args else None
        own: dict[str, Any] = {
            "SITE_TITLE": _("Integrations Registry"),
            "SITE_HEADER": self.heading_of(request),
            "SITE_SYMBOL": "hub",
            "SITE_URL": None,
            "SHOW_LANGUAGES": True,
            "SHOW_VIEW_ON_SITE": False,
            "COLORS": {name: dict(weights) for name, weights in COLORS.items()},
            "BORDER_RADIUS": "8px",
        }
        if key == "SIDEBAR":
            groups = sidebar(self.menu, request, site=self) if request is not None else []
            return {**CONFIG_DEFAULTS["SIDEBAR"], "navigation": groups}
        return self._get_value(own[key], request) if key in own else super()._get_config(key, *args)

    def heading_of(self, request: HttpRequest | None) -> Any:
        """Say what stands above the menu."""
        return self.heading


class PlatformSite(RegistrySite):
    """The platform's site at /admin/, for its staff alone; it works in public and sees no organization's schema."""

    menu = PLATFORM_MENU
    heading = _("Platform")
    index_title = _("Overview")
    index_template = "registry/platform_index.html"

    def has_permission(self, request: HttpRequest) -> bool:
        """Admit active staff, outside every organization."""
        user = request.user
        return isinstance(user, User) and user.is_active and user.is_staff and in_public()

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show how all organizations are doing."""
        from integrations.admin.dashboard import platform_overview

        return super().index(request, {**platform_overview(), **(extra_context or {})})


class OrganizationSite(RegistrySite):
    """One organization's site at /o/<slug>/admin/; the membership's role alone decides what a person may do."""

    menu = ORGANIZATION_MENU
    index_title = _("Overview")
    index_template = "registry/organization_index.html"

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Add the bell, for those who are inside."""
        bell = {"notes_bell": unread_notes(request)} if self.has_permission(request) else {}
        return {**super().each_context(request), **bell}

    def heading_of(self, request: HttpRequest | None) -> Any:
        """Name the organization, so that two tabs cannot be mistaken for one another."""
        organization = getattr(request, "organization", None)
        return organization.name if organization else ""

    def has_permission(self, request: HttpRequest) -> bool:
        """Admit active members of the organization that was entered."""
        user = request.user
        return isinstance(user, User) and user.is_active and not in_public() and membership_of(user) is not None

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show each integration with its health and what must be done next."""
        from integrations.admin.dashboard import organization_overview

        panels = [{"template": panel.template, **panel.context(request)} for panel in registry.panels()]
        return super().index(request, {**organization_overview(request), "panels": panels, **(extra_context or {})})


def _zone_of(request: HttpRequest) -> ZoneInfo:
    """Return the zone that the person's browser named in a cookie; UTC without one."""
    try:
        return ZoneInfo(request.COOKIES.get("tz", "") or "UTC")
    except (KeyError, ValueError, OSError):  # no such zone, or nothing a zone can be called
        return ZoneInfo("UTC")


platform_site = PlatformSite(name="platform")
organization_site = OrganizationSite(name="organization")
