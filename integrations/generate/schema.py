"""JSON Schema (2020-12, the dialect of OpenAPI 3.1) of what connecting a provider takes, from its spec alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from integrations.contract import Field, FieldKind, Provider

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAME_LENGTH = 120

_TYPES: Mapping[FieldKind, Mapping[str, Any]] = {
    FieldKind.SECRET: {"type": "string", "format": "password", "writeOnly": True},
    FieldKind.TEXT: {"type": "string"},
    FieldKind.URL: {"type": "string", "format": "uri"},
    FieldKind.CHOICE: {"type": "string"},
    FieldKind.BOOLEAN: {"type": "boolean"},
    FieldKind.JSON: {"type": ["object", "array", "string"]},
    FieldKind.FILE: {"type": "string", "writeOnly": True},
}


def connect_schema(provider: type[Provider]) -> dict[str, Any]:
    """Return the schema of the body that connects an account of this provider."""
    spec = provider.spec
    return {
        "title": f"Connect {spec.label}",
        "type": "object",
        "required": ["provider", "environment", "credentials"],
        "additionalProperties": False,
        "properties": {
            "provider": {"const": spec.key, "type": "string"},
            "name": {"type": "string", "maxLength": NAME_LENGTH, "description": "How it is called in lists."},
            "environment": {"type": "string", "enum": ["test", "live"]},
            "credentials": fields_schema(spec.credentials),
            "settings": fields_schema(spec.settings),
        },
    }


def fields_schema(fields: Sequence[Field]) -> dict[str, Any]:
    """Return the schema of the values of some fields."""
    required = [item.name for item in fields if item.required and not item.default]
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {item.name: field_schema(item) for item in fields},
        **({"required": required} if required else {}),
    }


def field_schema(item: Field) -> dict[str, Any]:
    """Return the schema of one field's value."""
    schema: dict[str, Any] = {**_TYPES[item.kind], "title": item.label}
    if item.kind not in {FieldKind.BOOLEAN, FieldKind.JSON}:
        schema["maxLength"] = item.max_length
    optional = {
        "description": item.help,
        "pattern": f"^(?:{item.pattern})$" if item.pattern else "",
        "enum": [value for value, _label in item.choices],
        "default": item.default,
        "examples": [item.example] if item.example and not item.is_secret else [],
    }
    return {**schema, **{name: value for name, value in optional.items() if value}}
