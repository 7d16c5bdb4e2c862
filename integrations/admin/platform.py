"""The platform's site: organizations with the progress of their creation, links, vendors, OAuth apps, people, keys."""

from __future__ import annotations

from typing import Any

from celery import current_app
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from kombu.exceptions import OperationalError
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminSelectWidget

from accounts.models import ApiKey, Membership, User
from accounts.roles import ALL_SCOPES, Role
from accounts.services import add_member
from audit.services import Target, record
from core.errors import RegistryError
from dispatch import inbox
from dispatch.models import Link, OAuthApp, Vendor
from integrations import registry
from integrations.admin.base import PlatformRowsAdmin, ReadOnlyAdmin, RegistryAdmin, actor_of, refusal_text
from integrations.admin.breakers import BreakerPages
from integrations.admin.people import add_refusal
from integrations.admin.show import WHO, badge, provider_label
from integrations.admin.sites import platform_site
from integrations.services import people
from tenants.models import Organization
from tenants.services import create_organization

BUILD = "tenants.tasks.build_organization_schema"


class OrganizationForm(forms.Form):
    """A new organization and, if wanted, its first owner."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=120)
    slug = forms.CharField(
        label=gettext_lazy("Slug"),
        max_length=40,
        help_text=gettext_lazy("Part of its address: lower-case letters, digits and hyphens. It never changes."),
    )
    locale = forms.ChoiceField(label=gettext_lazy("Language"), choices=settings.LANGUAGES, initial="pt-br")
    owner = forms.ModelChoiceField(
        label=gettext_lazy("Owner"),
        queryset=User.objects.none(),
        required=False,
        help_text=gettext_lazy("A person who has an account; others are invited once somebody owns the organization."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people_field: Any = self.fields["owner"]
        people_field.queryset = User.objects.filter(is_active=True).order_by("email")


@admin.register(Organization, site=platform_site)
class OrganizationAdmin(ReadOnlyAdmin):
    """Organizations: registered here, built in the background, suspended and opened again."""

    show_add_link = True
    list_display = ("name", "slug", "shown_status", "progress", "created_at")
    list_filter = ("status",)
    search_fields = ("name", "slug", "schema_name")
    ordering = ("-created_at",)

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def shown_status(self, obj: Organization) -> str:
        """The status, colored."""
        return badge(obj.status, obj.get_status_display())

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Ask Django's permissions."""
        return bool(request.user.has_perm("tenants.add_organization"))

    def get_urls(self) -> list[URLPattern]:
        """Add progress and the switches."""
        view = self.admin_site.admin_view
        own = [
            path("<uuid:object_id>/progress/", view(self.progress_view), name="organization_progress"),
            path("<uuid:object_id>/build/", view(self.build_view), name="organization_build"),
            path("<uuid:object_id>/invite/", view(self.invite_view), name="organization_invite"),
            path("<uuid:object_id>/suspend/", view(self.suspend_view), name="organization_suspend"),
            path("<uuid:object_id>/open/", view(self.open_view), name="organization_open"),
        ]
        return [*own, *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Register an organization and show its creation."""
        self.demand(request, "tenants.add_organization")
        form = OrganizationForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                organization = _register(request, form.cleaned_data)
            except RegistryError as error:
                add_refusal(form, error)
            else:
                return HttpResponseRedirect(self.url_of(organization))
        return self.page(
            request,
            "registry/form.html",
            title=_("New organization"),
            status=422 if form.is_bound else 200,
            form=form,
            button=_("Create the organization"),
            back=reverse("admin:tenants_organization_changelist", current_app=self.admin_site.name),
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show an organization: its creation while it is built, its links and members afterwards."""
        organization = self.find(request, object_id)
        members = Membership.objects.filter(organization_schema=organization.schema_name).select_related("user")
        links = Link.objects.filter(organization_schema=organization.schema_name)
        return self.page(
            request,
            "registry/organization.html",
            title=organization.name,
            tenant=organization,
            original=organization,
            status_badge=badge(organization.status, organization.get_status_display()),
            is_building=organization.status in {Organization.Status.CREATING, Organization.Status.FAILED},
            members=members.order_by("role", "created_at")[:50],
            links=[{"link": link, "provider": provider_label(link.provider)} for link in links.order_by("label")[:50]],
            may_change=request.user.has_perm("tenants.change_organization"),
        )

    def progress_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Say how far the schema is built; the page asks every second."""
        organization = self.find(request, object_id)
        return JsonResponse(
            {
                "status": organization.status,
                "label": organization.get_status_display(),
                "progress": organization.progress,
                "failure": organization.failure,
                "is_done": organization.is_open,
            }
        )

    def build_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Try the building again."""
        organization = self.find(request, object_id)
        self.demand(request, "tenants.change_organization")
        if request.method == "POST":
            _build(request, organization)
        return HttpResponseRedirect(self.url_of(organization))

    def invite_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Invite an owner by mail: the first one of an organization that has none."""
        organization = self.find(request, object_id)
        self.demand(request, "tenants.change_organization")
        if request.method == "POST":
            by = people.Acting(actor=actor_of(request), role=Role.OWNER)
            try:
                people.invite_member(organization, email=request.POST.get("email", ""), role=Role.OWNER, by=by)
                messages.success(request, _("The invitation is on its way; its link works for seven days."))
            except RegistryError as error:
                messages.error(request, refusal_text(error))
        return HttpResponseRedirect(self.url_of(organization))

    def suspend_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Close the organization to requests and tasks."""
        return self._switch(request, object_id, action="organization.suspended", wanted=Organization.Status.ACTIVE)

    def open_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Open a suspended organization again."""
        return self._switch(request, object_id, action="organization.opened", wanted=Organization.Status.SUSPENDED)

    def url_of(self, organization: Organization) -> str:
        """Return the address of an organization's page."""
        return reverse("admin:tenants_organization_change", args=[organization.pk], current_app=self.admin_site.name)

    def _switch(self, request: HttpRequest, object_id: object, *, action: str, wanted: str) -> HttpResponse:
        organization = self.find(request, object_id)
        self.demand(request, "tenants.change_organization")
        if request.method == "POST" and organization.status == wanted:
            with transaction.atomic():
                if action == "organization.suspended":
                    organization.mark_suspended()
                else:
                    organization.mark_active()
                record(action=action, actor=actor_of(request), target=_target(organization))
        return HttpResponseRedirect(self.url_of(organization))


@admin.register(Link, site=platform_site)
class LinkAdmin(BreakerPages, ReadOnlyAdmin):
    """All integrations of all organizations, from the public mirror."""

    list_display = ("label", "organization_label", "shown_provider", "environment", "shown_status", "shown_health",
                    "since", "open_issues", "last_event_at")  # fmt: skip
    list_filter = ("health", "status", "environment", "provider")
    search_fields = ("label", "organization_label", "provider")
    ordering = ("-created_at",)
    fields = ("label", "organization_label", "shown_provider", "environment", "shown_status", "shown_health", "cause",
              "since", "shown_who", "shown_breaker", "open_issues", "last_event_at", "next_check_at",
              "created_at")  # fmt: skip
    readonly_fields = fields

    @admin.display(description=gettext_lazy("provider"), ordering="provider")
    def shown_provider(self, obj: Link) -> str:
        """The provider by its label."""
        return provider_label(obj.provider)

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def shown_status(self, obj: Link) -> str:
        """The status, colored."""
        return badge(obj.status, obj.get_status_display())

    @admin.display(description=gettext_lazy("health"), ordering="health")
    def shown_health(self, obj: Link) -> str:
        """The health, colored."""
        return badge(obj.health, obj.get_health_display())

    @admin.display(description=gettext_lazy("who must act"))
    def shown_who(self, obj: Link) -> Any:
        """Who must act, in words."""
        return WHO.get(obj.who, obj.who)


def provider_choices() -> list[tuple[str, str]]:
    """Return the registry's providers for a choice."""
    return [(key, found.spec.label) for key, found in registry.providers().items()]


def provider_field() -> forms.ChoiceField:
    """Make the field that chooses a provider."""
    return forms.ChoiceField(label=gettext_lazy("Provider"), choices=provider_choices, widget=UnfoldAdminSelectWidget())


class VendorForm(forms.ModelForm):
    """A vendor's switches; the key is one of the registry's."""

    provider = provider_field()

    class Meta:
        model = Vendor
        fields = ("provider", "is_enabled", "transfer_mechanism")


@admin.register(Vendor, site=platform_site)
class VendorAdmin(BreakerPages):
    """Vendors: whether new accounts may be connected. Incidents are shown; they open and close on their own pages."""

    form = VendorForm
    list_display = ("provider", "is_enabled", "shown_breaker", "transfer_mechanism", "incident", "incident_since")
    list_filter = ("is_enabled",)
    ordering = ("provider",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """The key is chosen once; what the engine knows of the vendor is shown."""
        return ("provider", "shown_breaker", "incident", "incident_since") if obj else ()


class OAuthAppForm(forms.ModelForm):
    """An app's ids and write-only secrets: blank keeps what is stored, nothing is rendered back."""

    provider = provider_field()
    client_secret = forms.CharField(
        label=gettext_lazy("Client secret"), required=False, widget=UnfoldAdminPasswordWidget(render_value=False)
    )
    verify_token = forms.CharField(
        label=gettext_lazy("Verify token"),
        required=False,
        widget=UnfoldAdminPasswordWidget(render_value=False),
        help_text=gettext_lazy("Answers the vendor's challenge when the platform's webhook URL is registered."),
    )

    class Meta:
        model = OAuthApp
        fields = ("provider", "label", "client_id", "is_enabled", "settings")

    def secret_values(self) -> dict[str, str]:
        """Return the secrets that were typed in, by the names under which the provider verifies webhooks."""
        webhook = registry.provider(self.cleaned_data["provider"]).spec.webhook
        names = {"client_secret": ["client_secret"], "verify_token": ["verify_token"]}
        if webhook is not None:
            names["client_secret"].append(webhook.secret_field)
            names["verify_token"] = [webhook.challenge_field or "verify_token"]
        typed = {name: self.cleaned_data.get(name) for name in names}
        return {stored: value for name, value in typed.items() if value for stored in names[name]}


@admin.register(OAuthApp, site=platform_site)
class OAuthAppAdmin(RegistryAdmin):
    """The platform's own apps at vendors; organizations' own are not shown here."""

    form = OAuthAppForm
    list_display = ("label", "shown_provider", "client_id", "shown_secrets", "is_enabled", "updated_at")
    list_filter = ("provider", "is_enabled")
    ordering = ("provider", "label")
    fields = ("provider", "label", "client_id", "client_secret", "verify_token", "settings", "is_enabled")

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[OAuthApp]:
        """Keep to the platform's apps."""
        return super().get_queryset(request).filter(organization_schema=None)

    @admin.display(description=gettext_lazy("provider"), ordering="provider")
    def shown_provider(self, obj: OAuthApp) -> str:
        """The provider by its label."""
        return provider_label(obj.provider)

    @admin.display(description=gettext_lazy("secrets"))
    def shown_secrets(self, obj: OAuthApp) -> str:
        """Whether there are any."""
        return badge("active", _("stored")) if obj.sealed_secrets else badge("disabled", _("none"))

    def save_model(self, request: HttpRequest, obj: OAuthApp, form: Any, change: bool) -> None:
        """Seal what was typed over what is stored, then save."""
        typed = form.secret_values()
        if typed:
            kept = _opened(obj) if obj.sealed_secrets else {}
            inbox.seal_app_secrets(obj, {**kept, **typed})
        obj.save()


@admin.register(Membership, site=platform_site)
class PlatformMembershipAdmin(PlatformRowsAdmin):
    """Who is a member where; members are managed inside their organization."""

    list_display = ("user", "shown_organization", "role", "is_active", "created_at")
    list_filter = ("role", "is_active")
    search_fields = ("user__email", "organization_schema")
    list_select_related = ("user",)
    ordering = ("-created_at",)
    fields = list_display
    readonly_fields = fields


@admin.register(ApiKey, site=platform_site)
class PlatformApiKeyAdmin(PlatformRowsAdmin):
    """All keys, by what is known of them; staff may end one that leaked."""

    list_display = ("name", "shown_organization", "environment", "last4", "shown_scopes", "last_used_at",
                    "revoked_at")  # fmt: skip
    list_filter = ("environment", ("revoked_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "organization_schema", "last4")
    ordering = ("-created_at",)
    fields = ("name", "shown_organization", "environment", "last4", "shown_scopes", "created_by_label", "created_at",
              "last_used_at", "expires_at", "revoked_at")  # fmt: skip
    readonly_fields = fields
    actions = ("revoke",)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Ask Django's permissions."""
        return bool(request.user.has_perm("accounts.delete_apikey"))

    @admin.display(description=gettext_lazy("scopes"))
    def shown_scopes(self, obj: ApiKey) -> str:
        """The scopes."""
        return _("everything") if obj.scopes == [ALL_SCOPES] else ", ".join(obj.scopes)

    @admin.action(description=gettext_lazy("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: models.QuerySet[ApiKey]) -> None:
        """End the chosen keys now."""
        for api_key in queryset.filter(revoked_at=None):
            people.revoke_api_key(api_key, actor=actor_of(request))
        messages.success(request, _("The chosen keys are revoked."))


def _register(request: HttpRequest, values: dict[str, Any]) -> Organization:
    with transaction.atomic():
        organization = create_organization(slug=values["slug"], name=values["name"], locale=values["locale"])
        if values["owner"] is not None:
            add_member(user=values["owner"], schema_name=organization.schema_name, role="owner")
        record(action="organization.created", actor=actor_of(request), target=_target(organization))
    _build(request, organization)
    return organization


def _build(request: HttpRequest, organization: Organization) -> None:
    """Ask a worker to build now; without one the sweep finds the organization."""
    try:
        current_app.send_task(BUILD, kwargs={"organization_id": str(organization.pk)}, queue="bulk", retry=False)
    except (OperationalError, OSError):
        messages.warning(request, _("No worker could be reached; the organization is built as soon as one runs."))


def _target(organization: Organization) -> Target:
    return Target(kind="organization", id=str(organization.pk), label=organization.slug)


def _opened(app: OAuthApp) -> dict[str, str]:
    return {name: secret.reveal() for name, secret in inbox.open_app_secrets(app).items()}
