"""Connecting and reconnecting by a vendor's login: the button beside the form, and the way back into the admin."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from accounts.models import Environment
from core.errors import RegistryError
from integrations import registry
from integrations.admin.base import RegistryAdmin, actor_of, refusal_text
from integrations.models import Integration
from integrations.services import oauth
from integrations.services.people import people_url

CONNECT = "integrations.connect_integration"
SEE_OTHER = 303


class OAuthPages(RegistryAdmin):
    """Begin a login, and come back from it; mixed into the list of integrations."""

    def oauth_urls(self) -> list[URLPattern]:
        """Return the addresses of these pages."""
        view = self.admin_site.admin_view
        return [
            path("connect/<slug:provider>/login/", view(self.login_view), name="integration_login"),
            path("<uuid:object_id>/login/", view(self.login_again_view), name="integration_login_again"),
            path("connect/<slug:provider>/return/", view(self.return_view), name="integration_login_return"),
        ]

    def login_view(self, request: HttpRequest, provider: str) -> HttpResponse:
        """Begin to connect a new account; the next page asks for consent."""
        self.demand(request, CONNECT)
        if registry.find(provider) is None:
            raise Http404("no such provider")
        environment = request.POST.get("environment", "")
        wanted = {"provider": provider, "environment": environment if environment in Environment.values else "live"}
        back = reverse("admin:integration_connect", args=[provider], current_app=self.admin_site.name)
        return self._begin(request, back=back, **wanted)

    def login_again_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Begin to reconnect an account in place."""
        integration: Integration = self.find(request, object_id)
        self.demand(request, CONNECT)
        back = reverse("admin:integration_reconnect", args=[integration.pk], current_app=self.admin_site.name)
        return self._begin(request, back=back, provider=integration.provider, integration=integration)

    def return_view(self, request: HttpRequest, provider: str) -> HttpResponse:
        """Show the integration that a login ended with, or the form again; looking changes nothing."""
        if "integration" not in request.GET:
            back = reverse("admin:integration_connect", args=[provider], current_app=self.admin_site.name)
            return HttpResponseRedirect(back)
        integration = self.find(request, request.GET.get("integration", ""))
        messages.success(request, _("%(name)s is connected.") % {"name": integration.name})
        detail = "admin:integrations_integration_change"
        return HttpResponseRedirect(reverse(detail, args=[integration.pk], current_app=self.admin_site.name))

    def _begin(self, request: HttpRequest, *, back: str, **wanted: Any) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseRedirect(back)
        name = "admin:integration_login_return"
        own = reverse(name, args=[wanted["provider"]], current_app=self.admin_site.name)
        asked = oauth.Wanted(redirect_url=urljoin(people_url(), own), language=get_language() or "", **wanted)
        try:
            started = oauth.start(asked, actor=actor_of(request))
        except RegistryError as error:
            messages.error(request, refusal_text(error))
            return HttpResponseRedirect(back)
        return HttpResponse(status=SEE_OTHER, headers={"Location": started.url})


def offer_login(response: Any, provider: str) -> Any:
    """
    Put the button on a page with the form of a provider, where the organization can use a login.

    The button's form leads to the public host, which may be another than this page's.
    """
    if oauth.can_start(provider):
        response.context_data["has_login"] = True
        response._csp_update = {"form-action": [settings.PUBLIC_URL]}
    return response
