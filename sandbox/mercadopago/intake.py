"""Check the body of POST /v1/payments as the vendor does, mistake by mistake."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from sandbox.fields import anything, choice, flag, listed, record, text, url
from sandbox.mercadopago.cards import Cards, outcome_of
from sandbox.mercadopago.documents import is_document
from sandbox.mercadopago.errors import cause
from sandbox.mercadopago.reading import (
    URL_CHARS,
    Body,
    check,
    decimal,
    is_callback,
    is_email,
    mapping,
    plain,
    whole,
)  # fmt: skip
from sandbox.mercadopago.sites import Method, method_of, methods_of_bin, payer_costs
from sandbox.mercadopago.state import Caller, State
from sandbox.mercadopago.times import minor, read_date
from sandbox.mercadopago.views import NewPayment
from sandbox.store import Document

DAY_S = 24 * 3600.0
# A pix lives 30 minutes to 30 days, a day by default; a minute is forgiven, which a call may take to arrive.
PIX_LEAST_S = 30 * 60 - 60.0
LONGEST_S = 30 * DAY_S + 60.0
DEFAULT_LIFE_S = {"bank_transfer": DAY_S, "ticket": 3 * DAY_S}
REFERENCE_SHAPE = re.compile(r"[A-Za-z0-9_-]{1,256}")
ADDRESS_FIELDS = ("zip_code", "street_name", "street_number", "neighborhood", "city", "federal_unit")

ADDRESS = record({}, {name: text(least=0) for name in ADDRESS_FIELDS})
PHONE = record({}, {name: text(least=0) for name in ("area_code", "number", "extension")})
PAYER = record(
    {},
    {
        "email": anything, "first_name": text(most=256), "last_name": text(most=256), "identification": anything,
        "address": ADDRESS, "phone": PHONE, "type": choice("customer", "guest", "registered"), "id": text(),
        "entity_type": choice("individual", "association"),
    },
)  # fmt: skip
IDENTIFICATION = record({}, {"type": text(), "number": text()})
ITEM_TEXTS = ("id", "title", "description", "picture_url", "category_id")
INFO = record(
    {},
    {
        "ip_address": text(),
        "items": listed(record({}, {name: text() for name in ITEM_TEXTS} | {
            "quantity": whole, "unit_price": decimal, "warranty": flag, "event_date": text(),
        })),
        "payer": mapping, "shipments": mapping,
    },
)  # fmt: skip
SHAPE = record(
    {},
    {
        # checked one by one below, each with a code of its own
        "transaction_amount": anything, "payment_method_id": anything, "payer": anything, "installments": anything,
        "token": anything, "notification_url": anything, "metadata": anything, "date_of_expiration": anything,
        "application_fee": anything, "external_reference": anything,
        "additional_info": INFO, "binary_mode": flag, "callback_url": url(most=URL_CHARS), "capture": flag,
        "campaign_id": whole, "coupon_amount": decimal, "description": text(most=256), "issuer_id": anything,
        "payment_method": record({}, {"data": mapping}), "point_of_interaction": mapping, "sponsor_id": whole,
        "statement_descriptor": text(most=22), "three_d_secure_mode": choice("not_supported", "optional", "mandatory"),
        "processing_mode": choice("aggregator"), "differential_pricing_id": whole,
    },
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Basics:
    amount_minor: int
    method: Method


class Intake:
    """The checks, over one state."""

    def __init__(self, state: State, cards: Cards) -> None:
        self._state = state
        self._cards = cards

    def payment(self, body: Body, *, caller: Caller) -> NewPayment:
        """Return the payment that the body asks for; :raises Refused: the vendor would not take it."""
        check(SHAPE, body)
        method = self._method(body, caller)
        amount = read_amount(body.get("transaction_amount"), caller=caller, method=method)
        basics = _Basics(amount_minor=amount, method=method)
        _check_payer(body, caller=caller, method=method)
        _check_rest(body)
        self._check_fee(body, caller=caller, amount_minor=amount)
        if method.is_card:
            return self._card(body, caller=caller, basics=basics)
        return self._transfer(body, caller=caller, basics=basics)

    def _method(self, body: Body, caller: Caller) -> Method:
        if body.get("payment_method_id") is None:
            raise cause(4001)
        method = method_of(caller.site.id, body["payment_method_id"])
        if method is None or method.status != "active" or method.kind == "account_money":
            raise cause(2131)
        return method

    def _card(self, body: Body, *, caller: Caller, basics: _Basics) -> NewPayment:
        if not body.get("token"):
            raise cause(4000)
        if body.get("date_of_expiration") is not None:
            raise cause(1, "Params Error: date_of_expiration")
        count = _installments(body, basics)
        capture = body.get("capture", True)
        if not capture and basics.method.kind != "credit_card":
            raise cause(2077)
        if str(body.get("issuer_id", basics.method.issuer_id)) != basics.method.issuer_id:
            raise cause(1, "Params Error: issuer_id")
        token = self._cards.take(body["token"], caller=caller)
        if basics.method not in methods_of_bin(caller.site.id, token["first_six_digits"]):
            raise cause(10102)
        status, detail = outcome_of(token)
        if status == "in_process" and body.get("binary_mode"):
            status, detail = "rejected", "cc_rejected_other_reason"
        if status == "approved" and not capture:
            status, detail = "authorized", "pending_capture"
        return NewPayment(
            amount_minor=basics.amount_minor, method=basics.method, status=status, status_detail=detail,
            body=plain(body), installments=count, captured=capture and status == "approved", card=token,
        )  # fmt: skip

    def _transfer(self, body: Body, *, caller: Caller, basics: _Basics) -> NewPayment:
        for name in ("token", "issuer_id"):
            if body.get(name) is not None:
                raise cause(1, f"Params Error: {name}")
        if body.get("installments", 1) != 1:
            raise cause(1, "Params Error: installments")
        if basics.method.id == "pix" and not caller.seller["pix_key"]:
            raise cause(13253)
        detail = "pending_waiting_transfer" if basics.method.id == "pix" else "pending_waiting_payment"
        return NewPayment(
            amount_minor=basics.amount_minor, method=basics.method, status="pending", status_detail=detail,
            body=plain(body), expires_at=self._expiry(body, basics.method),
        )  # fmt: skip

    def _expiry(self, body: Body, method: Method) -> float:
        now = self._state.frame.now()
        sent = body.get("date_of_expiration")
        if sent is None:
            return now + DEFAULT_LIFE_S[method.kind]
        at = read_date(sent)
        if at is None:
            raise cause(23, "The following parameters must be valid date and format (yyyy-MM-dd'T'HH:mm:ssz) "
                            "date_of_expiration")  # fmt: skip
        least_s = PIX_LEAST_S if method.id == "pix" else 0.0
        if not now + least_s <= at <= now + LONGEST_S:
            raise cause(23, "date_of_expiration is out of the allowed range")
        return at

    def _check_fee(self, body: Body, *, caller: Caller, amount_minor: int) -> None:
        if body.get("application_fee") is None:
            return
        app = self._state.apps.get(caller.app_id)
        if app is None or app["owner"] == caller.seller_id:
            raise cause(2059)
        fee = minor(body["application_fee"], decimals=caller.site.decimals)
        if fee is None or not 0 <= fee <= amount_minor:
            raise cause(4038)


def read_amount(value: object, *, caller: Caller, method: Method | None = None) -> int:
    """Return minor units of an amount that the country and the method allow; :raises Refused: they do not."""
    if value is None:
        raise cause(4002)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise cause(4003)
    amount = minor(value, decimals=caller.site.decimals)
    if amount is None:
        raise cause(2072)
    least = minor_of(method.least) if method else 1
    most = minor_of(method.most) if method else amount
    if not least <= amount <= most:
        raise cause(4037)
    return amount


def minor_of(amount: str) -> int:
    """Return minor units of a decimal text of the tables."""
    whole_part, _, cents = amount.partition(".")
    return int(whole_part) * 100 + int(cents.ljust(2, "0"))


def _installments(body: Body, basics: _Basics) -> int:
    count = body.get("installments")
    if count is None:
        raise cause(4004)
    if isinstance(count, bool) or not isinstance(count, int):
        raise cause(4005)
    offered = payer_costs(basics.method, Decimal(basics.amount_minor) / 100)
    if count not in [cost["installments"] for cost in offered]:
        raise cause(1, "Params Error: installments")
    return count


def _check_payer(body: Body, *, caller: Caller, method: Method) -> None:
    payer = body.get("payer")
    if payer is None:
        raise cause(4096)
    if not isinstance(payer, dict):
        raise cause(4006)
    check(record({}, {"payer": PAYER}), {"payer": payer})
    if not is_email(payer.get("email")):
        raise cause(4050)
    if str(payer["email"]).lower() == caller.seller["email"].lower():
        raise cause(2060)
    if caller.site.documents or payer.get("identification") is not None:
        _check_identification(payer.get("identification"), caller)
    if method.needs and method.kind == "ticket":
        _check_ticket_payer(payer, method)


def _check_identification(identification: object, caller: Caller) -> None:
    if not isinstance(identification, dict) or not identification.get("type"):
        raise cause(4097)
    check(IDENTIFICATION, identification)
    if not identification.get("number"):
        raise cause(4098)
    if not is_document(caller.site, identification["type"], identification["number"]):
        raise cause(2067)


def _check_ticket_payer(payer: Document, method: Method) -> None:
    for name, code in (("first_name", 4094), ("last_name", 4095)):
        if not payer.get(name):
            raise cause(code)
    if method.id == "bolbradesco":
        address = payer.get("address", {})
        if lacking := [name for name in ADDRESS_FIELDS if not address.get(name)]:
            raise cause(1, f"Params Error: payer.address.{lacking[0]}")


def _check_rest(body: Body) -> None:
    callback = body.get("notification_url")
    if callback is not None and not is_callback(callback):
        raise cause(4020)
    if callback is not None and len(callback) > URL_CHARS:
        raise cause(4021)
    if not isinstance(body.get("metadata", {}), dict):
        raise cause(4022)
    reference = body.get("external_reference")
    if reference is not None and not (isinstance(reference, str) and REFERENCE_SHAPE.fullmatch(reference)):
        raise cause(1, "Params Error: external_reference")
