"""Read-only lists of messages and templates."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from channels_app import services
from channels_app.contract import ManagesTemplates
from channels_app.models import Message, Template
from core.errors import RegistryError
from integrations.admin.base import ReadOnlyAdmin, actor_of, refusal_text
from integrations.admin.show import badge, code
from integrations.admin.sites import organization_site
from integrations.contract import ProviderError
from integrations.models import Integration


@admin.register(Message, site=organization_site)
class MessageAdmin(ReadOnlyAdmin):
    """Messages of all conversations."""

    list_display = (
        "occurred_at",
        "direction",
        "shown_contact",
        "type",
        "shown_text",
        "shown_status",
        "shown_integration",
    )
    list_filter = ("direction", "status", "type", "integration", ("occurred_at", admin.DateFieldListFilter))
    search_fields = ("text", "external_id", "contact__name", "contact__phone")
    ordering = ("-created_at",)
    list_select_related = ("contact", "integration")
    fields = ("shown_conversation", "shown_integration", "direction", "type", "shown_status", "shown_contact", "text",
              "shown_content", "shown_error", "external_id", "reply_to", "occurred_at", "sent_at", "delivered_at",
              "read_at", "failed_at")  # fmt: skip
    readonly_fields = fields

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def shown_status(self, obj: Message) -> str:
        """The status, colored."""
        return badge(obj.status, obj.get_status_display())

    @admin.display(description=gettext_lazy("contact"))
    def shown_contact(self, obj: Message) -> str:
        """The contact's name."""
        return obj.contact.label if obj.contact else "-"

    @admin.display(description=gettext_lazy("integration"), ordering="integration__name")
    def shown_integration(self, obj: Message) -> str:
        """The integration's name."""
        return obj.integration.name

    @admin.display(description=gettext_lazy("text"))
    def shown_text(self, obj: Message) -> str:
        """The beginning of the text."""
        return Truncator(obj.text).chars(80)

    @admin.display(description=gettext_lazy("content"))
    def shown_content(self, obj: Message) -> str:
        """The content as JSON."""
        return code(obj.content)

    @admin.display(description=gettext_lazy("error"))
    def shown_error(self, obj: Message) -> str:
        """The error and what to do."""
        error = obj.error or {}
        texts = [_(text) for name in ("message", "next_action") if (text := error.get(name))]
        return " ".join(texts) or "-"

    @admin.display(description=gettext_lazy("conversation"))
    def shown_conversation(self, obj: Message) -> str:
        """The way to the conversation."""
        link = reverse(
            "admin:channels_app_conversation_change", args=[obj.conversation_id], current_app=self.admin_site.name
        )
        return format_html('<a class="rg-link" href="{}">{}</a>', link, _("Open the conversation"))


@admin.register(Template, site=organization_site)
class TemplateAdmin(ReadOnlyAdmin):
    """Templates with the state of their review."""

    list_display = ("name", "language", "category", "shown_status", "quality", "shown_integration", "synced_at")
    list_filter = ("status", "category", "language", "integration")
    search_fields = ("name",)
    ordering = ("name", "language")
    list_select_related = ("integration",)
    list_before_template = "registry/channels/templates_head.html"
    fields = ("name", "language", "category", "shown_status", "quality", "reason", "shown_integration",
              "shown_components", "external_id", "changed_at", "synced_at")  # fmt: skip
    readonly_fields = fields

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def shown_status(self, obj: Template) -> str:
        """The status, colored."""
        return badge(obj.status, _(obj.status))

    @admin.display(description=gettext_lazy("integration"), ordering="integration__name")
    def shown_integration(self, obj: Template) -> str:
        """The integration's name."""
        return obj.integration.name

    @admin.display(description=gettext_lazy("components"))
    def shown_components(self, obj: Template) -> str:
        """The components as JSON."""
        return code(obj.components)

    def get_urls(self) -> list[URLPattern]:
        """Add asking the channel."""
        view = self.admin_site.admin_view
        return [path("sync/", view(self.sync_view), name="templates_sync"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list with the button above it."""
        may_sync = request.user.has_perm("channels_app.change_template")
        return super().changelist_view(request, {"may_sync": may_sync, **(extra_context or {})})

    def sync_view(self, request: HttpRequest) -> HttpResponse:
        """Ask every channel that has templates for them."""
        self.demand(request, "channels_app.change_template")
        if request.method == "POST":
            self._sync(request)
        return redirect(reverse("admin:channels_app_template_changelist", current_app=self.admin_site.name))

    def _sync(self, request: HttpRequest) -> None:
        found = 0
        for integration in Integration.objects.active():
            if not issubclass(integration.provider_class, ManagesTemplates):
                continue
            try:
                found += services.sync_templates(integration, actor=actor_of(request))
            except (RegistryError, ProviderError) as error:
                messages.error(request, f"{integration.name}: {refusal_text(error)}")
        text = ngettext("%(n)s template is known now.", "%(n)s templates are known now.", found)
        messages.success(request, text % {"n": found})
