"""What an account may ask about itself and its country: user, test users, methods, installments, documents."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from werkzeug.wrappers import Request, Response

from sandbox.fields import choice, record, text
from sandbox.frame import Refused, Route, json_answer
from sandbox.mercadopago.errors import coded, invalid
from sandbox.mercadopago.reading import check, known_only, read_body
from sandbox.mercadopago.sites import METHODS, SITES, Method, method_document, method_of, methods_of_bin, payer_costs
from sandbox.mercadopago.state import Caller, State, new_id
from sandbox.mercadopago.times import written
from sandbox.store import Document

LEAST_BIN, MOST_BIN = 6, 8
MOST_TEST_USERS = 15
MOST_AMOUNT = Decimal(10_000_000)
TEST_USER = record({"site_id": choice(*SITES)}, {"description": text(most=100)})


class Catalogue:
    """The handlers; those of `open_routes` answer a public key too, since browsers call them."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> Sequence[Route]:
        """Return the operations of a token."""
        return (Route("GET", "/users/me", self.me), Route("POST", "/users/test", self.add_test_user))

    def open_routes(self) -> Sequence[Route]:
        """Return the operations of a token or public key."""
        return (
            Route("GET", "/v1/payment_methods", self.list_methods),
            Route("GET", "/v1/payment_methods/installments", self.list_installments),
            Route("GET", "/v1/identification_types", self.list_documents),
        )

    def me(self, request: Request, caller: Caller) -> Response:
        """Show the account behind the token."""
        known_only(request.args)
        return json_answer(user_document(caller.seller))

    def add_test_user(self, request: Request, caller: Caller) -> Response:
        """Make a buyer or seller for tests; needs a production token."""
        if not caller.live_mode:
            raise coded(403, "forbidden", "test users are made with production credentials")
        body = read_body(request)
        check(TEST_USER, body)
        owned = [seller for seller in self._state.sellers.all() if seller["made_by"] == caller.seller_id]
        if len(owned) >= MOST_TEST_USERS:
            raise invalid("You have reached the maximum of test users")
        seller = new_seller(body["site_id"], name=f"Test {secrets.token_hex(4)}", made_by=caller.seller_id)
        self._state.sellers.put(str(seller["id"]), seller)
        now = written(self._state.frame.now())
        answer: Document = {
            "id": seller["id"], "nickname": seller["nickname"], "password": f"qatest{new_id(4)}",
            "site_status": "active", "email": seller["email"], "site_id": seller["site_id"],
            "description": body.get("description"), "date_created": now, "date_last_updated": now,
        }  # fmt: skip
        return json_answer(answer, status=201)

    def list_methods(self, request: Request, caller: Caller) -> Response:
        """List the payment methods of the seller; without a pix key there is no pix."""
        known_only(request.args, "public_key", "locale", "marketplace")
        found = []
        for method in METHODS[caller.site.id]:
            document = method_document(method, caller.site.domain)
            if method.id == "pix" and not caller.seller["pix_key"]:
                document["status"] = "deactive"
            found.append(document)
        return json_answer(found)

    def list_installments(self, request: Request, caller: Caller) -> Response:
        """List the installments of each method that fits the card."""
        query = request.args
        names = ("amount", "bin", "payment_method_id", "issuer.id", "payment_type_id", "locale", "processing_mode")
        known_only(query, "public_key", *names)
        amount = _amount(query.get("amount", ""))
        found = [
            _installments(method, amount)
            for method in self._methods(query.get("bin"), query.get("payment_method_id"), caller)
            if query.get("payment_type_id") in (None, method.kind)
            and query.get("issuer.id") in (None, method.issuer_id)
        ]
        return json_answer(found)

    def list_documents(self, request: Request, caller: Caller) -> Response:
        """List the kinds of documents of the country; Mexico has none, which is a refusal."""
        known_only(request.args, "public_key", "locale", "marketplace")
        if not caller.site.documents:
            raise Refused(404, {"message": "identification types not found", "error": "not_found", "status": 404,
                                "cause": []})  # fmt: skip
        return json_answer([
            {"id": kind, "name": name, "type": "number", "min_length": least, "max_length": most}
            for kind, name, least, most in caller.site.documents
        ])  # fmt: skip

    def _methods(self, digits: str | None, method_id: str | None, caller: Caller) -> list[Method]:
        if digits is None and method_id is None:
            raise invalid("bin or payment_method_id is required")
        if digits is not None:
            if not digits.isdecimal() or not LEAST_BIN <= len(digits) <= MOST_BIN:
                raise invalid("Invalid bin: the first 6 to 8 digits of the card")
            return [method for method in methods_of_bin(caller.site.id, digits) if method_id in (None, method.id)]
        method = method_of(caller.site.id, method_id)
        if method is None or not method.is_card:
            raise invalid("Invalid payment_method_id")
        return [method]


def user_document(seller: Document) -> Document:
    """Return what /users/me shows."""
    site = SITES[seller["site_id"]]
    return {
        "id": seller["id"], "nickname": seller["nickname"], "registration_date": "2024-03-04T10:00:00.000-04:00",
        "first_name": seller["name"], "last_name": "", "gender": "", "country_id": site.country_id,
        "email": seller["email"], "identification": {"number": "", "type": ""}, "address": {"city": seller["city"]},
        "user_type": "normal", "tags": ["normal", *(["test_user"] if seller["test_user"] else [])],
        "logo": None, "points": 0, "site_id": site.id, "permalink": f"https://{site.domain}/perfil/{seller['id']}",
        "status": {"site_status": "active", "list": {"allow": True}, "sell": {"allow": True},
                   "billing": {"allow": True}, "mercadopago_account_type": "personal"},
        "secure_email": seller["email"],
    }  # fmt: skip


def new_seller(
    site_id: str, *, name: str, seller_id: int = 0, made_by: int = 0, pix_key: str | None = None, city: str = ""
) -> Document:
    """Return an account, a test user as all of the stand-in; `made_by` is whoever made it by API."""
    found = seller_id or new_id(9)
    nickname = f"TETE{found}"
    return {
        "id": found, "site_id": site_id, "name": name, "nickname": nickname, "made_by": made_by, "pix_key": pix_key,
        "test_user": True,
        "email": f"test_user_{found}@testuser.com", "city": city or "Sao Paulo",
    }  # fmt: skip


def _installments(method: Method, amount: Decimal) -> Document:
    return {
        "payment_method_id": method.id, "payment_type_id": method.kind, "processing_mode": "aggregator",
        "issuer": {"id": method.issuer_id, "name": method.name, "secure_thumbnail": None, "thumbnail": None},
        "merchant_account_id": None, "payer_costs": payer_costs(method, amount),
    }  # fmt: skip


def _amount(value: str) -> Decimal:
    try:
        amount = Decimal(value)
    except InvalidOperation as error:
        raise invalid("amount must be a number") from error
    if not amount.is_finite() or not 0 < amount <= MOST_AMOUNT:
        raise invalid("amount is out of range")
    return amount
