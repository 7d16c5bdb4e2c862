"""Issues: the list with the open ones first, and the page of each with the one thing to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dispatch.models import LinkStatus
from integrations.admin.base import ReadOnlyAdmin
from integrations.admin.mute import mute_context
from integrations.admin.show import WHO, badge, provider_label
from integrations.admin.sites import organization_site
from integrations.models import Issue
from integrations.services.issues import RECONNECT_CAUSES

CAUSES: dict[str, Any] = {
    "authentication_error": gettext_lazy("Credential refused"),
    "permission_error": gettext_lazy("Permission missing"),
    "quota_exhausted": gettext_lazy("Quota used up"),
    "not_found": gettext_lazy("Object not found"),
    "invalid_request": gettext_lazy("Request refused"),
    "Misconfigured": gettext_lazy("Settings incomplete"),
    "UnexpectedResponse": gettext_lazy("Unknown answer"),
    "webhook_not_registered": gettext_lazy("Webhook not registered"),
    "disabled_by_system": gettext_lazy("Switched off by the platform"),
    "credential_expiring": gettext_lazy("Credential ends soon"),
    "credential_not_retired": gettext_lazy("Replaced credential still works"),
    "webhook_silent": gettext_lazy("No webhooks arrive"),
    "token_not_renewed": gettext_lazy("Token not renewed"),
}
"""Causes in words; one that is not here, such as a vendor's own, is shown as it is stored."""


class OfState(admin.SimpleListFilter):
    """Open or resolved."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        """Name both."""
        return [("open", _("open")), ("resolved", _("resolved"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Issue]) -> QuerySet[Issue]:
        """Keep the chosen one."""
        if self.value() not in {"open", "resolved"}:
            return queryset
        return queryset.filter(resolved_at__isnull=self.value() == "open")


class OfWho(admin.SimpleListFilter):
    """Who must act, in words."""

    title = gettext_lazy("who must act")
    parameter_name = "acts"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Name them as the pages do."""
        return [(key, label) for key, label in WHO.items() if key]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Issue]) -> QuerySet[Issue]:
        """Keep the chosen one."""
        return queryset.filter(who=self.value()) if self.value() in WHO else queryset


class OfCause(admin.SimpleListFilter):
    """The causes that there are, in words."""

    title = gettext_lazy("cause")
    parameter_name = "about"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """List the causes of this organization."""
        found = Issue.objects.order_by("cause").values_list("cause", flat=True).distinct()[:100]
        return [(cause, cause_label(cause)) for cause in found]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Issue]) -> QuerySet[Issue]:
        """Keep the chosen one."""
        return queryset.filter(cause=self.value()) if self.value() in dict(self.lookup_choices) else queryset


def cause_label(cause: str) -> str:
    """Return a cause in words."""
    return str(CAUSES.get(cause, cause))


@admin.register(Issue, site=organization_site)
class IssueAdmin(ReadOnlyAdmin):
    """Problems, open and resolved."""

    list_display = ("shown_text", "integration_name", "shown_state", "shown_cause", "shown_who", "opened_at", "count")
    list_filter = (OfState, OfCause, OfWho, "integration")
    search_fields = ("text", "cause", "integration__name")
    ordering = (F("resolved_at").desc(nulls_first=True), "-opened_at")
    list_select_related = ("integration",)

    @admin.display(description=gettext_lazy("what happened"))
    def shown_text(self, obj: Issue) -> str:
        """What happened, in the person's language where it is a text of ours."""
        return obj.said

    @admin.display(description=gettext_lazy("cause"), ordering="cause")
    def shown_cause(self, obj: Issue) -> str:
        """The cause in words."""
        return cause_label(obj.cause)

    @admin.display(description=gettext_lazy("integration"), ordering="integration__name")
    def integration_name(self, obj: Issue) -> str:
        """The integration's name."""
        return obj.integration.name

    @admin.display(description=gettext_lazy("state"), ordering="resolved_at")
    def shown_state(self, obj: Issue) -> str:
        """Open or resolved."""
        return badge("failed", _("open")) if obj.resolved_at is None else badge("done", _("resolved"))

    @admin.display(description=gettext_lazy("who must act"), ordering="who")
    def shown_who(self, obj: Issue) -> Any:
        """Who must act, in words."""
        return WHO.get(obj.who, obj.who)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one issue: what happened, since when, who must act, and the buttons that mend it."""
        issue: Issue = self.find(request, object_id)
        is_open = issue.resolved_at is None and issue.integration.status != LinkStatus.DISCONNECTED
        return self.page(
            request,
            "registry/issue.html",
            title=issue.said,
            original=issue,
            issue=issue,
            integration=issue.integration,
            provider=provider_label(issue.integration.provider),
            cause=cause_label(issue.cause),
            who=WHO.get(issue.who, issue.who),
            is_refused=issue.cause in RECONNECT_CAUSES,
            may_test=is_open and request.user.has_perm("integrations.test_integration"),
            may_reconnect=is_open and request.user.has_perm("integrations.connect_integration"),
            **mute_context(request, issue.integration.pk),
        )
