"""Incidents of vendors on the platform's site: open ones on top; staff open and close by hand what they know better."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import F
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.errors import RegistryError
from dispatch.models import Link, ProviderIncident
from integrations.admin.base import ReadOnlyAdmin, actor_of
from integrations.admin.people import add_refusal
from integrations.admin.platform import provider_field
from integrations.admin.show import badge, provider_label
from integrations.admin.sites import platform_site
from integrations.services import incidents

SHOWN = 20
"""Links on an incident's page; the list of all is a click away."""


class IncidentForm(forms.Form):
    """An incident that staff know of before the platform does."""

    provider = provider_field()
    text = forms.CharField(
        label=gettext_lazy("What organizations read"),
        max_length=300,
        required=False,
        help_text=gettext_lazy("One sentence for all of them, without names. Empty: that the provider is down."),
    )


@admin.register(ProviderIncident, site=platform_site)
class IncidentAdmin(ReadOnlyAdmin):
    """Incidents, each with what it was opened by."""

    show_add_link = True
    list_display = ("shown_provider", "shown_state", "error_class", "organizations", "shown_links", "opened_at",
                    "last_seen_at", "closed_at")  # fmt: skip
    list_filter = ("provider", "error_class", ("closed_at", admin.EmptyFieldListFilter))
    ordering = (F("closed_at").desc(nulls_first=True), "-opened_at")

    @admin.display(description=gettext_lazy("provider"), ordering="provider")
    def shown_provider(self, obj: ProviderIncident) -> str:
        """The provider by its label."""
        return provider_label(obj.provider)

    @admin.display(description=gettext_lazy("state"), ordering="closed_at")
    def shown_state(self, obj: ProviderIncident) -> str:
        """Open or over, colored."""
        return badge("failing", _("open")) if obj.closed_at is None else badge("healthy", _("over"))

    @admin.display(description=gettext_lazy("failing links"))
    def shown_links(self, obj: ProviderIncident) -> str:
        """How many of the vendor's links failed when it opened."""
        return f"{obj.links} / {obj.active_links}" if obj.links else "-"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Ask Django's permissions."""
        return bool(request.user.has_perm("dispatch.add_providerincident"))

    def get_urls(self) -> list[URLPattern]:
        """Add the closing."""
        close = path("<uuid:object_id>/close/", self.admin_site.admin_view(self.close_view), name="incident_close")
        return [close, *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Open an incident by hand and show it."""
        self.demand(request, "dispatch.add_providerincident")
        form = IncidentForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                values = form.cleaned_data
                opened = incidents.open_by_hand(values["provider"], text=values["text"], actor=actor_of(request))
            except RegistryError as error:
                add_refusal(form, error)
            else:
                return HttpResponseRedirect(self._url("change", opened.pk))
        return self.page(
            request,
            "registry/form.html",
            title=_("New incident"),
            status=422 if form.is_bound else 200,
            form=form,
            button=_("Open the incident"),
            back=self._url("changelist"),
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show an incident, and the links that fail with its class now."""
        incident = self.find(request, object_id)
        failing = Link.objects.filter(provider=incident.provider, failing_class=incident.error_class)
        return self.page(
            request,
            "registry/incident.html",
            title=provider_label(incident.provider),
            original=incident,
            incident=incident,
            state=self.shown_state(incident),
            is_open=incident.closed_at is None,
            failing=failing.order_by("-failing_at")[:SHOWN] if incident.closed_at is None else [],
            may_close=incident.closed_at is None and request.user.has_perm("dispatch.change_providerincident"),
        )

    def close_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """End an incident by hand."""
        incident = self.find(request, object_id)
        self.demand(request, "dispatch.change_providerincident")
        if request.method == "POST" and incidents.close(incident, actor=actor_of(request)):
            messages.success(request, _("The incident is over; held work goes on."))
        return HttpResponseRedirect(self._url("change", incident.pk))

    def _url(self, view: str, *ids: object) -> str:
        name = f"admin:dispatch_providerincident_{view}"
        return reverse(name, args=ids, current_app=self.admin_site.name)
