"""Pages for people outside an organization's: start page, login, password reset, invitations, language."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.contrib.auth import forms as auth_forms
from django.contrib.auth import login, password_validation
from django.contrib.auth import views as auth_views
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from django.views.generic import TemplateView, View
from django.views.i18n import set_language as keep_language

from accounts.models import Invitation, Membership, User
from audit.services import Target, record_alone
from core.errors import NotFoundHere, RegistryError
from integrations.admin.base import actor_of, address_of
from integrations.services import people
from tenants.models import Organization


class Place(NamedTuple):
    """One entry of the start page."""

    title: Any
    text: Any
    icon: str
    link: str


class HomeView(TemplateView):
    """Say what this is and lead to the pages below; people who are logged in find their organizations."""

    template_name = "registry/home.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the places and the organizations of the person."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        user = self.request.user
        return {**context, "entries": _places(user), "organizations": _organizations_of(user)}


class EmailField(forms.EmailField):
    """An address as people type it: no matter the case."""

    def to_python(self, value: Any) -> Any:
        """Return it trimmed and in lower case."""
        cleaned = super().to_python(value)
        return cleaned.lower() if isinstance(cleaned, str) else cleaned


class LoginForm(auth_forms.AuthenticationForm):
    """Log in by e-mail address."""

    username = EmailField(
        label=_("E-mail address"), widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True})
    )
    error_messages = {
        **auth_forms.AuthenticationForm.error_messages,
        "invalid_login": _("The address and the password do not belong together."),
    }


class LoginView(auth_views.LoginView):
    """Log in; staff go to the platform, members to their organization, unless they were on their way elsewhere."""

    form_class = LoginForm
    redirect_authenticated_user = False

    def form_valid(self, form: Any) -> HttpResponse:
        """Log the person in and write it into the trail."""
        response = super().form_valid(form)
        record_alone(
            action="user.logged_in",
            actor=actor_of(self.request),
            target=Target(kind="user", id=str(self.request.user.pk)),
            ip_address=address_of(self.request),
        )
        return response

    def get_default_redirect_url(self) -> str:
        """Return where this person works."""
        user = self.request.user
        if isinstance(user, User) and user.is_staff:
            return "/admin/"
        organizations = _organizations_of(user)
        return f"/o/{organizations[0].slug}/admin/" if len(organizations) == 1 else settings.LOGIN_REDIRECT_URL


class LogoutView(auth_views.LogoutView):
    """Log out, by POST alone, and show the login page."""

    next_page = settings.LOGIN_URL


class PasswordResetForm(auth_forms.PasswordResetForm):
    """Mail a link to set a password, also to people who never set one: staff made their account."""

    email = EmailField(label=_("E-mail address"), max_length=254)

    def get_users(self, email: str) -> Any:
        """Return the active user of an address."""
        return User.objects.filter(email=email.lower(), is_active=True)

    def save(self, *args: Any, **options: Any) -> None:
        """Mail a link to the host of the settings: the Host header is the asker's, and the reader is another."""
        base = urlsplit(people.people_url())
        super().save(*args, **{**options, "domain_override": base.netloc, "use_https": base.scheme == "https"})


class PasswordResetView(auth_views.PasswordResetView):
    """Ask for the link; the answer is the same for known and unknown addresses."""

    form_class = PasswordResetForm


class PasswordResetConfirmView(auth_views.PasswordResetConfirmView):
    """Set the new password and write it into the trail."""

    def form_valid(self, form: Any) -> HttpResponse:
        """Store the password."""
        response = super().form_valid(form)
        actor = people.as_actor(form.user)
        record_alone(
            action="user.password_reset",
            actor=actor,
            target=Target(kind="user", id=actor.id),
            ip_address=address_of(self.request),
        )
        return response


