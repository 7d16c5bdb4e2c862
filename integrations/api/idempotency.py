"""
`Idempotency-Key` for every POST: the same key and body within 24 hours gives the stored answer.

The row is claimed and committed before the work starts, so that of two requests at once one works and the other is
told to wait. Stored bodies are sealed; keys and requests are compared by digests that only the organization's key
can compute. What may succeed when tried again (5xx, 429, a conflict that passes) is not kept.
"""

from __future__ import annotations

import base64
import json
from datetime import timedelta

from django.db.models import Q
from django.http import HttpResponse, HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

import vault.services as vault
from accounts.models import ApiKey, StoredAnswer
from core import clock
from core.errors import Conflict, ValidationFailed
from vault.services import SealContext

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
LONGEST_KEY = 255
KEEP = timedelta(hours=24)

ABANDONED_AFTER = timedelta(minutes=10)
"""A claim without an answer that is this old belongs to a process that died; longer than any request may take."""

RETRY_S = 2
"""What a second request waits for the first to finish."""

_FIELD = "stored_answer.body"
_KEPT_HEADERS = ("Content-Type", "Location")


class InProgress(Conflict):
    """The first request with this key has not been answered yet."""

    code = "idempotency_in_progress"
    retry_after_s = RETRY_S


class OtherBody(Conflict):
    """The key was used for another request."""

    code = "idempotency_conflict"


class Replay(Exception):
    """The answer is known and the handler must not run: not an error, it carries the answer past the handler."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__("answered before")
        self.response = response


def claim(request: Request, api_key: ApiKey) -> StoredAnswer | None:
    """
    Claim the key of a POST for this request; None where the request carries none or is an upload.

    :raises Replay: the same request was answered; carries the answer
    :raises OtherBody: the key was used with another method, path or body
    :raises InProgress: the first request with the key is still at work
    :raises ValidationFailed: the key is malformed
    """
    key = request.headers.get(HEADER)
    if request.method != "POST" or key is None or _is_upload(request):
        return None
    if not 1 <= len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise ValidationFailed(
            f"The {HEADER} header cannot be used.",
            errors={HEADER: [f"Use 1 to {LONGEST_KEY} printable ASCII characters, such as a UUID."]},
        )
    fresh = StoredAnswer(
        organization_schema=api_key.organization_schema,
        environment=api_key.environment,
        key_digest=_digest(key.encode(), api_key, purpose="idempotency.key"),
        request_digest=_digest(_request_bytes(request, api_key), api_key, purpose="idempotency.request"),
    )
    StoredAnswer.objects.bulk_create([fresh], ignore_conflicts=True)
    found = StoredAnswer.objects.get(
        organization_schema=fresh.organization_schema,
        environment=fresh.environment,
        key_digest=fresh.key_digest,
    )
    return fresh if found.id == fresh.id or _take_over(found, fresh) else _known(found, fresh)


def settle(claimed: StoredAnswer, response: HttpResponseBase) -> None:
    """Keep the answer of a claimed request, or give the key free where trying again may help."""
    if not _is_kept(response):
        release(claimed)
        return
    if isinstance(response, Response):
        response.render()  # once: rendering again does nothing
    body = response.content if isinstance(response, HttpResponse) else b""
    kept = {
        "headers": {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers},
        "body": base64.b64encode(body).decode(),
    }
    StoredAnswer.objects.filter(id=claimed.id, status=None).update(
        status=response.status_code, sealed_body=vault.seal(json.dumps(kept).encode(), _place(claimed))
    )


def release(claimed: StoredAnswer) -> None:
    """Give a key free, so that the same request may be tried again."""
    StoredAnswer.objects.filter(id=claimed.id, status=None).delete()


def _take_over(found: StoredAnswer, fresh: StoredAnswer) -> bool:
    """Replace a row whose time is over, or whose process died; of many that try, one does."""
    now = clock.now()
    over = Q(created_at__lt=now - KEEP) | Q(status=None, created_at__lt=now - ABANDONED_AFTER)
    taken = StoredAnswer.objects.filter(over, id=found.id).update(
        id=fresh.id, request_digest=fresh.request_digest, status=None, sealed_body=None, created_at=now
    )
    return taken == 1


def _known(found: StoredAnswer, fresh: StoredAnswer) -> StoredAnswer:
    if bytes(found.request_digest) != fresh.request_digest:
        raise OtherBody("This Idempotency-Key was used for another request. Use a new key for a new request.")
    if found.status is None or found.sealed_body is None:
        raise InProgress("The first request with this Idempotency-Key is still being worked on. Ask again shortly.")
    kept = json.loads(vault.open_bytes(bytes(found.sealed_body), _place(found)))
    raise Replay(
        HttpResponse(base64.b64decode(kept["body"]), status=found.status, headers={**kept["headers"], REPLAYED: "true"})
    )


def _is_kept(response: HttpResponseBase) -> bool:
    is_passing = response.status_code in {409, 429} or response.status_code >= 500  # noqa: PLR2004 - HTTP's numbers
    return not is_passing and not response.streaming


def _is_upload(request: Request) -> bool:
    return (request.content_type or "").lower().startswith("multipart/")


def _request_bytes(request: Request, api_key: ApiKey) -> bytes:
    """
    Join method, path, scopes and body; the lengths keep one from being mistaken for another.

    With the scopes, a key learns no answer that it could not have got: a new API key that may do more than it.
    """
    scopes = " ".join(sorted(api_key.scopes)).encode()
    parts = [str(request.method).encode(), request.get_full_path().encode(), scopes, request._request.body]
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def _digest(data: bytes, api_key: ApiKey, *, purpose: str) -> bytes:
    return vault.keyed_digest(data, organization_schema=api_key.organization_schema, purpose=purpose)


def _place(row: StoredAnswer) -> SealContext:
    return SealContext(organization_schema=row.organization_schema, owner=str(row.id), field=_FIELD, version=0)
