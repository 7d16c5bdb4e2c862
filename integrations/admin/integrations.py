"""One organization's integrations: the list, the page of each with its health, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.clock import iso
from core.errors import RegistryError
from dispatch.models import LinkStatus, WebhookDelivery
from integrations.admin.base import actor_of, refusal_text
from integrations.admin.connect import ConnectPages
from integrations.admin.health import health_context
from integrations.admin.mute import MutePages, mute_context
from integrations.admin.show import WHO, badge, provider_label, verdict_label
from integrations.admin.sites import organization_site
from integrations.models import Credential, Integration
from integrations.models.integration import IntegrationQuerySet
from integrations.services import breakers, health, lifecycle
from meter.models import Call, HealthCheck
from tenants.context import require_organization

RECENT = 10
"""Rows of each kind on an integration's page; the full lists are a click away."""

"""Bars of the health history: two days at one check an hour."""


@admin.register(Integration, site=organization_site)
class IntegrationAdmin(MutePages, ConnectPages):
    """Integrations; connecting is in `connect.py`."""

    list_display = ("shown_name", "shown_provider", "environment", "shown_status", "shown_health", "account_label",
                    "shown_tested")  # fmt: skip
    list_filter = ("status", "health", "environment", "provider")
    search_fields = ("name", "account_label", "account_external_id", "provider")
    ordering = ("-created_at",)

    @admin.display(description=gettext_lazy("name"), ordering="name")
    def shown_name(self, obj: Integration) -> str:
        """The name alone."""
        return obj.name

    @admin.display(description=gettext_lazy("provider"), ordering="provider")
    def shown_provider(self, obj: Integration) -> str:
        """The provider by its label."""
        return provider_label(obj.provider)

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def shown_status(self, obj: Integration) -> str:
        """The status, colored."""
        return badge(obj.status, obj.get_status_display())

    @admin.display(description=gettext_lazy("health"), ordering="health")
    def shown_health(self, obj: Integration) -> str:
        """The health, colored."""
        return badge(obj.health, obj.get_health_display())

    @admin.display(description=gettext_lazy("last tested"), ordering="link_checked_at")
    def shown_tested(self, obj: Integration) -> datetime | None:
        """When a check last ran, by a person or by the clock."""
        return obj.tested_at

    def get_queryset(self, request: HttpRequest) -> QuerySet[Integration]:
        """Take along when each was checked last."""
        return cast(IntegrationQuerySet, super().get_queryset(request)).with_last_check()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is edited field by field: the page has its own actions, each with its own permission."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """An integration is disconnected, never deleted: its history stays."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """Add the pages of connecting and the actions before Django's own."""
        view = self.admin_site.admin_view
        own = [
            path("connect/<slug:provider>/", view(self.connect_view), name="integration_connect"),
            path("<uuid:object_id>/reconnect/", view(self.reconnect_view), name="integration_reconnect"),
            path("<uuid:object_id>/test/", view(self.test_view), name="integration_test"),
            path("<uuid:object_id>/disable/", view(self.disable_view), name="integration_disable"),
            path("<uuid:object_id>/enable/", view(self.enable_view), name="integration_enable"),
            path("<uuid:object_id>/disconnect/", view(self.disconnect_view), name="integration_disconnect"),
            path("<uuid:object_id>/mute/", view(self.mute_view), name="integration_mute"),
            path("<uuid:object_id>/rename/", view(self.rename_view), name="integration_rename"),
        ]
        return [*self.oauth_urls(), *own, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show everything about one integration."""
        integration = self.find(request, object_id)
        checks = health_context(integration)
        return self.page(
            request,
            "registry/integration.html",
            title=integration.name,
            integration=integration,
            spec=integration.provider_class.spec,
            settings_shown=_settings_shown(integration),
            may=_permissions(request, integration),
            who=WHO.get(integration.health_who, ""),
            breaker=breakers.describe_integration(integration),
            credential=integration.credentials.order_by("-version").defer("sealed").first(),
            credential_states=Credential.State,
            verdicts=_verdicts(checks["told"]),
            issues=integration.issues.filter(resolved_at=None).order_by("-opened_at"),
            deliveries=_deliveries(integration),
            calls=_metered(Call, integration)[:RECENT],
            facts=sorted(integration.facts.items()),
            **checks,
            **mute_context(request, integration.pk),
        )

    def test_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Test the connection now; the answer is JSON for the page's script and a message without it."""
        integration = self.find(request, object_id)
        self.demand(request, "integrations.test_integration")
        if request.method != "POST":
            return HttpResponseRedirect(self.detail_url(integration))
        result = health.test_connection(integration, actor=actor_of(request))
        if request.headers.get("Accept", "").startswith("application/json"):
            return JsonResponse(_test_answer(result, integration))
        if result.error is None:
            messages.success(request, _("The connection works."))
        else:
            messages.error(request, refusal_text(result.error))
        return HttpResponseRedirect(self.detail_url(integration))

    def disable_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Switch off."""
        return self._act(
            request, object_id, lifecycle.disable, permission="change", done=_("The integration is disabled.")
        )

    def enable_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Switch on again."""
        return self._act(
            request, object_id, lifecycle.enable, permission="change", done=_("The integration is enabled.")
        )

    def disconnect_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Ask once, saying what happens, then disconnect."""
        if request.method == "POST":
            return self._act(
                request,
                object_id,
                lifecycle.disconnect,
                permission="disconnect",
                done=_("The integration is disconnected and its credential destroyed."),
            )
        integration = self.find(request, object_id)
        self.demand(request, "integrations.disconnect_integration")
        title = _("Disconnect %(name)s") % {"name": integration.name}
        return self.page(request, "registry/disconnect.html", title=title, integration=integration)

    def rename_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Give another name."""
        name = request.POST.get("name", "").strip()[:120]

        def rename(integration: Integration, *, actor: Any) -> Integration:
            return lifecycle.rename(integration, name=name or integration.name, actor=actor)

        return self._act(request, object_id, rename, permission="change", done=_("The name is changed."))

    def _act(
        self,
        request: HttpRequest,
        object_id: object,
        service: Callable[..., Any],
        *,
        permission: str,
        done: str,
    ) -> HttpResponse:
        integration = self.find(request, object_id)
        self.demand(request, f"integrations.{permission}_integration")
        if request.method == "POST":
            try:
                service(integration, actor=actor_of(request))
                messages.success(request, done)
            except RegistryError as error:
                messages.error(request, refusal_text(error))
        return HttpResponseRedirect(self.detail_url(integration))


def _permissions(request: HttpRequest, integration: Integration) -> dict[str, bool]:
    """Tell the page which buttons to show: the role's permissions that make sense in this status."""
    is_ended = integration.status == LinkStatus.DISCONNECTED
    allowed = {
        verb: bool(request.user.has_perm(f"integrations.{verb}_integration"))
        for verb in ("test", "connect", "change", "disconnect")
    }
    return {
        "test": allowed["test"] and not is_ended,
        "reconnect": allowed["connect"] and not is_ended,
        "disable": allowed["change"] and not is_ended and integration.status != LinkStatus.DISABLED,
        "enable": allowed["change"] and integration.status == LinkStatus.DISABLED,
        "disconnect": allowed["disconnect"] and not is_ended,
        "rename": allowed["change"] and not is_ended,
    }


def _settings_shown(integration: Integration) -> list[tuple[str, Any]]:
    spec = integration.provider_class.spec
    return [(_(item.label), integration.settings.get(item.name, "")) for item in spec.settings if not item.is_secret]


def _metered(model: Any, integration: Integration) -> QuerySet[Any]:
    rows = model.objects.filter(organization_schema=require_organization(), link_id=integration.pk)
    return rows.order_by("-at")


def _deliveries(integration: Integration) -> QuerySet[WebhookDelivery]:
    rows = WebhookDelivery.objects.filter(organization_schema=require_organization(), link_id=integration.pk)
    return rows.defer("sealed_body", "headers").order_by("-received_at")[:RECENT]


def _verdicts(check: HealthCheck | None) -> list[dict[str, Any]]:
    verdicts = check.verdicts if check else []
    return [{**verdict, "label": verdict_label(verdict["capability"])} for verdict in verdicts]


def _test_answer(result: health.TestResult, integration: Integration) -> dict[str, Any]:
    """Shape the answer as the API does, with the texts in the person's language."""
    error = result.error
    return {
        "success": result.success,
        "checked_at": iso(result.checked_at),
        "duration_ms": result.duration_ms,
        "summary": _("The connection works.") if error is None else refusal_text(error),
        "health": {"key": integration.health, "label": integration.get_health_display()},
        "status": {"key": integration.status, "label": integration.get_status_display()},
        "verdicts": [
            {
                "capability": verdict_label(item.capability),
                "ok": item.ok,
                "detail": _(item.detail) if item.detail else "",
            }
            for item in result.verdicts
        ],
        "error": None if error is None else {"code": error.api_code, "who": str(WHO.get(str(error.who), ""))},
    }
