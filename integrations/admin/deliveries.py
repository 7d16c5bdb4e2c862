"""Webhook deliveries on both sites: lists by state, a redacted detail, replay, and dead letters for staff."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from audit.services import Target, record_alone
from core.errors import RegistryError
from core.redaction import redact, redact_text
from dispatch.models import DeliveryStatus, RefusedRequest, WebhookDelivery
from integrations.admin.base import PlatformRowsAdmin, ReadOnlyAdmin, actor_of, refusal_text
from integrations.admin.records import LinkedRowsAdmin, OfIntegration
from integrations.admin.show import badge, code, pretty, provider_label
from integrations.admin.sites import organization_site, platform_site
from integrations.models import Event
from integrations.services import deliveries as service
from tenants.context import in_organization, in_public
from vault.services import SealBroken

REPLAY = "dispatch.replay_webhookdelivery"
INSPECT = "dispatch.inspect_webhookdelivery"
SHOWN_BYTES = 200_000
"""A browser shows this much at once; longer bodies are cut and say so."""


class DeliveryPages(ReadOnlyAdmin):
    """What both sites do with deliveries."""

    replay_permission = REPLAY
    list_filter: Any = ("status", "provider", ("received_at", admin.DateFieldListFilter))
    search_fields = ("account_key", "error_class")
    ordering = ("-received_at",)

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def shown_status(self, obj: WebhookDelivery) -> str:
        """The status, colored."""
        return badge(obj.status, obj.get_status_display())

    @admin.display(description=gettext_lazy("provider"), ordering="provider")
    def shown_provider(self, obj: WebhookDelivery) -> str:
        """The provider by its label."""
        return provider_label(obj.provider)

    @admin.display(description=gettext_lazy("events"))
    def shown_events(self, obj: WebhookDelivery) -> int:
        """How many events came of it."""
        return len(obj.event_ids)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave bodies where they are until somebody asks for one."""
        return super().get_queryset(request).defer("sealed_body")

    def get_urls(self) -> list[URLPattern]:
        """Add replay."""
        view = self.admin_site.admin_view
        own = [path("<uuid:object_id>/replay/", view(self.replay_view), name="delivery_replay")]
        return [*own, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one delivery without its body."""
        return self.detail(request, self.find(request, object_id))

    def detail(self, request: HttpRequest, delivery: WebhookDelivery, *, body: str = "") -> HttpResponse:
        """Render the page of one delivery."""
        has_body = delivery.sealed_body is not None
        return self.page(
            request,
            "registry/delivery.html",
            title=_("Delivery"),
            delivery=delivery,
            provider=provider_label(delivery.provider),
            headers=code(delivery.headers),
            events=self.events_of(delivery),
            body=body,
            has_body=has_body,
            may_replay=request.user.has_perm(self.replay_permission)
            and has_body
            and delivery.status != DeliveryStatus.PROCESSING,
            may_inspect=self.may_inspect(request) and has_body,
        )

    def events_of(self, delivery: WebhookDelivery) -> list[Event]:
        """Return the events that came of a delivery, where this site can see them."""
        return []

    def may_inspect(self, request: HttpRequest) -> bool:
        """Tell whether this person may read bodies here."""
        return False

    def replay_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Process a delivery again."""
        delivery = self.find(request, object_id)
        self.demand(request, self.replay_permission)
        if request.method == "POST":
            self.replay(request, delivery)
        return HttpResponseRedirect(self.url_of(delivery))

    def replay(self, request: HttpRequest, delivery: WebhookDelivery) -> bool:
        """Ask the service, in the delivery's organization; say what came of it."""
        try:
            if delivery.organization_schema and in_public():
                with in_organization(delivery.organization_schema):
                    service.replay(delivery, actor=actor_of(request))
            else:
                service.replay(delivery, actor=actor_of(request))
        except RegistryError as error:
            messages.error(request, refusal_text(error))
            return False
        messages.success(request, _("The delivery is processed again; events that were handled stay handled once."))
        return True

    def url_of(self, delivery: WebhookDelivery) -> str:
        """Return the address of a delivery's page."""
        return reverse("admin:dispatch_webhookdelivery_change", args=[delivery.pk], current_app=self.admin_site.name)


@admin.register(WebhookDelivery, site=organization_site)
class OrganizationDeliveryAdmin(DeliveryPages, LinkedRowsAdmin):
    """Deliveries of one organization; developers and above may read a body, and that is written down."""

    list_display = ("received_at", "shown_integration", "shown_status", "attempts", "shown_events", "error_class")
    list_filter = ("status", OfIntegration, ("received_at", admin.DateFieldListFilter))

    def get_urls(self) -> list[URLPattern]:
        """Add the body."""
        view = self.admin_site.admin_view
        return [path("<uuid:object_id>/body/", view(self.body_view), name="delivery_body"), *super().get_urls()]

    def events_of(self, delivery: WebhookDelivery) -> list[Event]:
        """Return the delivery's events."""
        return list(Event.objects.filter(pk__in=delivery.event_ids).defer("data", "raw").order_by("pk"))

    def may_inspect(self, request: HttpRequest) -> bool:
        """Ask the role."""
        return bool(request.user.has_perm(INSPECT))

    def body_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Show the page with the body, redacted; who looked is in the trail."""
        delivery = self.find(request, object_id)
        self.demand(request, INSPECT)
        if request.method != "POST" or delivery.sealed_body is None:
            return HttpResponseRedirect(self.url_of(delivery))
        record_alone(
            action="delivery.body_opened",
            actor=actor_of(request),
            target=Target(kind="delivery", id=str(delivery.pk), label=delivery.provider),
        )
        try:
            body = service.body_of(delivery)
        except SealBroken:
            messages.error(request, _("The body cannot be opened: its seal does not fit. Tell the platform's team."))
            return HttpResponseRedirect(self.url_of(delivery))
        return self.detail(request, delivery, body=_readable(body))


@admin.register(WebhookDelivery, site=platform_site)
class PlatformInboxAdmin(DeliveryPages, PlatformRowsAdmin):
    """The inbox of the whole platform: states and reasons, never a body."""

    replay_permission = "dispatch.change_webhookdelivery"
    list_display = ("received_at", "shown_organization", "shown_provider", "shown_status", "attempts", "error_class",
                    "account_key")  # fmt: skip
    list_filter = ("status", "provider", "error_class", ("received_at", admin.DateFieldListFilter))
    actions = ("replay_chosen",)

    def get_urls(self) -> list[URLPattern]:
        """Add the short way to dead letters."""
        view = self.admin_site.admin_view
        return [path("dead-letters/", view(self.dead_letters), name="dead_letters"), *super().get_urls()]

    def dead_letters(self, request: HttpRequest) -> HttpResponse:
        """Lead to the list, filtered."""
        listing = reverse("admin:dispatch_webhookdelivery_changelist", current_app=self.admin_site.name)
        return HttpResponseRedirect(f"{listing}?status__exact={DeliveryStatus.DEAD.value}")

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Ask for the permission of the bulk action."""
        return bool(request.user.has_perm(self.replay_permission))

    @admin.action(description=gettext_lazy("Replay"), permissions=["replay"])
    def replay_chosen(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        """Process the chosen deliveries again."""
        done = 0
        for delivery in queryset.filter(sealed_body__isnull=False)[:500]:
            try:
                service.replay(delivery, actor=actor_of(request))
                done += 1
            except RegistryError as error:
                messages.warning(request, f"{delivery.pk}: {refusal_text(error)}")
        text = ngettext("%(n)s delivery is processed again.", "%(n)s deliveries are processed again.", done)
        messages.success(request, text % {"n": done})


@admin.register(RefusedRequest, site=platform_site)
class RefusedRequestAdmin(PlatformRowsAdmin):
    """A capped sample of webhooks whose signature or form was refused."""

    list_display = ("received_at", "provider", "reason", "shown_organization", "body_bytes")
    list_filter = ("provider", "reason", ("received_at", admin.DateFieldListFilter))
    ordering = ("-received_at",)
    fields = ("received_at", "provider", "reason", "shown_organization", "link_id", "body_bytes", "shown_headers")
    readonly_fields = fields

    @admin.display(description=gettext_lazy("headers"))
    def shown_headers(self, obj: RefusedRequest) -> str:
        """The headers, redacted when they were stored."""
        return code(obj.headers)


def _readable(body: bytes) -> str:
    """Return a body as redacted, indented JSON, or as redacted text where it is none."""
    text = body.decode("utf-8", "replace")
    try:
        shown = pretty(redact(json.loads(text)))
    except (ValueError, RecursionError):
        shown = redact_text(text)
    return shown if len(shown) <= SHOWN_BYTES else shown[:SHOWN_BYTES] + "\n…"
