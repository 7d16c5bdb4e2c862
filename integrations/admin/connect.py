"""Connecting and reconnecting by form: the catalogue, the generated form, and refusals shown at their fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from core.errors import RegistryError
from dispatch.models import Vendor
from integrations import registry
from integrations.admin.base import actor_of, refusal_text
from integrations.admin.oauth import CONNECT, OAuthPages, offer_login
from integrations.admin.show import CATEGORIES, ICONS
from integrations.contract import ProviderError
from integrations.generate.forms import (
    CREDENTIALS,
    SETTINGS,
    SpecForm,
    connect_form,
    initial_values,
    reconnect_form,
)
from integrations.models import Integration
from integrations.services import connect as service


class ConnectPages(OAuthPages):
    """The pages on which an account is connected; mixed into the list of integrations."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Ask the role."""
        return bool(request.user.has_perm(CONNECT))

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the catalogue of providers."""
        self.demand(request, CONNECT)
        closed = set(Vendor.objects.filter(is_enabled=False).values_list("provider", flat=True))
        entries: list[dict[str, Any]] = [
            {"spec": found.spec, "icon": ICONS[found.spec.category], "is_closed": key in closed}
            for key, found in registry.providers().items()
        ]
        groups = [
            {"title": title, "entries": chosen}
            for category, title in CATEGORIES.items()
            if (chosen := [entry for entry in entries if entry["spec"].category == category])
        ]
        return self.page(request, "registry/catalogue.html", title=_("Connect an account"), groups=groups)

    def connect_view(self, request: HttpRequest, provider: str) -> HttpResponse:
        """Show the form of one provider, and connect what it is filled with."""
        self.demand(request, CONNECT)
        found = registry.find(provider)
        if found is None:
            raise Http404("no such provider")
        if Vendor.objects.filter(provider=provider, is_enabled=False).exists():
            raise PermissionDenied
        form = connect_form(found.spec)(request.POST or None, request.FILES or None)

        def connect() -> Integration:
            return service.connect(
                provider=provider,
                name=form.cleaned_data["name"],
                environment=form.cleaned_data["environment"],
                credentials=form.values_of(CREDENTIALS),
                settings=form.values_of(SETTINGS),
                actor=actor_of(request),
            )

        if integration := _tried(request, form, connect):
            messages.success(request, _("%(name)s is connected.") % {"name": integration.name})
            return HttpResponseRedirect(self.detail_url(integration))
        title = _("Connect %(provider)s") % {"provider": found.spec.label}
        return self._form_page(request, found.spec, form, title=title)

    def reconnect_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Give an integration a new credential in place; the old one serves until the new one passed."""
        integration = self.find(request, object_id)
        self.demand(request, CONNECT)
        spec = integration.provider_class.spec
        form = reconnect_form(spec)(
            request.POST or None, request.FILES or None, initial=initial_values(spec, integration.settings)
        )

        def reconnect() -> Integration:
            return service.reconnect(
                integration,
                credentials=form.values_of(CREDENTIALS),
                settings=form.values_of(SETTINGS),
                actor=actor_of(request),
            )

        if _tried(request, form, reconnect):
            messages.success(request, _("The new credential works and serves from now on."))
            return HttpResponseRedirect(self.detail_url(integration))
        title = _("Reconnect %(name)s") % {"name": integration.name}
        return self._form_page(request, spec, form, title=title, integration=integration)

    def detail_url(self, integration: Integration) -> str:
        """Return the address of an integration's page."""
        return reverse("admin:integrations_integration_change", args=[integration.pk], current_app=self.admin_site.name)

    def _form_page(self, request: HttpRequest, spec: Any, form: SpecForm, **context: Any) -> HttpResponse:
        status = 422 if form.is_bound else 200
        page = self.page(request, "registry/connect.html", status=status, spec=spec, form=form, **context)
        return offer_login(page, spec.key)


def _tried(request: HttpRequest, form: SpecForm, call: Callable[[], Integration]) -> Integration | None:
    """Call the service with a form that was sent; a refusal lands at its field and nothing is returned."""
    if request.method != "POST" or not form.is_valid():
        return None
    try:
        return call()
    except ProviderError as error:
        field = error.field or ""
        name = field if "." in field or not field else f"{CREDENTIALS}.{field}"
        form.add_refusal({name: [refusal_text(error)]} if name else {}, otherwise=refusal_text(error))
    except RegistryError as error:
        form.add_refusal(error.errors, otherwise=_(error.detail))
    return None
