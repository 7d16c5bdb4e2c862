"""Checkout Pro: preferences, and the merchant orders that collect their payments."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from werkzeug.wrappers import Request, Response

from sandbox.fields import FieldProblem, anything, choice, flag, listed, record, text
from sandbox.frame import Refused, Route, json_answer
from sandbox.mercadopago.errors import coded, missing
from sandbox.mercadopago.intake import REFERENCE_SHAPE
from sandbox.mercadopago.ledger import own_or_missing
from sandbox.mercadopago.reading import (
    Body,
    check,
    decimal,
    dotted,
    is_callback,
    is_email,
    mapping,
    plain,
    read_body,
    whole,
)
from sandbox.mercadopago.state import Caller, State, new_id
from sandbox.mercadopago.times import cents, minor, money, read_date
from sandbox.store import Document

BACK = ("success", "pending", "failure")
ITEM = record(
    {"title": text(most=256), "quantity": whole, "unit_price": decimal},
    {"currency_id": text(), "id": text(), "description": text(least=0), "picture_url": text(), "category_id": text()},
)
IDS = listed(record({"id": text()}))
PAYER = record(
    {},
    {
        "name": text(), "surname": text(), "email": text(), "phone": mapping, "identification": mapping,
        "address": mapping, "date_created": text(),
    },
)  # fmt: skip
FIELDS = {
    "payer": PAYER, "back_urls": record({}, {name: text() for name in BACK}), "auto_return": choice("approved", "all"),
    "notification_url": text(most=500), "external_reference": text(most=256), "additional_info": text(most=600),
    "payment_methods": record({}, {
        "excluded_payment_methods": IDS, "excluded_payment_types": IDS, "installments": whole,
        "default_installments": whole, "default_payment_method_id": text(),
    }),
    "expires": flag, "expiration_date_from": text(), "expiration_date_to": text(), "date_of_expiration": text(),
    "marketplace": text(), "marketplace_fee": decimal, "metadata": mapping, "binary_mode": flag,
    "statement_descriptor": text(most=22), "purpose": choice("wallet_purchase"), "shipments": mapping,
    "differential_pricing": mapping, "tracks": anything,
}  # fmt: skip
CREATE = record({"items": listed(ITEM, least=1)}, FIELDS)
UPDATE = record({}, FIELDS | {"items": listed(ITEM, least=1)})
EMPTY: Document = {
    "additional_info": "", "auto_return": "", "back_urls": {"success": "", "pending": "", "failure": ""},
    "binary_mode": False, "coupon_code": None, "coupon_labels": None, "date_of_expiration": None,
    "expiration_date_from": None, "expiration_date_to": None, "expires": False, "external_reference": "",
    "internal_metadata": None, "marketplace": "NONE", "marketplace_fee": 0, "metadata": {}, "notification_url": None,
    "operation_type": "regular_payment", "processing_modes": None, "product_id": None,
    "redirect_urls": {"failure": "", "pending": "", "success": ""}, "shipments": {}, "statement_descriptor": None,
    "total_amount": None, "last_updated": None,
    "payer": {"name": "", "surname": "", "email": "", "date_created": None, "last_purchase": None},
    "payment_methods": {
        "default_card_id": None, "default_payment_method_id": None, "default_installments": None, "installments": None,
        "excluded_payment_methods": [], "excluded_payment_types": [],
    },
}  # fmt: skip
DATES = ("expiration_date_from", "expiration_date_to", "date_of_expiration")


class Preferences:
    """The handlers under /checkout/preferences and /merchant_orders."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> Sequence[Route]:
        """Return the operations."""
        return (
            Route("POST", "/checkout/preferences", self.create),
            Route("GET", "/checkout/preferences/{preference_id}", self.show),
            Route("PUT", "/checkout/preferences/{preference_id}", self.change),
            Route("GET", "/merchant_orders/{order_id}", self.show_order),
        )

    def create(self, request: Request, caller: Caller) -> Response:
        """Make a preference and the address of its page."""
        body = read_body(request)
        check(CREATE, body, refuse=_refusal)
        _check(body, caller)
        preference_id = f"{caller.seller_id}-{uuid.uuid4()}"
        page = f"{self._state.base_url}/checkout/v1/redirect?pref_id={preference_id}"
        preference = EMPTY | {
            "id": preference_id, "client_id": caller.app_id, "collector_id": caller.seller_id,
            "site_id": caller.site.id, "date_created": self._state.now(), "init_point": page,
            "sandbox_init_point": page, "live_mode": caller.live_mode,
        }  # fmt: skip
        return json_answer(_shown(self._write(preference, body, caller)), status=201)

    def show(self, request: Request, caller: Caller, preference_id: str) -> Response:
        """Show a preference."""
        return json_answer(_shown(self._own(preference_id, caller)))

    def change(self, request: Request, caller: Caller, preference_id: str) -> Response:
        """Replace the fields that are sent."""
        preference = self._own(preference_id, caller)
        body = read_body(request)
        check(UPDATE, body, refuse=_refusal)
        _check({name: preference[name] for name in ("items", "back_urls")} | body, caller)
        return json_answer(_shown(self._write(preference | {"last_updated": self._state.now()}, body, caller)))

    def show_order(self, request: Request, caller: Caller, order_id: str) -> Response:
        """Show a merchant order with the payments made so far."""
        order = self._state.merchant_orders.get(order_id)
        if order is None or order["collector"]["id"] != caller.seller_id:
            raise missing("Merchant order")
        return json_answer(self.order_view(order))

    def open_order(self, preference: Document) -> Document:
        """Return the merchant order of a preference, making it when its page is opened first."""
        known = self._state.merchant_orders.all(owner=preference["id"])
        if known:
            return known[-1]
        seller, now = self._state.seller(preference["collector_id"]), self._state.now()
        order: Document = {
            "id": new_id(10), "status": "opened", "external_reference": preference["external_reference"] or None,
            "preference_id": preference["id"], "payments": [], "shipments": [], "payouts": [],
            "collector": {"id": seller["id"], "email": "", "nickname": seller["nickname"]}, "marketplace": "",
            "notification_url": preference["notification_url"], "date_created": now, "last_updated": now,
            "sponsor_id": None, "shipping_cost": 0, "total_amount": money(total_minor(preference)),
            "site_id": preference["site_id"], "paid_amount": 0, "refunded_amount": 0, "payer": None,
            "items": preference["items"], "cancelled": False, "additional_info": None,
            "application_id": preference["client_id"], "order_status": "payment_required",
        }  # fmt: skip
        return self._state.merchant_orders.put(str(order["id"]), order, owner=preference["id"])

    def order_view(self, order: Document) -> Document:
        """Return a merchant order as its payments make it."""
        views = [
            payment["view"]
            for payment in self._state.payments.all(owner=str(order["collector"]["id"]))
            if payment["view"]["order"].get("id") == order["id"]
        ]
        paid = sum(cents(view["transaction_amount"]) for view in views if view["status"] == "approved")
        returned = sum(cents(view["transaction_amount_refunded"]) for view in views)
        is_paid = paid >= cents(order["total_amount"])
        names = ("id", "transaction_amount", "status", "status_detail", "date_approved", "date_created", "currency_id",
                 "operation_type")  # fmt: skip
        return order | {
            "payments": [
                {name: view[name] for name in names}
                | {"total_paid_amount": view["transaction_details"]["total_paid_amount"], "shipping_cost": 0,
                   "last_modified": view["date_last_updated"],
                   "amount_refunded": view["transaction_amount_refunded"]}
                for view in views
            ],
            "paid_amount": money(paid), "refunded_amount": money(returned), "status": "closed" if is_paid else "opened",
            "order_status": "paid" if is_paid else "payment_required",
        }  # fmt: skip

    def _own(self, preference_id: str, caller: Caller) -> Document:
        found = self._state.preferences.get(preference_id)
        return own_or_missing(found, seller_id=caller.seller_id, what="Preference")

    def _write(self, preference: Document, body: Body, caller: Caller) -> Document:
        sent = plain(body)
        for name in ("payer", "payment_methods", "back_urls"):
            sent[name] = preference[name] | sent.get(name, {})
        for item in sent.get("items", []):
            item.setdefault("currency_id", caller.site.currency_id)
        return self._state.preferences.put(preference["id"], preference | sent, owner=str(caller.seller_id))


