"""Graph errors: one table of codes, one shape of body."""

from __future__ import annotations

import base64
import os
from typing import Any

from sandbox.frame import Refused

DOCS_URL = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"

# code: (HTTP status, text). The text is for people; callers must classify on the code.
CODES: dict[int, tuple[int, str]] = {
    0: (401, "AuthException"),
    2: (500, "Service temporarily unavailable"),
    3: (403, "Application does not have the capability to make this API call."),
    4: (403, "Application request limit reached"),
    10: (403, "Application does not have permission for this action"),
    33: (400, "Parameter value is not valid"),
    100: (400, "Invalid parameter"),
    104: (401, "An access token is required to request this resource."),
    190: (401, "Invalid OAuth access token - Cannot parse access token"),
    200: (403, "Permissions error"),
    368: (403, "Temporarily blocked for policies violations"),
    2200: (400, "Callback verification failed"),
    2500: (400, "Unknown path components"),
    2635: (400, "You are calling a deprecated version of the API. Please update to the latest version."),
    80007: (429, "WhatsApp Business Account has reached its rate limit"),
    130403: (400, "The recipient is blocked by this business"),
    130429: (429, "Rate limit hit"),
    130472: (400, "User's number is part of an experiment"),
    131000: (500, "Something went wrong"),
    131005: (403, "Access denied"),
    131008: (400, "Required parameter is missing"),
    131009: (400, "Parameter value is not valid"),
    131016: (500, "Service unavailable"),
    131021: (400, "Recipient cannot be sender"),
    131026: (400, "Message undeliverable"),
    131030: (400, "Recipient phone number not in allowed list"),
    131031: (403, "Business Account locked"),
    131042: (403, "Business eligibility payment issue"),
    131047: (400, "Re-engagement message"),
    131048: (400, "Spam rate limit hit"),
    131049: (400, "This message was not delivered to maintain healthy ecosystem engagement."),
    131050: (400, "The recipient has chosen to stop receiving marketing messages"),
    131051: (400, "Unsupported message type"),
    131052: (400, "Media download error"),
    131053: (400, "Media upload error"),
    131056: (400, "(Business Account, Consumer Account) pair rate limit hit"),
    131057: (500, "Account in maintenance mode"),
    131062: (400, "Business-scoped user ids are not supported for this message"),
    132000: (400, "Number of parameters does not match the expected number of params"),
    132001: (404, "Template name does not exist in the translation"),
    132005: (400, "Translated text too long"),
    132012: (400, "Parameter format does not match format in the created template"),
    132015: (400, "Template is paused"),
    132016: (400, "Template is disabled"),
    133005: (400, "Two step verification PIN mismatch"),
    133010: (403, "Phone number not registered"),
    133016: (429, "Account register deregister rate limit exceeded"),
    139100: (400, "Failed to block/unblock users"),
}

# The texts of these codes are written without "(#code)" in front.
BARE = {0, 2, 104, 190}
NOT_VISIBLE = 33  # the subcode of "does not exist or is not yours"; its text is bare too
TRANSIENT = {2, 4, 80007, 131000, 131016, 131057}
METHOD_ERROR = "GraphMethodException"


def graph_error(
    code: int,
    details: str = "",
    *,
    message: str | None = None,
    subcode: int | None = None,
    kind: str = "OAuthException",
    product: str = "",
) -> Refused:
    """Return the refusal with this code, to be raised; `details` and `product` fill `error_data`."""
    status, text = CODES[code]
    text = message or text
    error: dict[str, Any] = {
        "message": text if code in BARE or subcode == NOT_VISIBLE else f"(#{code}) {text}",
        "type": kind,
        "code": code,
    }
    if subcode is not None:
        error["error_subcode"] = subcode
    if details:
        error["error_data"] = ({"messaging_product": product} if product else {}) | {"details": details}
    if code in TRANSIENT:
        error["is_transient"] = True
    return Refused(status, {"error": error | {"fbtrace_id": trace_id()}})


def no_such_object(method: str, key: str) -> Refused:
    """Return Meta's one answer for "not there", "not yours" and "cannot do that"."""
    message = (
        f"Unsupported {method.lower()} request. Object with ID '{key}' does not exist, cannot be loaded due to missing"
        " permissions, or does not support this operation. Please read the Graph API documentation at"
        " https://developers.facebook.com/docs/graph-api"
    )
    return graph_error(100, message=message, subcode=NOT_VISIBLE, kind=METHOD_ERROR)


def status_error(code: int, details: str) -> dict[str, Any]:
    """Return the same error as it stands in a "failed" status of a webhook."""
    text = CODES[code][1]
    return {"code": code, "title": text, "message": text, "error_data": {"details": details}, "href": DOCS_URL}


def trace_id() -> str:
    """Return a new fbtrace_id."""
    return "A" + base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
