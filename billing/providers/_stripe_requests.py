"""
What we ask of Stripe, as the SDK's own parameter types: mypy refuses what the pinned version does not take.

`payment_method_types` is never sent: 2026-09-30.endive refuses it. Our id of an object travels as metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from billing.contract import (
    CheckoutRequest,
    CustomerRequest,
    LineItem,
    Method,
    Payer,
    PaymentRequest,
    RefundRequest,
    SubscriptionRequest,
)
from billing.providers._stripe_json import REFERENCE
from billing.providers._stripe_money import to_stripe
from core import clock

if TYPE_CHECKING:
    from stripe.params import (
        CustomerCreateParams,
        PaymentIntentCreateParams,
        PaymentIntentCreateParamsPaymentMethodDataBillingDetails,
        RefundCreateParams,
        SubscriptionCreateParams,
    )
    from stripe.params.checkout import SessionCreateParams, SessionCreateParamsLineItem

BOLETO_ZONE = ZoneInfo("America/Sao_Paulo")

REFUND_REASONS = frozenset({"duplicate", "fraudulent", "requested_by_customer"})
"""The words that Stripe takes as a reason; another one is kept in the refund's metadata."""

_CPF, _CNPJ = 11, 14
"""Characters of a Brazilian tax id, by which its kind is told."""


def payment_params(request: PaymentRequest) -> PaymentIntentCreateParams:
    """Build a payment intent: PIX and boleto are confirmed at once, all others by the payer's browser."""
    params: PaymentIntentCreateParams = {
        "amount": to_stripe(request.amount_minor, request.currency),
        "currency": request.currency.lower(),
        "metadata": metadata(request.reference, request.metadata),
    }
    if request.description:
        params["description"] = request.description
    if request.customer:
        params["customer"] = request.customer
    if request.payer.email:
        params["receipt_email"] = request.payer.email
    if request.method is Method.AUTOMATIC:
        params["automatic_payment_methods"] = {"enabled": True}
    else:
        params["allowed_payment_method_types"] = [request.method.value]
    if request.method in CONFIRMED_AT_ONCE:
        _confirm(params, request)
    return params


CONFIRMED_AT_ONCE = frozenset({Method.PIX, Method.BOLETO})
"""Methods for which the payer types nothing: what we know is enough to show a code."""


def refund_params(request: RefundRequest) -> RefundCreateParams:
    """Build a refund; a full one names no amount, so that it is whatever is left."""
    extra = {} if request.reason in {"", *REFUND_REASONS} else {"reason": request.reason}
    params: RefundCreateParams = {"metadata": metadata(request.reference, extra)}
    if request.payment.startswith("pi_"):
        params["payment_intent"] = request.payment
    else:
        params["charge"] = request.payment
    if not request.is_full:
        params["amount"] = to_stripe(request.amount_minor, request.currency)
    if request.reason in REFUND_REASONS:
        params["reason"] = request.reason
    return params


def customer_params(request: CustomerRequest) -> CustomerCreateParams:
    """Build a customer; a Brazilian tax id is given as such."""
    params: CustomerCreateParams = {
        "email": request.email,
        "metadata": metadata(request.reference, request.metadata),
    }
    if request.name:
        params["name"] = request.name
    if request.phone:
        params["phone"] = request.phone
    if len(request.tax_id) == _CPF:
        params["tax_id_data"] = [{"type": "br_cpf", "value": request.tax_id}]
    elif len(request.tax_id) == _CNPJ:
        params["tax_id_data"] = [{"type": "br_cnpj", "value": request.tax_id}]
    return params


def subscription_params(request: SubscriptionRequest) -> SubscriptionCreateParams:
    """Build a subscription that charges nothing before the payer confirms, with what they confirm by."""
    params: SubscriptionCreateParams = {
        "customer": request.customer,
        "items": [{"price": request.price, "quantity": request.quantity}],
        "payment_behavior": "default_incomplete",
        "payment_settings": {"save_default_payment_method": "on_subscription"},
        "expand": ["latest_invoice.confirmation_secret", "pending_setup_intent"],
        "metadata": metadata(request.reference, request.metadata),
    }
    if request.trial_days:
        params["trial_period_days"] = request.trial_days
    return params


def checkout_params(request: CheckoutRequest) -> SessionCreateParams:
    """Build a checkout page; what it makes carries our id as well, so that its events find the page."""
    carried = metadata(request.reference, request.metadata)
    params: SessionCreateParams = {
        "line_items": [_line_item(item) for item in request.line_items],
        "success_url": request.success_url,
        "cancel_url": request.cancel_url,
        "client_reference_id": request.reference,
        "metadata": carried,
    }
    if request.mode == "subscription":
        params["mode"] = "subscription"
        params["subscription_data"] = {"metadata": carried}
    else:
        params["mode"] = "payment"
        params["payment_intent_data"] = {"metadata": carried}
    if request.customer:
        params["customer"] = request.customer
    elif request.payer.email:
        params["customer_email"] = request.payer.email
    return params


def metadata(reference: str, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata of an object: the caller's, and our id of it."""
    return {**extra, REFERENCE: reference}


def payable_for_s(request: PaymentRequest) -> float | None:
    """Return for how many seconds from now a charge shall be payable; None leaves it to Stripe."""
    return (request.expires_at - clock.now()).total_seconds() if request.expires_at else None


def _confirm(params: PaymentIntentCreateParams, request: PaymentRequest) -> None:
    """Confirm at once. A PIX ends at a moment, not after seconds: a repetition must send the same bytes."""
    params["confirm"] = True
    if request.method is Method.PIX:
        params["payment_method_data"] = {"type": "pix", "billing_details": _billing_details(request.payer)}
        if request.expires_at:
            params["payment_method_options"] = {"pix": {"expires_at": int(request.expires_at.timestamp())}}
        return
    params["payment_method_data"] = {
        "type": "boleto",
        "billing_details": _billing_details(request.payer),
        "boleto": {"tax_id": request.payer.tax_id},
    }
    if request.expires_at:
        params["payment_method_options"] = {"boleto": {"expires_after_days": boleto_days(request.expires_at)}}


def boleto_days(expires_at: datetime) -> int:
    """Return on which day from today a boleto ends, by the calendar of its banks."""
    return (expires_at.astimezone(BOLETO_ZONE).date() - clock.now().astimezone(BOLETO_ZONE).date()).days


def _billing_details(payer: Payer) -> PaymentIntentCreateParamsPaymentMethodDataBillingDetails:
    details: PaymentIntentCreateParamsPaymentMethodDataBillingDetails = {}
    if payer.name:
        details["name"] = payer.name
    if payer.email:
        details["email"] = payer.email
    if payer.phone:
        details["phone"] = payer.phone
    if payer.tax_id:
        details["tax_id"] = payer.tax_id
    if payer.address:
        details["address"] = {
            "line1": f"{payer.address.street}, {payer.address.number}",
            "line2": payer.address.neighborhood,
            "city": payer.address.city,
            "state": payer.address.state,
            "postal_code": payer.address.postal_code,
            "country": "BR",
        }
    return details


def _line_item(item: LineItem) -> SessionCreateParamsLineItem:
    if item.price:
        return {"price": item.price, "quantity": item.quantity}
    return {
        "quantity": item.quantity,
        "price_data": {
            "currency": item.currency.lower(),
            "product_data": {"name": item.name},
            "unit_amount": to_stripe(item.amount_minor, item.currency),
        },
    }
