"""
Opened secrets that refuse to leak.

A `Secret` holds plaintext for the length of one call. It has no text form, no JSON, no pickle;
whoever needs the value says `reveal()`, which is easy to search for and to review.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from typing import NoReturn

_REFUSAL = "an opened secret has no text, JSON or pickle form; call reveal() where it is used"


class SecretLeak(TypeError):
    """Something tried to turn an opened secret into text, JSON or a pickle."""


class _Unprintable:
    __slots__ = ()

    def __str__(self) -> NoReturn:
        raise SecretLeak(_REFUSAL)

    def __repr__(self) -> NoReturn:
        raise SecretLeak(_REFUSAL)

    def __format__(self, format_spec: str) -> NoReturn:
        raise SecretLeak(_REFUSAL)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise SecretLeak(_REFUSAL)


class Secret(_Unprintable):
    """One opened value. Compare with `matches`, which takes the same time whatever differs."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the plaintext; never store, log or pass on what comes back."""
        return self._value

    def matches(self, other: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self._value.encode(), other.encode("utf-8", "surrogatepass"))

    def __bool__(self) -> bool:
        return bool(self._value)


class Secrets(_Unprintable, Mapping[str, Secret]):
    """The opened fields of one credential, by field name; absent and empty fields are not in it."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name: Secret(value) for name, value in values.items() if value}

    def __getitem__(self, name: str) -> Secret:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
