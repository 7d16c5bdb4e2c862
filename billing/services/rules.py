"""
Rules that a request for money must keep before anything is stored or sent.

What only one vendor wants is its `check_payment`. Amounts are in minor units of ISO 4217.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from billing.contract import Address, CardToken, Method, Payer, TakesPayments
from billing.models import Customer
from billing.tax_ids import FieldRefused, read_tax_id
from core.errors import ValidationFailed
from core.money import MOST_MINOR, MoneyError, exponent

MOST_INSTALLMENTS = 12
"""What card brands of Brazil take; the vendor's own table says what an amount allows."""

SHORTEST_EXPIRY_S, LONGEST_EXPIRY_S = 60, 60 * 24 * 3600
"""No vendor lets a charge end sooner, or a boleto, which lives longest, later."""

EXPIRING = frozenset({Method.AUTOMATIC, Method.PIX, Method.BOLETO})

MOST_METADATA, LONGEST_NAME, LONGEST_VALUE = 49, 40, 500
"""Stripe's limits, the narrowest; of its 50 entries one carries our id."""

LONGEST_URL = 2000
LONGEST_DESCRIPTION = 500
LONGEST_TAX_ID = 30

BRAZIL = "BRL"

Refusals = Iterator[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentDraft:
    """A payment as it was asked for."""

    amount_minor: Any
    currency: str
    method: str
    customer: Customer | None = None
    payer: Payer = field(default_factory=Payer)
    card: CardToken | None = None
    description: str = ""
    installments: int = 1
    expires_in_s: int | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    return_url: str = ""


def checked(draft: PaymentDraft, provider: type[TakesPayments]) -> PaymentDraft:
    """
    Check a draft by every rule and return it with its payer as it goes on.

    :raises ValidationFailed: with all fields that need another value, and what to do
    """
    draft = replace(draft, payer=payer_of(draft))
    refuse_if(found for rule in _RULES for found in rule(draft, provider))
    return replace(draft, payer=_normalized(draft.payer, draft.currency))


def refuse_all(errors: Mapping[str, list[str]]) -> None:
    """
    Refuse a request with all its faults.

    :raises ValidationFailed: always
    """
    texts = [text for found in errors.values() for text in found]
    raise ValidationFailed(texts[0] if len(texts) == 1 else "Some fields need another value.", errors=errors)


def refuse_if(found: Iterable[tuple[str, str]]) -> None:
    """
    Refuse a request if any rule found something.

    :raises ValidationFailed: with all fields that need another value
    """
    errors: dict[str, list[str]] = {}
    for name, text in found:
        errors.setdefault(name, []).append(text)
    if errors:
        refuse_all(errors)


def check_amount(amount_minor: Any, *, name: str = "amount_minor") -> Refusals:
    """A whole number above zero; a bool or a fraction is no amount."""
    if isinstance(amount_minor, bool) or not isinstance(amount_minor, int):
        yield name, "Give the amount in whole minor units, such as 1990 for 19.90."
    elif amount_minor <= 0:
        yield name, "Give an amount above zero."
    elif amount_minor > MOST_MINOR:
        yield name, "This amount is too large."


def check_currency(currency: str, provider: Any = None, *, name: str = "currency") -> Refusals:
    """An active code of ISO 4217 that the provider charges in."""
    try:
        exponent(currency)
    except MoneyError:
        yield name, "Give an active ISO 4217 code in upper case, such as BRL."
        return
    taken: frozenset[str] = getattr(provider, "currencies", frozenset())
    if taken and currency not in taken:
        yield name, f"This provider charges in {', '.join(sorted(taken))}."


def check_url(url: str, *, name: str) -> Refusals:
    """An address that a browser may be sent to."""
    if not url:
        return
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and not (parts.username or parts.password)
    except ValueError:
        is_good = False
    if not is_good or len(url) > LONGEST_URL or not url.isascii() or any(mark.isspace() for mark in url):
        yield name, f"Give an address that begins with https:// or http://, of at most {LONGEST_URL} characters."


def check_metadata(metadata: Mapping[str, str]) -> Refusals:
    """Few and short texts by name."""
    if len(metadata) > MOST_METADATA:
        yield "metadata", f"Give at most {MOST_METADATA} entries."
    if any(not 1 <= len(name) <= LONGEST_NAME for name in metadata):
        yield "metadata", f"Names have 1 to {LONGEST_NAME} characters."
    if any(not isinstance(value, str) or len(value) > LONGEST_VALUE for value in metadata.values()):
        yield "metadata", f"Values are texts of at most {LONGEST_VALUE} characters."


def check_email(email: str, *, name: str) -> Refusals:
    """An e-mail address."""
    try:
        validate_email(email)
    except ValidationError:
        yield name, "Give a valid e-mail address."


def check_length(text: str, longest: int, *, name: str) -> Refusals:
    """A text that a column holds."""
    if len(text) > longest:
        yield name, f"Use at most {longest} characters."


def check_tax_id(tax_id: str, *, currency: str, name: str) -> Refusals:
    """In Brazil a CPF or CNPJ with matching check digits; elsewhere what the vendor makes of it."""
    if not tax_id:
        return
    if currency == BRAZIL:
        try:
            read_tax_id(tax_id, field=name)
        except FieldRefused as error:
            yield name, error.remedy
    elif len(tax_id) > LONGEST_TAX_ID or not tax_id.isascii():
        yield name, f"Give a tax id of at most {LONGEST_TAX_ID} letters and digits."


def payer_of(draft: PaymentDraft) -> Payer:
    """Return the payer, completed by what is known of the customer."""
    known = draft.customer
    if known is None:
        return draft.payer
    return replace(
        draft.payer,
        email=draft.payer.email or known.email,
        name=draft.payer.name or known.name,
        tax_id=draft.payer.tax_id or known.tax_id,
        phone=draft.payer.phone or known.phone,
    )


def payer_data(payer: Payer) -> dict[str, Any]:
    """Return a payer as a row keeps it; what is unknown is left out."""
    facts: dict[str, Any] = {
        name: value for name in ("email", "name", "tax_id", "phone") if (value := getattr(payer, name))
    }
    if payer.address is not None:
        facts["address"] = {name: getattr(payer.address, name) for name in Address.__dataclass_fields__}
    return facts


def read_payer(facts: Mapping[str, Any]) -> Payer:
    """Read a payer from a row or a body."""
    address = facts.get("address")
    texts = {name: str(facts.get(name) or "") for name in ("email", "name", "tax_id", "phone")}
    return Payer(**texts, address=Address(**address) if address else None)


def _normalized(payer: Payer, currency: str) -> Payer:
    if payer.tax_id and currency == BRAZIL:
        return replace(payer, tax_id=read_tax_id(payer.tax_id).value)
    return payer


def _amount(draft: PaymentDraft, provider: type[TakesPayments]) -> Refusals:
    yield from check_amount(draft.amount_minor)


def _currency(draft: PaymentDraft, provider: type[TakesPayments]) -> Refusals:
    yield from check_currency(draft.currency, provider)


def _method(draft: PaymentDraft, provider: type[TakesPayments]) -> Refusals:
    known = sorted(method.value for method in provider.methods)
    if draft.method not in known:
        yield "method", f"This provider takes: {', '.join(known)}."
    if draft.card is not None and draft.method != Method.CARD:
        yield "card", "Give a card token only with the method card."


def _payer(draft: PaymentDraft, provider: type[TakesPayments]) -> Refusals:
    if not draft.payer.email:
        yield "payer.email", "Give the payer's e-mail address, or a customer who has one."
    else:
        yield from check_email(draft.payer.email, name="payer.email")
    yield from check_tax_id(draft.payer.tax_id, currency=draft.currency, name="payer.tax_id")


def _installments(draft: PaymentDraft, provider: type[TakesPayments]) -> Refusals:
    if not 1 <= draft.installments <= MOST_INSTALLMENTS:
        yield "installments", f"Use a number from 1 to {MOST_INSTALLMENTS}."
    elif draft.installments > 1 and draft.method != Method.CARD:
        yield "installments", "Only card payments have installments."


def _expiry(draft: PaymentDraft, provider: type[TakesPayments]) -> Refusals:
    if draft.expires_in_s is None:
        return
    if draft.method not in EXPIRING:
        yield "expires_in_s", "Only PIX and boleto payments end by themselves."
    elif not SHORTEST_EXPIRY_S <= draft.expires_in_s <= LONGEST_EXPIRY_S:
        yield "expires_in_s", f"Use {SHORTEST_EXPIRY_S} to {LONGEST_EXPIRY_S} seconds."


def _texts(draft: PaymentDraft, provider: type[TakesPayments]) -> Refusals:
    yield from check_length(draft.description, LONGEST_DESCRIPTION, name="description")
    yield from check_url(draft.return_url, name="return_url")
    yield from check_metadata(draft.metadata)


_RULES: tuple[Callable[[PaymentDraft, type[TakesPayments]], Refusals], ...] = (
    _amount,
    _currency,
    _method,
    _payer,
    _installments,
    _expiry,
    _texts,
)
