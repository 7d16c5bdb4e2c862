"""Where Stripe posts: the signature of what comes, and the endpoint that is made, inspected and removed by API."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from billing.providers._stripe_api import StripeApi, known_id, once
from billing.providers._stripe_json import obj, required, text
from billing.providers._stripe_spec import API_VERSION, TOLERANCE_S
from core.secret import Secret, Secrets
from integrations.contract import InboundRequest, NotFound, RegisteredWebhook, SignatureRefused, WebhookState

if TYPE_CHECKING:
    from stripe.params import WebhookEndpointCreateParams

EVENTS = (
    "account.application.deauthorized", "account.updated",
    "charge.dispute.closed", "charge.dispute.created", "charge.dispute.updated", "charge.failed", "charge.refunded",
    "charge.succeeded", "charge.updated",
    "checkout.session.async_payment_failed", "checkout.session.async_payment_succeeded", "checkout.session.completed",
    "checkout.session.expired",
    "customer.created", "customer.deleted", "customer.updated",
    "customer.subscription.created", "customer.subscription.deleted", "customer.subscription.paused",
    "customer.subscription.resumed", "customer.subscription.trial_will_end", "customer.subscription.updated",
    "invoice.created", "invoice.finalized", "invoice.marked_uncollectible", "invoice.paid",
    "invoice.payment_action_required", "invoice.payment_failed", "invoice.payment_succeeded", "invoice.updated",
    "invoice.voided", "invoice_payment.paid",
    "payment_intent.canceled", "payment_intent.created", "payment_intent.payment_failed", "payment_intent.processing",
    "payment_intent.requires_action", "payment_intent.succeeded",
    "payout.canceled", "payout.created", "payout.failed", "payout.paid", "payout.updated",
    "refund.created", "refund.failed", "refund.updated",
)  # fmt: skip
"""What our endpoint subscribes to. Source: provider card; docs.stripe.com/api/events/types, 2026-11."""

OURS = "ir_integration"
"""The key of an endpoint's metadata that says for which integration we made it."""

MARK = "#"
"""
Ends the signing secret of an endpoint that we made; the endpoint's id follows. Stripe's secrets have no such sign.

It tells our endpoint, which we make anew when it is gone, from one that the customer keeps, which we never replace.
"""


def verify(request: InboundRequest, secrets: Sequence[Secret]) -> None:
    """
    Check Stripe-Signature over time and raw bytes; any v1 and any secret may match, v0 never does.

    The SDK's own check takes stamps of the future, and one secret; so this is not it.

    :raises SignatureRefused: missing, malformed, wrong, or more than TOLERANCE_S old or early
    """
    stamp, signatures = _signature(request.headers.get("stripe-signature", ""))
    signed = stamp.encode() + b"." + request.body
    matches = [
        hmac.compare_digest(given, hmac.new(key.encode(), signed, hashlib.sha256).hexdigest())
        for key in _signing_keys(secrets)
        for given in signatures
    ]
    if not any(matches):
        raise SignatureRefused("no secret gives one of the v1 signatures", reason="wrong")
    if abs(request.received_at.timestamp() - int(stamp)) > TOLERANCE_S:
        raise SignatureRefused("the signed time is too far from now", reason="stale")


def register(api: StripeApi, url: str) -> RegisteredWebhook:
    """
    Make an endpoint that posts to `url`; its secret is told once, so what we made before is made anew.

    A secret that the customer gave means that they keep an endpoint themselves: nothing is made beside it. A connected
    account's events come through the platform's endpoint.
    """
    if api.account or _is_customers(api):
        return RegisteredWebhook(url=url)
    _remove_ours(api)
    params: WebhookEndpointCreateParams = {
        "url": url,
        "enabled_events": cast("Any", list(EVENTS)),
        "api_version": API_VERSION,
        "description": "Integrations Registry",
        "metadata": {OURS: api.integration.id},
    }
    made = api.call(
        "register_webhook",
        lambda client, options: client.v1.webhook_endpoints.create(params, options),
        idempotency_key=once(),
    ).body
    endpoint = required(made, "id")
    secret = f"{required(made, 'secret')}{MARK}{endpoint}"
    return RegisteredWebhook(url=url, external_id=endpoint, secrets=Secrets({"webhook_secret": secret}))


def unregister(api: StripeApi) -> None:
    """Remove what we made; an endpoint that the customer keeps stays."""
    if not api.account and not _is_customers(api):
        _remove_ours(api)


def inspect(api: StripeApi) -> WebhookState:
    """Ask which of the account's endpoints posts to our URL, whether it does, and in the version that we read."""
    if api.account:
        return WebhookState(registered=True, detail="The platform's own endpoint serves connected accounts.")
    ours = api.integration.webhook_url
    found = next((endpoint for endpoint in _endpoints(api) if text(endpoint, "url") == ours), None)
    if found is None:
        detail = "Stripe has no endpoint for our URL."
        if _is_customers(api):
            detail += " Make one in the Stripe dashboard, or connect without a webhook secret and we make it."
        return WebhookState(registered=False, detail=detail)
    if text(found, "status") == "disabled":
        return WebhookState(registered=False, url=ours, detail="Stripe has disabled the endpoint.")
    if not _is_customers(api) and text(found, "api_version") != API_VERSION:
        return WebhookState(registered=False, url=ours, detail="The endpoint has another API version.")
    return WebhookState(registered=True, url=ours)


def _is_customers(api: StripeApi) -> bool:
    """Tell a secret that somebody gave us from one of our own endpoint."""
    secret = api.integration.secrets.get("webhook_secret")
    return secret is not None and MARK not in secret.reveal()


def _remove_ours(api: StripeApi) -> None:
    for endpoint in list(_endpoints(api)):
        if text(obj(endpoint, "metadata"), OURS) == api.integration.id:
            _remove(api, text(endpoint, "id"))


def _remove(api: StripeApi, endpoint: str) -> None:
    """Remove one endpoint; one that is gone already is fine."""
    try:
        api.call(
            "unregister_webhook",
            lambda client, options: client.v1.webhook_endpoints.delete(known_id(endpoint), None, options),
        )
    except NotFound:
        return


def _endpoints(api: StripeApi) -> Iterator[Mapping[str, Any]]:
    listed = api.pages(
        "list_webhooks", lambda client, params, options: client.v1.webhook_endpoints.list(params, options), {}
    )
    return (row for _answer, row in listed)


def _signing_keys(secrets: Sequence[Secret]) -> Iterator[str]:
    """Walk what may have signed: each secret as it is, and without the mark of an endpoint that we made."""
    for secret in secrets:
        if secret:
            yield from dict.fromkeys((secret.reveal(), secret.reveal().partition(MARK)[0] or secret.reveal()))


def _signature(header: str) -> tuple[str, list[str]]:
    """
    Read t and all v1 of the header.

    :raises SignatureRefused: reason missing or malformed
    """
    if not header:
        raise SignatureRefused("no signature header", reason="missing")
    pairs = [part.strip().partition("=")[::2] for part in header.split(",")]
    stamps = [value for name, value in pairs if name == "t" and re.fullmatch("[0-9]{1,12}", value)]
    signatures = [value for name, value in pairs if name == "v1" and re.fullmatch("[0-9a-f]{64}", value)]
    if len(stamps) != 1 or not signatures:
        raise SignatureRefused("signature header without one t and a v1", reason="malformed")
    return stamps[0], signatures
