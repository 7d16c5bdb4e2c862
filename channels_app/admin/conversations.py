"""Conversations: a list like an inbox, and a page that reads like a conversation, with a composer."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from channels_app import services
from channels_app.admin.bubbles import HIDDEN_TYPES, bubbles
from channels_app.admin.composing import offers, template_content, window_of
from channels_app.contract import SendsMessages
from channels_app.models import Conversation, Message, Template
from core.errors import RegistryError
from integrations.admin.base import ReadOnlyAdmin, actor_of, refusal_text
from integrations.admin.sites import Panel, organization_site
from integrations.contract import ProviderError
from integrations.models import Integration
from storage import services as storage

SEND = "channels_app.send_message"
PAGE = 30
SHOWN = 100
MOST_SHOWN = 2000
PANEL = 6

INLINE_TYPES = frozenset(
    {
        "image/jpeg", "image/png", "image/webp", "image/gif", "video/mp4", "video/3gpp", "audio/mpeg", "audio/mp4",
        "audio/ogg", "audio/aac", "audio/amr",
    }
)  # fmt: skip
"""What a browser shows inside the page; anything else is downloaded, so that no file becomes a page of ours."""


@admin.register(Conversation, site=organization_site)
class ConversationAdmin(ReadOnlyAdmin):
    """Conversations of all integrations."""

    search_fields = ("contact__name", "contact__phone", "contact__username")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        """Take contact and integration along."""
        return super().get_queryset(request).select_related("contact", "integration")

    def get_urls(self) -> list[URLPattern]:
        """Add what the page asks for."""
        view = self.admin_site.admin_view
        own = [
            path("new/", view(self.new_view), name="conversation_new"),
            path("<uuid:object_id>/live/", view(self.live_view), name="conversation_live"),
            path("<uuid:object_id>/send/", view(self.send_view), name="conversation_send"),
            path("<uuid:object_id>/media/<uuid:message_id>/", view(self.media_view), name="conversation_media"),
        ]
        return [*own, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the inbox, the latest first."""
        if not self.has_view_permission(request):
            return self.no_permission()
        rows = self.get_queryset(request).order_by("-last_message_at", "-id")
        query, chosen = request.GET.get("q", "").strip(), request.GET.get("integration", "")
        if query:
            names = ("contact__name", "contact__phone", "contact__username")
            rows = rows.filter(_any_of(names, query))
        integrations = {str(pk): name for pk, name in Integration.objects.order_by("name").values_list("id", "name")}
        if chosen in integrations:
            rows = rows.filter(integration_id=chosen)
        if "unread" in request.GET:
            rows = rows.filter(unread_count__gt=0)
        return self.page(
            request,
            "registry/channels/inbox.html",
            title=_("Inbox"),
            conversations=Paginator(rows, PAGE).get_page(request.GET.get("p")),
            integrations=integrations,
            chosen=chosen,
            query=query,
            unread="unread" in request.GET,
            may_send=request.user.has_perm(SEND),
        )

    def no_permission(self) -> HttpResponse:
        """Refuse whoever may not look."""
        from django.core.exceptions import PermissionDenied

        raise PermissionDenied

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the conversation and mark it as read."""
        conversation = self.find(request, object_id)
        self._mark_read(request, conversation)
        html, version, has_older = self._log(request, conversation)
        window = window_of(conversation)
        may_send = request.user.has_perm(SEND)
        return self.page(
            request,
            "registry/channels/conversation.html",
            title=_name(conversation),
            conversation=conversation,
            name=_name(conversation),
            log=html,
            version=version,
            has_older=has_older,
            shown=_limit(request),
            window=window,
            may_send=may_send,
            offers=offers(conversation.integration) if may_send else [],
        )

    def live_view(self, request: HttpRequest, object_id: object) -> JsonResponse:
        """Answer the page's question what is new: the same bubbles, with a digest to compare."""
        conversation = self.find(request, object_id)
        self._mark_read(request, conversation)
        html, version, _has_older = self._log(request, conversation)
        is_open = window_of(conversation).is_open
        return JsonResponse({"version": version, "html": html, "window_open": is_open})

    def send_view(self, request: HttpRequest, object_id: object) -> HttpResponseBase:
        """Accept a text or a template and let the worker send it."""
        conversation = self.find(request, object_id)
        self.demand(request, SEND)
        if request.method != "POST":
            return redirect(self.url_of(conversation))
        try:
            message = self._send(request, conversation.integration, to=str(conversation.pk))
        except (RegistryError, ProviderError) as error:
            return self._refused(request, error, back=self.url_of(conversation))
        if _wants_json(request):
            return JsonResponse({"id": str(message.pk), "status": message.status}, status=202)
        return redirect(self.url_of(conversation))

    def new_view(self, request: HttpRequest) -> HttpResponseBase:
        """Write to somebody first: a phone number and an approved template."""
        self.demand(request, SEND)
        usable = [row for row in Integration.objects.active().order_by("name") if _sends(row)]
        wanted = request.POST.get("integration") or request.GET.get("integration", "")
        integration = next((row for row in usable if str(row.pk) == wanted), usable[0] if usable else None)
        problem, to = "", request.POST.get("to", "").strip()
        if request.method == "POST" and integration is not None:
            try:
                message = self._send(request, integration, to=to)
                return redirect(self.url_of(message.conversation))
            except (RegistryError, ProviderError) as error:
                problem = _refusal(error)
        return self.page(
            request,
            "registry/channels/new.html",
            title=_("New message"),
            status=422 if problem else 200,
            usable=usable,
            integration=integration,
            offers=offers(integration) if integration else [],
            problem=problem,
            to=to,
        )

    def media_view(self, request: HttpRequest, object_id: object, message_id: UUID) -> HttpResponseBase:
        """Serve the file of a message, inside the page only where that is harmless."""
        conversation = self.find(request, object_id)
        message = Message.objects.filter(conversation=conversation, pk=message_id, is_deleted=False).first()
        if message is None:
            raise Http404("no such message here")
        try:
            file = services.media_of_message(message)
            content = storage.open_file(file)
        except RegistryError as error:
            raise Http404(error.detail) from error
        base_type = file.content_type.partition(";")[0].strip()
        is_inline = base_type in INLINE_TYPES
        response = FileResponse(content, as_attachment=not is_inline, filename=file.name)
        response["Content-Type"] = base_type if is_inline else "application/octet-stream"
        response["Content-Security-Policy"] = "default-src 'none'; sandbox"
        return response

    def url_of(self, conversation: Conversation) -> str:
        """Return the address of a conversation."""
        return reverse(
            "admin:channels_app_conversation_change", args=[conversation.pk], current_app=self.admin_site.name
        )

    def _send(self, request: HttpRequest, integration: Integration, *, to: str) -> Message:
        kind, content = _content_of(request, integration)
        return services.send_message(
            integration=integration, to=to, type=kind, content=content, actor=actor_of(request)
        )

    def _refused(self, request: HttpRequest, error: RegistryError | ProviderError, *, back: str) -> HttpResponseBase:
        if _wants_json(request):
            return JsonResponse({"detail": _refusal(error)}, status=422)
        messages.error(request, _refusal(error))
        return redirect(back)

    def _mark_read(self, request: HttpRequest, conversation: Conversation) -> None:
        """Mark as read when somebody who may answer looks; whoever only looks changes nothing."""
        if not conversation.unread_count or not request.user.has_perm(SEND):
            return
        try:
            services.mark_read(conversation, actor=actor_of(request))
        except (RegistryError, ProviderError):
            return  # an integration that is switched off cannot tell the channel; the conversation stays unread

    def _log(self, request: HttpRequest, conversation: Conversation) -> tuple[str, str, bool]:
        limit = _limit(request)
        rows = conversation.messages.exclude(type__in=HIDDEN_TYPES).order_by("-occurred_at", "-id")
        newest = list(rows[: limit + 1])
        shown = list(reversed(newest[:limit]))
        context = {"bubbles": bubbles(shown), "conversation": conversation, "site_name": self.admin_site.name}
        html = render_to_string("registry/channels/bubbles.html", context, request=request)
        return html, hashlib.sha256(html.encode()).hexdigest()[:16], len(newest) > limit


