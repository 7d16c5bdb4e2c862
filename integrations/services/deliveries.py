"""
From a stored delivery to facts: open → parse → (fetch) → one transaction with events, rows and `processed`.

Deliveries of a platform URL are first split into one per account. Parts whose account nobody connected wait in
quarantine for 24 hours. Nothing that was verified is ever dropped: what cannot be read becomes a dead letter.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import QuerySet

from audit.services import Actor, Target, record
from core import clock
from core.errors import Conflict
from core.fault_points import reach
from core.pace import scaled
from dispatch import inbox
from dispatch.claims import Claim
from dispatch.models import DeliveryStatus, Link, WebhookDelivery
from dispatch.settling import Settled, settle_deliveries
from dispatch.waker import wake
from integrations import registry
from integrations.contract import (
    AuthenticationFailed,
    FetchesDetails,
    InboundEvent,
    InboundRequest,
    ProviderError,
    ReceivesWebhooks,
    SharesCallback,
)
from integrations.contract.errors import Who
from integrations.contract.strategies import NOT_CALLED, holds_integration, strategy_of, wait_s
from integrations.models import Event, Integration
from integrations.services import links, quarantine
from integrations.services.credentials import Purpose
from integrations.services.providers import provider_for
from integrations.services.taking_in import Arrived, take_in
from tenants.context import in_organization
from tenants.models import Organization
from tenants.search_path import search_path_set_once

log = structlog.get_logger(__name__)

MAX_CRASHES = 5
MAX_ATTEMPTS = 10
RETRY_S = (5, 15, 60, 300, 900, 1800, 3600, 3600, 3600)


class LeaseLost(Exception):
    """The lease ended while we worked; the row belongs to another worker and our transaction is rolled back."""


class Said(NamedTuple):
    """A delivery, and what it says to its link; `foreign` are accounts of others that it names."""

    delivery: WebhookDelivery
    request: InboundRequest
    events: Sequence[InboundEvent]
    foreign: Sequence[str]


class Addressee:
    """The link that deliveries are for, read once for all that are processed together: five at most, in a moment."""

    def __init__(self, link_id: UUID, *, fetch_elsewhere: Callable[[WebhookDelivery], None] | None = None) -> None:
        self.fetch_elsewhere = fetch_elsewhere
        self.integration = Integration.objects.get(pk=link_id)
        self.accounts = links.account_values(link_id)
        self._last_received_at: datetime | None = None

    def note(self, delivery: WebhookDelivery) -> None:
        """Remember that a delivery was processed."""
        self._last_received_at = max(delivery.received_at, self._last_received_at or delivery.received_at)

    def write_down(self) -> None:
        """
        Say at the integration and its link that something came.

        Outside the deliveries' transactions, which would wait for each other here; a crash costs a time of day.
        """
        if self._last_received_at is not None:
            received = Integration.objects.filter(pk=self.integration.pk)
            received.update(webhook_last_received_at=self._last_received_at)
            Link.objects.filter(pk=self.integration.pk).update(last_event_at=clock.now())


def process(*claims: Claim, fetch_elsewhere: Callable[[WebhookDelivery], None] | None = None) -> None:
    """
    Process claimed deliveries of one link, each by itself; a failure is recorded at its row and tried again.

    :param fetch_elsewhere: takes over deliveries for which the vendor must be waited for; without it they wait here
    """
    reach("delivery.claimed")
    rows = WebhookDelivery.objects.filter(
        id__in=[claim.id for claim in claims], lease_id__in={claim.lease_id for claim in claims}
    )
    found = list(rows.order_by("next_attempt_at", "id"))
    schema = found[0].organization_schema if found else None
    if schema is None:
        for delivery in found:
            _recorded(split_delivery, delivery)
    elif not Organization.objects.open().filter(schema_name=schema).exists():
        for delivery in found:
            _bury(delivery, error_class="OrganizationClosed", text="The organization is closed.")
    else:
        with in_organization(schema), search_path_set_once():
            _process_together(found, fetch_elsewhere)


def process_delivery(delivery: WebhookDelivery, addressee: Addressee | None = None) -> None:
    """
    Turn one delivery of the entered organization into events and rows.

    :raises ProviderError: the body cannot be parsed, or a detail cannot be fetched now
    """
    known = addressee or Addressee(_link_of(delivery))
    said = _read(delivery, known)
    if said is None:
        return
    _write([said], known)
    if addressee is None:
        known.write_down()


def _read(delivery: WebhookDelivery, known: Addressee) -> Said | None:
    """Open, parse and complete a delivery; None when it went to quarantine or to a thread that fetches."""
    provider = _receiving(delivery.provider)
    request = _request_of(delivery)
    events = list(provider.parse(request))
    # An empty account key means: the account that this URL belongs to.
    ours = [event for event in events if not event.account_key or event.account_key in known.accounts]
    foreign = sorted({event.account_key for event in events if event.account_key} - known.accounts)
    if events and not ours:
        _quarantine(delivery, foreign[0])
        return None
    if known.fetch_elsewhere and any(event.thin for event in ours):
        known.fetch_elsewhere(delivery)
        return None
    return Said(delivery, request, [_complete(event, known.integration) for event in ours], foreign)


def _process_together(
    found: Sequence[WebhookDelivery], fetch_elsewhere: Callable[[WebhookDelivery], None] | None
) -> None:
    """
    Process deliveries of one link: read each by itself, then write all in one transaction.

    If that fails, each is written by itself, so that what is wrong with one is recorded at that one.
    """
    addressee: Addressee | None = None
    read: list[Said] = []

    def look(delivery: WebhookDelivery) -> None:
        nonlocal addressee
        addressee = addressee or Addressee(_link_of(delivery), fetch_elsewhere=fetch_elsewhere)
        if said := _read(delivery, addressee):
            read.append(said)

    for delivery in found:
        _recorded(look, delivery)
    if addressee is None:
        return
    if len(read) < 2 or not _is_written(read, addressee):  # noqa: PLR2004 - several at once
        for said in read:
            _recorded(functools.partial(_write_alone, said, addressee), said.delivery)
    addressee.write_down()


def _write_alone(said: Said, addressee: Addressee, delivery: WebhookDelivery) -> None:
    _write([said], addressee)


def _is_written(read: Sequence[Said], addressee: Addressee) -> bool:
    try:
        _write(read, addressee)
    except Exception as error:
        log.info("delivery.written_apart", deliveries=len(read), error=type(error).__name__)
        return False
    return True


def _recorded(work: Callable[[WebhookDelivery], None], delivery: WebhookDelivery) -> None:
    """Do one delivery's work; whatever fails is recorded at its row, and the others go on."""
    try:
        if delivery.crashes >= MAX_CRASHES:
            _bury(delivery, error_class="WorkerDied", text="Processing stopped the worker five times.")
        else:
            work(delivery)
    except ProviderError as error:
        _after_error(delivery, error)
    except LeaseLost:
        log.warning("delivery.lease_lost", delivery=str(delivery.id))
    except Exception as error:
        log.exception("delivery.failed", delivery=str(delivery.id))
        _failed(delivery, error_class=type(error).__name__, text="Internal error; see the log.", is_final=False)


