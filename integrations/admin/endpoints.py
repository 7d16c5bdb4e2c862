"""Customers' event endpoints on the organization's site: made, tested, replayed, their answers shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import Environment
from core import clock
from core.errors import RegistryError
from integrations.admin.base import ReadOnlyAdmin, actor_of, refusal_text
from integrations.admin.show import badge
from integrations.admin.sites import organization_site
from integrations.services import endpoints as calls
from notifications.endpoints import catalogue, services
from notifications.endpoints.deliveries import answer_of
from notifications.endpoints.models import EndpointStatus, EventEndpoint

SHOWN = 50
"""Attempts on an endpoint's page; the API has all of them."""

DAYS: dict[str, Any] = {
    "1": gettext_lazy("the last day"),
    "7": gettext_lazy("the last week"),
    "30": gettext_lazy("the last month"),
}
"""What can be replayed by a button; other times through the API."""

LIST = "notifications_eventendpoint_changelist"
ONE = "notifications_eventendpoint_change"


class EndpointForm(forms.Form):
    """What a new endpoint is."""

    url = forms.CharField(label=gettext_lazy("URL"), max_length=2000, help_text="https://…")
    environment = forms.ChoiceField(label=gettext_lazy("Environment"), choices=Environment.choices)
    event_types = forms.MultipleChoiceField(
        label=gettext_lazy("Event types"),
        choices=[(pattern, pattern) for pattern in sorted(catalogue.PATTERNS)],
        initial=[catalogue.ALL],
        widget=forms.CheckboxSelectMultiple,
    )
    description = forms.CharField(label=gettext_lazy("Description"), max_length=200, required=False)