def latest_conversations(request: HttpRequest) -> dict[str, Any]:
    """Fill the panel of the start page."""
    rows = Conversation.objects.exclude(last_message_at=None).select_related("contact", "integration")
    return {"conversations": rows.order_by("-last_message_at")[:PANEL]}


LATEST = Panel("registry/channels/panel.html", latest_conversations)


def _content_of(request: HttpRequest, integration: Integration) -> tuple[str, dict[str, Any]]:
    chosen = request.POST.get("template", "")
    if not chosen:
        return "text", {"body": request.POST.get("text", "").replace("\r\n", "\n").strip()}
    template = next((row.template for row in offers(integration) if str(row.template.pk) == chosen), None)
    if template is None:
        raise RegistryError(_("Choose an approved template."))
    return "template", template_content(template, _values(request, template))


def _values(request: HttpRequest, template: Template) -> dict[str, str]:
    prefix = f"{template.pk}__"
    return {name.removeprefix(prefix): request.POST[name] for name in request.POST if name.startswith(prefix)}


def _refusal(error: RegistryError | ProviderError) -> str:
    """Say the reason: the field's text where the service names one, for the composer has one field."""
    if isinstance(error, RegistryError) and error.errors:
        return " ".join(_(text) for texts in error.errors.values() for text in texts)
    return refusal_text(error)


def _sends(integration: Integration) -> bool:
    return issubclass(integration.provider_class, SendsMessages)


def _name(conversation: Conversation) -> str:
    return conversation.contact.label if conversation.contact else _("Group %(id)s") % {"id": conversation.group_id}


def _limit(request: HttpRequest) -> int:
    wanted = request.GET.get("n", "")
    is_number = wanted.isdecimal() and len(wanted) <= len(str(MOST_SHOWN))
    return min(int(wanted), MOST_SHOWN) if is_number and int(wanted) else SHOWN


def _wants_json(request: HttpRequest) -> bool:
    return request.headers.get("Accept", "").startswith("application/json")


def _any_of(names: tuple[str, ...], query: str) -> Q:
    wanted = Q()
    for name in names:
        wanted |= Q(**{f"{name}__icontains": query})
    return wanted
