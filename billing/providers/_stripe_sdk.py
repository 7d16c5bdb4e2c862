"""
Stripe's SDK on our way out. The only module that imports it, and itself imported at the first call alone.

The SDK says what goes on the wire: paths, form encoding, version, account and idempotency key. `Door` carries it
through `Outbound`, so that operation, deadline, limits, breaker and the spec's error table are those of every other
call; the SDK's retries, telemetry, errors and logs never come into play
(docs/decisions/0012-stripe-through-our-door.md).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import stripe
import stripe._util

from billing.providers._stripe_answers import Answer
from billing.providers._stripe_spec import API_VERSION
from core import clock
from core.secret import Secret
from integrations.contract import Outbound, OutboundResponse, UnexpectedResponse

stripe.enable_telemetry = False  # it writes an id into the home directory and tells Stripe about the platform
stripe._util.STRIPE_LOG = None  # the environment variable of this name would print bodies to stderr
logging.getLogger("stripe").setLevel(logging.WARNING)  # below that the SDK logs bodies, which hold personal data

_SENT = frozenset({"stripe-version", "stripe-account", "idempotency-key", "content-type"})
"""Headers of the SDK that go out; the key goes as the bearer, the description of our machine stays here."""


class Door(stripe.HTTPClient):
    """An HTTP client for one call of the SDK; `answer` is what came."""

    name = "registry"

    def __init__(self, outbound: Outbound, *, operation: str, key: Secret, role: str) -> None:
        super().__init__()
        self._outbound = outbound
        self._operation = operation
        self._key = key
        self._role = role
        self.answer: Answer | None = None

    def request_with_retries(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: Any = None,
        max_network_retries: int | None = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """
        Send once.

        :raises ProviderError: by the spec's rules
        """
        response = self._outbound.request(
            method.upper(),
            url,
            operation=self._operation,
            role=self._role,
            bearer=self._key,
            headers={name: value for name, value in headers.items() if name.lower() in _SENT},
            data=post_data.encode() if isinstance(post_data, str) else None,
        )
        self.answer = Answer(body=_read(response), at=_at(response))
        return response.body.decode(), response.status, {}


def make_client(outbound: Outbound, door: Door, *, key: Secret, account: str) -> stripe.StripeClient:
    """Make the SDK's client for one call: nothing global, no retries, our hosts."""
    return stripe.StripeClient(
        key.reveal(),
        stripe_account=account or None,
        stripe_version=API_VERSION,
        base_addresses={"api": outbound.base_url("api"), "connect": outbound.base_url("connect")},
        max_network_retries=0,
        http_client=door,
    )


def _read(response: OutboundResponse) -> dict[str, Any]:
    """Read the answer before the SDK does, whose error for what is not JSON would quote the body."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        raise UnexpectedResponse("the answer is not JSON") from None
    if not isinstance(body, dict):
        raise UnexpectedResponse("the answer is JSON, but no object")
    return body


def _at(response: OutboundResponse) -> datetime:
    """Return Stripe's time of the answer, by which reads and events are put in order; ours where it says none."""
    try:
        return parsedate_to_datetime(response.headers.get("date", "")).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return clock.now()
