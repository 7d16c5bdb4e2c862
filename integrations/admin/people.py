"""Members, invitations and API keys of one organization; every change is a call of `services.people`."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import ApiKey, Environment, Invitation, Membership, membership_of
from accounts.roles import ALL_SCOPES, SCOPES, Role
from core import clock
from core.errors import RegistryError
from integrations.admin.base import ReadOnlyAdmin, actor_of, refusal_text
from integrations.admin.show import badge
from integrations.admin.sites import organization_site
from integrations.services import people

ROLE_HELP = gettext_lazy(
    "Owners and admins do everything; only owners make owners. Developers connect, test, send and replay, and make "
    "API keys. Viewers look."
)


class InvitationForm(forms.Form):
    """Whom to invite, as what."""

    email = forms.EmailField(label=gettext_lazy("E-mail address"))
    role = forms.ChoiceField(
        label=gettext_lazy("Role"), choices=Role.choices, initial=Role.DEVELOPER, help_text=ROLE_HELP
    )


class RoleForm(forms.Form):
    """Another role for a member."""

    role = forms.ChoiceField(label=gettext_lazy("Role"), choices=Role.choices, help_text=ROLE_HELP)


class ApiKeyForm(forms.Form):
    """What a new key may do."""

    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=80, help_text=gettext_lazy("What the key is for, such as Shop backend.")
    )
    environment = forms.ChoiceField(
        label=gettext_lazy("Environment"),
        choices=Environment.choices,
        help_text=gettext_lazy("A test key sees and uses test integrations only, a live key live ones only."),
    )
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("Scopes"),
        choices=[(ALL_SCOPES, gettext_lazy("everything")), *((scope, scope) for scope in SCOPES)],
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("Give no more than the program needs."),
    )
    expires_at = forms.DateTimeField(
        label=gettext_lazy("Expires at"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text=gettext_lazy("In your time zone. Without one the key works until it is revoked."),
    )

    def clean_expires_at(self) -> Any:
        """Refuse a moment that is over."""
        moment = self.cleaned_data["expires_at"]
        if moment is not None and moment <= clock.now():
            raise forms.ValidationError(_("This moment is over."))
        return moment


class PeopleAdmin(ReadOnlyAdmin):
    """What the three lists share: pages with a form, and actions by POST."""

    show_add_link = True
    back = ""

    def acting(self, request: HttpRequest) -> people.Acting:
        """Return who acts, with the role that bounds it."""
        membership = membership_of(request.user)  # type: ignore[arg-type]
        if membership is None:
            raise PermissionDenied
        return people.Acting(actor=actor_of(request), role=membership.role)

    def list_url(self) -> str:
        """Return the address of the list."""
        name = f"{self.model._meta.app_label}_{self.model._meta.model_name}"
        return reverse(f"admin:{name}_changelist", current_app=self.admin_site.name)

    def form_page(
        self, request: HttpRequest, form: forms.Form, *, title: str, button: str, **more: Any
    ) -> HttpResponse:
        """Render a form of ours."""
        return self.page(
            request,
            "registry/form.html",
            title=title,
            status=422 if form.is_bound else 200,
            form=form,
            button=button,
            back=self.list_url(),
            **more,
        )

    def confirmed(self, request: HttpRequest, *, title: str, text: str, button: str) -> HttpResponse | None:
        """Return the page that asks once more, or nothing when the answer was yes."""
        if request.method == "POST":
            return None
        return self.page(request, "registry/confirm.html", title=title, text=text, button=button, back=self.list_url())


def add_refusal(form: forms.Form, error: RegistryError) -> None:
    """Show a service's refusal at the fields it names."""
    for name, texts in error.errors.items():
        form.add_error(name if name in form.fields else None, [_(text) for text in texts])
    if not error.errors:
        form.add_error(None, refusal_text(error))


