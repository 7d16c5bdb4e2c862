"""How billing looks on pages: amounts in the language of the page, states in words and colors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from billing.contract import Method
from billing.models import Dispute, Payment
from billing.services.payment_states import WRONG_AMOUNT
from core.money import MoneyError, decimal_text, format_money

TONES: Mapping[str, str] = {
    "pending": "info", "requires_action": "warn", "processing": "info", "succeeded": "good", "failed": "bad",
    "canceled": "muted", "refunded": "muted", "partially_refunded": "info", "expired": "muted", "charged_back": "bad",
    "incomplete": "warn", "incomplete_expired": "muted", "trialing": "info", "active": "good", "past_due": "warn",
    "unpaid": "bad", "paused": "warn", "draft": "muted", "open": "info", "paid": "good", "uncollectible": "bad",
    "void": "muted", "under_review": "warn", "won": "good", "lost": "bad", "equal": "good", "repaired": "warn",
    "different": "bad",
}  # fmt: skip
"""The color of a state of billing; unknown ones are muted."""

METHODS: Mapping[str, Any] = {
    Method.AUTOMATIC.value: gettext_lazy("what the provider offers"),
    Method.CARD.value: gettext_lazy("card"),
    Method.PIX.value: gettext_lazy("PIX"),
    Method.BOLETO.value: gettext_lazy("boleto"),
    Method.ACCOUNT_MONEY.value: gettext_lazy("account money"),
}

WARNINGS: Mapping[str, Any] = {WRONG_AMOUNT: gettext_lazy("another amount came")}
"""Warning -> words for a list."""

REASONS: Mapping[str, Any] = {
    "payment_declined": gettext_lazy("The payer's bank declined it."),
    "not_sent": gettext_lazy("It never reached the provider, so nothing was charged."),
    "not_created": gettext_lazy("The provider does not know it, so nothing was charged."),
    WRONG_AMOUNT: gettext_lazy("Another amount came than was asked."),
}
"""Reason of a failed payment or refund -> words; the vendor's own sentence stands beside them."""

_MARKS: Mapping[str, tuple[str, str]] = {"en": (",", "."), "pt": (".", ",")}


def marks() -> tuple[str, str]:
    """Return how the page's language writes numbers: the mark between thousands, and the decimal mark."""
    return _MARKS.get((get_language() or "en").partition("-")[0], _MARKS["en"])


def money(amount_minor: int | None, currency: str) -> str:
    """Return an amount as the page's language writes it; a dash for none."""
    if amount_minor is None:
        return "-"
    try:
        return format_money(amount_minor, currency, get_language() or "en")
    except MoneyError:
        return f"{amount_minor} {currency}"


def plain_amount(amount_minor: int, currency: str) -> str:
    """Return an amount for an input: in the page's language, without currency and thousands."""
    return decimal_text(amount_minor, currency).replace(".", marks()[1])


def state(row: Any) -> SafeString:
    """Return a row's status as a colored word; an open dispute is bad news, an open invoice is not."""
    tone = "bad" if isinstance(row, Dispute) and row.status == "open" else TONES.get(row.status, "muted")
    return format_html('<span class="rg-badge rg-{}">{}</span>', tone, row.get_status_display())


def warning_label(payment: Payment) -> str:
    """Return a payment's warning in words, "" without one."""
    return str(WARNINGS.get(payment.warning, payment.warning))


def method_label(method: str) -> str:
    """Return a way to pay in words; a vendor's own word stays."""
    return str(METHODS.get(method, method))


def payer_label(payment: Payment) -> str:
    """Return who pays: a name, else an address, else a dash."""
    payer = payment.payer or {}
    known = payment.customer
    names = (payer.get("name"), payer.get("email"), known.name if known else "", known.email if known else "")
    return next((str(name) for name in names if name), "-")


def masked(tax_id: Any) -> str:
    """Return the end of a tax id: enough to recognize it, not enough to use it."""
    text = str(tax_id or "")
    return f"{'•' * max(0, len(text) - 3)}{text[-3:]}" if text else ""


def reason_of(error: Mapping[str, Any] | None) -> str:
    """Return why something failed: our words for the reason, then the vendor's sentence."""
    if not error:
        return ""
    said = str(error.get("message") or "")
    parts = (str(REASONS.get(str(error.get("reason")), "")), _(said) if said else "")
    return " ".join(dict.fromkeys(part for part in parts if part))
