"""How a payment looks to those who ask: every field that the vendor writes, also the empty ones."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from decimal import Decimal

from sandbox.mercadopago.brcode import br_code, qr_png
from sandbox.mercadopago.sites import Method, total_with_interest
from sandbox.mercadopago.state import Caller, new_id
from sandbox.mercadopago.times import cents, money, written
from sandbox.store import Document

# What the vendor keeps, in hundredths of a percent of the amount; a ticket costs a fixed sum.
FEES = {"bank_transfer": 99, "account_money": 499, "credit_card": 498, "debit_card": 199}
TICKET_FEE_MINOR = 349
EMPTY_FIELDS = (
    "money_release_date", "money_release_schema", "sponsor_id", "authorization_code", "counter_currency",
    "pos_id", "store_id", "integrator_id", "platform_id", "corporation_id", "marketplace_owner", "brand_id",
    "differential_pricing_id", "deduction_schema", "merchant_account_id", "merchant_number", "call_for_authorize_id",
    "money_release_status", "financing_group", "build_version",
)  # fmt: skip
PAYER_FIELDS = ("type", "id", "operator_id", "email", "first_name", "last_name", "entity_type")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPayment:
    """A payment that passed every check."""

    amount_minor: int
    method: Method
    status: str
    status_detail: str
    body: Document  # what the caller sent, decimals as floats
    installments: int = 1
    captured: bool = True
    card: Document | None = None  # the card token
    expires_at: float | None = None
    order: Document = field(default_factory=dict)
    operation_type: str = "regular_payment"


def payment_view(new: NewPayment, *, caller: Caller, payment_id: int, now: float, base_url: str) -> Document:
    """Return the whole payment."""
    body, at = new.body, written(now)
    expires = written(new.expires_at) if new.expires_at is not None else None
    view: Document = {
        "id": payment_id, "date_created": at, "date_approved": None, "date_last_updated": at,
        "date_of_expiration": expires, "operation_type": new.operation_type,
        "issuer_id": new.method.issuer_id or None, "payment_method_id": new.method.id,
        "payment_type_id": new.method.kind, "payment_method": _method(new),
        "status": new.status, "status_detail": new.status_detail, "currency_id": caller.site.currency_id,
        "description": body.get("description"), "live_mode": caller.live_mode, "taxes_amount": 0, "shipping_amount": 0,
        "collector_id": caller.seller_id, "payer": _payer(body.get("payer", {})), "metadata": body.get("metadata", {}),
        "additional_info": {"available_balance": None, "nsu_processadora": None, "authentication_code": None}
        | body.get("additional_info", {}),
        "order": new.order, "external_reference": body.get("external_reference"),
        "transaction_amount": money(new.amount_minor), "transaction_amount_refunded": 0, "coupon_amount": 0,
        "callback_url": body.get("callback_url"), "installments": new.installments,
        "transaction_details": _details(new), "fee_details": [], "charges_details": [], "captured": new.captured,
        "binary_mode": body.get("binary_mode", False), "statement_descriptor": body.get("statement_descriptor"),
        "card": _card(new.card), "notification_url": body.get("notification_url"), "refunds": [],
        "processing_mode": "aggregator", "acquirer_reconciliation": [], "point_of_interaction": {},
    }  # fmt: skip
    view |= {name: None for name in EMPTY_FIELDS}
    if new.method.id == "pix":
        view["point_of_interaction"] = _pix(new, caller=caller, payment_id=payment_id, base_url=base_url)
    if new.method.kind == "ticket":
        view |= _ticket(view, base_url=base_url)
    return view


def approved_fields(view: Document, *, now: float) -> Document:
    """Return what changes when the money is there."""
    amount = cents(view["transaction_amount"])
    fee = TICKET_FEE_MINOR if view["payment_type_id"] == "ticket" else amount * FEES[view["payment_type_id"]] // 10_000
    details = view["transaction_details"] | {"net_received_amount": money(max(amount - fee, 0))}
    if view["payment_method_id"] == "pix":
        stamp = f"{int(now):012d}"
        details |= {"transaction_id": f"PIXE00000000{stamp}s{uuid.uuid4().hex[:10]}", "bank_transfer_id": new_id(11)}
    return {
        "status": "approved", "status_detail": "accredited", "date_approved": written(now), "captured": True,
        "money_release_date": written(now), "money_release_status": "released", "transaction_details": details,
        "authorization_code": str(new_id(6)) if view["card"] else None,
        "fee_details": [{"type": "mercadopago_fee", "amount": money(fee), "fee_payer": "collector"}],
    }  # fmt: skip


def _method(new: NewPayment) -> Document:
    method: Document = {"id": new.method.id, "type": new.method.kind}
    if new.method.issuer_id:
        method["issuer_id"] = new.method.issuer_id
    return method | new.body.get("payment_method", {})


def _payer(sent: Document) -> Document:
    identification = {"type": None, "number": None} | sent.get("identification", {})
    phone = {"area_code": None, "number": None, "extension": None} | sent.get("phone", {})
    payer = {name: sent.get(name) for name in PAYER_FIELDS}
    return payer | {"id": sent.get("id") or str(new_id(9)), "identification": identification, "phone": phone}


def _card(token: Document | None) -> Document:
    if token is None:
        return {}
    return {
        "id": None, "first_six_digits": token["first_six_digits"], "last_four_digits": token["last_four_digits"],
        "expiration_month": token["expiration_month"], "expiration_year": token["expiration_year"],
        "date_created": token["date_created"], "date_last_updated": token["date_created"],
        "cardholder": token["cardholder"],
    }  # fmt: skip


def _details(new: NewPayment) -> Document:
    amount = Decimal(new.amount_minor) / 100
    total = total_with_interest(new.installments, amount) if new.method.is_card else amount
    part = float(round(total / new.installments, 2)) if new.method.is_card else 0
    bank: Document = {"bank_transfer_id": None, "transaction_id": None} if new.method.id == "pix" else {}
    return bank | {
        "payment_method_reference_id": None, "net_received_amount": 0, "total_paid_amount": float(total),
        "overpaid_amount": 0, "external_resource_url": None, "installment_amount": part, "financial_institution": None,
        "payable_deferral_period": None, "acquirer_reference": None,
    }  # fmt: skip


def _pix(new: NewPayment, *, caller: Caller, payment_id: int, base_url: str) -> Document:
    seller = caller.seller
    text = br_code(
        key=seller["pix_key"], amount_minor=new.amount_minor, name=seller["name"], city=seller["city"],
        txid=f"mpqrinter{payment_id}",
    )  # fmt: skip
    bank_info = {
        "payer": {"account_id": None, "id": None, "long_name": None, "external_account_id": None},
        "collector": {"account_id": None, "long_name": None, "account_holder_name": seller["name"],
                      "transfer_account_id": None},
        "is_same_bank_account_owner": None, "origin_bank_id": None, "origin_wallet_id": None,
    }  # fmt: skip
    data = {
        "qr_code": text, "qr_code_base64": qr_png(text), "bank_transfer_id": None, "transaction_id": None,
        "financial_institution": None, "bank_info": bank_info, "ticket_url": ticket_url(base_url, payment_id),
    }  # fmt: skip
    return {
        "type": "OPENPLATFORM", "linked_to": None, "business_info": {"unit": "online_payments", "sub_unit": "default"},
        "location": {"state_id": None, "source": None}, "application_data": {"name": None, "version": None},
        "transaction_data": data,
    }  # fmt: skip


def ticket_url(base_url: str, payment_id: int) -> str:
    """Return the address of the page on which a pix or ticket is shown and paid."""
    return f"{base_url}/payments/{payment_id}/ticket"


def _ticket(view: Document, *, base_url: str) -> Document:
    reference = str(new_id(10))
    digits = f"{view['id']:011d}{cents(view['transaction_amount']):010d}"
    details = view["transaction_details"] | {
        "payment_method_reference_id": reference, "verification_code": reference, "acquirer_reference": "",
        "external_resource_url": ticket_url(base_url, view["id"]), "financial_institution": "bradesco",
    }  # fmt: skip
    return {
        "transaction_details": details, "barcode": {"content": f"2379{digits}".ljust(44, "0")},
        "point_of_interaction": {"type": "UNSPECIFIED",
                                 "business_info": {"unit": "online_payments", "sub_unit": "default"}},
    }  # fmt: skip
