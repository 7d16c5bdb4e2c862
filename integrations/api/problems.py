"""
Every error of the API as `application/problem+json` (RFC 9457) with a stable `code`.

`exception_handler` is DRF's; `problem_response` serves the pages that no view answers (config.urls).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import exceptions
from rest_framework.response import Response

from core.errors import RegistryError
from core.redaction import redact_text
from integrations.contract import (
    ProviderError,
    ProviderSpec,
    RateLimited,
    Unavailable,
    UnexpectedResponse,
)

log = structlog.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:integrations-registry:problem:"

UNAVAILABLE_RETRY_S = 5
"""What to wait when our own database does not answer: its restart takes seconds."""

VENDOR_LIMIT_RETRY_S = 60
"""What to wait when a vendor limits us without saying how long: most of them count by the minute."""

VENDOR_STATUS: tuple[tuple[type[ProviderError], int], ...] = (
    (RateLimited, 429),
    (Unavailable, 502),
    (UnexpectedResponse, 502),
    (ProviderError, 422),
)
"""The first class that fits decides. A vendor's refusal is the caller's to mend (422), its failure is not (502)."""

CODE_OF_DRF: Mapping[type[exceptions.APIException], str] = {
    exceptions.NotAuthenticated: "unauthenticated",
    exceptions.AuthenticationFailed: "unauthenticated",
    exceptions.PermissionDenied: "scope_missing",
    exceptions.NotFound: "not_found",
    exceptions.ParseError: "malformed_json",
    exceptions.UnsupportedMediaType: "unsupported_media_type",
    exceptions.MethodNotAllowed: "method_not_allowed",
    exceptions.NotAcceptable: "not_acceptable",
    exceptions.Throttled: "rate_limited",
}

UNAUTHENTICATED = "Send an API key that is neither revoked nor expired: Authorization: Bearer ir_live_… or ir_test_…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One error as the caller reads it."""

    status: int
    code: str
    detail: str
    title: str = ""
    errors: Mapping[str, Sequence[str]] = field(default_factory=dict)
    retry_after_s: float | None = None

    def body(self, request_id: str) -> dict[str, Any]:
        """Return the JSON object."""
        document: dict[str, Any] = {
            "type": TYPE_PREFIX + self.code,
            "title": self.title or HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.errors:
            document["errors"] = {name: list(texts) for name, texts in self.errors.items()}
        return {**document, "request_id": request_id}

    def headers(self) -> dict[str, str]:
        """Return the headers that belong to the problem."""
        if self.retry_after_s is None:
            return {}
        return {"Retry-After": str(max(1, math.ceil(self.retry_after_s)))}


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response:
    """Answer any exception of an API view; what nobody raised on purpose is logged and shows no internals."""
    problem = problem_of(error, spec=getattr(context.get("view"), "provider_spec", None))
    if isinstance(error, UnexpectedResponse) or problem.code == "internal_error":
        log.error("api.failed", exc_info=error)
    headers = problem.headers()
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    return Response(
        problem.body(_request_id(context.get("request"))),
        status=problem.status,
        headers=headers,
        content_type=CONTENT_TYPE,
    )


def problem_response(request: HttpRequest, problem: Problem) -> HttpResponse:
    """Answer outside DRF: unknown addresses, failures in a middleware."""
    body = json.dumps(problem.body(_request_id(request)), ensure_ascii=False)
    return HttpResponse(body, status=problem.status, headers=problem.headers(), content_type=CONTENT_TYPE)


def problem_of(error: BaseException | None, *, spec: ProviderSpec | None = None) -> Problem:
    """Say an exception in the words of the contract; `spec` names the fields of a vendor's refusal."""
    for kind, translate in _TRANSLATIONS:
        if isinstance(error, kind):
            return translate(error, spec)
    return Problem(
        status=500,
        code="internal_error",
        detail="Something went wrong on our side. Try again; if it stays, write to support with the request id.",
    )


def _of_registry(error: RegistryError, spec: ProviderSpec | None) -> Problem:
    return Problem(
        status=error.status,
        code=error.code,
        title=error.title,
        detail=error.detail,
        errors=error.errors,
        retry_after_s=getattr(error, "retry_after_s", None),
    )


def _of_provider(error: ProviderError, spec: ProviderSpec | None) -> Problem:
    status = next(status for kind, status in VENDOR_STATUS if isinstance(error, kind))
    said = _sentence(f"The provider says: {error.vendor_detail}") if error.vendor_detail else ""
    detail = redact_text(" ".join(part for part in (error.message, said, error.advice) if part))
    is_limit = isinstance(error, RateLimited)
    return Problem(
        status=status,
        code=error.api_code,
        title=_TITLES.get(status, ""),
        detail=detail,
        errors={_path(error.field, spec): [error.advice]} if error.field else {},
        retry_after_s=error.retry_after_s or VENDOR_LIMIT_RETRY_S if is_limit else None,
    )


def _sentence(text: str) -> str:
    """End a text as a sentence, for another one follows."""
    ended = text.rstrip()
    return ended if ended.endswith((".", "!", "?", "…")) else f"{ended}."


_TITLES = {422: "The provider refused", 429: "The provider limits the rate", 502: "The provider cannot be reached"}


def _path(name: str, spec: ProviderSpec | None) -> str:
    """Name a field as it stands in the request: connecting nests the provider's fields."""
    if spec is None or "." in name:
        return name
    part = "settings" if name in {item.name for item in spec.settings} else "credentials"
    return f"{part}.{name}"


def _of_drf(error: exceptions.APIException, spec: ProviderSpec | None) -> Problem:
    if isinstance(error, exceptions.ValidationError):
        return Problem(
            status=422,
            code="validation_failed",
            title=RegistryError.title,
            detail="Some fields need another value.",
            errors=flatten(error.detail),
        )
    code = next((code for kind, code in CODE_OF_DRF.items() if isinstance(error, kind)), "internal_error")
    detail = UNAUTHENTICATED if code == "unauthenticated" else str(error.detail)
    return Problem(status=error.status_code, code=code, detail=detail, retry_after_s=getattr(error, "wait", None))


def flatten(detail: Any, path: str = "") -> dict[str, list[str]]:
    """Turn DRF's nested errors into texts by dotted field; what concerns the whole body stands under "body"."""
    if isinstance(detail, Mapping):
        found: dict[str, list[str]] = {}
        for name, inner in detail.items():
            step = path if name == "non_field_errors" else f"{path}.{name}".lstrip(".")
            found.update(flatten(inner, step))
        return found
    if isinstance(detail, list | tuple):
        if all(not isinstance(item, Mapping | list) for item in detail):
            return {path or "body": [str(item) for item in detail]}
        found = {}
        for index, item in enumerate(detail):
            if item:
                found.update(flatten(item, f"{path}.{index}".lstrip(".")))
        return found
    return {path or "body": [str(detail)]}


def _of_missing(error: Http404, spec: ProviderSpec | None) -> Problem:
    return Problem(status=404, code="not_found", title="Not found", detail="There is nothing at this address.")


def _of_denied(error: PermissionDenied, spec: ProviderSpec | None) -> Problem:
    return Problem(status=403, code="scope_missing", title="Not allowed", detail="This key may not do that.")


def _of_size(error: RequestDataTooBig, spec: ProviderSpec | None) -> Problem:
    return Problem(status=413, code="payload_too_large", detail="The body is larger than this address takes.")


def _of_database(error: Exception, spec: ProviderSpec | None) -> Problem:
    return Problem(
        status=503,
        code="unavailable",
        detail="The registry cannot answer right now. Nothing was lost; try again.",
        retry_after_s=UNAVAILABLE_RETRY_S,
    )


_TRANSLATIONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Any], ...] = (
    (RegistryError, _of_registry),
    (ProviderError, _of_provider),
    (exceptions.APIException, _of_drf),
    (Http404, _of_missing),
    (PermissionDenied, _of_denied),
    (RequestDataTooBig, _of_size),
    ((OperationalError, InterfaceError), _of_database),
)


def _request_id(request: Any) -> str:
    return str(getattr(getattr(request, "_request", request), "request_id", ""))
