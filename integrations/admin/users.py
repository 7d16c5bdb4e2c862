"""People with an account, on the platform's site: made without a password, which they set by mail."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget

from accounts.models import Membership, User
from integrations.admin.base import RegistryAdmin
from integrations.admin.sites import platform_site


class UserForm(forms.ModelForm):
    """A person's account. There is no password here: people set theirs by the link of the login page."""

    locale = forms.ChoiceField(
        label=gettext_lazy("Language"),
        choices=settings.LANGUAGES,
        help_text=gettext_lazy("Of the mails this person gets."),
        widget=UnfoldAdminSelectWidget,
    )

    class Meta:
        model = User
        fields = ("email", "name", "locale", "is_active", "is_staff", "is_superuser")
        help_texts = {
            "is_staff": gettext_lazy("Opens the platform's admin, and no organization."),
            "is_superuser": gettext_lazy("Every permission in the platform's admin, and none in an organization."),
        }

    def clean_email(self) -> str:
        """Keep addresses in lower case: the same person logs in however it is typed."""
        email: str = self.cleaned_data["email"].lower()
        if User.objects.filter(email=email).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError(_("This address has an account already."))
        return email


@admin.register(User, site=platform_site)
class UserAdmin(RegistryAdmin):
    """Users. Accounts are switched off, not deleted: the trail names them."""

    form = UserForm
    list_display = ("email", "name", "is_staff", "is_active", "last_login", "created_at")
    list_filter = ("is_staff", "is_active")
    search_fields = ("email", "name")
    ordering = ("-created_at",)
    fields = ("email", "name", "locale", "is_active", "is_staff", "is_superuser", "shown_memberships")
    readonly_fields = ("shown_memberships",)

    @admin.display(description=gettext_lazy("member of"))
    def shown_memberships(self, obj: User) -> str:
        """Where the person is a member."""
        rows = Membership.objects.filter(user=obj, is_active=True).order_by("created_at") if obj.pk else []
        return ", ".join(f"{row.organization_schema} ({row.get_role_display()})" for row in rows) or "-"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes an account here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only superusers change a superuser: who changes the address gets the mail that sets the password."""
        is_bounded = obj is not None and obj.is_superuser and not getattr(request.user, "is_superuser", False)
        return not is_bounded and bool(super().has_change_permission(request, obj))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Keep those who are no superusers from making staff."""
        bounded = () if getattr(request.user, "is_superuser", False) else ("is_staff", "is_superuser")
        return (*self.readonly_fields, *bounded)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Save; a new account has no password until its owner sets one."""
        if not change:
            obj.set_unusable_password()
        obj.save()