class RegisterForm(forms.Form):
    """What a person who was invited and has no account yet gives."""

    name = forms.CharField(label=_("Your name"), max_length=120)
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=password_validation.password_validators_help_text_html,
    )

    def clean_password(self) -> str:
        """Refuse what is easily guessed."""
        password: str = self.cleaned_data["password"]
        password_validation.validate_password(password)
        return password


class InvitationView(View):
    """Accept an invitation: with the account of the invited address, or with a new one."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        """Show what is offered; looking changes nothing."""
        invitation = _invitation(token)
        return self._show(
            request, invitation, form=RegisterForm() if self._state(request, invitation) == "new" else None
        )

    def post(self, request: HttpRequest, token: str) -> HttpResponseBase:
        """Accept."""
        invitation = _invitation(token)
        state = self._state(request, invitation)
        form = RegisterForm(request.POST) if state == "new" else None
        if state in {"other", "known"} or (form is not None and not form.is_valid()):
            return self._show(request, invitation, form=form)
        try:
            user = self._person(request, invitation, form)
            people.accept_invitation(invitation, user=user)
        except RegistryError as error:
            if form is not None:
                form.add_error(None, error.detail)
            return self._show(request, invitation, form=form)
        if form is not None:
            login(request, user, backend=settings.AUTHENTICATION_BACKENDS[-1])
        return redirect(f"/o/{_organization(invitation).slug}/admin/")

    def _person(self, request: HttpRequest, invitation: Invitation, form: RegisterForm | None) -> User:
        if form is None:
            return User.objects.get(pk=request.user.pk or "")
        return people.register_person(
            invitation,
            name=form.cleaned_data["name"],
            password=form.cleaned_data["password"],
            locale=get_language() or settings.LANGUAGE_CODE,
        )

    def _state(self, request: HttpRequest, invitation: Invitation) -> str:
        """Return who looks: the person invited ("own"), somebody else, an account that must log in, or a new one."""
        if isinstance(request.user, User):
            return "own" if request.user.email == invitation.email else "other"
        return "known" if User.objects.filter(email=invitation.email).exists() else "new"

    def _show(self, request: HttpRequest, invitation: Invitation, *, form: RegisterForm | None) -> HttpResponse:
        context = {
            "invitation": invitation,
            "organization": _organization(invitation).name,
            "state": self._state(request, invitation),
            "form": form,
        }
        return render(request, "registry/invitation.html", context)


@require_POST
def set_language(request: HttpRequest) -> HttpResponse:
    """Switch the language: in a cookie for these pages, at the account for mails."""
    response: HttpResponse = keep_language(request)
    code = request.POST.get("language", "")
    if isinstance(request.user, User) and code in dict(settings.LANGUAGES):
        User.objects.filter(pk=request.user.pk).update(locale=code)
    return response


def _places(user: Any) -> list[Place]:
    places = [
        Place(_("API documentation"), _("Every call, with examples to try"), "api", "/api/docs/"),
        Place(_("OpenAPI schema"), _("For generating clients"), "schema", "/api/schema/"),
    ]
    people_host = f"https://{settings.ADMIN_HOST}" if settings.ADMIN_HOST else ""
    if not user.is_authenticated:
        places.insert(0, Place(_("Log in"), _("For members and staff"), "login", f"{people_host}/login/"))
    if getattr(user, "is_staff", False):
        places.insert(0, Place(_("Platform admin"), _("For staff of the platform"), "shield_person", "/admin/"))
    return places


def _organizations_of(user: Any) -> list[Organization]:
    if not isinstance(user, User):
        return []
    schemas = Membership.objects.filter(user=user, is_active=True).values("organization_schema")
    return list(Organization.objects.open().filter(schema_name__in=schemas).order_by("name"))


def _invitation(token: str) -> Invitation:
    try:
        return people.find_invitation(token)
    except NotFoundHere as error:
        raise Http404(error.detail) from error


def _organization(invitation: Invitation) -> Organization:
    found = Organization.objects.open().filter(schema_name=invitation.organization_schema).first()
    if found is None:
        raise Http404("the organization is closed")
    return found
