"""What OpenAPI says of every address: the problems it may answer, the idempotency key, pages and filters."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Literal

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from integrations.api.idempotency import HEADER, LONGEST_KEY
from integrations.api.pagination import DEFAULT_LIMIT, MAX_LIMIT
from integrations.api.problems import CONTENT_TYPE

PROBLEM = "Problem"
PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457. `code` is stable; `errors` maps a field to its texts.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "examples": ["validation_failed"]},
        "errors": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
        "request_id": {"type": "string"},
    },
}

_ALWAYS = {
    "401": "No usable API key (`unauthenticated`)",
    "403": "The key lacks the scope (`scope_missing`)",
    "429": "Too fast (`rate_limited`); wait `Retry-After` seconds",
}
_OF_ONE = {"404": "Unknown, or not this key's (`not_found`)"}
_OF_WRITING = {
    "409": "The state forbids it, or the Idempotency-Key was used (`conflict`, `idempotency_conflict`)",
    "422": "A field needs another value, or the provider refused",
    "502": "The provider cannot be reached (`provider_unavailable`)",
}

IDEMPOTENCY_KEY = OpenApiParameter(
    HEADER,
    {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
    OpenApiParameter.HEADER,
    description="The same key and body within 24 hours gives the stored answer.",
)
PAGING = (
    OpenApiParameter("cursor", str, description="From `next` or `previous` of a page."),
    OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}),
)


class RegistrySchema(AutoSchema):
    """AutoSchema plus what the frame does for every view, so that no view repeats it."""

    def get_override_parameters(self) -> list[Any]:
        """Add the idempotency key to every POST."""
        return [IDEMPOTENCY_KEY] if self.method == "POST" else []

    def get_summary(self) -> str:
        """Put the first clause of the description on the line that a reader skims."""
        return re.split(r"[.:;]( |$)", self.get_description(), maxsplit=1)[0]

    def get_tags(self) -> list[str]:
        """Group addresses by their first part after the version."""
        return [next((part for part in self.path.split("/") if part not in {"", "api", "v1"}), "api")]

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> dict[str, Any]:
        found: dict[str, Any] = super()._get_response_bodies(direction)
        if direction != "response":
            return found
        expected = {**_ALWAYS, **(_OF_ONE if "{" in self.path else {}), **(_OF_WRITING if self._writes() else {})}
        return {**found, **{status: self._problem(text) for status, text in expected.items() if status not in found}}

    def _writes(self) -> bool:
        return self.method not in {"GET", "HEAD", "OPTIONS"}

    def _problem(self, description: str) -> dict[str, Any]:
        component = ResolvedComponent(
            name=PROBLEM, type=ResolvedComponent.SCHEMA, schema=PROBLEM_SCHEMA, object=PROBLEM
        )
        self.registry.register_on_missing(component)
        return {"description": description, "content": {CONTENT_TYPE: {"schema": component.ref}}}


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """How a key is sent."""

    target_class = "accounts.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        """Return the security scheme."""
        return {"type": "http", "scheme": "bearer", "description": "An API key: `ir_live_…` or `ir_test_…`."}


@lru_cache
def page_of(serializer_class: type[Any]) -> type[Any]:
    """Return the serializer of a page of rows, for `extend_schema(responses=...)`."""
    name = serializer_class.__name__.removesuffix("Serializer")
    return type(
        f"{name}PageSerializer",
        (serializers.Serializer,),
        {
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
            "results": serializer_class(many=True),
        },
    )
