"""
Comparing one part of a day with the vendor's list, and repairing what is unlike.

Each difference is noted as it was first seen, then the vendor's state climbs the ladder like any other claim. What the
list leaves out is asked for one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db import transaction

from billing.contract import DisputeStatus, ObjectKind, PaymentState, PaymentStatus, ReadsBilling
from billing.models import Dispute, Origin, Payment, Source
from billing.services import settling
from billing.services.applying import apply_state
from billing.services.differences import Difference, Kind, facts_of_row, facts_of_state, unlike
from billing.services.ladder import MONEY_IN
from billing.services.matching import Known, known_payments
from core import clock
from integrations.contract import NotFound
from integrations.models import Integration
from integrations.services.reconcile import GRACE, LIST_FOR
from tenants.context import release_connection

MOST_LISTED = 5000
"""Of one listing: what is kept in memory at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a day: from `since` on, before `until`."""

    since: datetime
    until: datetime

    def holds(self, moment: datetime | None) -> bool:
        """Whether money that came then counts in this part; where nobody knows when, it does."""
        return moment is None or self.since <= moment < self.until


@dataclass(slots=True, kw_only=True)
class Comparison:
    """One run over one day, and what it found so far."""

    integration: Integration
    provider: ReadsBilling
    day: date
    ends_at: datetime
    since: datetime
    length: timedelta
    is_resumed: bool = False
    vendor_count: int = 0
    our_count: int = 0
    vendor_minor: Counter[str] = field(default_factory=Counter)
    our_minor: Counter[str] = field(default_factory=Counter)
    found: list[Difference] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether the time is over; to be asked before each call."""
        return clock.now() >= self.ends_at


def look(run: Comparison, part: Part) -> bool:
    """
    Compare one part of a day; False when there was no time or no room to do it whole.

    Counts and totals move only for a whole part; what was found and repaired stays noted in any case.

    :raises ProviderError: the vendor did not answer
    """
    states = _listed(run, part)
    if states is None:
        return False
    known = known_payments(run.integration, states)
    pairs: list[tuple[PaymentState | None, Payment | None]] = []
    for state in states:
        if run.is_over:
            return False
        pairs.append(_settled(run, state, known))
    seen = {row.pk for _state, row in pairs if row is not None}
    for row in _unlisted(run, part, seen):
        if run.is_over:
            return False
        pairs.append(_asked(run, row))
    _note_lost_answers(run, part)
    _count(run, part, pairs)
    return True


def _listed(run: Comparison, part: Part) -> list[PaymentState] | None:
    """List a part; None when the time or the room is over before its end."""
    release_connection()
    stop = min(run.ends_at, clock.now() + LIST_FOR)
    states: dict[str, PaymentState] = {}
    for state in run.provider.list_payments(since=part.since, until=part.until):
        states[state.external_id] = state
        if len(states) >= MOST_LISTED or clock.now() >= stop:
            return None
    young = clock.now() - GRACE
    return [state for state in states.values() if _is_ours(run.integration, state) and _is_settled(state, young)]


def _is_ours(integration: Integration, state: PaymentState) -> bool:
    """Whether it is of this account and environment, as far as it says so; a list may hold a neighbor's."""
    return state.account in ("", integration.account_external_id) and state.environment in ("", integration.environment)


def _is_settled(state: PaymentState, young: datetime) -> bool:
    """What was paid a moment ago is left to its webhook; what asks for no money and got none is no payment."""
    is_young = state.paid_at is not None and state.paid_at > young
    return not is_young and (state.amount_minor > 0 or state.amount_received_minor > 0)


def _settled(run: Comparison, state: PaymentState, known: Known) -> tuple[PaymentState, Payment | None]:
    """Compare one payment that the vendor listed, and repair its row."""
    row = known.find(state)
    kind = _unlike(state, row)
    if kind is None:
        return state, row
    noted = Difference(
        external_id=state.external_id, kind=kind, vendor=facts_of_state(state), ours=facts_of_row(row) if row else None
    )
    row = _applied(run, state) or row
    if _unlike(state, row) is not None:  # it may have changed since it was listed, or have been said at the same moment
        release_connection()
        state = _fetched(run, state.external_id) or state
        row = _applied(run, state) or row
    run.found.append(replace(noted, repaired=_unlike(state, row) is None))
    return state, row


def _asked(run: Comparison, row: Payment) -> tuple[PaymentState | None, Payment | None]:
    """Ask for a payment of ours that the list leaves out, and compare it."""
    release_connection()
    state = _fetched(run, row.external_id)
    if state is not None and _is_ours(run.integration, state):
        return _settled(run, state, Known.of([row]))
    run.found.append(
        Difference(external_id=row.external_id, kind=Kind.MISSING_THERE, vendor=None, ours=facts_of_row(row))
    )
    return None, row


def _fetched(run: Comparison, external_id: str) -> PaymentState | None:
    try:
        state = run.provider.fetch_object(ObjectKind.PAYMENT, external_id)
    except NotFound:
        return None
    return state if isinstance(state, PaymentState) else None


def _applied(run: Comparison, state: PaymentState) -> Payment | None:
    row = apply_state(
        run.integration, state, source=Source.RECONCILIATION, source_id=run.day.isoformat(), is_fetched=True
    )
    return row if isinstance(row, Payment) else None


def _unlike(state: PaymentState, row: Payment | None) -> Kind | None:
    is_lost = (
        row is not None
        and row.status == PaymentStatus.CHARGED_BACK
        and Dispute.objects.filter(payment=row, status=DisputeStatus.LOST).exists()
    )
    return unlike(state, row, is_lost=is_lost)


def _unlisted(run: Comparison, part: Part, seen: set[UUID]) -> list[Payment]:
    """Return our payments that were made by us, or paid, in a part, and that the vendor did not list for it."""
    ours = Payment.objects.filter(integration=run.integration).exclude(external_id="").exclude(pk__in=seen)
    made = ours.filter(created_at__gte=part.since, created_at__lt=part.until).exclude(origin=Origin.VENDOR)
    paid = ours.filter(paid_at__gte=part.since, paid_at__lt=part.until)
    return list((made | paid).order_by("created_at"))


def _note_lost_answers(run: Comparison, part: Part) -> None:
    """Payments of ours that the vendor never confirmed and does not list: a last look is taken, which ends them."""
    unsent = Payment.objects.filter(
        integration=run.integration,
        external_id="",
        status=PaymentStatus.PROCESSING,
        intended_at__gte=part.since,
        intended_at__lt=min(part.until, clock.now() - _SETTLES_WITHIN),
    )
    for row in unsent:
        with transaction.atomic():
            settling.settle_later(row, look=len(settling.LOOKS_S) - 1)
        run.found.append(
            Difference(external_id=str(row.pk), kind=Kind.MISSING_THERE, vendor=None, ours=facts_of_row(row))
        )


_SETTLES_WITHIN = timedelta(hours=1)
"""Above the sum of `settling.LOOKS_S`: until then a lost answer is being looked for."""


def _count(run: Comparison, part: Part, pairs: Iterable[tuple[PaymentState | None, Payment | None]]) -> None:
    """Count payments, and sum up the money that came in this part: as the vendor says, and as we say."""
    for state, row in pairs:
        run.vendor_count += state is not None
        run.our_count += row is not None
        paid_at = (state.paid_at if state else None) or (row.paid_at if row else None)
        if not part.holds(paid_at):
            continue
        if state is not None and state.status in MONEY_IN:
            run.vendor_minor[state.currency] += state.amount_received_minor
        if row is not None and row.status in MONEY_IN:
            run.our_minor[row.currency] += row.amount_received_minor
