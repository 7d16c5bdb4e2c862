"""Write and sign webhook bodies exactly as Meta does."""

from __future__ import annotations

import hashlib
import hmac
import json


def webhook_body(payload: object) -> bytes:
    """Return compact JSON with non-ASCII as \\u00e4 (lower case) and every slash as \\/."""
    return json.dumps(payload, ensure_ascii=True, separators=(",", ":")).replace("/", "\\/").encode("ascii")


def signature_headers(body: bytes, *, app_secret: str) -> dict[str, str]:
    """Return the headers that prove who wrote the body."""
    key = app_secret.encode()
    return {
        "X-Hub-Signature": "sha1=" + hmac.new(key, body, hashlib.sha1).hexdigest(),
        "X-Hub-Signature-256": "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest(),
    }


def app_secret_proof(token: str, *, app_secret: str) -> str:
    """Return what `appsecret_proof` must be for this token."""
    return hmac.new(app_secret.encode(), token.encode(), hashlib.sha256).hexdigest()
