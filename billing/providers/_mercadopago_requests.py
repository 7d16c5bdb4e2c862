"""What is asked of MercadoPago: rules before a call, and the bodies of requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from billing.contract import (
    CheckoutRequest,
    LineItem,
    Method,
    Payer,
    PaymentRequest,
)
from billing.providers._mercadopago_json import amount_number, written_moment
from billing.providers._mercadopago_spec import CURRENCIES
from billing.providers._mercadopago_tables import METHOD_IDS
from core import clock
from integrations.contract import RequestRejected

BRAZILIAN = frozenset({Method.PIX, Method.BOLETO})

MOST_INSTALLMENTS = 36
"""More than any table of the vendor has; which of them a card takes, its table tells (`quote_installments`)."""

PIX_LIFE = (timedelta(minutes=30), timedelta(days=30))
SLACK = timedelta(seconds=30)
"""Between an expiry that was counted from "now" and this check."""

SOURCE_NEWS = "source_news=webhooks"
"""In a notification URL: no second, unsigned notification (IPN) of the same thing."""

LONGEST_REFERENCE = 64

_DOCUMENTS: Mapping[str, Mapping[int, str]] = {
    "BR": {11: "CPF", 14: "CNPJ"},
    "AR": {7: "DNI", 8: "DNI", 11: "CUIL"},
    "MX": {},
}
"""Country -> length of a tax id -> its type; Mexico has none. Source: GET /v1/identification_types, as of 2026-11."""

_COMPANY_PREFIXES = ("30", "33", "34")
"""First digits of an Argentine company's number (CUIT); a person's has the same length and is a CUIL."""


def check_payment(request: PaymentRequest, *, country: str) -> None:
    """
    Check a payment against the vendor's rules.

    :raises RequestRejected: with the field of the public contract and what to do
    """
    _check_method(request, country)
    _check_currency(request.currency, country, field="currency")
    amount_number(request.amount_minor, request.currency)
    _check_payer(request, country)
    _check_expiry(request)
    if request.method is Method.CARD:
        _check_card(request)
    elif request.installments != 1:
        raise _refused("installments", "only_cards", "Only cards are paid in installments: leave installments out.")


def check_checkout(request: CheckoutRequest, *, country: str) -> None:
    """Check a hosted page; :raises RequestRejected: see `check_payment`."""
    if request.mode != "payment":
        raise _refused(
            "mode",
            "unsupported",
            "MercadoPago's page takes single payments: create a subscription, whose url leads to its own page.",
        )
    for item in request.line_items:
        if item.price or not item.name:
            raise _refused(
                "line_items", "unsupported", "Give each line a name, amount_minor and currency; prices are for plans."
            )
        _check_currency(item.currency, country, field="line_items")
        amount_number(item.amount_minor, item.currency)


def payment_body(request: PaymentRequest, *, country: str) -> dict[str, Any]:
    """Write the body of POST /v1/payments; leave out what is empty."""
    body = {
        "transaction_amount": amount_number(request.amount_minor, request.currency),
        "description": request.description,
        "external_reference": request.reference,
        "notification_url": notification_url(request.notification_url),
        "metadata": dict(request.metadata),
        "payer": _payer(request.payer, country),
        **_METHOD_PARTS[request.method](request),
    }
    return {name: value for name, value in body.items() if value not in ("", None, {})}


def preference_body(request: CheckoutRequest, *, country: str) -> dict[str, Any]:
    """Write the body of POST /checkout/preferences."""
    names = {"first_name": "name", "last_name": "surname"}
    payer = {names.get(name, name): value for name, value in _payer(request.payer, country).items()}
    is_https = request.success_url.startswith("https://")
    body = {
        "items": [_item(item) for item in request.line_items],
        "payer": payer,
        "back_urls": {
            "success": request.success_url,
            "pending": request.success_url,
            "failure": request.cancel_url,
        },
        # The vendor refuses to lead back by itself to anything but https.
        "auto_return": "approved" if is_https else "",
        "external_reference": request.reference,
        "notification_url": notification_url(request.notification_url),
        "metadata": dict(request.metadata),
    }
    return {name: value for name, value in body.items() if value not in ("", None, {})}


def notification_url(url: str) -> str:
    """Return our URL with the word that stops the doubled notification; empty stays empty."""
    return f"{url}{'&' if '?' in url else '?'}{SOURCE_NEWS}" if url else ""


def document_type(tax_id: str, country: str) -> str:
    """Return the vendor's type of a tax id; empty where the country has none of that length."""
    found = _DOCUMENTS.get(country, {}).get(len(tax_id), "")
    return "CUIT" if found == "CUIL" and tax_id.startswith(_COMPANY_PREFIXES) else found


