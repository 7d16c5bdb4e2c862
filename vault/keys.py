"""
Rings of keys: where the master keys and the platform's own keys come from.

A ring is text, ``id:base64,id:base64``; the first key is current, the others still open what they sealed. This module
imports no Django, so the settings can refuse a bad ring before anything starts.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NoReturn, Protocol

from vault import cipher

DEVELOPMENT_PREFIX = "dev"
"""Keys generated into the data folder have ids that start so; production refuses them."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_FEWEST_DISTINCT_BYTES = 16
"""Of 32 random bytes about 30 differ; fewer than 16 never happens by chance (below 1e-14), only by filling in."""


class BadKeyRing(ValueError):
    """A ring cannot be used; the text is one line that names the setting and the fix, and holds no key."""


class Ring:
    """Keys by id, in the order given. Its text form shows ids only."""

    __slots__ = ("_keys", "current_id")

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = dict(keys)
        self.current_id = next(iter(self._keys))

    def __getitem__(self, key_id: str) -> bytes:
        return self._keys[key_id]

    def __contains__(self, key_id: object) -> bool:
        return key_id in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __repr__(self) -> str:
        return f"<Ring {', '.join(self._keys)}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a ring of keys is not pickled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapped:
    """An organization key as it is stored, and which master key opens it."""

    master_id: str
    wrapped: bytes = field(repr=False)


class MasterKeyProvider(Protocol):
    """
    Whoever holds the master keys. A key management service can stand here: no method hands a master key out.

    `unwrap` raises `cipher.SealBroken` for an unknown id, another row or changed bytes.
    """

    @property
    def current_id(self) -> str: ...

    def has(self, master_id: str) -> bool: ...

    def wrap(self, key: bytes, *, organization_schema: str, version: int) -> Wrapped: ...

    def unwrap(self, stored: Wrapped, *, organization_schema: str, version: int) -> bytes: ...


class RingMasterKeys:
    """Master keys held in this process, from the environment."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring

    @property
    def current_id(self) -> str:
        """The id under which new keys are wrapped."""
        return self._ring.current_id

    def has(self, master_id: str) -> bool:
        """Tell whether a master key is at hand."""
        return master_id in self._ring

    def wrap(self, key: bytes, *, organization_schema: str, version: int) -> Wrapped:
        """Wrap under the current master key."""
        master_id = self._ring.current_id
        return Wrapped(
            master_id=master_id,
            wrapped=cipher.wrap_key(
                key,
                master_key=self._ring[master_id],
                master_id=master_id,
                organization_schema=organization_schema,
                version=version,
            ),
        )

    def unwrap(self, stored: Wrapped, *, organization_schema: str, version: int) -> bytes:
        """
        Unwrap under the master key the row names.

        :raises cipher.SealBroken: unknown master key, another row, changed bytes
        """
        if stored.master_id not in self._ring:
            raise cipher.SealBroken
        return cipher.unwrap_key(
            stored.wrapped,
            master_key=self._ring[stored.master_id],
            master_id=stored.master_id,
            organization_schema=organization_schema,
            version=version,
        )


class PlatformKeys:
    """Keys of single platform secrets: client secrets of OAuth apps, second-factor seeds."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring

    def seal(self, plaintext: bytes, *, label: str) -> bytes:
        """Seal under the current key."""
        key_id = self._ring.current_id
        return cipher.seal_platform(plaintext, key=self._ring[key_id], key_byte=key_byte(key_id), label=label)

    def open(self, token: bytes, *, label: str) -> bytes:
        """
        Open what any key of the ring sealed for this label.

        :raises cipher.SealBroken: another label, an unknown key or changed bytes
        """
        key_id = self._ids.get(token[0]) if token else None
        if key_id is None:
            raise cipher.SealBroken
        return cipher.open_platform(token, key=self._ring[key_id], label=label)

    def is_current(self, token: bytes) -> bool:
        """Tell whether the current key sealed this token; if not, a rotation seals it again."""
        return token[:1] == bytes((key_byte(self._ring.current_id),))

    @cached_property
    def _ids(self) -> dict[int, str]:
        return {key_byte(key_id): key_id for key_id in self._ring}


def parse_ring(text: str, *, setting: str = "MASTER_KEYS", is_production: bool = False) -> Ring:
    """
    Read a ring and refuse what cannot protect anything; in production also a key made for development.

    :raises BadKeyRing: missing, malformed, short, duplicate, typed by hand or a default
    """
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    if not entries:
        raise BadKeyRing(_line(setting, "is empty"))
    keys: dict[str, bytes] = {}
    for position, entry in enumerate(entries, start=1):
        key_id, key = _parse_entry(entry, position=position, setting=setting)
        if is_production and key_id.startswith(DEVELOPMENT_PREFIX):
            raise BadKeyRing(_line(setting, f"holds the development key {key_id!r}, refused in production"))
        if key_id in keys:
            raise BadKeyRing(_line(setting, f"names the key {key_id!r} twice"))
        if key in keys.values():
            raise BadKeyRing(_line(setting, f"gives the key {key_id!r} the same bytes as another"))
        if key_byte(key_id) in map(key_byte, keys):
            raise BadKeyRing(_line(setting, f"needs another id than {key_id!r}, which shares its mark with another"))
        keys[key_id] = key
    return Ring(keys)


def new_ring_entry(key_id: str) -> str:
    """Make a fresh ``id:base64`` entry, for development and for the operator who rotates."""
    return f"{key_id}:{base64.b64encode(cipher.new_key()).decode()}"


def key_byte(key_id: str) -> int:
    """Return the byte that marks a platform token with its key; `parse_ring` refuses ids that share one."""
    return cipher.token_digest(key_id)[0]


def _parse_entry(entry: str, *, position: int, setting: str) -> tuple[str, bytes]:
    key_id, colon, encoded = entry.partition(":")
    if not colon or not _ID.fullmatch(key_id):
        raise BadKeyRing(_line(setting, f"has no valid id in entry {position}"))
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise BadKeyRing(_line(setting, f"has a key {key_id!r} that is not base64")) from None
    if len(key) != cipher.KEY_BYTES:
        raise BadKeyRing(_line(setting, f"has a key {key_id!r} of {len(key)} bytes instead of {cipher.KEY_BYTES}"))
    if len(set(key)) < _FEWEST_DISTINCT_BYTES or _is_typed(key):
        raise BadKeyRing(_line(setting, f"has a key {key_id!r} that is a default or was typed, not made at random"))
    return key_id, key


def _is_typed(key: bytes) -> bool:
    """Tell text from random bytes; 32 random bytes are all printable with a chance of 1e-14."""
    return key.isascii() and key.decode("ascii").isprintable()


def _line(setting: str, problem: str) -> str:
    return (
        f'{setting} {problem}: give it as id:key,… with each key from "openssl rand -base64 32", the current one first.'
    )
