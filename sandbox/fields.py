"""Check a JSON body field by field. A rule is a function that raises FieldProblem; rules nest."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import urlsplit

Rule = Callable[[object, str], None]
Kind = Literal["missing", "invalid", "unknown"]


class FieldProblem(Exception):
    """One field is missing, invalid or unknown; `path` names it as `text['body']`."""

    def __init__(self, kind: Kind, path: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.path = path
        self.reason = reason


def text(*, least: int = 1, most: int | None = None, pattern: str | None = None) -> Rule:
    """Accept a string of `least` to `most` characters that matches the pattern."""

    def rule(value: object, path: str) -> None:
        if not isinstance(value, str):
            raise FieldProblem("invalid", path, f"Param {path} must be a string.")
        if len(value) < least:
            raise FieldProblem("invalid", path, f"Param {path} must be at least {least} characters long.")
        if most is not None and len(value) > most:
            raise FieldProblem("invalid", path, f"Param {path} must be at most {most} characters long.")
        if pattern is not None and not re.fullmatch(pattern, value):
            raise FieldProblem("invalid", path, f"Param {path} is not valid.")

    return rule


def url(*, most: int = 2000) -> Rule:
    """Accept an absolute http or https address."""
    plain = text(most=most)

    def rule(value: object, path: str) -> None:
        plain(value, path)
        parts = urlsplit(str(value))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise FieldProblem("invalid", path, f"Param {path} is not a valid URI.")

    return rule


def number(*, least: float, most: float) -> Rule:
    """Accept a number of the range; true and false are no numbers."""

    def rule(value: object, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise FieldProblem("invalid", path, f"Param {path} must be a number between {least} and {most}.")

    return rule


def flag(value: object, path: str) -> None:
    """Accept true and false."""
    if not isinstance(value, bool):
        raise FieldProblem("invalid", path, f"Param {path} must be a boolean.")


def anything(value: object, path: str) -> None:
    """Accept every value; for parts that another rule checks later."""


def choice(*allowed: str) -> Rule:
    """Accept one of the words."""

    def rule(value: object, path: str) -> None:
        if value not in allowed:
            raise FieldProblem("invalid", path, f"Param {path} must be one of {{{', '.join(allowed)}}}.")

    return rule


def listed(item: Rule, *, least: int = 0, most: int | None = None) -> Rule:
    """Accept a list of `least` to `most` items that pass the rule."""

    def rule(value: object, path: str) -> None:
        if not isinstance(value, list):
            raise FieldProblem("invalid", path, f"Param {path} must be an array.")
        if len(value) < least or (most is not None and len(value) > most):
            raise FieldProblem("invalid", path, f"Param {path} must have {least} to {most} items.")
        for position, entry in enumerate(value):
            item(entry, f"{path}[{position}]")

    return rule


def record(
    required: Mapping[str, Rule] | None = None,
    optional: Mapping[str, Rule] | None = None,
    *,
    one_of: tuple[str, ...] = (),
) -> Rule:
    """Accept an object with the required and optional fields and no others; of `one_of`, exactly one."""
    must, may = dict(required or {}), dict(optional or {})

    def rule(value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise FieldProblem("invalid", path, f"Param {path or 'body'} must be a JSON object.")
        for name in must:
            if name not in value:
                raise FieldProblem("missing", inner(path, name), f"The parameter {inner(path, name)} is required.")
        for name, entry in value.items():
            known = must.get(name) or may.get(name)
            if known is None:
                reason = f'Unexpected key "{name}" on param "{path or "body"}".'
                raise FieldProblem("unknown", inner(path, name), reason)
            known(entry, inner(path, name))
        if one_of and sum(name in value for name in one_of) != 1:
            raise FieldProblem("missing", path, f"Param {path} needs exactly one of {{{', '.join(one_of)}}}.")

    return rule


def inner(path: str, name: str) -> str:
    """Return the path of a field within an object, as Meta writes it."""
    return f"{path}['{name}']" if path else name
