"""
All cryptography of the product; no other module imports `cryptography` or `django_cryptography`.

Pure functions over bytes: no database, no settings. Three things are made here.

The envelope, for credentials and bodies (suite 1):

    suite 1 | key version 4 | salt 32 | commitment 32 | nonce 12 | AES-256-GCM(plaintext) + tag 16

``key || commitment = HKDF-SHA512(organization key, salt, "cred/v1")``. The commitment makes a blob open under one
key only, and the additional data binds it to the place it was made for, so a copied blob opens nowhere else.

The wrapping of organization keys under a master key (AES-256-GCM), and tokens for single secrets of the platform
(django-cryptography-5's FernetBytes with keys of its own; its model field is not used, see docs/decisions).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:
    from django_cryptography.utils.crypto import FernetBytes

KEY_BYTES = 32
NONCE_BYTES = 12
"""The size GCM takes without hashing. Random nonces are safe: a key seals one blob, or wraps a few thousand keys."""

SUITE = 1

_SALT_BYTES = 32
_COMMITMENT_BYTES = 32
_TAG_BYTES = 16
_HEADER = struct.Struct(">BI")
_NONCE_AT = _HEADER.size + _SALT_BYTES + _COMMITMENT_BYTES
_BODY_AT = _NONCE_AT + NONCE_BYTES
OVERHEAD_BYTES = _BODY_AT + _TAG_BYTES
"""How much longer a blob is than its plaintext."""

_LENGTH = struct.Struct(">I")
_NUMBERS = struct.Struct(">QI")
_SUITE = bytes((SUITE,))
_SHA512 = SHA512()
_ENVELOPE_INFO = b"cred/v1"
_DIGEST_INFO = b"digest/v1"
_PLATFORM_INFO = b"platform/v1"


class SealBroken(Exception):
    """
    A sealed value does not open: wrong place, changed bytes, unknown or destroyed key.

    Which of these it was is not said, neither to a caller nor in a log.
    """

    def __init__(self) -> None:
        super().__init__("the sealed value cannot be opened")


@dataclass(frozen=True, slots=True, kw_only=True)
class SealContext:
    """
    The place a sealed value belongs to; it opens nowhere else.

    `organization_schema` is "public" for what belongs to the platform, `owner` the id of the row or integration,
    `field` names the column or kind of value, `version` is the version of the credential (0 where there is none).
    """

    organization_schema: str
    owner: str
    field: str
    version: int


def seal(plaintext: bytes, *, key: bytes, key_version: int, context: SealContext) -> bytes:
    """Seal bytes under an organization key; the result is `OVERHEAD_BYTES` longer."""
    header = _HEADER.pack(SUITE, key_version)
    random = os.urandom(_SALT_BYTES + NONCE_BYTES)
    salt, nonce = random[:_SALT_BYTES], random[_SALT_BYTES:]
    derived = derive(key, salt=salt, info=_ENVELOPE_INFO)
    body = AESGCM(derived[:KEY_BYTES]).encrypt(nonce, plaintext, _additional_data(key_version, context))
    return b"".join((header, salt, derived[KEY_BYTES:], nonce, body))


def open_sealed(blob: bytes, *, key: bytes, context: SealContext) -> bytes:
    """
    Open a blob that `seal` made for the same place.

    :raises SealBroken: anything differs
    """
    key_version = key_version_of(blob)
    derived = derive(key, salt=blob[_HEADER.size : _HEADER.size + _SALT_BYTES], info=_ENVELOPE_INFO)
    commitment = blob[_HEADER.size + _SALT_BYTES : _NONCE_AT]
    if not hmac.compare_digest(commitment, derived[KEY_BYTES:]):
        raise SealBroken
    try:
        return AESGCM(derived[:KEY_BYTES]).decrypt(
            blob[_NONCE_AT:_BODY_AT], blob[_BODY_AT:], _additional_data(key_version, context)
        )
    except InvalidTag:
        raise SealBroken from None


def key_version_of(blob: bytes) -> int:
    """
    Read which version of the organization's key a blob names, before anything is opened.

    :raises SealBroken: the blob is cut off or of an unknown suite
    """
    if len(blob) < OVERHEAD_BYTES:
        raise SealBroken
    suite, key_version = _HEADER.unpack_from(blob)
    if suite != SUITE:
        raise SealBroken
    return int(key_version)


def new_key() -> bytes:
    """Make 32 random bytes."""
    return os.urandom(KEY_BYTES)


def wrap_key(key: bytes, *, master_key: bytes, master_id: str, organization_schema: str, version: int) -> bytes:
    """Wrap an organization key under a master key: nonce 12 | AES-256-GCM, bound to its row."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(master_key).encrypt(nonce, key, _wrapping_data(organization_schema, version, master_id))