def _check_method(request: PaymentRequest, country: str) -> None:
    if request.method is Method.ACCOUNT_MONEY:
        raise _refused(
            "method",
            "unsupported",
            "MercadoPago balance is paid on MercadoPago's page alone: create a checkout session instead.",
        )
    if request.method not in _METHOD_PARTS:
        raise _refused("method", "unsupported", "Choose card, pix or boleto, or create a checkout session.")
    if request.method in BRAZILIAN and country != "BR":
        raise _refused("method", "unsupported", "PIX and boleto exist in Brazil only: use card or a checkout session.")


def _check_currency(currency: str, country: str, *, field: str) -> None:
    wanted = CURRENCIES.get(country, "")
    if currency != wanted:
        raise _refused(field, "currency_unsupported", f"This MercadoPago account takes {wanted} alone.")


def _check_payer(request: PaymentRequest, country: str) -> None:
    payer = request.payer
    if not payer.email:
        raise _refused("payer.email", "payer_incomplete", "Give the payer's e-mail; MercadoPago asks for it.")
    if _DOCUMENTS.get(country) and not payer.tax_id:
        raise _refused("payer.tax_id", "payer_incomplete", "Give the payer's tax id; MercadoPago asks for it.")
    if payer.tax_id and _DOCUMENTS.get(country) and not document_type(payer.tax_id, country):
        kinds = ", ".join(sorted({*_DOCUMENTS[country].values()}))
        raise _refused("payer.tax_id", "tax_id_invalid", f"Give a tax id of the account's country: {kinds}.")
    if request.method is Method.BOLETO:
        _check_boleto_payer(payer)


def _check_boleto_payer(payer: Payer) -> None:
    if len(payer.name.split()) < 2:  # noqa: PLR2004 - a first and a last name
        raise _refused("payer.name", "payer_incomplete", "A boleto shows the payer's first and last name.")
    address = payer.address
    parts = ("postal_code", "street", "number", "neighborhood", "city", "state")
    missing = [name for name in parts if address is None or not getattr(address, name)]
    if missing:
        raise _refused(
            f"payer.address.{missing[0]}" if address else "payer.address",
            "payer_incomplete",
            "A boleto shows the payer's whole address.",
        )


def _check_expiry(request: PaymentRequest) -> None:
    if request.expires_at is None or request.method is Method.CARD:
        return
    left = request.expires_at - clock.now()
    least, most = PIX_LIFE if request.method is Method.PIX else (timedelta(), PIX_LIFE[1])
    if not least - SLACK <= left <= most + SLACK:
        raise _refused("expires_in_s", "expiration_invalid", "A PIX lives 30 minutes to 30 days, a boleto 30 at most.")


def _check_card(request: PaymentRequest) -> None:
    if request.card is None or not request.card.token:
        raise _refused("card.token", "card_missing", "Make a card token in the payer's browser with the public key.")
    if not request.card.brand:
        raise _refused("card.brand", "card_missing", "Give the card's brand as the card form names it, such as visa.")
    if not 1 <= request.installments <= MOST_INSTALLMENTS:
        raise _refused("installments", "installments_invalid", "Ask for the card's table of installments first.")


def _card(request: PaymentRequest) -> dict[str, Any]:
    if request.card is None:
        raise _refused("card.token", "card_missing", "Make a card token in the payer's browser with the public key.")
    return {
        "payment_method_id": request.card.brand,
        "token": request.card.token.reveal(),
        "installments": request.installments,
        "issuer_id": request.card.issuer,
    }


def _to_be_paid(request: PaymentRequest) -> dict[str, Any]:
    expires = written_moment(request.expires_at) if request.expires_at else ""
    return {"payment_method_id": METHOD_IDS[request.method], "date_of_expiration": expires}


_METHOD_PARTS: Mapping[Method, Callable[[PaymentRequest], dict[str, Any]]] = {
    Method.CARD: _card,
    Method.PIX: _to_be_paid,
    Method.BOLETO: _to_be_paid,
}
"""Method -> its own part of the body."""


def _payer(payer: Payer, country: str) -> dict[str, Any]:
    first, _, last = payer.name.strip().partition(" ")
    kind = document_type(payer.tax_id, country)
    address = payer.address
    found = {
        "email": payer.email,
        "first_name": first,
        "last_name": last.strip(),
        "identification": {"type": kind, "number": payer.tax_id} if kind else {},
        "address": {
            "zip_code": address.postal_code,
            "street_name": address.street,
            "street_number": address.number,
            "neighborhood": address.neighborhood,
            "city": address.city,
            "federal_unit": address.state,
        }
        if address
        else {},
    }
    return {name: value for name, value in found.items() if value}


def _item(item: LineItem) -> dict[str, Any]:
    return {
        "title": item.name,
        "quantity": item.quantity,
        "unit_price": amount_number(item.amount_minor, item.currency),
        "currency_id": item.currency,
    }


def _refused(field: str, reason: str, remedy: str) -> RequestRejected:
    return RequestRejected(f"mercadopago: {reason}", field=field, reason=reason, next_action=remedy)
