"""
The admin's form of a provider, from its spec alone.

Secrets are write-only: never rendered back, and on reconnecting a blank one keeps its value. What is right and wrong
is decided by `services.connect.validate`, for forms and API alike; a form shows what that says at its field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django import forms
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import Environment
from integrations.contract import Field, FieldKind, ProviderSpec

CREDENTIALS = "credentials"
SETTINGS = "settings"
_SEPARATOR = "__"

_LONG = 4000
"""A secret that may be longer than a field's usual maximum is a pasted key file."""

FILE_MAX_BYTES = 64 * 1024
"""Keys and certificates are a few KB; more is the wrong file."""


class SpecForm(forms.Form):
    """A form whose fields of a spec are named ``credentials__<field>`` and ``settings__<field>``."""

    def values_of(self, part: str) -> dict[str, Any]:
        """Return the filled-in values of a part by the spec's names; blank ones are left out."""
        prefix = f"{part}{_SEPARATOR}"
        return {
            name.removeprefix(prefix): value
            for name, value in self.cleaned_data.items()
            if name.startswith(prefix) and value not in (None, "")
        }

    def add_refusal(self, errors: Mapping[str, Iterable[str]], *, otherwise: str) -> None:
        """
        Show a service's refusal: texts by "credentials.access_token" at their field, the rest above the form.

        :param otherwise: the text above the form when no field is named
        """
        for name, texts in errors.items():
            field = name.replace(".", _SEPARATOR, 1)
            self.add_error(field if field in self.fields else None, [_(text) for text in texts])
        if not errors:
            self.add_error(None, otherwise)

    @property
    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        """The fields by part, for templates: general, credentials, settings."""
        titles = {"": _("General"), CREDENTIALS: _("Credential"), SETTINGS: _("Settings")}
        parts: dict[str, list[forms.BoundField]] = {part: [] for part in titles}
        for field in self:
            part, separator, _name = field.name.partition(_SEPARATOR)
            parts[part if separator else ""].append(field)
        return [(titles[part], fields) for part, fields in parts.items() if fields]


def connect_form(spec: ProviderSpec) -> type[SpecForm]:
    """Make the form that connects a new account."""
    general = {
        "name": forms.CharField(
            label=gettext_lazy("Name"),
            max_length=120,
            required=False,
            help_text=gettext_lazy("How you call this integration, for example by its number or team."),
            widget=forms.TextInput(attrs={"placeholder": spec.label}),
        ),
        "environment": forms.ChoiceField(
            label=gettext_lazy("Environment"),
            choices=Environment.choices,
            help_text=gettext_lazy("Test API keys use test integrations, live API keys live ones."),
        ),
    }
    return type("ConnectForm", (SpecForm,), {**general, **_spec_fields(spec, keeps_secrets=False)})


def reconnect_form(spec: ProviderSpec) -> type[SpecForm]:
    """Make the form that gives a connected account a new credential: blank secrets keep their value."""
    return type("ReconnectForm", (SpecForm,), _spec_fields(spec, keeps_secrets=True))


def initial_values(spec: ProviderSpec, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a reconnect form starts with: settings, never a credential."""
    return {_name(SETTINGS, item): settings[item.name] for item in spec.settings if item.name in settings}


def _spec_fields(spec: ProviderSpec, *, keeps_secrets: bool) -> dict[str, forms.Field]:
    credentials = {_name(CREDENTIALS, item): _field(item, keeps=keeps_secrets) for item in spec.credentials}
    return {**credentials, **{_name(SETTINGS, item): _field(item, keeps=False) for item in spec.settings}}


def _name(part: str, item: Field) -> str:
    return f"{part}{_SEPARATOR}{item.name}"


def _field(item: Field, *, keeps: bool) -> forms.Field:
    """Make one field. Whether it is required is only marked: the service says it, with the remedy."""
    field = _FIELDS.get(item.kind, _text)(item)
    field.label = _(item.label)
    field.help_text = _help(item)
    field.required = False
    field.widget.attrs.update(_attributes(item, keeps=keeps))
    field.widget.is_required = False
    field.marked_required = item.required and not item.default and not keeps  # type: ignore[attr-defined]
    return field


def _attributes(item: Field, *, keeps: bool) -> dict[str, str]:
    attributes = {"spellcheck": "false", "autocapitalize": "off"}
    if keeps:
        attributes["placeholder"] = _("Leave blank to keep the present value")
    elif item.example and not item.is_secret:
        attributes["placeholder"] = item.example
    if item.is_secret:
        attributes["autocomplete"] = "new-password"
    return attributes


def _help(item: Field) -> SafeString:
    parts = [_(item.help)] if item.help else []
    if item.found_by_check:
        parts.append(_("Found by the check when left blank."))
    text = " ".join(parts)
    if not item.example:
        return format_html("{}", text)
    return format_html("{} <span class='rg-example'>{} <code>{}</code></span>", text, _("Example:"), item.example)


def _text(item: Field) -> forms.Field:
    return forms.CharField(max_length=item.max_length, initial=item.default)


def _secret(item: Field) -> forms.Field:
    if item.max_length > _LONG:
        return forms.CharField(max_length=item.max_length, widget=WriteOnlyTextarea(attrs={"rows": 5}))
    return forms.CharField(max_length=item.max_length, widget=forms.PasswordInput(render_value=False))


def _json(item: Field) -> forms.Field:
    return forms.CharField(max_length=item.max_length, widget=WriteOnlyTextarea(attrs={"rows": 5}))


def _choice(item: Field) -> forms.Field:
    choices = [("", "—"), *((value, _(label)) for value, label in item.choices)]
    return forms.ChoiceField(choices=choices, initial=item.default)


def _boolean(item: Field) -> forms.Field:
    return forms.BooleanField(initial=item.default == "true")


class WriteOnlyTextarea(forms.Textarea):
    """Takes a long secret and never shows it again."""

    def format_value(self, value: Any) -> str:
        """Show nothing, whatever there is."""
        return ""


class TextOfFile(forms.FileField):
    """A small text file whose content is the value: a key or a certificate."""

    def clean(self, data: Any, initial: Any = None) -> str:
        """
        Return the file's text.

        :raises ValidationError: too large, or not text
        """
        upload = super().clean(data, initial)
        if not upload:
            return ""
        if upload.size > FILE_MAX_BYTES:
            raise forms.ValidationError(_("This file is too large to be a key or certificate."))
        try:
            return str(upload.read().decode("utf-8"))
        except UnicodeDecodeError as error:
            raise forms.ValidationError(_("This file is not a text file.")) from error


_FIELDS: Mapping[FieldKind, Callable[[Field], forms.Field]] = {
    FieldKind.TEXT: _text,
    FieldKind.URL: _text,
    FieldKind.SECRET: _secret,
    FieldKind.CHOICE: _choice,
    FieldKind.BOOLEAN: _boolean,
    FieldKind.JSON: _json,
    FieldKind.FILE: lambda item: TextOfFile(),
}