def total_minor(preference: Document) -> int:
    """Return what all items cost."""
    return sum(cents(item["unit_price"]) * int(item["quantity"]) for item in preference["items"])


def _check(body: Body, caller: Caller) -> None:
    for item in body["items"]:
        price = minor(item["unit_price"], decimals=caller.site.decimals) if "unit_price" in item else None
        if not isinstance(item["unit_price"], float) and (price is None or price <= 0):
            raise coded(400, "invalid_items", "unit_price invalid")
        if item["quantity"] <= 0:
            raise coded(400, "invalid_items", "quantity invalid")
        if item.get("currency_id", caller.site.currency_id) != caller.site.currency_id:
            raise coded(400, "invalid_items", "currency_id invalid")
    back = {name: address for name, address in body.get("back_urls", {}).items() if address}
    email = body.get("payer", {}).get("email")
    url, reference = body.get("notification_url"), body.get("external_reference")
    problems = (
        # The vendor says "must be defined" of plain http too: nothing but https is led back to by itself.
        (body.get("auto_return") and not back.get("success", "").startswith("https://"), "invalid_auto_return",
         "auto_return invalid. back_url.success must be defined"),
        (any(not is_callback(address) for address in back.values()), "invalid_back_urls", "back_urls invalid"),
        (url is not None and not is_callback(url), "invalid_notification_url", "notification_url invalid"),
        (email is not None and not is_email(email), "invalid_payer", "payer.email invalid"),
        (reference and not REFERENCE_SHAPE.fullmatch(reference), "invalid_external_reference",
         "external_reference invalid"),
        (any(name in body and read_date(body[name]) is None for name in DATES), "invalid_dates", "date invalid"),
        (body.get("expires") and "expiration_date_to" not in body, "invalid_dates", "expiration_date_to is required"),
    )  # fmt: skip
    for wrong, code, message in problems:
        if wrong:
            raise coded(400, code, message)


def _refusal(problem: FieldProblem) -> Refused:
    return coded(400, f"invalid_{dotted(problem.path).split('.')[0].split('[')[0] or 'body'}", problem.reason)


def _shown(preference: Document) -> Document:
    return {name: value for name, value in preference.items() if name != "live_mode"}
