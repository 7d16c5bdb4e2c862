"""What Stripe would refuse, refused before anybody asks it: each rule names the field and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from billing.contract import CheckoutRequest, Method, Payer, PaymentRequest
from billing.providers._stripe_json import REFERENCE
from billing.providers._stripe_money import require_chargeable
from billing.providers._stripe_requests import boleto_days, payable_for_s
from integrations.contract import RequestRejected

MOST_METADATA = 49
"""Stripe takes 50 keys; one is ours."""

LONGEST_KEY = 40
LONGEST_VALUE = 500
"""Of metadata. Source: provider card, docs.stripe.com/api/metadata, 2026-11."""

SHORTEST_PIX_S = 60
LONGEST_PIX_S = 1_209_600
"""How long a PIX may be payable. Source: provider card (payment_method_options.pix), 2026-11."""

LONGEST_BOLETO_DAYS = 60
"""Source: docs.stripe.com/payments/boleto, 2026-11."""

_NEEDED: Mapping[Method, Sequence[tuple[str, str]]] = {
    Method.PIX: (("name", "name"), ("email", "email"), ("tax_id", "tax_id")),
    Method.BOLETO: (("name", "name"), ("email", "email"), ("tax_id", "tax_id"), ("address", "address")),
}
"""Method -> members of the payer that must be there to show a code at once."""


def check_payment(request: PaymentRequest) -> None:
    """
    Check a payment's amount, payer, time and metadata.

    :raises RequestRejected: with the field, the reason and what to do
    """
    require_chargeable(request.amount_minor, request.currency)
    check_metadata(request.metadata)
    if request.card is not None:
        raise refused("card", "unsupported", "Leave card out: the payer enters it with next_action.client_secret.")
    if request.installments != 1:
        raise refused("installments", "unsupported", "Leave installments out: the payer chooses them at Stripe.")
    if request.method in _NEEDED:
        _check_brazilian(request)


def check_checkout(request: CheckoutRequest) -> None:
    """
    Check a checkout page's items and metadata.

    :raises RequestRejected: with the field, the reason and what to do
    """
    check_metadata(request.metadata)
    for position, item in enumerate(request.line_items):
        if item.price:
            continue
        if request.mode == "subscription":
            text = "A subscription needs a price of Stripe's; list them with GET /billing/prices/."
            raise refused(f"line_items.{position}.price", "missing", text)
        require_chargeable(item.amount_minor, item.currency)


def check_metadata(metadata: Mapping[str, str]) -> None:
    """
    Check metadata against Stripe's limits.

    :raises RequestRejected: too many, too long, or with the key that is ours
    """
    if len(metadata) > MOST_METADATA:
        raise refused("metadata", "too_many", f"Give at most {MOST_METADATA} keys.")
    for name, value in metadata.items():
        if name == REFERENCE or not name or any(mark in name for mark in "[]"):
            raise refused("metadata", "malformed", f"Use another key than {name[:LONGEST_KEY]!r}, without brackets.")
        if len(name) > LONGEST_KEY or len(value) > LONGEST_VALUE:
            text = f"Give keys of at most {LONGEST_KEY} and values of at most {LONGEST_VALUE} characters."
            raise refused("metadata", "too_long", text)


def refused(field: str, reason: str, remedy: str) -> RequestRejected:
    """Make the refusal of one field."""
    return RequestRejected(f"{field}: {reason}", field=field, reason=reason, next_action=remedy)


def _check_brazilian(request: PaymentRequest) -> None:
    """Check what PIX and boleto need: reais, a payer, a time that Stripe takes."""
    if request.currency != "BRL":
        raise refused("currency", "unsupported", f"{request.method.value} is paid in BRL.")
    for name, member in _NEEDED[request.method]:
        if not _has(request.payer, member):
            raise refused(f"payer.{name}", "missing", f"Give the payer's {name.replace('_', ' ')}.")
    if request.method is Method.PIX:
        _check_pix_time(request)
    elif request.expires_at and not 0 <= boleto_days(request.expires_at) <= LONGEST_BOLETO_DAYS:
        raise refused("expires_in_s", "out_of_range", f"A boleto ends within {LONGEST_BOLETO_DAYS} days.")


def _check_pix_time(request: PaymentRequest) -> None:
    lasts_s = payable_for_s(request)
    # A second of grace: the request's moment was computed a little before this one.
    if lasts_s is not None and not SHORTEST_PIX_S - 1 <= lasts_s <= LONGEST_PIX_S:
        text = f"Give between {SHORTEST_PIX_S} and {LONGEST_PIX_S} seconds."
        raise refused("expires_in_s", "out_of_range", text)


def _has(payer: Payer, member: str) -> bool:
    return bool(getattr(payer, member))
