"""Refusals in the forms that MercadoPago writes: with causes, with a code, with errors, and OAuth's own."""

from __future__ import annotations

from sandbox.frame import Refused
from sandbox.store import Document

# cause code: (HTTP status, description). The vendor's reference of POST /v1/payments lists them.
CAUSES: dict[int, tuple[int, str]] = {
    1: (400, "Params Error"),
    7: (403, "Unauthorized use of live credentials"),
    8: (400, "The name of the following parameters is wrong"),
    23: (400, "The following parameters must be valid date and format (yyyy-MM-dd'T'HH:mm:ssz)"),
    1000: (400, "Number of rows exceeded the limits"),
    1001: (400, "Date format must be yyyy-MM-dd'T'HH:mm:ss.SSSZ"),
    2000: (404, "Payment not found"),
    2002: (400, "Customer not found"),
    2004: (400, "POST to Gateway Transactions API fail"),
    2006: (400, "Card Token not found"),
    2007: (400, "Connection to Card Token API fail"),
    2018: (400, "The action requested is not valid for the current payment state"),
    2034: (400, "Invalid users involved"),
    2059: (400, "You cannot use application_fee with this payment"),
    2060: (400, "The customer can't be equal to the collector"),
    2062: (400, "Invalid card token"),
    2067: (400, "Invalid user identification number"),
    2072: (400, "Invalid value for transaction_amount"),
    2077: (400, "Deferred capture not supported"),
    2131: (400, "Cannot infer Payment Method"),
    3003: (400, "Invalid card_token_id"),
    3009: (403, "unauthorized client_id"),
    4000: (400, "token attribute can't be null"),
    4001: (400, "payment_method_id attribute can't be null"),
    4002: (400, "transaction_amount attribute can't be null"),
    4003: (400, "transaction_amount attribute must be numeric"),
    4004: (400, "installments attribute can't be null"),
    4005: (400, "installments attribute must be numeric"),
    4006: (400, "payer attribute is malformed"),
    4020: (400, "notification_url attribute must be url valid"),
    4021: (400, "notification_url attribute must be shorter than 500 character"),
    4022: (400, "metadata attribute must be a valid JSON"),
    4037: (400, "Invalid transaction_amount"),
    4038: (400, "application_fee cannot be bigger than transaction_amount"),
    4050: (400, "payer.email must be a valid email"),
    4094: (400, "Payer firstname required"),
    4095: (400, "Payer lastname required"),
    4096: (400, "Payer required"),
    4097: (400, "Payer identification type required"),
    4098: (400, "Payer identification number required"),
    4292: (400, "Header X-Idempotency-Key can't be null"),
    10102: (400, "diff_param_bins"),
    13253: (400, "Collector user without key enabled for QR render"),
}
WORDS = {400: "bad_request", 401: "bad_request", 403: "unauthorized", 404: "not_found"}


def cause(code: int, description: str = "") -> Refused:
    """Return the refusal of the Payments API with one cause; :raises KeyError: there is no such code."""
    status, usual = CAUSES[code]
    told = description or usual
    return Refused(status, cause_body(status, told, [{"code": code, "description": told, "data": None}]))


def cause_body(status: int, message: str, causes: list[Document], *, error: str = "") -> Document:
    """Return the body {message, error, status, cause}."""
    return {"message": message, "error": error or WORDS[status], "status": status, "cause": causes}


def coded(status: int, code: str, message: str) -> Refused:
    """Return the short form {code, message}, which gateway and preferences write."""
    return Refused(status, {"code": code, "message": message})


def errors_form(status: int, code: str, message: str, *, details: list[str] | None = None) -> Refused:
    """Return the form {errors: [{code, message}]}, which the Orders API and the idempotency check write."""
    entry: Document = {"code": code, "message": message}
    return Refused(status, {"errors": [entry | ({"details": details} if details else {})]})


def oauth_error(error: str, message: str, *, status: int = 400) -> Refused:
    """Return a refusal of /oauth/token."""
    return Refused(status, cause_body(status, message, [], error=error))


def no_token() -> Refused:
    """Return the gateway's refusal of a call without a usable header."""
    return coded(401, "unauthorized", "invalid access token")


def dead_token() -> Refused:
    """Return the refusal of a token that is unknown, revoked or too old."""
    return Refused(401, cause_body(401, "invalid_token", []))


def missing(what: str) -> Refused:
    """Return the refusal of an object that is not there or not the caller's."""
    return Refused(404, cause_body(404, f"{what} not found", []))


def invalid(message: str) -> Refused:
    """Return the plain refusal of preferences, subscriptions and searches."""
    return Refused(400, cause_body(400, message, []))
