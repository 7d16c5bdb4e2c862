"""
What every list and form of the two sites does: 404 for what is not there, history from the audit trail.

`django_admin_log` is not used (RELIABILITY section 4, rule 15): additions, changes and deletions that the admin
makes itself write an AuditEntry in the same transaction; services write their own.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import models
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin

from audit.models import AuditEntry
from audit.services import Actor, ActorKind, Target, record
from core.errors import RegistryError
from integrations.contract import ProviderError
from tenants.context import current_schema, in_public
from tenants.models import Organization

NOUNS = {
    "link": "integration",
    "webhookdelivery": "delivery",
    "outboxentry": "outbox_entry",
    "oauthapp": "oauth_app",
    "apikey": "api_key",
    "auditentry": "audit_entry",
    "providerincident": "provider_incident",
    "healthcheck": "health_check",
    "usagerecord": "usage_record",
    "storedfile": "file",
    "eventendpoint": "event_endpoint",
    "checkoutsession": "checkout",
}
"""The words of the audit trail for models whose class name is another; the rest are called like their class."""

HISTORY_PAGE = 50


def actor_of(request: HttpRequest) -> Actor:
    """Name the person of a request in the audit trail."""
    user: Any = request.user
    return Actor(kind=ActorKind.USER, id=str(user.pk), label=user.get_full_name())


def address_of(request: HttpRequest) -> str:
    """Return the address a request came from; the trail keeps a keyed digest of it."""
    return str(request.META.get("REMOTE_ADDR", ""))


def noun_of(model: type[models.Model] | models.Model) -> str:
    """Return the word by which the audit trail knows a model."""
    name = str(model._meta.model_name)
    return NOUNS.get(name, name)


def refusal_text(error: RegistryError | ProviderError) -> str:
    """Say in the person's language what was refused and what to do."""
    if isinstance(error, RegistryError):
        return _(error.detail)
    parts = [_(error.message), error.vendor_detail, _(error.advice) if error.advice else ""]
    return " ".join(part if part.endswith((".", "!", "?")) else f"{part}." for part in parts if part)


class RegistryAdmin(ModelAdmin):
    """
    The base of all model pages.

    A subclass must name its lists; it may override `row_filter`; it should not touch the logging.
    """

    list_per_page = 50
    show_full_result_count = False
    list_filter_sheet = True
    actions: Any = ()
    list_display: Any = ("__str__",)
    compressed_fields = True
    show_add_link = True

    def __init__(self, model: type[models.Model], admin_site: Any) -> None:
        _translate_columns(model)
        super().__init__(model, admin_site)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows of the entered organization; row-level security says the same a second time."""
        rows = super().get_queryset(request)
        fields = {field.name for field in self.model._meta.get_fields()}
        if not in_public() and "organization_schema" in fields:
            rows = rows.filter(organization_schema=current_schema())
        return rows

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Filter by what the list offers alone: `?password__startswith=` would spell out a hash by its row counts."""
        name = lookup.partition("__")[0]
        offered = {
            item if isinstance(item, str) else item[0] for item in self.list_filter if not isinstance(item, type)
        }
        is_column = any(field.name == name for field in self.model._meta.fields)
        return (name in offered or not is_column) and bool(super().lookup_allowed(lookup, value, request))

    def find(self, request: HttpRequest, object_id: object) -> Any:
        """
        Return the object that a URL names, if the person may look at it.

        :raises Http404: it is not there, foreign or malformed
        """
        found = self.get_object(request, str(object_id))
        if found is None:
            raise Http404("no such object here")
        if not self.has_view_or_change_permission(request, found):
            raise PermissionDenied
        return found

    def demand(self, request: HttpRequest, permission: str) -> None:
        """
        Stop whoever lacks a permission such as "integrations.test_integration".

        :raises PermissionDenied: the role does not allow it
        """
        if not request.user.has_perm(permission):
            raise PermissionDenied

    def page(
        self, request: HttpRequest, template: str, *, title: str, status: int = 200, **context: Any
    ) -> TemplateResponse:
        """Render a page of our own in the site's frame."""
        request.current_app = self.admin_site.name
        frame = self.admin_site.each_context(request)
        known = {"opts": self.model._meta, "title": title, "model_admin": self}
        return TemplateResponse(request, template, {**frame, **known, **context}, status=status)

    def log_addition(self, request: HttpRequest, obj: models.Model, message: Any) -> None:
        """Write down that the admin added an object."""
        self._note(request, obj, "created", message)

    def log_change(self, request: HttpRequest, obj: models.Model, message: Any) -> None:
        """Write down which fields of an object the admin changed."""
        self._note(request, obj, "changed", message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:
        """Write down that the admin deletes objects."""
        for obj in queryset:
            self._note(request, obj, "deleted", [])

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Look for the object before anything is said about permissions: what is foreign is not there."""
        self.find(request, object_id)
        return super().change_view(request, object_id, form_url, extra_context)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Look for the object first, as `change_view` does."""
        self.find(request, object_id)
        return super().delete_view(request, object_id, extra_context)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show who did what with this object, from the audit trail."""
        found = self.find(request, object_id)
        entries = AuditEntry.objects.filter(target_kind=noun_of(self.model), target_id=str(found.pk))
        if not in_public():
            entries = entries.filter(organization_schema=current_schema())
        pages = Paginator(entries.order_by("-created_at"), HISTORY_PAGE)
        return self.page(
            request,
            "registry/history.html",
            title=_("History"),
            original=found,
            entries=pages.get_page(request.GET.get("p")),
        )

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> HttpResponse:
        raise Http404("no such object here")

    def _note(self, request: HttpRequest, obj: models.Model, verb: str, message: Any) -> None:
        noun = noun_of(obj)
        record(
            action=f"{noun}.{verb}",
            actor=actor_of(request),
            target=Target(kind=noun, id=str(obj.pk), label=str(obj)),
            details={"fields": _changed_fields(message)},
            ip_address=address_of(request),
        )


class ReadOnlyAdmin(RegistryAdmin):
    """Pages over rows that machines write: nothing is added, changed or deleted by hand."""

    show_add_link = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody adds."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes."""
        return False


class PlatformRowsAdmin(ReadOnlyAdmin):
    """Public rows of many organizations, each with the organization's name; one query for a page."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Take the names along."""
        names = Organization.objects.filter(schema_name=OuterRef("organization_schema")).values("name")[:1]
        return super().get_queryset(request).annotate(organization_name=Subquery(names))

    @admin.display(description=gettext_lazy("organization"), ordering="organization_schema")
    def shown_organization(self, obj: Any) -> str:
        """The organization's name; a dash for the platform itself."""
        return obj.organization_name or obj.organization_schema or "-"


def _translate_columns(model: type[models.Model]) -> None:
    """Show the names of columns in the person's language, also where a model gives them no label of its own."""
    for field in model._meta.fields:
        if getattr(field, "_verbose_name", None) is None:
            field.verbose_name = gettext_lazy(str(field.verbose_name))


def _changed_fields(message: Any) -> list[str]:
    """Read the names of fields from the message that ModelAdmin builds: [{"changed": {"fields": [...]}}]."""
    parts = message if isinstance(message, list) else []
    return sorted({str(name) for part in parts for name in part.get("changed", {}).get("fields", [])})
