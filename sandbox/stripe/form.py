"""Form-encoded parameters with nested brackets: read them into a tree, then check and convert field by field.

A rule takes the text (or the tree) of one parameter and its name, and returns the value; unknown names are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from sandbox.stripe.errors import invalid, missing_param
from sandbox.stripe.money import CURRENCIES

Tree = dict[str, Any]
Rule = Callable[[Any, str], Any]

NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
INNER = re.compile(r"\[([^\[\]]*)\]")
DEEPEST = 8
METADATA_KEYS, METADATA_KEY_CHARS, METADATA_VALUE_CHARS = 50, 40, 500
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def read_pairs(pairs: Iterable[tuple[str, str]]) -> Tree:
    """Read `a[b][0]=c` into {"a": {"b": {"0": "c"}}}; :raises Refused: a name is malformed or used in two ways."""
    tree: Tree = {}
    for name, value in pairs:
        match = NAME.fullmatch(name)
        inner = INNER.findall(match[2]) if match else []
        if match is None or len(inner) > DEEPEST:
            raise invalid(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
        node = tree
        *path, last = [match[1], *inner]
        for part in path:
            node = node.setdefault(part or str(len(node)), {})
            if not isinstance(node, dict):
                raise invalid("Invalid object", param=name)
        if isinstance(node.get(last), dict):
            raise invalid("Invalid object", param=name)
        node[last or str(len(node))] = value
    return tree


class Record:
    """An object with these fields and no others."""

    def __init__(self, fields: Mapping[str, Rule], *, required: tuple[str, ...] = ()) -> None:
        self.fields = fields
        self.required = required

    def __call__(self, value: Any, path: str) -> dict[str, Any]:
        """Check every field; :raises Refused: a field is unknown, missing or wrong."""
        if not isinstance(value, dict):
            raise invalid("Invalid object", param=path)
        read = {}
        for name, entry in value.items():
            rule = self.fields.get(name)
            inner = inner_name(path, name)
            if rule is None:
                raise invalid(f"Received unknown parameter: {inner}", code="parameter_unknown", param=inner)
            read[name] = rule(entry, inner)
        for name in self.required:
            if name not in value:
                raise missing_param(inner_name(path, name))
        return read


class Unset:
    """The rule, or an empty text that unsets the field: None."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def __call__(self, value: Any, path: str) -> Any:
        """Return None for the empty text."""
        return None if value == "" else self.rule(value, path)


class Listed:
    """A list of up to `most` items that pass the rule."""

    def __init__(self, rule: Rule, *, most: int = 100) -> None:
        self.rule = rule
        self.most = most

    def __call__(self, value: Any, path: str) -> list[Any]:
        """Return the items in the order of their numbers."""
        if not isinstance(value, dict) or not all(name.isdecimal() for name in value):
            raise invalid("Invalid array", param=path)
        if len(value) > self.most:
            raise invalid(f"Array must have at most {self.most} items.", param=path)
        return [self.rule(value[name], f"{path}[{name}]") for name in sorted(value, key=int)]


def inner_name(path: str, name: str) -> str:
    """Return the name of a field within an object."""
    return f"{path}[{name}]" if path else name


def text(*, most: int = 5000, pattern: str | None = None) -> Rule:
    """Accept a text of 1 to `most` characters that matches the pattern."""

    def rule(value: Any, path: str) -> str:
        if not isinstance(value, str):
            raise invalid("Invalid string", param=path)
        if not value:
            message = f"You passed an empty string for '{path}'. We assume empty values are an attempt to unset a "
            message += f"parameter; however '{path}' cannot be unset. You should remove '{path}' from your request."
            raise invalid(message, code="parameter_invalid_empty", param=path)
        if len(value) > most:
            message = f"Invalid string: {value[:10]}…; must be at most {most} characters"
            raise invalid(message, code="parameter_invalid_string_too_long" if most else None, param=path)
        if pattern is not None and not re.fullmatch(pattern, value):
            raise invalid(f"Invalid string: {value}", param=path)
        return value

    return rule


def whole(*, least: int | None = None, most: int | None = None) -> Rule:
    """Accept a whole number."""

    def rule(value: Any, path: str) -> int:
        if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]{1,15}", value):
            raise invalid(f"Invalid integer: {value}", code="parameter_invalid_integer", param=path)
        number = int(value)
        if least is not None and number < least:
            message = f"This value must be greater than or equal to {least}."
            raise invalid(message, code="parameter_invalid_integer", param=path)
        if most is not None and number > most:
            message = f"This value must be less than or equal to {most}."
            raise invalid(message, code="parameter_invalid_integer", param=path)
        return number

    return rule


def flag(value: Any, path: str) -> bool:
    """Accept true and false."""
    if value not in ("true", "false"):
        raise invalid(f"Invalid boolean: {value}", param=path)
    return bool(value == "true")


def choice(*allowed: str) -> Rule:
    """Accept one of the words."""

    def rule(value: Any, path: str) -> str:
        if value not in allowed:
            raise invalid(f"Invalid {path}: must be one of {', '.join(allowed)}", param=path)
        return str(value)

    return rule


def either(first: Rule, *words: str) -> Rule:
    """Accept one of the words, or what the rule accepts."""

    def rule(value: Any, path: str) -> Any:
        return value if value in words else first(value, path)

    return rule


def anything(value: Any, path: str) -> Any:
    """Accept every value; for parts that the stand-in stores and does not use."""
    return value


def currency(value: Any, path: str) -> str:
    """Accept a currency, in either case."""
    word = text(most=3)(value, path).lower()
    if word not in CURRENCIES:
        raise invalid(f"Invalid currency: {word}. Stripe currently supports no such currency.", param=path)
    return str(word)


def url(value: Any, path: str) -> str:
    """Accept an absolute address."""
    address: str = text(most=2048)(value, path)
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise invalid("Not a valid URL", code="url_invalid", param=path)
    return address


def email(value: Any, path: str) -> str:
    """Accept an e-mail address."""
    address: str = text(most=512)(value, path)
    if not EMAIL.fullmatch(address):
        raise invalid(f"Invalid email address: {address}", code="email_invalid", param=path)
    return address


def metadata(value: Any, path: str) -> dict[str, str] | None:
    """Accept up to 50 texts under names of up to 40 characters; None when all are to be removed."""
    if value == "":
        return None
    if not isinstance(value, dict) or not all(isinstance(entry, str) for entry in value.values()):
        raise invalid("Invalid object", param=path)
    if len(value) > METADATA_KEYS:
        raise invalid(f"Metadata can have up to {METADATA_KEYS} keys.", param=path)
    for name, entry in value.items():
        if len(name) > METADATA_KEY_CHARS:
            message = f"Metadata keys can have up to {METADATA_KEY_CHARS} characters."
            raise invalid(message, code="parameter_invalid_string_too_long", param=f"{path}[{name}]")
        if len(entry) > METADATA_VALUE_CHARS:
            message = f"Metadata values can have up to {METADATA_VALUE_CHARS} characters."
            raise invalid(message, code="parameter_invalid_string_too_long", param=f"{path}[{name}]")
    return value


def merge_metadata(old: Mapping[str, str], given: Mapping[str, str] | None) -> dict[str, str]:
    """Return the metadata after an update: empty texts remove a key, None removes all."""
    if given is None:
        return {}
    return {name: entry for name, entry in {**old, **given}.items() if entry != ""}
