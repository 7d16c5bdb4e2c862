"""Charging somebody by PIX from the admin, and static codes that anybody can pay."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import services
from billing.admin.base import BillingAdmin, show_refusal
from billing.admin.fields import MoneyField, TokenForm, is_card_free
from billing.admin.words import money
from billing.contract import MakesStaticCodes, Method, Payer, TakesPayments
from billing.models import Origin
from billing.services.rules import BRAZIL, LONGEST_DESCRIPTION
from core.errors import RegistryError
from integrations import registry
from integrations.admin.base import actor_of
from integrations.contract import Category, ProviderError
from integrations.models import Integration

CHARGE = "billing.add_payment"

LIVES: tuple[tuple[str, Any], ...] = (
    ("900", gettext_lazy("15 minutes")),
    ("3600", gettext_lazy("1 hour")),
    ("86400", gettext_lazy("1 day")),
    ("259200", gettext_lazy("3 days")),
)
"""How long a charge can be paid, in seconds: what people wait at a counter, and what they get by mail."""

_FIELDS = {
    "amount_minor": "amount",
    "payer.email": "email",
    "payer.name": "name",
    "payer.tax_id": "tax_id",
    "expires_in_s": "lives",
}
"""Field of the public contract -> input of the form."""


class ChargeForm(TokenForm):
    """A PIX charge: how much, of whom, what for, and how long."""

    integration = forms.ModelChoiceField(
        label=gettext_lazy("Account that gets the money"), queryset=Integration.objects.none(), empty_label=None
    )
    amount = MoneyField(currency=BRAZIL, label=gettext_lazy("Amount"))
    email = forms.EmailField(label=gettext_lazy("Payer's e-mail"))
    name = forms.CharField(label=gettext_lazy("Payer's name"), max_length=200, required=False)
    tax_id = forms.CharField(
        label=gettext_lazy("Payer's CPF or CNPJ"),
        max_length=30,
        required=False,
        help_text=gettext_lazy("Some providers and banks charge only people whose number they know."),
    )
    description = forms.CharField(
        label=gettext_lazy("Description"),
        max_length=LONGEST_DESCRIPTION,
        required=False,
        help_text=gettext_lazy("What it is for; the payer may see it."),
    )
    lives = forms.ChoiceField(label=gettext_lazy("Can be paid for"), choices=LIVES, initial="3600")

    def __init__(self, *args: Any, usable: QuerySet[Integration], **options: Any) -> None:
        super().__init__(*args, **options)
        _offer(self, usable)


class StaticCodeForm(forms.Form):
    """A code of an account's own key."""

    integration = forms.ModelChoiceField(
        label=gettext_lazy("Account that gets the money"), queryset=Integration.objects.none(), empty_label=None
    )
    amount = MoneyField(
        currency=BRAZIL,
        label=gettext_lazy("Amount"),
        required=False,
        help_text=gettext_lazy("Empty: the payer types it in their bank's app."),
    )
    txid = forms.CharField(
        label=gettext_lazy("Reference"),
        max_length=25,
        required=False,
        help_text=gettext_lazy("Up to 25 letters and digits; stands in your bank's statement."),
    )
    description = forms.CharField(label=gettext_lazy("Description"), max_length=72, required=False)

    def __init__(self, *args: Any, usable: QuerySet[Integration], **options: Any) -> None:
        super().__init__(*args, **options)
        _offer(self, usable)


