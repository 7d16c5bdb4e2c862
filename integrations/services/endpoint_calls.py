"""One call to a customer's endpoint: signed, with a total deadline, no redirects, a capped answer, public addresses."""

from __future__ import annotations

import time
from uuid import UUID

import structlog

from core import clock
from core.fault_points import reach
from integrations.contract.limits import retry_after_s
from notifications.endpoints.addresses import customers_policy
from notifications.endpoints.deliveries import Outcome, signing_secrets
from notifications.endpoints.models import EventEndpoint
from notifications.endpoints.signing import headers
from tenants.context import release_connection
from transport.engine import shared
from transport.errors import BodyTooLarge, TransportError
from transport.target import Target
from transport.wire import Answer, Terms, WireRequest

log = structlog.get_logger(__name__)

DEADLINE_S = 15.0
"""Standard Webhooks asks for 15 to 30 s; a receiver that has more to do answers first and works then."""

MAX_ANSWER_BYTES = 64 * 1024
"""Nobody reads more than its start; what is longer is cut off with the connection."""

SHOWN_BYTES = 4096
"""More than 1,024 characters of any text."""

SUCCESS = range(200, 300)
WAITS = frozenset({429, 503})
"""Statuses whose Retry-After is honored."""


def send(endpoint: EventEndpoint, body: bytes, *, event_id: UUID) -> Outcome:
    """
    Send one event; no connection to the database is held meanwhile. Failures are outcomes, never raised.

    What went wrong is named by the transport's error (Timeout, AddressRefused) or the status (http_500).
    """
    signed_by = signing_secrets(endpoint)
    policy, url = customers_policy(), endpoint.url
    release_connection()
    signed = headers(body, event_id=str(event_id), at=clock.now(), signed_by=signed_by)
    terms = Terms(policy=policy, deadline_s=DEADLINE_S, max_bytes=MAX_ANSWER_BYTES)
    started = time.monotonic()
    try:
        request = WireRequest(
            method="POST", target=Target.parse(url), headers=[("Content-Type", "application/json"), *signed], body=body
        )
        answer = shared().send(request, terms)
        start = _start_of(answer)
    except TransportError as error:
        log.info("endpoint.not_reached", endpoint=str(endpoint.pk), error=type(error).__name__, phase=str(error.phase))
        return Outcome(status=None, duration_ms=_since(started), error=type(error).__name__)
    reach("endpoint.sent")
    return Outcome(
        status=answer.status,
        duration_ms=_since(started),
        error="" if answer.status in SUCCESS else f"http_{answer.status}",
        answer=start,
        retry_after_s=retry_after_s(answer.header("retry-after")) if answer.status in WAITS else None,
    )


def _start_of(answer: Answer) -> str:
    """Read the answer to its end and keep its start; an answer over the cap says enough with its status."""
    kept = b""
    try:
        for part in answer:
            kept = (kept + part)[:SHOWN_BYTES]
    except BodyTooLarge:
        answer.close()
    return kept.decode("utf-8", "replace").replace("\x00", "")


def _since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)