@admin.register(Membership, site=organization_site)
class MembershipAdmin(PeopleAdmin):
    """Members, with their roles."""

    show_add_link = False
    list_display = ("person", "address", "shown_role", "shown_state", "created_at")
    list_filter = ("role", "is_active")
    search_fields = ("user__email", "user__name")
    list_select_related = ("user",)
    ordering = ("-is_active", "role", "created_at")

    @admin.display(description=gettext_lazy("name"), ordering="user__name")
    def person(self, obj: Membership) -> str:
        """The person's name."""
        return obj.user.get_full_name()

    @admin.display(description=gettext_lazy("e-mail address"), ordering="user__email")
    def address(self, obj: Membership) -> str:
        """The person's address."""
        return obj.user.email

    @admin.display(description=gettext_lazy("role"), ordering="role")
    def shown_role(self, obj: Membership) -> str:
        """The role."""
        return badge(obj.role, obj.get_role_display())

    @admin.display(description=gettext_lazy("state"), ordering="is_active")
    def shown_state(self, obj: Membership) -> str:
        """Active or removed."""
        return badge("active", _("active")) if obj.is_active else badge("disabled", _("removed"))

    def get_urls(self) -> list[URLPattern]:
        """Add removal."""
        view = self.admin_site.admin_view
        return [path("<uuid:object_id>/remove/", view(self.remove_view), name="member_remove"), *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a member and change the role."""
        membership = self.find(request, object_id)
        form = RoleForm(request.POST or None, initial={"role": membership.role})
        if request.method == "POST" and form.is_valid():
            self.demand(request, "accounts.change_membership")
            try:
                people.change_role(membership, role=form.cleaned_data["role"], by=self.acting(request))
            except RegistryError as error:
                add_refusal(form, error)
            else:
                messages.success(request, _("The role is changed."))
                return HttpResponseRedirect(self.list_url())
        remove = reverse("admin:member_remove", args=[membership.pk], current_app=self.admin_site.name)
        return self.form_page(
            request,
            form,
            title=membership.user.get_full_name(),
            button=_("Change the role"),
            danger={"link": remove, "label": _("Remove from the organization")} if membership.is_active else None,
            original=membership,
        )

    def remove_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Remove a member."""
        membership = self.find(request, object_id)
        self.demand(request, "accounts.delete_membership")
        name = membership.user.get_full_name()
        text = _("%(name)s can no longer enter this organization. What they did stays in the audit trail.")
        title = _("Remove %(name)s") % {"name": name}
        if asked := self.confirmed(request, title=title, text=text % {"name": name}, button=_("Remove")):
            return asked
        try:
            people.remove_member(membership, by=self.acting(request))
            messages.success(request, _("The member is removed."))
        except RegistryError as error:
            messages.error(request, refusal_text(error))
        return HttpResponseRedirect(self.list_url())


@admin.register(Invitation, site=organization_site)
class InvitationAdmin(PeopleAdmin):
    """Open invitations."""

    list_display = ("email", "shown_role", "shown_state", "created_at", "expires_at")
    list_filter = ("role",)
    search_fields = ("email",)
    ordering = ("-created_at",)

    @admin.display(description=gettext_lazy("role"), ordering="role")
    def shown_role(self, obj: Invitation) -> str:
        """The role."""
        return badge(obj.role, obj.get_role_display())

    @admin.display(description=gettext_lazy("state"), ordering="accepted_at")
    def shown_state(self, obj: Invitation) -> str:
        """Open, accepted or over."""
        if obj.accepted_at:
            return badge("done", _("accepted"))
        return badge("expired", _("expired")) if obj.expires_at <= clock.now() else badge("pending", _("open"))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Ask the role."""
        return bool(request.user.has_perm("accounts.add_invitation"))

    def get_urls(self) -> list[URLPattern]:
        """Add withdrawal."""
        view = self.admin_site.admin_view
        own = [path("<uuid:object_id>/withdraw/", view(self.withdraw_view), name="invitation_withdraw")]
        return [*own, *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Invite a person."""
        self.demand(request, "accounts.add_invitation")
        form = InvitationForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            organization: Any = request.organization  # type: ignore[attr-defined]
            try:
                people.invite_member(
                    organization,
                    email=form.cleaned_data["email"],
                    role=form.cleaned_data["role"],
                    by=self.acting(request),
                )
            except RegistryError as error:
                add_refusal(form, error)
            else:
                messages.success(request, _("The invitation is on its way; its link works for seven days."))
                return HttpResponseRedirect(self.list_url())
        return self.form_page(request, form, title=_("Invite a member"), button=_("Send the invitation"))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """An invitation's page is the question whether to take it back."""
        return self.withdraw_view(request, self.find(request, object_id).pk)

    def withdraw_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Take an invitation back."""
        invitation = self.find(request, object_id)
        self.demand(request, "accounts.delete_invitation")
        text = _("The link that was mailed to %(email)s stops working.") % {"email": invitation.email}
        if asked := self.confirmed(request, title=_("Take the invitation back"), text=text, button=_("Take it back")):
            return asked
        people.withdraw_invitation(invitation, actor=actor_of(request))
        messages.success(request, _("The invitation is taken back."))
        return HttpResponseRedirect(self.list_url())


@admin.register(ApiKey, site=organization_site)
class ApiKeyAdmin(PeopleAdmin):
    """API keys: made here, shown once, revoked."""

    list_display = ("name", "environment", "shown_last4", "shown_scopes", "shown_state", "last_used_at", "expires_at",
                    "created_by_label")  # fmt: skip
    list_filter = ("environment",)
    search_fields = ("name", "last4")
    ordering = ("-created_at",)

    @admin.display(description=gettext_lazy("ends in"))
    def shown_last4(self, obj: ApiKey) -> str:
        """The last characters."""
        return f"…{obj.last4}"

    @admin.display(description=gettext_lazy("scopes"))
    def shown_scopes(self, obj: ApiKey) -> str:
        """The scopes, in words where it is all of them."""
        return _("everything") if obj.scopes == [ALL_SCOPES] else ", ".join(obj.scopes)

    @admin.display(description=gettext_lazy("state"))
    def shown_state(self, obj: ApiKey) -> str:
        """Usable, revoked or expired."""
        if obj.revoked_at:
            return badge("disabled", _("revoked"))
        is_over = obj.expires_at is not None and obj.expires_at <= clock.now()
        return badge("expired", _("expired")) if is_over else badge("active", _("active"))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Ask the role."""
        return bool(request.user.has_perm("accounts.add_apikey"))

    def get_urls(self) -> list[URLPattern]:
        """Add revocation."""
        view = self.admin_site.admin_view
        return [path("<uuid:object_id>/revoke/", view(self.revoke_view), name="api_key_revoke"), *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Make a key and show it, this once."""
        self.demand(request, "accounts.add_apikey")
        form = ApiKeyForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                api_key, text = people.make_own_api_key(**form.cleaned_data, by=self.acting(request))
            except RegistryError as error:
                add_refusal(form, error)
            else:
                return self.page(
                    request, "registry/api_key.html", title=_("Your new API key"), api_key=api_key, text=text,
                    back=self.list_url(),
                )  # fmt: skip
        return self.form_page(request, form, title=_("New API key"), button=_("Create the key"))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A key's page says what is known of it: never the key."""
        api_key = self.find(request, object_id)
        return self.page(
            request,
            "registry/api_key.html",
            title=api_key.name,
            api_key=api_key,
            original=api_key,
            state=self.shown_state(api_key),
            scopes=self.shown_scopes(api_key),
            may_revoke=api_key.revoked_at is None and request.user.has_perm("accounts.delete_apikey"),
            back=self.list_url(),
        )

    def revoke_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """End a key."""
        api_key = self.find(request, object_id)
        self.demand(request, "accounts.delete_apikey")
        text = _("Programs that use %(name)s are refused from the next call on. This cannot be undone.")
        title = _("Revoke %(name)s") % {"name": api_key.name}
        if asked := self.confirmed(request, title=title, text=text % {"name": api_key.name}, button=_("Revoke")):
            return asked
        try:
            people.revoke_api_key(api_key, actor=actor_of(request))
            messages.success(request, _("The key is revoked."))
        except RegistryError as error:
            messages.error(request, refusal_text(error))
        return HttpResponseRedirect(self.list_url())
