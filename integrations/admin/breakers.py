"""Breakers on the platform's pages of links and vendors: what is held back and why, and closing one by hand."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dispatch.models import BreakerState
from integrations.admin.base import RegistryAdmin, actor_of
from integrations.admin.show import badge
from integrations.services import breakers

TONES = {BreakerState.OPEN: "failing", BreakerState.HALF_OPEN: "degraded", BreakerState.CLOSED: "healthy"}
"""The color of a breaker, by a state of the same tone."""


class BreakerPages(RegistryAdmin):
    """The column and the action, for the admin of a model with a breaker."""

    @admin.display(description=gettext_lazy("breaker"))
    def shown_breaker(self, obj: Any) -> SafeString | str:
        """Say whether calls go out and until when not, why, and where to close it."""
        if not obj.pk:
            return "-"
        state = badge(TONES[obj.breaker], obj.get_breaker_display())
        if obj.breaker == BreakerState.CLOSED:
            return state
        until = date_format(localtime(obj.breaker_until), "SHORT_DATETIME_FORMAT") if obj.breaker_until else ""
        return format_html(
            '{} {} {} <a class="rg-link" href="{}">{}</a>',
            state,
            until,
            _(obj.breaker_reason) if obj.breaker_reason else "",
            reverse(f"admin:{self._page_name}", args=[obj.pk], current_app=self.admin_site.name),
            _("Close it now"),
        )

    def get_urls(self) -> list[URLPattern]:
        """Add the action before Django's own pages."""
        view = self.admin_site.admin_view(self.reset_breaker_view)
        return [path("<path:object_id>/reset-breaker/", view, name=self._page_name), *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write what the form changed: the other columns are the engine's, and move meanwhile."""
        obj.save(update_fields=form.changed_data if change else None)

    def reset_breaker_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask once, then close the breaker."""
        found = self.find(request, object_id)
        self.demand(request, f"dispatch.change_{self.model._meta.model_name}")
        back = f"../../{object_id}/change/"
        if request.method != "POST":
            text = _("Calls go out again at once, those that wait as well. The next failures open it again.")
            title, button = _("Close the breaker"), _("Close it now")
            return self.page(request, "registry/confirm.html", title=title, text=text, button=button, back=back)
        breakers.reset(found, actor=actor_of(request))
        messages.success(request, _("The breaker is closed."))
        return HttpResponseRedirect(back)

    @property
    def _page_name(self) -> str:
        return f"{self.model._meta.model_name}_reset_breaker"
