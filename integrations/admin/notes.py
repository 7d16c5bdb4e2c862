"""Notes to the people of an organization, and each member's own choice of how to be mailed."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations.admin.base import ReadOnlyAdmin
from integrations.admin.show import badge
from integrations.admin.sites import organization_site
from notifications import preferences
from notifications.models import MailMode, MailPreference, Notification
from notifications.services import mark_read


@admin.register(Notification, site=organization_site)
class NotificationAdmin(ReadOnlyAdmin):
    """Notes, the newest first; opening one reads it."""

    list_display = ("created_at", "shown_title", "shown_text", "shown_state")
    list_filter = (("read_at", admin.EmptyFieldListFilter), "kind")
    ordering = ("-created_at",)
    fields = ("created_at", "kind", "title", "shown_text", "shown_action", "shown_target", "read_at", "closed_at")
    readonly_fields = fields
    list_display_links = ("created_at", "shown_title", "shown_text")
    actions = ("mark_read",)
    list_before_template = "registry/notes_head.html"

    @admin.display(description=gettext_lazy("about"), ordering="title")
    def shown_title(self, obj: Notification) -> str:
        """The integration and its account."""
        return obj.title or "-"

    @admin.display(description=gettext_lazy("text"))
    def shown_text(self, obj: Notification) -> str:
        """The text, in the person's language where we know it."""
        return obj.said

    @admin.display(description=gettext_lazy("what to do"))
    def shown_action(self, obj: Notification) -> str:
        """What to do, in the person's language where we know it."""
        return obj.said_action or "-"

    @admin.display(description=gettext_lazy("state"), ordering="read_at")
    def shown_state(self, obj: Notification) -> str:
        """New, read, or over."""
        if obj.closed_at is not None:
            return badge("done", _("resolved"))
        return badge("disabled", _("read")) if obj.read_at else badge("received", _("new"))

    @admin.display(description=gettext_lazy("page"))
    def shown_target(self, obj: Notification) -> str:
        """What the note is about, with a link where there is a page."""
        if obj.issue_id is not None:
            return self._link("integrations_issue_change", obj.issue_id, _("issue"))
        if obj.target_kind != "integration":
            return obj.target_kind or "-"
        return self._link("integrations_integration_change", obj.target_id, _("integration"))

    def get_urls(self) -> list[URLPattern]:
        """Add reading everything."""
        view = self.admin_site.admin_view
        return [path("read/", view(self.read_view), name="notes_read"), *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a note, which reads it."""
        note: Notification = self.find(request, object_id)
        mark_read([note.pk])
        return super().change_view(request, object_id, form_url, extra_context)

    def read_view(self, request: HttpRequest) -> HttpResponse:
        """Mark every note as read."""
        if request.method == "POST":
            mark_read()
            messages.success(request, _("All notes are read."))
        return HttpResponseRedirect(_page("notifications_notification_changelist"))

    @admin.action(description=gettext_lazy("Mark as read"), permissions=["view"])
    def mark_read(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        """Mark the chosen notes as read."""
        mark_read(list(queryset.values_list("pk", flat=True)))

    def _link(self, view: str, row_id: Any, label: str) -> str:
        return format_html('<a href="{}" class="rg-link">{}</a>', _page(view, row_id), label)


class MailForm(forms.Form):
    """How often a member wants mail of this organization."""

    mode = forms.ChoiceField(
        label=gettext_lazy("Mail about issues"),
        choices=MailMode.choices,
        widget=forms.RadioSelect,
        help_text=gettext_lazy(
            "For you alone, in this organization. Notes are always kept here. A refused credential is mailed after "
            "five minutes, if it is refused still; trouble of a provider is not mailed: there is nothing to do."
        ),
    )


@admin.register(MailPreference, site=organization_site)
class MailPreferenceAdmin(ReadOnlyAdmin):
    """Not a list of rows: the member's own choice."""

    def get_urls(self) -> list[URLPattern]:
        """Serve the one page."""
        view = self.admin_site.admin_view(self.settings_view)
        return [path("", view, name="notifications_mailpreference_changelist")]

    def settings_view(self, request: HttpRequest) -> HttpResponse:
        """Show and keep the choice of the person who asks."""
        user: Any = request.user
        form = MailForm(request.POST or None, initial={"mode": preferences.mode_of(user)})
        if request.method == "POST" and form.is_valid():
            preferences.choose(user, form.cleaned_data["mode"])
            messages.success(request, _("Your choice is kept."))
            return HttpResponseRedirect(_page("notifications_mailpreference_changelist"))
        return self.page(
            request,
            "registry/form.html",
            title=_("How you are mailed"),
            status=422 if form.is_bound else 200,
            form=form,
            button=_("Save"),
            back=_page("notifications_notification_changelist"),
        )


def _page(view: str, *args: Any) -> str:
    return reverse(f"admin:{view}", args=args, current_app=organization_site.name)
