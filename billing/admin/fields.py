"""Inputs of billing's forms: amounts as people write them, and a token that makes a second click harmless."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext as _

from billing.admin.words import marks, money, plain_amount
from billing.services.card_numbers import find_card_number
from core.money import MoneyError, to_minor

_CURRENCY = r"(?:R\$|US\$|MX\$|JP¥|[$€£¥]|[A-Z]{3})?\s*"


class MoneyField(forms.CharField):
    """
    An amount as the page's language writes it: "58,80" in Portuguese, "58.80" in English; cleaned to minor units.

    The mark of the other language is refused, never guessed: "1.500" means a thousand and a half in one of them only.
    """

    def __init__(self, *, currency: str, **options: Any) -> None:
        options.setdefault("widget", forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}))
        super().__init__(max_length=40, **options)
        self.currency = currency

    def prepare_value(self, value: Any) -> Any:
        """Show minor units as an amount; what somebody typed stays."""
        return plain_amount(value, self.currency) if isinstance(value, int) else value

    def clean(self, value: Any) -> Any:
        """
        Return whole minor units above zero; None when nothing is wanted.

        :raises ValidationError: it is not such an amount; the text shows one
        """
        text = super().clean(value)
        return read_amount(text, self.currency) if text else None


def read_amount(text: str, currency: str) -> int:
    """
    Read an amount as the page's language writes it.

    :raises ValidationError: it is none, or not above zero
    """
    thousands, point = (re.escape(mark) for mark in marks())
    number = rf"([0-9]{{1,3}}(?:{thousands}[0-9]{{3}})+|[0-9]+)(?:{point}([0-9]+))?"
    found = re.fullmatch(_CURRENCY + number, text.strip(), re.ASCII)
    try:
        if found is None:
            raise ValueError("not an amount")
        whole, decimals = re.sub(r"\D", "", found[1]), found[2]
        amount = to_minor(f"{whole}.{decimals}" if decimals else whole, currency)
    except (ValueError, MoneyError) as error:
        example = money(123450, currency)
        raise ValidationError(_("Write an amount such as %(example)s.") % {"example": example}) from error
    if amount <= 0:
        raise ValidationError(_("Give an amount above zero."))
    return amount


class TokenForm(forms.Form):
    """A form with a token of its own: sent twice, it acts once."""

    token = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, **options: Any) -> None:
        options["initial"] = {"token": uuid4(), **(options.get("initial") or {})}
        super().__init__(*args, **options)

    @property
    def caller_key(self) -> str:
        """The idempotency key of this form, for the service."""
        token: UUID = self.cleaned_data["token"]
        return f"admin:{token}"

    def renew(self) -> None:
        """Give the form a new token, after an attempt that ended: the next one is another request."""
        self.data = blanked(self.data, {"token": str(uuid4())})


def is_card_free(request: HttpRequest, form: forms.Form) -> bool:
    """Whether no card's number is in what a form sent; says so at the form, and does not show it again."""
    holding = [name for name, text in request.POST.items() if name not in _OURS and find_card_number({name: text})]
    if not holding:
        return True
    form.data = blanked(form.data, dict.fromkeys(holding, ""))
    form.add_error(None, _("Leave out card numbers: nothing was stored. A provider's own page asks for them."))
    return False


def blanked(data: Any, values: Mapping[str, str]) -> Any:
    """Return a copy of what was sent, with other values in some places."""
    copied = data.copy()
    for name, value in values.items():
        copied[name] = value
    return copied


_OURS = frozenset({"csrfmiddlewaretoken", "token", "amount_minor"})
"""Fields that nobody types."""