def split_delivery(delivery: WebhookDelivery) -> None:
    """
    Cut a platform delivery into one per account and destroy its body; runs in public.

    :raises ProviderError: the body cannot be split
    """
    provider = registry.provider(delivery.provider)
    if not issubclass(provider, SharesCallback):
        raise _unsplittable(delivery.provider)
    body = _open(delivery)
    parts = provider.split(_request(delivery, body))
    digest = hashlib.sha256(body).digest()
    with transaction.atomic():
        for account_key, part in parts.items():
            quarantine.store_part(delivery, account_key, part.body, digest)
        closed = _own(delivery).update(
            status=DeliveryStatus.PROCESSED if parts else DeliveryStatus.IGNORED,
            sealed_body=None,
            processed_at=clock.now(),
            leased_until=None,
        )
        if closed != 1:
            raise LeaseLost  # another worker splits it: our parts must not stay beside its own
    wake("inbound")


def replay(delivery: WebhookDelivery, *, actor: Actor) -> None:
    """
    Process a delivery of the entered organization again; events that were handled stay handled once.

    :raises Conflict: its body is gone, or a worker has it
    """
    if delivery.sealed_body is None:
        raise Conflict("The body of this delivery is no longer kept; it cannot be replayed.", code="body_gone")
    with transaction.atomic():
        updated = (
            WebhookDelivery.objects.filter(pk=delivery.pk)
            .exclude(status=DeliveryStatus.PROCESSING)
            .update(
                status=DeliveryStatus.RECEIVED,
                attempts=0,
                crashes=0,
                next_attempt_at=clock.now(),
                error_class="",
                error_text="",
            )
        )
        if not updated:
            raise Conflict("This delivery is being processed right now.", code="in_progress")
        record(
            action="delivery.replayed",
            actor=actor,
            target=Target(kind="delivery", id=str(delivery.id), label=delivery.provider),
        )
    wake("inbound")


def body_of(delivery: WebhookDelivery) -> bytes:
    """Open the raw body for whoever may see it."""
    return _open(delivery)


def _write(read: Sequence[Said], addressee: Addressee) -> None:
    """
    Write what deliveries say and close them, in one transaction.

    :raises LeaseLost: another worker has one of the rows; nothing is written
    """
    with transaction.atomic():
        for said in read:
            quarantine.keep_foreign(said.delivery, said.request, said.foreign)
        arrived = [
            Arrived(event, said.delivery.id, said.delivery.received_at) for said in read for event in said.events
        ]
        rows = take_in(addressee.integration, arrived)
        if settle_deliveries([_settled(said, rows) for said in read]) != len(read):
            raise LeaseLost  # another worker has a row: this transaction must not commit
        reach("delivery.before_commit")
    reach("delivery.committed")
    for said in read:
        addressee.note(said.delivery)


