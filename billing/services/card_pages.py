"""
Payments whose card is given on a page of ours (docs/decisions/0015): opening it, claiming it for one try, closing.

A payment that waits for its payer has no id of the vendor's. Each card that is tried is a payment of its own there; the
one that is declined is set aside as a row of its own, so that the page's payment is free for the next card.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.conf import settings
from django.core import signing
from django.db import transaction

from audit.services import Actor, Target, record
from billing.contract import (
    ActionKind,
    CardToken,
    Method,
    NextAction,
    PaymentRequest,
    PaymentStatus,
    TakesPayments,
)
from billing.models import Evidence, Payment
from billing.services.readiness import class_with, instance_now, refuse, require_usable
from billing.services.settling import settle_later
from core import clock
from core.errors import ValidationFailed
from core.ids import new_id
from dispatch import outbox
from integrations.contract import Provider, RequestRejected
from integrations.models import Integration
from integrations.services.credentials import Purpose
from integrations.services.providers import base_urls, provider_for
from tenants.base import insert_new
from tenants.context import require_organization
from tenants.models import Organization

SCRIPT, FIELDS = "script", "fields"
"""Host roles of a vendor whose script makes card tokens in a browser: where it is, and where its frames are."""

LIFE = timedelta(hours=24)
"""How long a page takes a card: a day is enough to find the card, and short enough for the price to be the same."""

KEPT_S = 30 * 24 * 3600
"""How long an address still tells how the payment ended."""

EXPIRE = "card_page.expire"
"""The kind of outside work that ends a payment whose page nobody used."""

PUBLIC_KEY = "public_key"

_SALT = "billing.card_page"

_AFTER = timedelta(seconds=1)

_LEFT_TO_THE_PAGE = frozenset({("card.token", "card_missing"), ("payer.tax_id", "payer_incomplete")})
"""What a provider misses before the payer has seen the page: field and reason."""


class Place(NamedTuple):
    """Where the payment of a page is."""

    schema_name: str
    payment_id: str


def serves(integration: Integration, *, method: str, card: CardToken | None, return_url: str) -> bool:
    """Whether a payment gets a page: by card, without a token, with an address to come back to."""
    found = integration.provider_class
    can = SCRIPT in found.spec.hosts and issubclass(found, TakesPayments) and Method.CARD in found.methods
    return can and method == Method.CARD and card is None and bool(return_url)


def begin(payment: Payment, request: PaymentRequest, *, actor: Actor) -> Payment:
    """
    Store a new payment that waits for its payer's card and return its row; its next action leads to our page.

    The vendor is not called. A request that another process stores at the same time returns that one's row.

    :param payment: not stored yet
    :param request: the same payment as its provider takes it, without a card
    :raises ValidationFailed: a rule of the vendor forbids it, or the page could not lead back or make tokens
    """
    _require_return(payment.return_url)
    _require_payable(payment.integration, request, actor=actor)
    payment.status, payment.intended_at = PaymentStatus.REQUIRES_ACTION, None
    payment.expires_at = clock.now() + LIFE
    payment.next_action = _next_action(payment)
    with transaction.atomic():
        if insert_new([payment]):
            outbox.add(
                EXPIRE, link_id=payment.integration_id, object_id=str(payment.pk), due_at=payment.expires_at + _AFTER
            )
            _record("payment.created", payment, actor)
            return payment
    rows = Payment.objects.select_related("integration", "customer")
    return rows.get(integration=payment.integration, request_key=payment.request_key)


def is_open(payment: Payment) -> bool:
    """Whether a payment waits for a card on our page, and its time is not over."""
    return waits(payment) and payment.expires_at is not None and clock.now() < payment.expires_at


def waits(payment: Payment) -> bool:
    """Whether a payment waits for a card on our page: nothing of it is at the vendor now."""
    is_ours = payment.method == Method.CARD and not payment.external_id and payment.intended_at is None
    return is_ours and payment.status == PaymentStatus.REQUIRES_ACTION


def read_token(token: str) -> Place | None:
    """Return where an address of ours leads; None for one that we did not make, or that is too old."""
    try:
        found = _signer().unsign_object(token, max_age=KEPT_S)
        return Place(schema_name=str(found["o"]), payment_id=str(found["p"]))
    except (signing.BadSignature, KeyError, TypeError, ValueError):
        return None


def public_key(payment: Payment) -> str:
    """Return the key with which the vendor's script makes tokens; "" when it is gone. It is no secret."""
    return _key_of(provider_for(payment.integration, Purpose.CALL))


def script_bases(integration: Integration) -> dict[str, str]:
    """Return where the vendor's script, frames and API are, by role of the spec, as the operator has it."""
    spec, overrides = integration.provider_class.spec, base_urls(integration.provider)
    return {role: overrides.get(role) or overrides.get("") or host for role, host in spec.hosts.items()}


def return_address(payment: Payment) -> str:
    """Return where the payer goes back to, with the payment's id and status."""
    parts = urlsplit(payment.return_url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("payment", str(payment.pk)), ("status", payment.status)]
    return urlunsplit(parts._replace(query=urlencode(query)))


