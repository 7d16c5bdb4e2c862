"""Stripe's refusals: {"error": {type, message, code?, param?, …}}."""

from __future__ import annotations

from typing import Any

from sandbox.frame import Refused
from sandbox.store import Document

DOCS_URL = "https://stripe.com/docs/error-codes/"

# code: (status, type, message); what a fault of the kind "code" may ask for.
BY_CODE: dict[str, tuple[int, str, str]] = {
    "lock_timeout": (
        429, "invalid_request_error",
        "This object cannot be accessed right now because another API request or Stripe process is accessing it.",
    ),
    "rate_limit": (429, "invalid_request_error", "Too many requests hit the API too quickly."),
    "idempotency_key_in_use": (
        409, "idempotency_error", "There is currently another in-progress request using this Idempotent Key.",
    ),
    "api_key_expired": (401, "invalid_request_error", "Expired API Key provided: sk_test_****test"),
    "account_invalid": (403, "invalid_request_error", "The provided key does not have access to the account."),
    "more_permissions_required_for_application": (
        403, "invalid_request_error", "The provided key does not have the required permissions for this endpoint.",
    ),
    "card_declined": (402, "card_error", "Your card was declined."),
    "authentication_required": (402, "card_error", "Your card was declined. This transaction requires authentication."),
    "resource_missing": (404, "invalid_request_error", "No such object."),
}  # fmt: skip


class Declined(Refused):
    """A payment was refused: unlike other refusals, what happened until then is kept."""


def error_body(kind: str, message: str, *, code: str | None = None, param: str | None = None, **more: Any) -> Document:
    """Return the body of an error."""
    error: Document = {"type": kind, "message": message}
    if code:
        error |= {"code": code, "doc_url": DOCS_URL + code.replace("_", "-")}
    if param:
        error["param"] = param
    return {"error": error | more}


def invalid(
    message: str, *, code: str | None = None, param: str | None = None, status: int = 400, **more: Any
) -> Refused:
    """Return an invalid_request_error."""
    return Refused(status, error_body("invalid_request_error", message, code=code, param=param, **more))


def missing_param(param: str) -> Refused:
    """Return the refusal of a call that lacks a parameter."""
    return invalid(f"Missing required param: {param}.", code="parameter_missing", param=param)


def by_code(code: str) -> Refused:
    """Return the refusal with this code; :raises KeyError: none has it."""
    status, kind, message = BY_CODE[code]
    return Refused(status, error_body(kind, message, code=code))
