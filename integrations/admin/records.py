"""An organization's read-only lists: events, health checks, calls and audit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.models import AuditEntry
from integrations.admin.base import PlatformRowsAdmin, ReadOnlyAdmin
from integrations.admin.show import badge, code, provider_label
from integrations.admin.sites import organization_site, platform_site
from integrations.models import Event, Integration
from meter.models import Call, HealthCheck

SHOWN_ID = 20
"""Characters of a vendor's id in a list."""


class OfIntegration(admin.SimpleListFilter):
    """Filter public rows by the integration they name; one query, no join across schemas."""

    title = gettext_lazy("integration")
    parameter_name = "link"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        """List the organization's integrations."""
        return [(str(pk), name) for pk, name in Integration.objects.order_by("name").values_list("id", "name")[:200]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the rows of the chosen one."""
        chosen = dict(self.lookup_choices)
        return queryset.filter(link_id=self.value()) if self.value() in chosen else queryset


class LinkedRowsAdmin(ReadOnlyAdmin):
    """Public rows that carry a link's id; names are looked up once per page."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Remember the names of the organization's integrations for this request."""
        names = dict(Integration.objects.values_list("id", "name"))
        request.integration_names = names  # type: ignore[attr-defined]
        self._names = names
        return super().get_queryset(request)

    @admin.display(description=gettext_lazy("duration"), ordering="duration_ms")
    def shown_duration(self, obj: Any) -> str:
        """The duration in milliseconds."""
        return f"{obj.duration_ms:.0f} ms"

    @admin.display(description=gettext_lazy("integration"))
    def shown_integration(self, obj: Any) -> str:
        """The integration's name, leading to its page."""
        name = self._names.get(obj.link_id)
        if name is None:
            return provider_label(obj.provider)
        link = reverse("admin:integrations_integration_change", args=[obj.link_id], current_app=self.admin_site.name)
        return format_html('<a href="{}" class="rg-link">{}</a>', link, name)


@admin.register(Event, site=organization_site)
class EventAdmin(ReadOnlyAdmin):
    """Parsed facts of the vendors."""

    list_display = ("type", "integration_name", "shown_external_id", "occurred_at", "received_at")
    list_filter = ("type", "integration", ("received_at", admin.DateFieldListFilter))
    search_fields = ("external_id", "object", "key")
    ordering = ("-received_at",)
    list_select_related = ("integration",)
    fields = ("type", "integration_name", "external_id", "object", "key", "occurred_at", "received_at",
              "shown_delivery", "shown_data", "shown_raw")  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave the bodies out of lists."""
        rows = super().get_queryset(request)
        is_list = request.resolver_match and request.resolver_match.url_name == "integrations_event_changelist"
        return rows.defer("data", "raw") if is_list else rows

    @admin.display(description=gettext_lazy("integration"), ordering="integration__name")
    def integration_name(self, obj: Event) -> str:
        """The integration's name."""
        return obj.integration.name

    @admin.display(description=gettext_lazy("vendor's id"), ordering="external_id")
    def shown_external_id(self, obj: Event) -> str:
        """The end of the vendor's id, which is the part that differs."""
        return obj.external_id if len(obj.external_id) <= SHOWN_ID else f"…{obj.external_id[-SHOWN_ID:]}"

    @admin.display(description=gettext_lazy("data"))
    def shown_data(self, obj: Event) -> str:
        """The normalized data."""
        return code(obj.data)

    @admin.display(description=gettext_lazy("the vendor's own part"))
    def shown_raw(self, obj: Event) -> str:
        """The vendor's part as it came."""
        return code(obj.raw)

    @admin.display(description=gettext_lazy("delivery"))
    def shown_delivery(self, obj: Event) -> str:
        """The delivery it came with."""
        if obj.delivery_id is None:
            return "-"
        link = reverse(
            "admin:dispatch_webhookdelivery_change", args=[obj.delivery_id], current_app=self.admin_site.name
        )
        return format_html('<a href="{}" class="rg-link">{}</a>', link, obj.delivery_id)


@admin.register(HealthCheck, site=organization_site)
class HealthCheckAdmin(LinkedRowsAdmin):
    """Live checks."""

    list_display = ("at", "shown_integration", "shown_result", "shown_duration", "error_class", "detail")
    list_filter = ("is_ok", OfIntegration, ("at", admin.DateFieldListFilter))
    ordering = ("-at",)
    fields = ("at", "shown_integration", "shown_result", "shown_duration", "error_class", "detail", "shown_verdicts")
    readonly_fields = fields

    @admin.display(description=gettext_lazy("result"), ordering="is_ok")
    def shown_result(self, obj: HealthCheck) -> str:
        """Works or not."""
        return badge("healthy", _("works")) if obj.is_ok else badge("failing", _("failed"))

    @admin.display(description=gettext_lazy("verdicts"))
    def shown_verdicts(self, obj: HealthCheck) -> str:
        """What each capability answered."""
        return code(obj.verdicts)


@admin.register(Call, site=organization_site)
class CallAdmin(LinkedRowsAdmin):
    """Calls to vendors: without bodies and queries."""

    list_display = ("at", "shown_integration", "operation", "method", "shown_status", "shown_duration", "error_class")
    list_filter = ("operation", "error_class", OfIntegration, ("at", admin.DateFieldListFilter))
    search_fields = ("operation", "vendor_code", "trace_id")
    ordering = ("-at",)
    fields = ("at", "shown_integration", "operation", "method", "url", "shown_status", "shown_duration", "error_class",
              "vendor_code", "trace_id", "request_bytes", "response_bytes")  # fmt: skip
    readonly_fields = fields

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def shown_status(self, obj: Call) -> str:
        """The HTTP status, colored."""
        if obj.status is None:
            return badge("failed", _("no answer"))
        return badge("done" if not obj.error_class else "failed", str(obj.status))


@admin.register(AuditEntry, site=organization_site)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who did what; entries are only ever added, by the services."""

    list_display: Any = ("created_at", "action", "shown_actor", "shown_target")
    list_filter = ("actor_kind", "action", "target_kind", ("created_at", admin.DateFieldListFilter))
    search_fields = ("action", "actor_label", "target_label", "target_id")
    ordering = ("-created_at",)
    fields = ("created_at", "action", "shown_actor", "shown_target", "shown_details", "request_id", "ip_digest")
    readonly_fields = fields

    @admin.display(description=gettext_lazy("who"))
    def shown_actor(self, obj: AuditEntry) -> str:
        """The actor by label and kind."""
        return f"{obj.actor_label or '-'} ({obj.get_actor_kind_display()})"

    @admin.display(description=gettext_lazy("what"))
    def shown_target(self, obj: AuditEntry) -> str:
        """What was acted upon."""
        return f"{obj.target_kind} {obj.target_label or obj.target_id}".strip() or "-"

    @admin.display(description=gettext_lazy("details"))
    def shown_details(self, obj: AuditEntry) -> str:
        """The details."""
        return code(obj.details)


@admin.register(AuditEntry, site=platform_site)
class PlatformAuditEntryAdmin(PlatformRowsAdmin, AuditEntryAdmin):
    """Entries of the platform and of all organizations."""

    list_display = ("created_at", "shown_organization", "action", "shown_actor", "shown_target")