@admin.register(EventEndpoint, site=organization_site)
class EventEndpointAdmin(ReadOnlyAdmin):
    """Endpoints, the newest first; those who work here add, test and replay, owners and admins delete."""

    list_display = ("url", "environment", "shown_types", "shown_status", "failing_since", "created_at")
    list_filter = ("environment", "status")
    search_fields = ("url", "description")
    ordering = ("-id",)
    show_add_link = True

    @admin.display(description=gettext_lazy("event types"))
    def shown_types(self, obj: EventEndpoint) -> str:
        """What it asked for."""
        return ", ".join(obj.event_types)

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def shown_status(self, obj: EventEndpoint) -> str:
        """Whether it is told, or why not."""
        if obj.status == EndpointStatus.DISABLED:
            return badge("disabled", obj.get_disabled_because_display())
        return badge("failing", _("failing")) if obj.failing_since else badge("active", _("active"))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Ask the role."""
        return bool(request.user.has_perm("notifications.add_eventendpoint"))

    def get_urls(self) -> list[URLPattern]:
        """Add the actions."""
        view = self.admin_site.admin_view
        actions: dict[str, Callable[..., HttpResponse]] = {
            "test": self.test_view,
            "replay": self.replay_view,
            "switch": self.switch_view,
            "rotate": self.rotate_view,
            "remove": self.remove_view,
        }
        own = [path(f"<uuid:object_id>/{name}/", view(act), name=f"endpoint_{name}") for name, act in actions.items()]
        return [*own, *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Make an endpoint and show its secret, this once."""
        self.demand(request, "notifications.add_eventendpoint")
        form = EndpointForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                return self._secret_page(request, services.create(**form.cleaned_data, actor=actor_of(request)))
            except RegistryError as error:
                for name, texts in error.errors.items() or {"": [refusal_text(error)]}.items():
                    form.add_error(name or None, [_(text) for text in texts])
        return self.page(
            request,
            "registry/form.html",
            title=_("New event endpoint"),
            status=422 if form.is_bound else 200,
            form=form,
            button=_("Create the endpoint"),
            back=_page(LIST),
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show an endpoint and what it answered lately."""
        endpoint: EventEndpoint = self.find(request, object_id)
        attempts = list(endpoint.attempts.order_by("-id")[:SHOWN])
        can = request.user.has_perm
        return self.page(
            request,
            "registry/endpoint.html",
            title=endpoint.url,
            endpoint=endpoint,
            original=endpoint,
            state=self.shown_status(endpoint),
            types=self.shown_types(endpoint),
            is_active=endpoint.status == EndpointStatus.ACTIVE,
            attempts=[(attempt, answer_of(attempt)) for attempt in attempts],
            days=DAYS.items(),
            may_test=can("notifications.test_eventendpoint"),
            may_replay=can("notifications.replay_eventendpoint"),
            may_change=can("notifications.change_eventendpoint"),
            may_rotate=can("notifications.rotate_eventendpoint"),
            may_delete=can("notifications.delete_eventendpoint"),
            back=_page(LIST),
        )

    def test_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Send a test event now."""

        def test(endpoint: EventEndpoint) -> None:
            outcome = calls.test(endpoint, actor=actor_of(request))
            if outcome.error:
                messages.error(request, _("The endpoint did not take the test event: %(why)s") % {"why": outcome.error})
            else:
                messages.success(request, _("The endpoint took the test event."))

        return self._act(request, object_id, "notifications.test_eventendpoint", test)

    def replay_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Tell it again of the events of the chosen days."""

        def replay(endpoint: EventEndpoint) -> None:
            days = request.POST.get("days", "")
            now = clock.now()
            since = now - timedelta(days=int(days) if days in DAYS else 1)
            told = services.replay(endpoint, since=since, until=now, actor=actor_of(request))
            messages.success(request, _("%(count)s events are told again.") % {"count": told})

        return self._act(request, object_id, "notifications.replay_eventendpoint", replay)

    def switch_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Switch it on or off."""

        def switch(endpoint: EventEndpoint) -> None:
            is_on = request.POST.get("enabled") == "1"
            services.change(endpoint, {"enabled": is_on}, actor=actor_of(request))
            messages.success(
                request, _("The endpoint is switched on.") if is_on else _("The endpoint is switched off.")
            )

        return self._act(request, object_id, "notifications.change_eventendpoint", switch)

    def rotate_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Replace the secret and show the new one, this once."""
        endpoint = self.find(request, object_id)
        self.demand(request, "notifications.rotate_eventendpoint")
        if request.method != "POST":
            return HttpResponseRedirect(_page(ONE, endpoint.pk))
        return self._secret_page(request, services.rotate_secret(endpoint, actor=actor_of(request)))

    def remove_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Delete it, after a question."""
        endpoint = self.find(request, object_id)
        self.demand(request, "notifications.delete_eventendpoint")
        if request.method == "POST":
            services.delete(endpoint, actor=actor_of(request))
            messages.success(request, _("The endpoint is deleted."))
            return HttpResponseRedirect(_page(LIST))
        return self.page(
            request,
            "registry/confirm.html",
            title=_("Delete the endpoint"),
            text=_("It is told nothing any more, and its attempts are deleted. The events stay in the feed."),
            button=_("Delete"),
            back=_page(ONE, endpoint.pk),
        )

    def _act(
        self, request: HttpRequest, object_id: object, permission: str, act: Callable[[EventEndpoint], None]
    ) -> HttpResponse:
        endpoint = self.find(request, object_id)
        self.demand(request, permission)
        if request.method == "POST":
            try:
                act(endpoint)
            except RegistryError as error:
                messages.error(request, refusal_text(error))
        return HttpResponseRedirect(_page(ONE, endpoint.pk))

    def _secret_page(self, request: HttpRequest, made: services.NewEndpoint) -> HttpResponse:
        return self.page(
            request,
            "registry/endpoint_secret.html",
            title=_("The secret of your endpoint"),
            endpoint=made.endpoint,
            text=made.secret.reveal(),
            back=_page(ONE, made.endpoint.pk),
        )


def _page(view: str, *args: Any) -> str:
    return reverse(f"admin:{view}", args=args, current_app=organization_site.name)
