"""
The card page: GET shows what is bought and the vendor's card fields, POST takes the token that its script made.

No cookie is read or set: the address alone opens the page, so there is nothing that another site could misuse. It is
kept out of logs, referrers, caches and search engines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from billing.contract import CardToken, PaymentStatus
from billing.models import Payment
from billing.pages import scripts, words
from billing.pages.charging import finish
from billing.services import card_pages
from billing.services.card_numbers import refuse_card_numbers, refuse_in_body
from billing.services.payment_states import OPEN
from billing.services.rules import MOST_INSTALLMENTS
from core.errors import Conflict, RegistryError, ValidationFailed
from core.money import decimal_text, format_money
from core.secret import Secret
from integrations.api.problems import problem_of, problem_response
from tenants.context import in_organization
from tenants.models import Organization

MAX_BYTES = 8192
"""A token, three names and a document are 300 bytes."""

HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "Cache-Control": "no-store",
}

_HIDDEN_PATH = "/pay/[hidden]/"
_SHAPES = {
    "token": re.compile(r"[A-Za-z0-9_-]{8,128}"),
    "payment_method_id": re.compile(r"[a-z0-9_]{1,40}"),
    "issuer_id": re.compile(r"[0-9]{0,12}"),
    "tax_id": re.compile(r"[0-9A-Za-z./ -]{0,30}"),
}
"""Fields of a POST beside `installments`, and what each may hold; the last two may be absent."""


@method_decorator(csrf_exempt, name="dispatch")
class CardPageView(View):
    """One payment that waits for its card."""

    http_method_names = ["get", "head", "post"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Enter the payment's organization; what fails is logged without the address."""
        request.path = _HIDDEN_PATH
        place = card_pages.read_token(str(kwargs.pop("token")))
        if place is None or not Organization.objects.open().filter(schema_name=place.schema_name).exists():
            return _finished(_page({"state": "unknown"}, status=404))
        with translation.override(_language(request)), in_organization(place.schema_name):
            try:
                payment = _payment(place.payment_id)
            except Http404:
                return _finished(_page({"state": "unknown"}, status=404))
            kwargs["payment"] = payment
            return _finished(super().dispatch(request, *args, **kwargs))

    def get(self, request: HttpRequest, payment: Payment) -> HttpResponse:
        """Show the page; looking changes nothing."""
        state = _state(payment)
        context = {**_facts(payment), "state": state}
        if state != "open":
            return _page(context)
        script = scripts.SCRIPTS[payment.integration.provider]
        bases = card_pages.script_bases(payment.integration)
        context |= {
            "script": scripts.script_address(script, bases),
            "our_script": script.ours,
            "public_key": card_pages.public_key(payment),
            "needs_document": not payment.payer.get("tax_id"),
            "declined": words.message(payment.error) if payment.error else "",
        }
        response = _page(context)
        response._csp_config = scripts.policy(script, bases)  # type: ignore[attr-defined]
        return response

    def post(self, request: HttpRequest, payment: Payment) -> HttpResponse:
        """
        Charge the card of a token and say where to go on.

        :returns: {status, redirect_url}; while another card may be tried redirect_url is null and `message` says why
        """
        try:
            return self._charge(request, payment)
        except (RegistryError, RequestDataTooBig) as error:
            return problem_response(request, problem_of(error))

    def _charge(self, request: HttpRequest, payment: Payment) -> HttpResponse:
        fields = _read(request)
        if _state(payment) != "open":
            raise Conflict(str(words.STATES[_state(payment)]))
        card = CardToken(
            token=Secret(fields["token"]), brand=fields["payment_method_id"], issuer=fields.get("issuer_id", "")
        )
        found = finish(payment, card=card, installments=fields["installments"], tax_id=fields.get("tax_id", ""))
        if card_pages.is_open(found):
            return JsonResponse(
                {"status": found.status, "redirect_url": None, "message": str(words.message(found.error))}
            )
        return JsonResponse({"status": found.status, "redirect_url": card_pages.return_address(found)})


def _payment(payment_id: str) -> Payment:
    found = Payment.objects.select_related("integration", "customer").filter(pk=payment_id).first()
    if found is None or found.integration.provider not in scripts.SCRIPTS or not found.return_url:
        raise Http404("no payment of a card page")
    return found


def _state(payment: Payment) -> str:
    """Return what the page shows: open, expired, paid, processing or over."""
    if card_pages.is_open(payment):
        return "open"
    if card_pages.waits(payment) or payment.status == PaymentStatus.EXPIRED:
        return "expired"
    if payment.status in OPEN:
        return "processing"
    return "paid" if payment.paid_at else "over"


def _facts(payment: Payment) -> dict[str, Any]:
    language = translation.get_language() or settings.LANGUAGE_CODE
    return {
        "payment": payment,
        "seller": Organization.objects.get(schema_name=payment._schema).name,
        "amount": format_money(payment.amount_minor, payment.currency, language),
        "amount_text": decimal_text(payment.amount_minor, payment.currency),
        "most_installments": MOST_INSTALLMENTS,
        "back": card_pages.return_address(payment),
        "has_overrides": bool(settings.SANDBOX or settings.PROVIDER_OVERRIDES),
    }


def _page(context: Mapping[str, Any], *, status: int = 200) -> HttpResponse:
    """Render without the request: no context processor may touch a session."""
    shown = {**context, "sentence": words.STATES.get(context["state"], "")}
    return HttpResponse(render_to_string("billing_pages/card.html", shown), status=status)


def _finished(response: HttpResponseBase) -> HttpResponseBase:
    for name, value in HEADERS.items():
        response.headers[name] = value
    if not hasattr(response, "_csp_config"):
        response._csp_config = _CLOSED  # type: ignore[attr-defined]
    return response


_CLOSED = {
    "default-src": ["'none'"],
    "style-src": ["'self'"],
    "img-src": ["'self'"],
    "form-action": ["'none'"],
    "frame-ancestors": ["'none'"],
    "base-uri": ["'none'"],
}


def _language(request: HttpRequest) -> str:
    """Return the language that the page's own link asks for, else what the browser prefers."""
    asked = request.GET.get("lang", "").lower()
    return asked if asked in dict(settings.LANGUAGES) else translation.get_language_from_request(request)


def _read(request: HttpRequest) -> dict[str, Any]:
    """
    Read the body of a POST: a token and its few companions, and never a card's number.

    :raises CardNumberRefused: anything in the request may be one
    :raises ValidationFailed: a field is missing, unknown or malformed
    """
    refuse_card_numbers({name: values for name, values in request.GET.lists()})
    raw = request.body
    if len(raw) > MAX_BYTES:
        raise RequestDataTooBig("a card page's body over 8 KB")
    refuse_in_body(raw)
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise ValidationFailed("Send a JSON object.") from error
    if request.content_type != "application/json" or not isinstance(body, dict):
        raise ValidationFailed("Send a JSON object as application/json.")
    wrong = _wrong(body)
    if wrong:
        raise ValidationFailed("Some fields need another value.", errors={name: ["Not usable."] for name in wrong})
    return body


def _wrong(body: Mapping[str, Any]) -> list[str]:
    texts = {"issuer_id": "", "tax_id": "", **body}
    wrong = [name for name, shape in _SHAPES.items() if not _fits(shape, texts.get(name))]
    wrong += sorted(set(body) - {*_SHAPES, "installments"})
    count = body.get("installments")
    is_count = isinstance(count, int) and not isinstance(count, bool) and 1 <= count <= MOST_INSTALLMENTS
    return wrong if is_count else [*wrong, "installments"]


def _fits(shape: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and shape.fullmatch(value) is not None