def unwrap_key(wrapped: bytes, *, master_key: bytes, master_id: str, organization_schema: str, version: int) -> bytes:
    """
    Undo `wrap_key`.

    :raises SealBroken: another master key, another row, or changed bytes
    """
    if len(wrapped) != NONCE_BYTES + KEY_BYTES + _TAG_BYTES:
        raise SealBroken
    data = _wrapping_data(organization_schema, version, master_id)
    try:
        return AESGCM(master_key).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], data)
    except InvalidTag:
        raise SealBroken from None


def seal_platform(plaintext: bytes, *, key: bytes, key_byte: int, label: str) -> bytes:
    """
    Seal one secret of the platform: key byte 1 | FernetBytes token.

    Fernet binds no context, so the label ("oauth_app:<id>:secret") is sealed in front of the value.
    """
    return bytes((key_byte,)) + _fernet(key).encrypt(_length_prefixed(label.encode()) + plaintext)


def open_platform(token: bytes, *, key: bytes, label: str) -> bytes:
    """
    Open what `seal_platform` made under the same key and label.

    :raises SealBroken: anything differs
    """
    from django_cryptography.core.signing import BadSignature
    from django_cryptography.utils.crypto import InvalidToken

    try:
        opened = bytes(_fernet(key).decrypt(token[1:]))
    except (BadSignature, InvalidToken, ValueError):
        raise SealBroken from None
    prefix = _length_prefixed(label.encode())
    if not hmac.compare_digest(opened[: len(prefix)], prefix):
        raise SealBroken
    return opened[len(prefix) :]


def digest_key(organization_key: bytes) -> bytes:
    """Derive the key of an organization's keyed digests; it opens nothing."""
    return derive(organization_key, salt=None, info=_DIGEST_INFO)[:KEY_BYTES]


def keyed_digest(data: bytes, *, key: bytes, purpose: str) -> bytes:
    """Return the 32-byte HMAC-SHA256 of data; different purposes never give comparable digests."""
    return hmac.digest(key, _length_prefixed(purpose.encode()) + data, "sha256")


def token_digest(token: str) -> bytes:
    """
    Return the 32-byte SHA-256 of a random token of ours (webhook URL, API key), fit for a look-up.

    Not keyed on purpose: the token holds 256 random bits, so nobody can guess it from its digest, and the digest
    must survive every key rotation. Never use it for what a person or a vendor chose; that is `keyed_digest`.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def derive(key: bytes, *, salt: bytes | None, info: bytes) -> bytes:
    """Return 64 bytes of HKDF-SHA512 (RFC 5869): one block of its expansion, twice the size of a key."""
    return HKDF(_SHA512, 2 * KEY_BYTES, salt, info).derive(key)


def _additional_data(key_version: int, context: SealContext) -> bytes:
    return _length_prefixed(
        _SUITE,
        context.organization_schema.encode(),
        context.owner.encode(),
        context.field.encode(),
        _NUMBERS.pack(context.version, key_version),
    )


def _wrapping_data(organization_schema: str, version: int, master_id: str) -> bytes:
    return _length_prefixed(b"dek", organization_schema.encode(), str(version).encode(), master_id.encode())


def _length_prefixed(*parts: bytes) -> bytes:
    pack = _LENGTH.pack
    return b"".join([pack(len(part)) + part for part in parts])


def _fernet(key: bytes) -> FernetBytes:
    """Build the Fernet of one platform key; imported here because the library reads the settings when imported."""
    from django_cryptography.core.signing import FernetSigner
    from django_cryptography.utils.crypto import FernetBytes

    derived = derive(key, salt=None, info=_PLATFORM_INFO)
    return FernetBytes(derived[:KEY_BYTES], FernetSigner(derived[KEY_BYTES:]))