def claim(payment: Payment, *, installments: int, actor: Actor) -> bool:
    """
    Commit that the vendor is about to be asked for this card; of several that ask at once, one may.

    From here on the payment is one whose answer may be lost: the outbox looks for it.
    """
    with transaction.atomic():
        waiting = Payment.objects.filter(
            pk=payment.pk,
            status=PaymentStatus.REQUIRES_ACTION,
            external_id="",
            intended_at=None,
            expires_at__gt=clock.now(),
        )
        now = clock.now()
        facts = {"intended_at": now, "installments": installments, "updated_at": now}
        is_ours = waiting.update(status=PaymentStatus.PROCESSING, error=None, **facts) == 1
        if is_ours:
            settle_later(payment)
            _record("payment.card_given", payment, actor)
    return is_ours


def reopen(payment: Payment, error: dict[str, str]) -> Payment:
    """
    Let the payer try another card, after one that certainly was not charged.

    A payment that the vendor made and declined moves, with its evidence, to a row of its own: later news of it find it
    there by the vendor's id, and news of the next card find this row by ours. Where money came, nothing changes; where
    the page's time is over, the payment ends as failed.
    """
    with transaction.atomic():
        locked = Payment.objects.select_for_update(of=("self",)).select_related("integration").get(pk=payment.pk)
        if not (locked.status == PaymentStatus.FAILED or _is_in_flight(locked)):
            return locked
        is_over = locked.expires_at is None or clock.now() >= locked.expires_at
        if locked.external_id and not is_over:
            _set_aside(locked)
        locked.status = PaymentStatus.FAILED if is_over else PaymentStatus.REQUIRES_ACTION
        locked.next_action = None if is_over else _next_action(locked)
        locked.error, locked.intended_at = error, None
        locked.save()
        _publish(locked)
    return locked


def close(payment: Payment, *, status: PaymentStatus, actor: Actor) -> bool:
    """End a payment that waits for its card, as canceled or expired; False when it no longer waits."""
    with transaction.atomic():
        locked = Payment.objects.select_for_update(of=("self",)).select_related("integration").get(pk=payment.pk)
        if not waits(locked):
            return False
        locked.status, locked.next_action = status, None
        locked.save()
        _record(f"payment.{status.value}", locked, actor)
        _publish(locked)
    return True


def _is_in_flight(payment: Payment) -> bool:
    return payment.status == PaymentStatus.PROCESSING and not payment.external_id


def _set_aside(payment: Payment) -> None:
    """Move what the vendor has declined to a row of its own; the locked row forgets the vendor's id."""
    name = payment.external_id
    declined = Payment(
        id=new_id(), integration=payment.integration, external_id=name, origin=payment.origin,
        status=PaymentStatus.FAILED, amount_minor=payment.amount_minor, currency=payment.currency,
        method=payment.method, description=payment.description, customer=payment.customer, payer=payment.payer,
        installments=payment.installments, metadata=payment.metadata, error=payment.error, aliases=payment.aliases,
        vendor_status=payment.vendor_status, vendor_at=payment.vendor_at, vendor_payload=payment.vendor_payload,
    )  # fmt: skip
    payment.external_id, payment.vendor_status, payment.vendor_at = "", "", None
    payment.vendor_payload, payment.aliases = {}, []
    payment.save()
    declined.save(force_insert=True)
    Evidence.objects.filter(payment=payment, external_id=name).update(payment=declined)


def _require_return(return_url: str) -> None:
    """Registered origins bind; an organization that has none may lead its payers back wherever its key says."""
    organization = Organization.objects.get(schema_name=require_organization())
    parts = urlsplit(return_url)
    if organization.allowed_origins and f"{parts.scheme}://{parts.netloc}" not in organization.allowed_origins:
        refuse("return_url", "Use an address at one of the organization's registered origins.")


def _require_payable(integration: Integration, request: PaymentRequest, *, actor: Actor) -> None:
    require_usable(integration)
    class_with(integration, TakesPayments)
    provider = instance_now(integration, TakesPayments, actor=actor)
    if isinstance(provider, Provider) and not _key_of(provider):
        refuse(
            "card.token",
            "Give a card token, or the integration its public key: the card page makes tokens with it.",
        )
    try:
        provider.check_payment(request)
    except RequestRejected as error:
        if (error.field, error.reason) not in _LEFT_TO_THE_PAGE:
            texts = {error.field or "body": [error.next_action]}
            raise ValidationFailed(error.next_action, errors=texts, internal=error.internal) from error


def _key_of(provider: Provider) -> str:
    found = provider.integration.secrets.get(PUBLIC_KEY)
    return found.reveal() if found else ""


def _next_action(payment: Payment) -> dict[str, object]:
    signed = _signer().sign_object({"o": require_organization(), "p": str(payment.pk)})
    url = f"{settings.PUBLIC_URL}/pay/{signed}/"
    return NextAction(kind=ActionKind.REDIRECT, details={"url": url}).as_json()


def _signer() -> signing.TimestampSigner:
    return signing.TimestampSigner(salt=_SALT, sep="~")


def _publish(payment: Payment) -> None:
    environment = payment.integration.environment
    outbox.publish("payment.updated", str(payment.pk), environment=environment, details={"status": payment.status})


def _record(action: str, payment: Payment, actor: Actor) -> None:
    record(
        action=action,
        actor=actor,
        target=Target(kind="payment", id=str(payment.pk), label=f"{payment.amount_minor} {payment.currency}"),
        details={"integration": str(payment.integration_id), "method": payment.method},
    )
