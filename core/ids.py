"""Identifiers: UUID version 7 (RFC 9562), sortable by time and unguessable in their last 62 bits."""

from __future__ import annotations

import secrets
import uuid

from uuid_utils import compat


def new_id() -> uuid.UUID:
    """Make a UUIDv7 as the standard library's type, fit for a model's default."""
    return compat.uuid7()


def new_token(prefix: str = "", *, size_bytes: int = 32) -> str:
    """Make an unguessable URL-safe token; 32 bytes are 256 bits."""
    return prefix + secrets.token_urlsafe(size_bytes)
