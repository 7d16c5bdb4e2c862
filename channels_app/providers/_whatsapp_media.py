"""Files of the Cloud API: limits by type, and the proof that what came is what was announced."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

from channels_app.contract import MediaContent
from channels_app.providers._meta_json import text
from integrations.contract import RequestRejected, UnexpectedResponse

KILO = 1024
MEGA = 1024 * 1024

DOCUMENT_BYTES = 100 * MEGA

SIZES: Mapping[str, int] = {
    "image/jpeg": 5 * MEGA,
    "image/png": 5 * MEGA,
    "image/webp": 500 * KILO,
    "audio/aac": 16 * MEGA,
    "audio/amr": 16 * MEGA,
    "audio/mp4": 16 * MEGA,
    "audio/mpeg": 16 * MEGA,
    "audio/ogg": 16 * MEGA,
    "audio/opus": 16 * MEGA,
    "video/3gpp": 16 * MEGA,
    "video/mp4": 16 * MEGA,
}
"""MIME type -> greatest size; animated stickers have the larger limit of webp, static ones 100 KB."""

PICKY = ("image/", "audio/", "video/")
"""Kinds of which only the types of SIZES are taken; anything else goes as a document."""


def check_upload(content: bytes, *, mime_type: str) -> None:
    """
    Refuse a file that WhatsApp would refuse.

    :raises RequestRejected: reason media_refused, with the limit
    """
    bare = mime_type.partition(";")[0].strip().lower()
    if bare.startswith(PICKY) and bare not in SIZES:
        raise _refused(f"WhatsApp takes no {bare}; convert the file to one of {', '.join(sorted(SIZES))}.")
    limit = SIZES.get(bare, DOCUMENT_BYTES)
    if not 0 < len(content) <= limit:
        raise _refused(f"Send a file of 1 byte to {limit // KILO} KB.")


def verified(content: bytes, *, announced: Mapping[str, Any], sha256: str) -> MediaContent:
    """
    Compare a downloaded file with its announcements and return it.

    :param announced: the answer of GET /{media_id}
    :param sha256: the digest in the webhook, or empty
    :raises UnexpectedResponse: size or digest differ
    """
    digest = hashlib.sha256(content).digest()
    size = announced.get("file_size")
    if text(size).isdecimal() and int(text(size)) != len(content):
        raise UnexpectedResponse("the file is not as long as announced", reason="media_size")
    for told in (text(announced.get("sha256")), sha256):
        if _digest(told) not in (None, digest):
            raise UnexpectedResponse("the file's digest is not the announced one", reason="media_digest")
    return MediaContent(content=content, mime_type=text(announced.get("mime_type")), sha256=digest.hex())


def _digest(told: str) -> bytes | None:
    """Read a digest in base64 or hexadecimal; what is neither cannot be compared."""
    try:
        raw = bytes.fromhex(told) if len(told) == hashlib.sha256().digest_size * 2 else base64.b64decode(told)
    except (ValueError, binascii.Error):
        return None
    return raw if len(raw) == hashlib.sha256().digest_size else None


def _refused(remedy: str) -> RequestRejected:
    return RequestRejected("file refused before upload", field="file", reason="media_refused", next_action=remedy)
