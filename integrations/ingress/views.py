"""
Receiving webhooks: cap → route → verify → one INSERT → 2xx. Everything else happens in a worker.

A view never trusts a body before its signature, never parses it, and answers 503 when it cannot store it, so
that the vendor tries again.
"""

from __future__ import annotations

import structlog
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, connections
from django.http import HttpResponse, HttpResponseNotAllowed
from rest_framework.request import Request
from rest_framework.views import APIView

from core import clock
from core.fault_points import reach
from core.secret import Secret, Secrets
from dispatch import inbox
from dispatch.waker import wake
from integrations import registry
from integrations.contract import (
    AnswersChallenge,
    InboundRequest,
    Provider,
    ReceivesWebhooks,
    SharesCallback,
    SignatureRefused,
    WebhookSpec,
)
from integrations.ingress import counters

log = structlog.get_logger(__name__)

RETRY_AFTER_S = "5"


class WebhookView(APIView):
    """One integration's own URL, `/webhooks/<provider>/<token>/`, or a platform app's, `/webhooks/<provider>/`."""

    authentication_classes = ()
    permission_classes = ()
    parser_classes = ()
    schema = None
    format_kwarg = None
    http_method_names = ["get", "head", "post"]

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        """Negotiate nothing: an Accept header must not cost a delivery, and whoever signs needs no permission."""

    def http_method_not_allowed(self, request: Request, *args: object, **kwargs: object) -> HttpResponse:  # type: ignore[override]
        """Answer without DRF, whose response would need the negotiation that `initial` leaves out."""
        return HttpResponseNotAllowed(self.allowed_methods)

    def get(self, request: Request, provider: str, token: str = "") -> HttpResponse:
        """Answer the vendor's challenge with its bare text."""
        found = _provider(provider)
        if found is None or not issubclass(found, AnswersChallenge):
            return HttpResponse(status=404)
        inbound = _inbound(request, b"")
        for secret in _challenge_tokens(_as_provider(found), token):
            try:
                return HttpResponse(found.answer_challenge(inbound, secret), content_type="text/plain")
            except SignatureRefused:
                continue
        counters.refused(provider, "challenge")
        return HttpResponse("The verify token does not match.", status=403, content_type="text/plain")

    def post(self, request: Request, provider: str, token: str = "") -> HttpResponse:
        """Verify and store one delivery."""
        found = _provider(provider)
        if found is None or (not token and not issubclass(found, SharesCallback)):
            return HttpResponse(status=404)
        try:
            body = _body(request, found)
        except RequestDataTooBig:
            counters.refused(provider, "too_large")
            return HttpResponse("The body is larger than 4 MB.", status=413, content_type="text/plain")
        try:
            return _receive(found, _inbound(request, body), token)
        except DatabaseError as error:
            connections[settings.INGRESS_DATABASE].close()
            log.warning("webhook.not_stored", provider=provider, error=type(error).__name__)
            counters.refused(provider, "unavailable")
            return HttpResponse(status=503, headers={"Retry-After": RETRY_AFTER_S})


def _receive(provider: type[ReceivesWebhooks], inbound: InboundRequest, token: str) -> HttpResponse:
    spec = _spec(provider)
    route = inbox.find_route(provider=provider.spec.key, token=token) if token else None  # type: ignore[attr-defined]
    if token and route is None:
        counters.refused(_key(provider), "no_route")
        return HttpResponse(status=404)
    opened = [route.open()] if route else inbox.platform_app_secrets(_key(provider))
    secrets = inbox.verifying_secrets(opened, spec.secret_field, at=inbound.received_at)
    if route and not secrets:
        # The organization gave no secret of its own: the platform's app signs (API.md section 5).
        secrets = _named(inbox.platform_app_secrets(_key(provider)), spec.secret_field)
    try:
        provider.verify(inbound, secrets)
    except SignatureRefused as error:
        return _refuse(provider, inbound, route, error)
    reach("ingress.before_commit")
    stored = inbox.store(
        inbox.Hit(
            provider=_key(provider),
            headers=_kept_headers(inbound, spec),
            body=inbound.body,
            route=route,
            delivery_id=inbound.headers.get((spec.delivery_id_header or "").lower(), ""),
            repeats=spec.repeats,
            received_at=inbound.received_at,
        )
    )
    reach("ingress.committed")
    counters.received(_key(provider), is_new=stored is not None)
    if stored is not None:
        wake("inbound")
    return HttpResponse(status=200)


def _refuse(
    provider: type[ReceivesWebhooks], inbound: InboundRequest, route: inbox.FoundRoute | None, error: SignatureRefused
) -> HttpResponse:
    reason = error.reason or "signature"
    counters.refused(_key(provider), reason)
    inbox.keep_refused_sample(
        provider=_key(provider), reason=reason, headers=inbound.headers, size=len(inbound.body), route=route
    )
    return HttpResponse("The signature is not valid.", status=401, content_type="text/plain")


def _provider(key: str) -> type[ReceivesWebhooks] | None:
    found = registry.find(key)
    return found if found is not None and issubclass(found, ReceivesWebhooks) else None


def _key(provider: type[ReceivesWebhooks]) -> str:
    return _as_provider(provider).spec.key


def _spec(provider: type[ReceivesWebhooks]) -> WebhookSpec:
    webhook = _as_provider(provider).spec.webhook
    if webhook is None:
        raise LookupError(f"{provider.__name__} receives webhooks but its spec describes none")
    return webhook


def _as_provider(provider: type[ReceivesWebhooks]) -> type[Provider]:
    return provider  # type: ignore[return-value]  # every capability is mixed into a Provider


def _named(opened: list[Secrets], name: str) -> list[Secret]:
    return [secrets[name] for secrets in opened if name in secrets]


def _challenge_tokens(provider: type[Provider], token: str) -> list[Secret]:
    field = provider.spec.webhook.challenge_field if provider.spec.webhook else None
    if field is None:
        return []
    if not token:
        return _named(inbox.platform_app_secrets(provider.spec.key), field)
    route = inbox.find_route(provider=provider.spec.key, token=token)
    return _named([route.open()], field) if route else []


def _body(request: Request, provider: type[ReceivesWebhooks]) -> bytes:
    limit = min(_spec(provider).max_bytes, settings.WEBHOOK_MAX_BYTES)
    declared = request.META.get("CONTENT_LENGTH") or "0"
    if declared.isdigit() and int(declared) > limit:
        raise RequestDataTooBig
    if request.META.get("HTTP_TRANSFER_ENCODING") and not request.META.get("CONTENT_LENGTH"):
        body = bytes(request.META["wsgi.input"].read(limit + 1))  # Django reads no body without a length
    else:
        body = request._request.body
    if len(body) > limit:
        raise RequestDataTooBig
    return body


def _inbound(request: Request, body: bytes) -> InboundRequest:
    return InboundRequest(
        method=str(request.method),
        headers={name.lower(): value for name, value in request.headers.items()},
        query={name: str(value) for name, value in request.query_params.items()},
        body=body,
        received_at=clock.now(),
    )


def _kept_headers(inbound: InboundRequest, spec: WebhookSpec) -> dict[str, str]:
    dropped = {"cookie", "authorization"}
    return {name: value for name, value in inbound.headers.items() if name not in dropped}