class ChargePages(BillingAdmin):
    """Both pages, for the admin of payments."""

    head_links = (
        (gettext_lazy("Charge by PIX"), "qr_code_2", "payment_charge", CHARGE),
        (gettext_lazy("Static PIX code"), "qr_code", "pix_static_code", CHARGE),
    )

    def get_urls(self) -> list[URLPattern]:
        """Add the two."""
        view = self.admin_site.admin_view
        own = [
            path("charge/", view(self.charge_view), name="payment_charge"),
            path("static-code/", view(self.static_code_view), name="pix_static_code"),
        ]
        return [*own, *super().get_urls()]

    def charge_view(self, request: HttpRequest) -> HttpResponse:
        """Make a PIX charge and lead to its page, which shows the code until it is paid."""
        self.demand(request, CHARGE)
        usable = charging_integrations()
        if not usable.exists():
            return self._none(request, title=_("Charge by PIX"))
        form = ChargeForm(request.POST or None, usable=usable)
        if not form.is_bound or not form.is_valid() or not is_card_free(request, form):
            return self._charge_form(request, form)
        try:
            payment = self._charge(request, form)
        except (RegistryError, ProviderError) as error:
            form.renew()
            show_refusal(form, error, _FIELDS)
            return self._charge_form(request, form)
        return HttpResponseRedirect(self.url_of(payment))

    def static_code_view(self, request: HttpRequest) -> HttpResponse:
        """Make a code to print or send; nothing is asked of anybody and nothing is kept."""
        self.demand(request, CHARGE)
        usable = coding_integrations()
        if not usable.exists():
            return self._none(request, title=_("Static PIX code"))
        form = StaticCodeForm(request.POST or None, usable=usable)
        made: dict[str, Any] = {}
        if form.is_bound and form.is_valid() and is_card_free(request, form):
            made = _static_code(form)
        return self.page(
            request,
            "registry/billing/static_code.html",
            title=_("Static PIX code"),
            status=422 if form.errors else 200,
            form=form,
            back=self.list_url(),
            **made,
        )

    def _charge(self, request: HttpRequest, form: ChargeForm) -> Any:
        values = form.cleaned_data
        return services.create_payment(
            values["integration"],
            amount_minor=values["amount"],
            currency=BRAZIL,
            method=Method.PIX.value,
            payer=Payer(email=values["email"], name=values["name"], tax_id=values["tax_id"]),
            description=values["description"],
            expires_in_s=int(values["lives"]),
            caller_key=form.caller_key,
            origin=Origin.ADMIN,
            actor=actor_of(request),
        )

    def _charge_form(self, request: HttpRequest, form: ChargeForm) -> HttpResponse:
        return self.page(
            request,
            "registry/form.html",
            title=_("Charge by PIX"),
            status=422 if form.is_bound else 200,
            form=form,
            button=_("Make the charge"),
            back=self.list_url(),
        )

    def _none(self, request: HttpRequest, *, title: str) -> HttpResponse:
        may_connect = request.user.has_perm("integrations.connect_integration")
        connect = reverse("admin:integrations_integration_add", current_app=self.admin_site.name)
        return self.page(request, "registry/billing/none.html", title=title, connect=connect if may_connect else "")


def payment_providers(verb: type | None = None) -> list[str]:
    """Return the keys of the providers of the category, of those with a verb when one is named."""
    found = registry.providers().items()
    payments = [(key, item) for key, item in found if item.spec.category == Category.PAYMENTS]
    return [key for key, item in payments if verb is None or issubclass(item, verb)]


def charging_integrations() -> QuerySet[Integration]:
    """Return the integrations that a PIX charge can be made with."""
    able = [key for key in payment_providers(TakesPayments) if _takes_pix(registry.provider(key))]
    return Integration.objects.active().filter(provider__in=able).order_by("name")


def coding_integrations() -> QuerySet[Integration]:
    """Return the integrations that make static codes."""
    return Integration.objects.active().filter(provider__in=payment_providers(MakesStaticCodes)).order_by("name")


def _takes_pix(provider: Any) -> bool:
    return Method.PIX in provider.methods and (not provider.currencies or BRAZIL in provider.currencies)


def _offer(form: forms.Form, usable: QuerySet[Integration]) -> None:
    """Offer the integrations, by the names that the organization gave them."""
    field: Any = form.fields["integration"]
    field.queryset = usable
    field.label_from_instance = lambda row: f"{row.name} ({row.get_environment_display()})"


def _static_code(form: StaticCodeForm) -> dict[str, Any]:
    """Return the code and its picture; nothing where the form was refused, which says so itself."""
    values = form.cleaned_data
    try:
        code = services.make_code_of(
            values["integration"], amount_minor=values["amount"], txid=values["txid"], description=values["description"]
        )
    except (RegistryError, ProviderError) as error:
        show_refusal(form, error, _FIELDS)
        return {}
    amount = money(values["amount"], BRAZIL) if values["amount"] else ""
    return {"code": code, "integration": values["integration"], "amount": amount}
