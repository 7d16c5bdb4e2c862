"""Giving money back: an amount, then the same amount to confirm; sent twice, it is one refund."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import services
from billing.admin.base import BillingAdmin
from billing.admin.fields import MoneyField, TokenForm, is_card_free
from billing.admin.words import money, payer_label, reason_of
from billing.contract import RefundStatus
from billing.models import Payment, Refund
from billing.services.refunds import LONGEST_REASON, REFUNDABLE, rest_of
from core.errors import RegistryError
from integrations.admin.base import actor_of, refusal_text
from integrations.contract import ProviderError

REFUND = "billing.add_refund"


class ConfirmedForm(TokenForm):
    """What was shown once more: minor units, so that no language can change them on the way."""

    amount_minor = forms.IntegerField(min_value=1, widget=forms.HiddenInput)
    reason = forms.CharField(max_length=LONGEST_REASON, required=False, widget=forms.HiddenInput)


class RefundForm(TokenForm):
    """How much goes back, and why."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=LONGEST_REASON,
        required=False,
        help_text=gettext_lazy("For your own records; some providers pass it on to the payer."),
    )
    field_order = ("amount", "reason", "token")

    def __init__(self, *args: Any, payment: Payment, rest: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self.payment, self.rest = payment, rest
        self.fields["amount"] = MoneyField(
            currency=payment.currency,
            label=_("Amount to give back"),
            initial=rest,
            help_text=_("At most %(rest)s is left.") % {"rest": money(rest, payment.currency)},
        )
        self.order_fields(self.field_order)

    def clean_amount(self) -> int:
        """Refuse more than is left, before anybody is asked; the service decides again under the payment's lock."""
        amount: int = self.cleaned_data["amount"]
        if amount > self.rest:
            rest = money(self.rest, self.payment.currency)
            raise forms.ValidationError(_("At most %(rest)s is left.") % {"rest": rest})
        return amount


class RefundPages(BillingAdmin):
    """The two pages of a refund, for the admin of payments."""

    def get_urls(self) -> list[URLPattern]:
        """Add the refund."""
        view = self.admin_site.admin_view
        own = path("<uuid:object_id>/refund/", view(self.refund_view), name="payment_refund")
        return [own, *super().get_urls()]

    def refund_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Ask how much, show it once more, then give it back."""
        payment: Payment = self.find(request, object_id)
        self.demand(request, REFUND)
        if request.method == "POST" and "amount_minor" in request.POST:
            return self._give_back(request, payment)
        rest = rest_of(payment)
        if payment.status not in REFUNDABLE or rest == 0:
            messages.error(request, _("Nothing of this payment can be given back."))
            return HttpResponseRedirect(self.url_of(payment))
        form = RefundForm(request.POST or None, payment=payment, rest=rest)
        if not form.is_bound or not form.is_valid() or not is_card_free(request, form):
            return self._form(request, form)
        return self._confirm(request, form)

    def _give_back(self, request: HttpRequest, payment: Payment) -> HttpResponse:
        """Ask the service, which gives back once for a token, however often the button was pressed."""
        form = ConfirmedForm(request.POST)
        if not form.is_valid() or not is_card_free(request, form):
            messages.error(request, _("This form was not complete; nothing was given back."))
            return HttpResponseRedirect(self.url_of(payment))
        values = form.cleaned_data
        try:
            refund = services.refund_payment(
                payment,
                amount_minor=values["amount_minor"],
                reason=values["reason"],
                caller_key=form.caller_key,
                actor=actor_of(request),
            )
        except (RegistryError, ProviderError) as error:
            messages.error(request, refusal_text(error))
            return HttpResponseRedirect(self.url_of(payment))
        tell(request, refund)
        return HttpResponseRedirect(self.url_of(payment))

    def _form(self, request: HttpRequest, form: RefundForm) -> HttpResponse:
        return self.page(
            request,
            "registry/billing/refund.html",
            title=_("Give money back"),
            status=422 if form.is_bound else 200,
            form=form,
            payment=form.payment,
            payer=payer_label(form.payment),
            received=money(form.payment.amount_received_minor, form.payment.currency),
            rest=money(form.rest, form.payment.currency),
            back=self.url_of(form.payment),
        )

    def _confirm(self, request: HttpRequest, form: RefundForm) -> HttpResponse:
        payment, values = form.payment, form.cleaned_data
        amount = money(values["amount"], payment.currency)
        hidden = {"amount_minor": values["amount"], "reason": values["reason"]}
        return self.page(
            request,
            "registry/billing/refund_confirm.html",
            title=_("Give %(amount)s back?") % {"amount": amount},
            form=ConfirmedForm(initial=hidden),
            payment=payment,
            payer=payer_label(payment),
            amount=amount,
            reason=values["reason"],
            left=money(form.rest - values["amount"], payment.currency),
            back=self.url_of(payment),
        )


def tell(request: HttpRequest, refund: Refund) -> None:
    """Say what became of a refund."""
    amount = money(refund.amount_minor, refund.currency)
    if refund.status == RefundStatus.FAILED:
        messages.error(request, _("The refund failed. %(reason)s") % {"reason": reason_of(refund.error)})
    elif refund.status == RefundStatus.SUCCEEDED:
        messages.success(request, _("%(amount)s went back to the payer.") % {"amount": amount})
    else:
        text = _("The refund of %(amount)s is on its way; how it ends appears here.")
        messages.info(request, text % {"amount": amount})
