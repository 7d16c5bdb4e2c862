"""Card tokens, which the buyer's browser makes with the public key, and what becomes of a card."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from werkzeug.wrappers import Request, Response

from sandbox.fields import choice, record, text
from sandbox.frame import Refused, Route, json_answer
from sandbox.mercadopago.documents import is_document
from sandbox.mercadopago.errors import cause, cause_body
from sandbox.mercadopago.reading import Body, check, known_only, mapping, plain, read_body, whole
from sandbox.mercadopago.sites import Method, methods_of_bin
from sandbox.mercadopago.state import Caller, State
from sandbox.mercadopago.times import written
from sandbox.store import Document

TOKEN_LIFE_S = 7 * 24 * 3600
BIN_DIGITS = 6
# The first word of the cardholder's name decides; the vendor's test cards work the same way. Other names: OTHE.
OUTCOMES: dict[str, tuple[str, str]] = {
    "APRO": ("approved", "accredited"),
    "OTHE": ("rejected", "cc_rejected_other_reason"),
    "CONT": ("in_process", "pending_contingency"),
    "CALL": ("rejected", "cc_rejected_call_for_authorize"),
    "FUND": ("rejected", "cc_rejected_insufficient_amount"),
    "SECU": ("rejected", "cc_rejected_bad_filled_security_code"),
    "EXPI": ("rejected", "cc_rejected_bad_filled_date"),
    "FORM": ("rejected", "cc_rejected_bad_filled_other"),
    "CARD": ("rejected", "cc_rejected_bad_filled_card_number"),
    "INST": ("rejected", "cc_rejected_invalid_installments"),
    "DUPL": ("rejected", "cc_rejected_duplicated_payment"),
    "LOCK": ("rejected", "cc_rejected_card_disabled"),
    "ATTE": ("rejected", "cc_rejected_max_attempts"),
    "BLAC": ("rejected", "cc_rejected_blacklist"),
    "RISK": ("rejected", "cc_rejected_high_risk"),
}
# The vendor's codes of this call are texts or numbers as it likes.
PROBLEMS: dict[str, tuple[object, str]] = {
    "card_number": ("E301", "Invalid parameter 'card_number_length'"),
    "security_code": ("E302", "Invalid parameter 'security_code'"),
    "expiration_month": (325, "Invalid parameter 'cardExpirationMonth'"),
    "expiration_year": (326, "Invalid parameter 'cardExpirationYear'"),
    "cardholder.name": (316, "Invalid parameter 'cardholderName'"),
    "cardholder.identification": (324, "Invalid parameter 'docNumber'"),
}
SHAPE = record(
    {
        "card_number": text(pattern=r"\d{13,19}"), "expiration_month": whole, "expiration_year": whole,
        "security_code": text(pattern=r"\d{3,4}"), "cardholder": mapping,
    },
    {"device": mapping, "site_id": choice("MLB", "MLA", "MLM"), "require_esc": lambda value, path: None},
)  # fmt: skip
HOLDER = record({"name": text(most=80)}, {"identification": record({"type": text(), "number": text()})})


class Cards:
    """The call that browsers make, and the tokens it gave out."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> Sequence[Route]:
        """Return the operations that a public key opens."""
        return (Route("POST", "/v1/card_tokens", self.create),)

    def create(self, request: Request, caller: Caller) -> Response:
        """Make a token of a card; the number itself is not kept."""
        known_only(request.args, "public_key", "locale", "js_version", "referer")
        body = read_body(request)
        check(SHAPE, body, refuse=lambda problem: _problem(problem.path[2:-2], problem.reason))
        check(HOLDER, body["cardholder"], refuse=lambda problem: _problem("cardholder.name", problem.reason))
        method = self._method(body, caller)
        self._check_rest(body, caller=caller, method=method)
        return json_answer(_shown(self._write(body, caller=caller, method=method)), status=201)

    def take(self, token_id: object, *, caller: Caller) -> Document:
        """Return a token that may be charged and use it up; :raises Refused: 2006 unknown, 3003 used before."""
        found = self._state.card_tokens.get(token_id) if isinstance(token_id, str) else None
        now = self._state.frame.now()
        known = found is not None and found["seller_id"] == caller.seller_id
        if found is None or not known or found["live_mode"] != caller.live_mode or found["dies_at"] <= now:
            raise cause(2006)
        if found["used"]:
            raise cause(3003)
        return self._state.card_tokens.change(found["id"], used=True)

    def _method(self, body: Body, caller: Caller) -> Method:
        methods = methods_of_bin(caller.site.id, body["card_number"])
        if not methods or len(body["card_number"]) != methods[0].card_digits or not _luhn(body["card_number"]):
            raise _problem("card_number")
        if len(body["security_code"]) != methods[0].security_code:
            raise _problem("security_code")
        return methods[0]

    def _check_rest(self, body: Body, *, caller: Caller, method: Method) -> None:
        today = datetime.fromtimestamp(self._state.frame.now(), tz=UTC)
        month, year = body["expiration_month"], body["expiration_year"]
        if not 1 <= month <= 12:  # noqa: PLR2004 - months
            raise _problem("expiration_month")
        if (year, month) < (today.year, today.month) or year > today.year + 30:
            raise _problem("expiration_year")
        identification = body["cardholder"].get("identification")
        if identification is None:
            if caller.site.documents:
                raise _problem("cardholder.identification")
        elif not is_document(caller.site, identification["type"], identification["number"]):
            raise _problem("cardholder.identification")

    def _write(self, body: Body, *, caller: Caller, method: Method) -> Document:
        now = self._state.frame.now()
        holder = {"identification": {"number": None, "type": None}} | plain(body["cardholder"])
        token: Document = {
            "id": secrets.token_hex(16), "seller_id": caller.seller_id, "live_mode": caller.live_mode, "used": False,
            "dies_at": now + TOKEN_LIFE_S, "first_six_digits": body["card_number"][:BIN_DIGITS],
            "last_four_digits": body["card_number"][-4:], "expiration_month": body["expiration_month"],
            "expiration_year": body["expiration_year"], "cardholder": holder, "date_created": written(now),
            "card_number_length": len(body["card_number"]), "security_code_length": len(body["security_code"]),
        }  # fmt: skip
        return self._state.card_tokens.put(token["id"], token, owner=str(caller.seller_id))


def outcome_of(token: Document) -> tuple[str, str]:
    """Return (status, status_detail) that a charge of this card ends with."""
    return OUTCOMES.get(token["cardholder"]["name"].split()[0].upper(), OUTCOMES["OTHE"])


def _shown(token: Document) -> Document:
    hidden = ("seller_id", "used", "dies_at")
    shown: Document = {name: value for name, value in token.items() if name not in hidden}
    due = {"date_due": written(token["dies_at"]), "date_last_updated": token["date_created"]}
    return shown | due | {"status": "active", "luhn_validation": True, "require_esc": False, "card_id": None}


def _problem(name: str, reason: str = "") -> Refused:
    code, description = PROBLEMS.get(name, ("E203", reason or f"Invalid parameter '{name}'"))
    causes: list[dict[str, Any]] = [{"code": code, "description": description}]
    return Refused(400, cause_body(400, "invalid parameter", causes))


def _luhn(number: str) -> bool:
    if not re.fullmatch(r"\d+", number):
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(number))]
    return sum(digit - 9 if digit > 9 else digit for digit in doubled) % 10 == 0  # noqa: PLR2004 - Luhn's rule
