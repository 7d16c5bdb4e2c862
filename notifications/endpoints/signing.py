"""The Standard Webhooks scheme, version 1: HMAC-SHA256 over "id.timestamp.body", one signature for each secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime

from core.secret import Secret

PREFIX = "whsec_"
SECRET_BYTES = 32
"""The scheme wants 24 to 64 random bytes."""


def new_secret() -> Secret:
    """Make a secret in the scheme's text form."""
    return Secret(PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode())


def headers(body: bytes, *, event_id: str, at: datetime, signed_by: Sequence[Secret]) -> list[tuple[str, str]]:
    """
    Return the three headers of a delivery; the receiver accepts any of the signatures.

    :param signed_by: the secret of now, and while it is being replaced the one before it
    """
    timestamp = str(int(at.timestamp()))
    signed = f"{event_id}.{timestamp}.".encode() + body
    return [
        ("webhook-id", event_id),
        ("webhook-timestamp", timestamp),
        ("webhook-signature", " ".join(_signature(signed, secret) for secret in signed_by)),
    ]


def _signature(signed: bytes, secret: Secret) -> str:
    key = base64.b64decode(secret.reveal().removeprefix(PREFIX))
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"
