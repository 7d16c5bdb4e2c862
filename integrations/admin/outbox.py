"""Work to do outside on both sites: what waits and why, until when, and how it ended; cancel and try now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.errors import RegistryError
from dispatch.models import Link, OutboxEntry, OutboxStatus
from integrations.admin.base import PlatformRowsAdmin, ReadOnlyAdmin, actor_of, refusal_text
from integrations.admin.records import LinkedRowsAdmin, OfIntegration
from integrations.admin.show import badge
from integrations.admin.sites import organization_site, platform_site
from integrations.services import outbox_actions
from integrations.services.entries import BROKEN
from tenants.context import in_organization, in_public

KINDS: dict[str, Any] = {
    "message.send": gettext_lazy("Send a message"),
    "message.read": gettext_lazy("Mark as read"),
    "message.typing": gettext_lazy("Show typing"),
    "media.download": gettext_lazy("Fetch a file"),
    "webhook.register": gettext_lazy("Register the webhook"),
    "credential.retire": gettext_lazy("Retire a replaced key"),
    "event.publish": gettext_lazy("Tell listeners inside"),
    "notification.mail": gettext_lazy("Send a mail"),
    "endpoint.deliver": gettext_lazy("Tell an event endpoint"),
    "endpoint.probe": gettext_lazy("Test a switched off endpoint"),
}
"""Kinds of work in words; one that is not here is shown as it is stored."""

INSIDE = "event.publish"
"""Work that leaves the product nowhere; an organization's list leaves it out."""


class OfKind(admin.SimpleListFilter):
    """The kinds of work, in words."""

    title = gettext_lazy("kind")
    parameter_name = "does"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Name them."""
        return [(kind, label) for kind, label in KINDS.items() if in_public() or kind != INSIDE]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutboxEntry]) -> QuerySet[OutboxEntry]:
        """Keep the chosen one."""
        return queryset.filter(kind=self.value()) if self.value() in KINDS else queryset


class OutboxPages(ReadOnlyAdmin):
    """What both sites do with work to do outside."""

    permission = "dispatch.cancel_outboxentry"
    ordering = ("-id",)
    search_fields = ("object_id", "error_class")

    @admin.display(description=gettext_lazy("work"), ordering="kind")
    def shown_kind(self, obj: OutboxEntry) -> str:
        """The kind in words."""
        return str(KINDS.get(obj.kind, obj.kind))

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def shown_status(self, obj: OutboxEntry) -> str:
        """The status, colored."""
        return badge(obj.status, obj.get_status_display())

    @admin.display(description=gettext_lazy("next attempt"), ordering="next_attempt_at")
    def shown_next(self, obj: OutboxEntry) -> Any:
        """When it is tried next; a dash for what is parked or has ended."""
        return due_at(obj) or "-"

    def get_urls(self) -> list[URLPattern]:
        """Add the two actions."""
        view = self.admin_site.admin_view
        own = [
            path("<uuid:object_id>/cancel/", view(self.cancel_view), name="outbox_cancel"),
            path("<uuid:object_id>/try/", view(self.try_view), name="outbox_try"),
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one piece of work."""
        entry: OutboxEntry = self.find(request, object_id)
        may_act = request.user.has_perm(self.permission)
        links = {link.pk: link for link in Link.objects.filter(pk__in=_links_of(entry))}
        link = links.get(entry.link_id) if entry.link_id else None
        return self.page(
            request,
            "registry/outbox_entry.html",
            title=self.shown_kind(entry),
            entry=entry,
            link=link,
            due_at=due_at(entry),
            is_inside=not in_public(),
            second=links.get(entry.failover_link_id) if entry.failover_link_id else None,
            first=links.get(entry.failed_over_from) if entry.failed_over_from else None,
            waits_for_owner=entry.status == OutboxStatus.PARKED and link is not None and link.status in BROKEN,
            may_cancel=may_act and entry.status in outbox_actions.CANCELABLE,
            may_try=may_act and entry.status == OutboxStatus.WAITING,
        )

    def cancel_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Cancel waiting work."""
        return self._act(request, object_id, outbox_actions.cancel, done=_("The work is canceled."))

    def try_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Let waiting work be tried now."""
        return self._act(request, object_id, outbox_actions.try_now, done=_("The work is tried now."))

    def _act(self, request: HttpRequest, object_id: object, service: Callable[..., Any], *, done: str) -> HttpResponse:
        entry = self.find(request, object_id)
        self.demand(request, self.permission)
        if request.method == "POST":
            try:
                with in_organization(entry.organization_schema) if in_public() else nullcontext():
                    service(entry, actor=actor_of(request))
                messages.success(request, done)
            except RegistryError as error:
                messages.error(request, refusal_text(error))
        page = reverse("admin:dispatch_outboxentry_change", args=[entry.pk], current_app=self.admin_site.name)
        return HttpResponseRedirect(page)


@admin.register(OutboxEntry, site=organization_site)
class OrganizationOutboxAdmin(OutboxPages, LinkedRowsAdmin):
    """Work to do outside for one organization; owners and admins may cancel it or let it be tried now."""

    list_display = ("created_at", "shown_kind", "shown_integration", "shown_status", "attempts", "shown_next",
                    "error_class")  # fmt: skip
    list_filter = ("status", OfKind, OfIntegration)

    def get_queryset(self, request: HttpRequest) -> QuerySet[OutboxEntry]:
        """Leave out what only listeners inside the product are told."""
        return super().get_queryset(request).exclude(kind=INSIDE)

    @admin.display(description=gettext_lazy("integration"))
    def shown_integration(self, obj: Any) -> str:
        """The integration's name, leading to its page; a dash for work of no integration."""
        return super().shown_integration(obj) if obj.link_id in self._names else "-"


@admin.register(OutboxEntry, site=platform_site)
class PlatformOutboxAdmin(OutboxPages, PlatformRowsAdmin):
    """Work to do outside, of all organizations."""

    permission = "dispatch.change_outboxentry"
    list_display = ("created_at", "shown_kind", "shown_organization", "shown_status", "attempts", "shown_next",
                    "error_class")  # fmt: skip
    list_filter = ("status", OfKind, "error_class")


def due_at(entry: OutboxEntry) -> Any:
    """Return when work is tried next; nothing for what is parked, being done or has ended."""
    if entry.status != OutboxStatus.WAITING:
        return None
    return max(filter(None, (entry.next_attempt_at, entry.not_before)))


def _links_of(entry: OutboxEntry) -> list[Any]:
    return [pk for pk in (entry.link_id, entry.failover_link_id, entry.failed_over_from) if pk]
