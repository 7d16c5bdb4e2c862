"""Muting an integration: its issues open all the same, and nobody is mailed about it until a day."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import clock
from integrations.admin.base import RegistryAdmin, actor_of
from integrations.models import Integration
from integrations.services import issues
from notifications import preferences

DAYS: dict[str, Any] = {
    "1": gettext_lazy("for a day"),
    "7": gettext_lazy("for a week"),
    "30": gettext_lazy("for a month"),
}
"""How long an integration can be muted: nobody mutes for good, for then nobody would know."""


class MutePages(RegistryAdmin):
    """The action of muting, for the admin of integrations."""

    def mute_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Mute for the chosen days, or end it when none is chosen."""
        integration: Integration = self.find(request, object_id)
        self.demand(request, "integrations.change_integration")
        if request.method == "POST":
            days = request.POST.get("days", "")
            if days in DAYS:
                issues.mute(integration, until=clock.now() + timedelta(days=int(days)), actor=actor_of(request))
                messages.success(request, _("Nobody is mailed about this integration until then."))
            else:
                issues.unmute(integration, actor=actor_of(request))
                messages.success(request, _("Mail about this integration is on again."))
        return HttpResponseRedirect(_back(request) or "../change/")


def mute_context(request: HttpRequest, integration_id: UUID) -> dict[str, Any]:
    """Return what `registry/parts/mute.html` shows."""
    return {
        "muted_until": preferences.muted_until(integration_id),
        "mute_days": DAYS.items(),
        "may_mute": request.user.has_perm("integrations.change_integration"),
    }


def _back(request: HttpRequest) -> str:
    """Return the page of ours that the form was on."""
    target = request.POST.get("next", "")
    return target if url_has_allowed_host_and_scheme(target, allowed_hosts=None) else ""
