"""Checking what is given for a spec's fields, before any call: errors by `credentials.<name>` and `settings.<name>`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from integrations.contract import Field, FieldKind, ProviderSpec


def field_errors(
    spec: ProviderSpec, *, credentials: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, list[str]]:
    """Check every value against its field; unknown, missing and malformed ones are named."""
    errors: dict[str, list[str]] = {}
    _check("credentials", spec.credentials, credentials, errors)
    _check("settings", spec.settings, settings, errors)
    return errors


def placed(spec: ProviderSpec, errors: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Put before the names that a provider gives which part of the form they are in, where it did not itself."""
    credentials = {item.name for item in spec.credentials}
    parts = {name: "credentials" if name in credentials else "settings" for name in errors}
    return {name if "." in name else f"{parts[name]}.{name}": list(texts) for name, texts in errors.items()}


def with_defaults(fields: Sequence[Field], values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is empty, and fill in what the spec knows."""
    defaults = {item.name: item.default for item in fields if item.default}
    return {**defaults, **{key: value for key, value in values.items() if value not in (None, "")}}


def _check(part: str, fields: Sequence[Field], values: Mapping[str, Any], errors: dict[str, list[str]]) -> None:
    known = {item.name: item for item in fields}
    for name in values:
        if name not in known:
            allowed = ", ".join(known) or "none"
            errors[f"{part}.{name}"] = [f"Unknown field. Fields of {part}: {allowed}."]
    for item in fields:
        if problem := _problem(item, values.get(item.name)):
            errors[f"{part}.{item.name}"] = [problem]


def _problem(item: Field, value: Any) -> str:
    """Say what is wrong with one value; nothing when it is fine."""
    if value in (None, ""):
        return f"{item.label} is required. {item.help}".strip() if item.required and not item.default else ""
    if item.kind is FieldKind.BOOLEAN:
        return "" if isinstance(value, bool) else "Use true or false."
    if not isinstance(value, str):
        return "" if item.kind is FieldKind.JSON else "Use a text."
    return next((problem for problem in (rule(item, value) for rule in _TEXT_RULES) if problem), "")


def _length(item: Field, value: str) -> str:
    return f"At most {item.max_length} characters." if len(value) > item.max_length else ""


def _choice(item: Field, value: str) -> str:
    allowed = [choice for choice, _label in item.choices]
    return f"Use one of: {', '.join(allowed)}." if allowed and value not in allowed else ""


def _characters(item: Field, value: str) -> str:
    is_bad = any(not character.isprintable() and character not in "\n\r\t" for character in value)
    return "Control characters are not allowed." if is_bad else ""


def _shape(item: Field, value: str) -> str:
    if not item.pattern or re.fullmatch(item.pattern, value):
        return ""
    return f"This does not look right. {item.help or 'Expected the form ' + item.example}".strip()


_TEXT_RULES = (_length, _choice, _characters, _shape)