def _settled(said: Said, rows: Sequence[Event]) -> Settled:
    delivery, foreign = said.delivery, said.foreign
    return Settled(
        id=delivery.id,
        lease_id=delivery.lease_id,
        status=DeliveryStatus.PROCESSED if said.events else DeliveryStatus.IGNORED,
        event_ids=[*delivery.event_ids, *(row.id for row in rows if row.delivery_id == delivery.id)],
        text=f"Events of accounts that are not connected here: {', '.join(foreign)}"[:500] if foreign else "",
    )


def _complete(event: InboundEvent, integration: Integration) -> InboundEvent:
    if not event.thin:
        return event
    provider = provider_for(integration, Purpose.CALL)
    if not isinstance(provider, FetchesDetails):
        return event
    return provider.fetch(event)


def _quarantine(delivery: WebhookDelivery, account_key: str) -> None:
    _own(delivery).update(
        status=DeliveryStatus.QUARANTINED,
        account_key=account_key[:200],
        leased_until=None,
        expires_at=clock.now() + quarantine.KEPT_FOR,
        error_class=quarantine.NOT_CONNECTED,
        error_text=quarantine.not_connected(account_key),
    )


def _after_error(delivery: WebhookDelivery, error: ProviderError) -> None:
    """What the vendor or the organization can mend is tried again; what a release must mend is a dead letter now."""
    if isinstance(error, AuthenticationFailed) and delivery.link_id:
        Link.objects.filter(pk=delivery.link_id).update(next_check_at=clock.now())  # the check says it to everybody
    is_final = not error.retryable and error.who != Who.USER
    asked_s = wait_s(strategy_of(error), error, tries=delivery.attempts) if error.retry_after_s is not None else None
    if error.reason in NOT_CALLED:
        delivery.attempts -= 1  # the vendor was not asked
    _failed(delivery, error_class=error.name, text=error.internal or error.message, is_final=is_final, asked_s=asked_s)
    if asked_s is not None and holds_integration(error) and delivery.link_id:
        waiting = WebhookDelivery.objects.filter(
            link_id=delivery.link_id, status__in=[DeliveryStatus.RECEIVED, DeliveryStatus.FAILED]
        )
        waiting.update(not_before=clock.now() + timedelta(seconds=asked_s))


def _failed(
    delivery: WebhookDelivery, *, error_class: str, text: str, is_final: bool, asked_s: float | None = None
) -> None:
    if is_final or delivery.attempts >= MAX_ATTEMPTS:
        _bury(delivery, error_class=error_class, text=text)
        return
    due_in_s = scaled(RETRY_S[max(0, min(delivery.attempts, len(RETRY_S)) - 1)]) if asked_s is None else asked_s
    _own(delivery).update(
        status=DeliveryStatus.FAILED,
        attempts=delivery.attempts,
        next_attempt_at=clock.now() + timedelta(seconds=due_in_s),
        leased_until=None,
        error_class=error_class[:40],
        error_text=text[:2000],
    )


def _bury(delivery: WebhookDelivery, *, error_class: str, text: str) -> None:
    _own(delivery).update(
        status=DeliveryStatus.DEAD, leased_until=None, error_class=error_class[:40], error_text=text[:2000]
    )
    log.warning("delivery.dead", delivery=str(delivery.id), error_class=error_class)


def _own(delivery: WebhookDelivery) -> QuerySet[WebhookDelivery]:
    return WebhookDelivery.objects.filter(pk=delivery.pk, lease_id=delivery.lease_id, status=DeliveryStatus.PROCESSING)


def _link_of(delivery: WebhookDelivery) -> UUID:
    if delivery.link_id is None:
        raise LookupError(f"delivery {delivery.id} belongs to an organization but to no link")
    return delivery.link_id


def _receiving(key: str) -> type[ReceivesWebhooks]:
    provider = registry.provider(key)
    if not issubclass(provider, ReceivesWebhooks):
        raise _unsplittable(key)
    return provider


def _unsplittable(key: str) -> ProviderError:
    return ProviderError(f"{key} does not take webhooks like this one")


def _open(delivery: WebhookDelivery) -> bytes:
    return inbox.open_body(
        bytes(delivery.sealed_body or b""),
        organization_schema=delivery.organization_schema,
        delivery_id=delivery.id,
    )


def _request_of(delivery: WebhookDelivery) -> InboundRequest:
    return _request(delivery, _open(delivery))


def _request(delivery: WebhookDelivery, body: bytes) -> InboundRequest:
    return InboundRequest(
        method="POST", headers=delivery.headers, query={}, body=body, received_at=delivery.received_at
    )
