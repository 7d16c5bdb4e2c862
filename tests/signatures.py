"""Sign a webhook the way its vendor does, by the scheme that the spec names."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from integrations.contract import InboundRequest, WebhookSpec

ARRIVED_AT = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)


def arrived(body: bytes, *, headers: Mapping[str, str] | None = None) -> InboundRequest:
    """Make a POST as the ingress hands it over."""
    return InboundRequest(method="POST", headers=dict(headers or {}), query={}, body=body, received_at=ARRIVED_AT)


def signed(request: InboundRequest, *, webhook: WebhookSpec, secret: str, at: datetime = ARRIVED_AT) -> InboundRequest:
    """Return the request with the header that the vendor would send at a time; as it is where nobody signs."""
    if not webhook.signature:
        return request
    header = _SCHEMES[webhook.signature](request.body, secret, int(at.timestamp()))
    query = _QUERIES[webhook.signature](request.body) if webhook.signature in _QUERIES else {}
    headers = {**request.headers, webhook.signature_header: header}
    return replace(request, headers=headers, query={**request.query, **query})


def _body(body: bytes, secret: str, stamp: int) -> str:
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def _timestamp_body(body: bytes, secret: str, stamp: int) -> str:
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest}"


def _manifest(body: bytes, secret: str, stamp: int) -> str:
    named = _id_in(body)
    manifest = f"id:{named};ts:{stamp};" if named else f"ts:{stamp};"
    return f"ts={stamp},v1={hmac.new(secret.encode(), manifest.encode(), hashlib.sha256).hexdigest()}"


def _id_in(body: bytes) -> str:
    return str(json.loads(body).get("data", {}).get("id", ""))


_SCHEMES: Mapping[str, Callable[[bytes, str, int], str]] = {
    "hmac_sha256_body": _body,
    "hmac_sha256_timestamp_body": _timestamp_body,
    "hmac_sha256_manifest": _manifest,
}

_QUERIES: Mapping[str, Callable[[bytes], Mapping[str, str]]] = {
    "hmac_sha256_manifest": lambda body: {"data.id": named} if (named := _id_in(body)) else {},
}
"""What a vendor that signs its query, not its body, puts there."""
